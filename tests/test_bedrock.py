"""boto3's errors as ours: none is forgotten, and each says whether asking again can help."""

from __future__ import annotations

import io
from typing import Any

import botocore.exceptions as boto
import botocore.session
import pytest

from pipeline.bedrock import BotoOnDemandClient
from pipeline.errors import ServiceBusy, ServiceError, ServiceRejected
from pipeline.retries import BUSY, REJECTED, repeat, translate

OPERATIONS = {
    "bedrock": [
        "CreateModelInvocationJob",
        "GetModelInvocationJob",
        "ListModelInvocationJobs",
        "StopModelInvocationJob",
    ],
    "bedrock-runtime": ["InvokeModel"],
}


def declared_errors() -> set[tuple[str, str]]:
    session = botocore.session.get_session()
    models = {service: session.get_service_model(service) for service in OPERATIONS}
    return {
        (operation, shape.metadata.get("error", {}).get("code", shape.name))
        for service, operations in OPERATIONS.items()
        for operation in operations
        for shape in models[service].operation_model(operation).error_shapes
    }


def client_error(code: str, status: int = 400, operation: str = "InvokeModel") -> boto.ClientError:
    response: Any = {"Error": {"Code": code, "Message": "why"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return boto.ClientError(response, operation)


def test_every_declared_error_is_known_once() -> None:
    """Each error that botocore's service models declare for our calls is either rejected or busy."""
    declared = declared_errors()
    assert {operation for operation, _ in declared} == {one for names in OPERATIONS.values() for one in names}
    assert len({code for _, code in declared}) >= 9
    for operation, code in sorted(declared):
        assert (code in REJECTED) + (code in BUSY) == 1, f"{operation}: {code}"
    assert not REJECTED.keys() & BUSY


@pytest.mark.parametrize("code", sorted(REJECTED))
def test_rejected_codes(code: str) -> None:
    """The message holds the call, the code, Bedrock's words and what it means, whatever the HTTP status."""
    error = translate(client_error(code, 500))
    assert isinstance(error, ServiceRejected)
    assert str(error) == f"Bedrock InvokeModel: {code}: why ({REJECTED[code]})"


@pytest.mark.parametrize("code", sorted(BUSY))
def test_busy_codes(code: str) -> None:
    """Asking later may help, and the message says which setting decides how long."""
    error = translate(client_error(code))
    assert isinstance(error, ServiceBusy)
    assert "DOCBATCH_RETRY_SECONDS" in str(error)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, ServiceRejected), (404, ServiceRejected), (429, ServiceBusy), (500, ServiceBusy), (503, ServiceBusy)],
)
def test_a_code_nobody_declared_goes_by_its_status(status: int, kind: type[ServiceError]) -> None:
    """A code that is new decides nothing; 429 and 5xx may pass, the rest will not."""
    assert type(translate(client_error("BrandNewException", status))) is kind


LOCAL: list[tuple[boto.BotoCoreError, type[ServiceError], str]] = [
    (boto.NoCredentialsError(), ServiceRejected, "set AWS credentials and a region, or DOCBATCH_BACKEND=local"),
    (boto.PartialCredentialsError(provider="env", cred_var="key"), ServiceRejected, "set AWS credentials"),
    (boto.NoRegionError(), ServiceRejected, "set AWS credentials and a region"),
    (
        boto.ParamValidationError(report="jobName too short"),
        ServiceRejected,
        "could not be asked: Parameter validation",
    ),
    (boto.ProfileNotFound(profile="night"), ServiceRejected, "(night) could not be found"),
    (boto.UnauthorizedSSOTokenError(), ServiceRejected, "could not be asked"),
    (boto.SSLError(endpoint_url="https://x", error=OSError("certificate")), ServiceRejected, "could not be asked: SSL"),
    (boto.EndpointConnectionError(endpoint_url="http://x"), ServiceBusy, "could not be reached"),
    (boto.ConnectTimeoutError(endpoint_url="http://x"), ServiceBusy, "could not be reached"),
    (boto.ReadTimeoutError(endpoint_url="http://x"), ServiceBusy, "could not be reached"),
    (boto.ConnectionClosedError(endpoint_url="http://x"), ServiceBusy, "could not be reached"),
    (boto.ProxyConnectionError(proxy_url="http://x"), ServiceBusy, "could not be reached"),
    (boto.IncompleteReadError(actual_bytes=1, expected_bytes=2), ServiceBusy, "could not be reached"),
    (boto.ResponseStreamingError(error="cut"), ServiceBusy, "could not be reached"),
]


@pytest.mark.parametrize(("error", "kind", "message"), LOCAL, ids=[type(case[0]).__name__ for case in LOCAL])
def test_errors_of_this_side(error: boto.BotoCoreError, kind: type[ServiceError], message: str) -> None:
    """Only a connection is worth another try; credentials, profiles and wrong parameters stay as they are."""
    found = translate(error)
    assert type(found) is kind
    assert message in str(found)


def test_a_rejection_is_not_repeated_and_a_busy_answer_is() -> None:
    """`repeat` asks again until an answer comes, gives a rejection at once, and ends with the last busy error."""
    asked: list[str] = []

    def answer(*codes: str) -> Any:
        script = iter(codes)

        def call() -> str:
            code = next(script)
            asked.append(code)
            if code != "ok":
                raise client_error(code)
            return code

        return call

    assert repeat(answer("ThrottlingException", "ok"), retry_seconds=60) == "ok"
    assert len(asked) == 2
    with pytest.raises(ServiceRejected):
        repeat(answer("ValidationException", "ok"), retry_seconds=60)
    assert len(asked) == 3
    with pytest.raises(ServiceBusy):
        repeat(answer("ThrottlingException", "ok"), retry_seconds=0)
    assert len(asked) == 4


def test_a_reply_that_is_no_json_is_busy() -> None:
    """A proxy's page in place of the model's reply is worth another try, and never a raw parser error."""

    class Proxy:
        def invoke_model(self, **_: object) -> dict[str, Any]:
            return {"body": io.BytesIO(b"<html>gateway</html>")}

    client: Any = Proxy()
    with pytest.raises(ServiceBusy, match="the reply is not JSON"):
        BotoOnDemandClient(client, retry_seconds=0).invoke("m", {})

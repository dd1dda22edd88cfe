"""boto3's errors as ours: none is forgotten, and each says whether asking again can help."""

from __future__ import annotations

import io
from contextlib import nullcontext
from typing import Any, cast

import botocore.exceptions as boto
import botocore.session
import pytest

from pipeline.bedrock.client import BotoBatchClient, BotoOnDemandClient, tag_value
from pipeline.bedrock.pacing import Pacer
from pipeline.bedrock.retries import BUSY, REJECTED, repeat, translate
from pipeline.errors import ServiceBusy, ServiceError, ServiceRejected

OPERATIONS = {
    "bedrock": [
        "CreateModelInvocationJob",
        "GetModelInvocationJob",
        "ListModelInvocationJobs",
        "StopModelInvocationJob",
    ],
    "bedrock-runtime": ["InvokeModel"],
    "pricing": ["GetProducts"],
    "glue": ["GetDatabase", "CreateDatabase", "GetTable", "GetTables", "CreateTable", "UpdateTable"],
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


class Time:
    """A clock that sleeping moves, and the pauses."""

    def __init__(self) -> None:
        self.now = 100.0
        self.pauses: list[float] = []

    def clock(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


class Script:
    """A call that answers with these errors, one after the other, and then with "ok"; the last for ever if asked so."""

    def __init__(self, *errors: Exception, forever: bool = False) -> None:
        self._errors, self._forever, self.asked = list(errors), forever, 0

    def __call__(self) -> str:
        self.asked += 1
        if self._forever or self.asked <= len(self._errors):
            raise self._errors[min(self.asked, len(self._errors)) - 1]
        return "ok"


PASSING: list[Exception] = [client_error(code) for code in sorted(BUSY)]
PASSING += [client_error("New", 503), client_error("New", 429), boto.ReadTimeoutError(endpoint_url="http://x")]
LASTING: list[tuple[Exception, str]] = [
    (
        client_error("ValidationException", operation="CreateModelInvocationJob"),
        "a value in the request is not allowed",
    ),
    (client_error("AccessDeniedException", 403), "README lists those that docbatch needs"),
    (client_error("ResourceNotFoundException", 404), "does not exist in this region"),
    (client_error("ConflictException"), "the same token or name was used with other contents"),
    (client_error("ExpiredTokenException", 403), "sign in again"),
    (
        client_error("ServiceQuotaExceededException", operation="CreateModelInvocationJob"),
        "DOCBATCH_MAX_JOBS_IN_FLIGHT",
    ),
    (client_error("New", 418), "asking again cannot help"),
    (boto.NoCredentialsError(), "set AWS credentials"),
]


@pytest.mark.parametrize("error", PASSING, ids=str)
def test_what_may_pass_is_repeated(error: Exception) -> None:
    """Until an answer comes."""
    time, script = Time(), Script(error, error, error)
    assert repeat(script, 900, clock=time.clock, sleep=time.sleep) == "ok"
    assert (script.asked, len(time.pauses)) == (4, 3)


@pytest.mark.parametrize(("error", "advice"), LASTING, ids=[str(error) for error, _ in LASTING])
def test_what_stays_fails_at_once_and_says_what_to_change(error: Exception, advice: str) -> None:
    """Asked once, and the message holds the advice; a full quota of jobs is for the caller to wait for."""
    script = Script(error)
    with pytest.raises(ServiceError) as raised:
        repeat(script, 900)
    assert script.asked == 1
    assert advice in str(raised.value)


def test_pauses_grow_at_random_and_end_at_the_deadline() -> None:
    """Each is random up to twice the last one's most, at most a minute; none passes the deadline."""
    seen = []
    for _ in range(20):
        time, script = Time(), Script(client_error("ThrottlingException"), forever=True)
        with pytest.raises(ServiceBusy, match="ThrottlingException"):
            repeat(script, 900, clock=time.clock, sleep=time.sleep)
        assert all(0 <= pause <= min(60, 0.5 * 2**number) for number, pause in enumerate(time.pauses))
        assert 100 + 900 - 60 <= time.now < 100 + 900
        assert script.asked == len(time.pauses) + 1
        seen.append(tuple(time.pauses))
    assert len(set(seen)) == 20


def test_without_a_deadline_nothing_is_repeated() -> None:
    """Zero seconds are one call."""
    script = Script(client_error("ThrottlingException"), forever=True)
    with pytest.raises(ServiceBusy):
        repeat(script, 0)
    assert script.asked == 1


def test_the_deadline_may_have_begun_earlier() -> None:
    """Who comes when Bedrock has been silent for the whole time asks once."""
    time, script = Time(), Script(client_error("ThrottlingException"), forever=True)
    with pytest.raises(ServiceBusy):
        repeat(script, 900, since=lambda: -800.0, clock=time.clock, sleep=time.sleep)
    assert script.asked == 1


class Model:
    """A `bedrock-runtime` client that answers, or throttles while `busy`."""

    def __init__(self) -> None:
        self.busy, self.asked = False, 0

    def invoke_model(self, **_: object) -> dict[str, Any]:
        self.asked += 1
        if self.busy:
            raise client_error("ThrottlingException")
        return {"body": io.BytesIO(b'{"generation": "x", "prompt_token_count": 7, "generation_token_count": 3}')}


def test_calls_keep_the_pace_and_tell_it_what_happened() -> None:
    """What an answer used is counted in place of the guess; throttling slows the next call down."""
    time, model = Time(), Model()
    pacer = Pacer(600, 1_000, time.clock, time.sleep)
    client = BotoOnDemandClient(cast("Any", model), 0, pacer)
    body = {"prompt": "p" * 300, "max_gen_len": 512}
    for _ in range(30):
        client.invoke("m", body)
    assert time.pauses == []  # 30 guesses of 600 tokens would be far above the limit, 30 answers of 10 are not
    model.busy = True
    with pytest.raises(ServiceBusy):
        client.invoke("m", body)
    assert pacer.calls_per_minute == 300
    model.busy = False
    client.invoke("m", body)
    assert time.pauses == [pytest.approx(60 / 300)]


class Jobs:
    """A `bedrock` client over jobs by status; each answers Stop with the error that is given, or not at all."""

    def __init__(self, status: str, error: Exception | None = None) -> None:
        self._status, self._error = status, error

    def stop_model_invocation_job(self, **_: object) -> dict[str, Any]:
        if self._error:
            raise self._error
        return {}

    def get_model_invocation_job(self, **request: str) -> dict[str, Any]:
        return {"jobArn": request["jobIdentifier"], "status": self._status}

    def list_model_invocation_jobs(self, **which: Any) -> dict[str, Any]:
        """One job of each status, and one that moves on between two lists; two pages."""
        job = {"modelId": "meta.llama3-1-8b-instruct-v1:0"}
        if "nextToken" in which:
            return {"invocationJobSummaries": [{**job, "jobArn": which["statusEquals"]}]}
        return {"invocationJobSummaries": [{**job, "jobArn": "moving"}], "nextToken": "more"}


@pytest.mark.parametrize(
    ("status", "code", "raises"),
    [
        ("Stopping", None, False),
        ("Completed", "ConflictException", False),
        ("Stopped", "ValidationException", False),
        ("InProgress", "ValidationException", True),
        ("InProgress", "AccessDeniedException", True),
    ],
)
def test_stopping_a_job(status: str, code: str | None, raises: bool) -> None:
    """However Bedrock refuses to stop a job that has ended, that is no error; other refusals are."""
    jobs = Jobs(status, client_error(code, operation="StopModelInvocationJob") if code else None)
    client = BotoBatchClient(cast("Any", jobs), 0)
    with pytest.raises(ServiceRejected) if raises else nullcontext():
        client.stop("arn:aws:bedrock:us-west-2:1:model-invocation-job/abc")


def test_jobs_in_flight_are_counted_once() -> None:
    """Over all pages of the four statuses; a job that moves on meanwhile is one."""
    assert BotoBatchClient(cast("Any", Jobs("")), 0).in_flight("meta.llama3-1-8b-instruct-v1:0") == 5


def test_a_reply_that_is_no_json_is_busy() -> None:
    """A proxy's page in place of the model's reply is worth another try, and never a raw parser error."""

    class Proxy:
        def invoke_model(self, **_: object) -> dict[str, Any]:
            return {"body": io.BytesIO(b"<html>gateway</html>")}

    client: Any = Proxy()
    with pytest.raises(ServiceBusy, match="the reply is not JSON"):
        BotoOnDemandClient(client, retry_seconds=0).invoke("m", {})


@pytest.mark.parametrize(
    ("text", "legal"),
    [
        ("night-1", "night-1"),
        ("a+b c_d:e/f=g@h.i", "a+b c_d:e/f=g@h.i"),
        ("Köln, 100%", "K-ln- 100-"),
        ("x" * 256, "x" * 256),
    ],
)
def test_a_tag_has_legal_characters(text: str, legal: str) -> None:
    """Whatever AWS does not allow becomes a dash."""
    assert tag_value(text) == legal


def test_long_tags_stay_apart() -> None:
    """What is too long is cut, and told from others that begin alike."""
    first, second = tag_value("x" * 300 + "a"), tag_value("x" * 300 + "b")
    assert first != second
    assert len(first) == len(second) == 256

"""Amazon Bedrock through boto3: batch inference jobs started once, described, stopped; and single on-demand calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import boto3
import orjson
import tenacity
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnection

from pipeline.domain import Job, JobStatus
from pipeline.errors import PromptRefused, ServiceBusy, ServiceError, ServiceRejected

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

T = TypeVar("T")

# Every error that botocore's service models declare for the calls below, and the generic ones that any call may meet.
REJECTED = {
    "ValidationException": "a value in the request is not allowed",
    "AccessDeniedException": "the caller lacks a permission; README lists those that docbatch needs",
    "ResourceNotFoundException": "the job or model does not exist in this region",
    "ConflictException": "the same token or name was used with other contents",
    "TooManyTagsException": "the job has more tags than AWS allows",
    "ModelErrorException": "the model failed on this prompt",
    "UnrecognizedClientException": "the access key is not known there",
    "InvalidSignatureException": "the secret key does not fit the access key",
    "ExpiredTokenException": "the credentials have expired; sign in again",
}
# What InvokeModel says of a single prompt; everything else that it rejects would be said of every prompt.
OF_ONE_PROMPT = {("InvokeModel", "ValidationException"), ("InvokeModel", "ModelErrorException")}
BUSY = {
    "ThrottlingException",
    "ServiceQuotaExceededException",
    "InternalServerException",
    "ServiceUnavailableException",
    "ModelNotReadyException",
    "ModelTimeoutException",
    "ModelStreamErrorException",
    "TooManyRequestsException",
}


@dataclass(frozen=True, slots=True)
class JobOrder:
    """What a batch inference job is to be. The same `token` never starts a second job."""

    name: str
    token: str
    model_id: str
    role_arn: str
    input_uri: str
    output_uri: str
    timeout_hours: int
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class BedrockAccess:
    """Where Bedrock is. Without keys, boto3's own credential chain is used."""

    region: str
    url: str | None = None
    runtime_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)


class BatchClient(Protocol):
    """What the pipeline needs of batch inference."""

    def start(self, order: JobOrder) -> str:
        """The ARN of the job; of the earlier one when the token is known. Raises ServiceError."""

    def find(self, name: str) -> str | None:
        """The ARN of the job with exactly this name, if there is one. Raises ServiceError."""

    def describe(self, arn: str) -> Job:
        """The job as it is now. Raises ServiceError."""


class OnDemandClient(Protocol):
    """What the pipeline needs of single calls."""

    def invoke(self, model_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The model's own reply.

        Raises PromptRefused for this prompt alone, ServiceRejected, ServiceBusy when the deadline has passed.
        """


class BotoBatchClient:
    """BatchClient on a boto3 `bedrock` client; busy answers are repeated with jitter until `retry_seconds` are over."""

    def __init__(self, client: BedrockClient, retry_seconds: float) -> None:
        self._client = client
        self._retry_seconds = retry_seconds

    def start(self, order: JobOrder) -> str:
        answer = self._call(
            lambda: self._client.create_model_invocation_job(
                jobName=order.name,
                clientRequestToken=order.token,
                modelId=order.model_id,
                roleArn=order.role_arn,
                inputDataConfig={"s3InputDataConfig": {"s3Uri": order.input_uri, "s3InputFormat": "JSONL"}},
                outputDataConfig={"s3OutputDataConfig": {"s3Uri": order.output_uri}},
                timeoutDurationInHours=order.timeout_hours,
                tags=[{"key": key, "value": value} for key, value in order.tags.items()],
            )
        )
        return answer["jobArn"]

    def find(self, name: str) -> str | None:
        more: dict[str, Any] = {}
        while True:
            page = self._call(lambda: self._client.list_model_invocation_jobs(nameContains=name, **more))  # noqa: B023
            for job in page.get("invocationJobSummaries", []):
                if job["jobName"] == name:
                    return job["jobArn"]
            if not page.get("nextToken"):
                return None
            more = {"nextToken": page["nextToken"]}

    def describe(self, arn: str) -> Job:
        found: Mapping[str, Any] = self._call(lambda: self._client.get_model_invocation_job(jobIdentifier=arn))
        return Job(
            arn=found["jobArn"],
            name=found.get("jobName", ""),
            status=JobStatus(found["status"]),
            message=found.get("message"),
            records_total=found.get("totalRecordCount") or 0,
            records_done=found.get("processedRecordCount") or 0,
        )

    def _call(self, call: Callable[[], T]) -> T:
        return repeat(call, self._retry_seconds)


class BotoOnDemandClient:
    """OnDemandClient on a boto3 `bedrock-runtime` client."""

    def __init__(self, client: BedrockRuntimeClient, retry_seconds: float) -> None:
        self._client = client
        self._retry_seconds = retry_seconds

    def invoke(self, model_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        encoded = orjson.dumps(body)
        reply: dict[str, Any] = repeat(lambda: self._invoke_once(model_id, encoded), self._retry_seconds)
        return reply

    def _invoke_once(self, model_id: str, encoded: bytes) -> dict[str, Any]:
        answer = self._client.invoke_model(
            modelId=model_id, body=encoded, contentType="application/json", accept="application/json"
        )
        try:
            reply: dict[str, Any] = orjson.loads(answer["body"].read())
        except orjson.JSONDecodeError as error:
            raise ServiceBusy(f"Bedrock InvokeModel: the reply is not JSON ({error})") from None
        return reply


def connect_batch(access: BedrockAccess, retry_seconds: float) -> BotoBatchClient:
    """A batch client. Raises ServiceRejected when there are no credentials or no region."""
    with _Mapped():
        return BotoBatchClient(
            _session(access).client("bedrock", endpoint_url=access.url, config=_CONFIG), retry_seconds
        )


def connect_on_demand(access: BedrockAccess, retry_seconds: float, threads: int) -> BotoOnDemandClient:
    """An on-demand client for that many threads. Raises ServiceRejected as `connect_batch` does."""
    config = _CONFIG.merge(Config(max_pool_connections=threads, read_timeout=300))
    with _Mapped():
        client = _session(access).client("bedrock-runtime", endpoint_url=access.runtime_url, config=config)
        return BotoOnDemandClient(client, retry_seconds)


def repeat(call: Callable[[], T], retry_seconds: float) -> T:
    """The call's answer; busy errors are repeated, each pause random up to twice the last, at most 60 s.

    Raises ServiceRejected at once, ServiceBusy when `retry_seconds` have passed.
    """
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception_type(ServiceBusy),
        wait=tenacity.wait_random_exponential(multiplier=0.5, max=60),
        stop=tenacity.stop_after_delay(retry_seconds),
        reraise=True,
    )
    answer: T = retrying(_with_mapped_errors, call)
    return answer


def translate(error: ClientError | BotoCoreError) -> ServiceError:
    """boto3's error as one of ours, with what to do next."""
    if isinstance(error, ClientError):
        said = error.response.get("Error", {})
        code, message = said.get("Code", ""), said.get("Message", "")
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        where = f"Bedrock {error.operation_name}: {code}: {message}"
        if code in BUSY or (code not in REJECTED and (status == 429 or status >= 500)):
            return ServiceBusy(f"{where} (repeated until the deadline; DOCBATCH_RETRY_SECONDS sets it)")
        kind = PromptRefused if (error.operation_name, code) in OF_ONE_PROMPT else ServiceRejected
        return kind(f"{where} ({REJECTED.get(code, 'asking again cannot help')})")
    if isinstance(error, NoCredentialsError | PartialCredentialsError | NoRegionError):
        return ServiceRejected(f"Bedrock: {error}; set AWS credentials and a region, or DOCBATCH_BACKEND=local")
    if isinstance(error, HTTPClientError | NoConnection | IncompleteReadError) and not isinstance(error, SSLError):
        return ServiceBusy(f"Bedrock could not be reached: {error}")
    return ServiceRejected(f"Bedrock could not be asked: {error}")


_CONFIG = Config(retries={"mode": "standard", "max_attempts": 1}, connect_timeout=10, read_timeout=60)


def _session(access: BedrockAccess) -> boto3.Session:
    return boto3.Session(
        region_name=access.region,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
    )


def _with_mapped_errors(call: Callable[[], T]) -> T:
    with _Mapped():
        return call()


class _Mapped:
    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ClientError | BotoCoreError):
            raise translate(error) from error

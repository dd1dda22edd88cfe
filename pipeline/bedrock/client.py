"""Amazon Bedrock through boto3: batch inference jobs started once, described, stopped; and single on-demand calls."""

from __future__ import annotations

import datetime as dt
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import boto3
import orjson
from botocore.config import Config
from botocore.exceptions import ClientError

from pipeline.bedrock.pacing import Pacer, guess_tokens
from pipeline.bedrock.retries import TOO_MANY, mapped_errors, repeat, says
from pipeline.domain import Job, JobStatus, short_hash
from pipeline.errors import ServiceBusy, ServiceRejected
from pipeline.models import Model, load_catalogue
from pipeline.settings import AwsEnvironment, Settings

if TYPE_CHECKING:
    from mypy_boto3_bedrock import BedrockClient
    from mypy_boto3_bedrock_runtime import BedrockRuntimeClient

T = TypeVar("T")

DEFAULT_REGION = "us-west-2"
TAG_CHARACTERS = 256  # botocore, Tag.value: [a-zA-Z0-9\s._:/=+@-]{0,256}

# In the order in which a job goes through them: one that moves on between two calls is listed twice, not missed.
IN_FLIGHT = (JobStatus.SUBMITTED, JobStatus.VALIDATING, JobStatus.SCHEDULED, JobStatus.IN_PROGRESS)
LISTED_JOBS = 1_000  # the most that a page of ListModelInvocationJobs may hold


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
    """Where Bedrock is. Without keys, those of the boto3 session are used; without it, boto3's own credential chain."""

    region: str
    url: str | None = None
    runtime_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session: boto3.Session | None = field(default=None, repr=False)


def bedrock_access(settings: Settings, environment: AwsEnvironment) -> BedrockAccess:
    """Where the settings and the AWS variables say that Bedrock is."""
    region = settings.region or environment.region or DEFAULT_REGION
    secret = environment.secret_access_key.get_secret_value() if environment.secret_access_key else None
    urls = (environment.bedrock_url, environment.bedrock_runtime_url)
    return BedrockAccess(region, *urls, environment.access_key_id, secret, environment.session)


@dataclass(frozen=True, slots=True)
class OpenJob:
    """A job that has been submitted and not ended, as a listing shows it."""

    arn: str
    name: str
    output_uri: str
    submitted: dt.datetime


class BatchClient(Protocol):
    """What the pipeline needs of batch inference."""

    def start(self, order: JobOrder) -> str:
        """The ARN of the job; of the earlier one when the token is known.

        Raises NoFreeSlot when Bedrock takes no more jobs for now, and any other ServiceError.
        """

    def find(self, name: str) -> str | None:
        """The ARN of the job with exactly this name, if there is one. Raises ServiceError."""

    def describe(self, arn: str) -> Job:
        """The job as it is now. Raises ServiceError."""

    def in_flight(self, model_id: str) -> int:
        """How many jobs of the model, whoever started them, have been submitted and not ended. Raises ServiceError."""

    def unended(self, name: str) -> list[OpenJob]:
        """The jobs whose names contain this, that have been submitted and not ended. Raises ServiceError."""

    def stop(self, arn: str) -> None:
        """Ask that the job ends early; one that has ended stays as it is. Raises ServiceError."""


class OnDemandClient(Protocol):
    """What the pipeline needs of single calls."""

    def invoke(self, model_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The model's own reply.

        Raises PromptRefused for this prompt alone, ServiceRejected, ServiceBusy when the deadline has passed.
        """


class BotoBatchClient:
    """BatchClient on a boto3 `bedrock` client; busy answers are repeated with jitter until `retry_seconds` are over."""

    def __init__(self, client: BedrockClient, retry_seconds: float, catalogue: tuple[Model, ...] | None = None) -> None:
        self._client = client
        self._retry_seconds = retry_seconds
        self._catalogue = load_catalogue() if catalogue is None else catalogue

    def start(self, order: JobOrder) -> str:
        """A token sent a moment ago may meet a conflict, or an answer without ARN: then the name tells the job."""
        try:
            arn = self._call(lambda: self._create(order)).get("jobArn")
        except ServiceRejected as error:
            if not says(error, "ConflictException") or not (arn := self.find(order.name)):
                raise
        if not (arn := arn or self.find(order.name)):
            raise ServiceBusy(f"Bedrock took job {order.name} and does not list it yet; repeat the step in a minute")
        return arn

    def _create(self, order: JobOrder) -> Mapping[str, Any]:
        return self._client.create_model_invocation_job(
            jobName=order.name,
            clientRequestToken=order.token,
            modelId=order.model_id,
            roleArn=order.role_arn,
            inputDataConfig={"s3InputDataConfig": {"s3Uri": order.input_uri, "s3InputFormat": "JSONL"}},
            outputDataConfig={"s3OutputDataConfig": {"s3Uri": order.output_uri}},
            timeoutDurationInHours=order.timeout_hours,
            tags=[{"key": key, "value": value} for key, value in order.tags.items()],
        )

    def find(self, name: str) -> str | None:
        return next((job["jobArn"] for job in self._listed(nameContains=name) if job["jobName"] == name), None)

    def in_flight(self, model_id: str) -> int:
        wanted = self._base_model(model_id)
        found = (job for status in IN_FLIGHT for job in self._listed(statusEquals=status, maxResults=LISTED_JOBS))
        return len({job["jobArn"] for job in found if self._base_model(job["modelId"]) == wanted})

    def unended(self, name: str) -> list[OpenJob]:
        found = (
            job
            for status in IN_FLIGHT
            for job in self._listed(statusEquals=status, nameContains=name, maxResults=LISTED_JOBS)
        )
        return list({job["jobArn"]: _open_job(job) for job in found}.values())

    def _base_model(self, model_id: str) -> str:
        """Jobs of a model and of its inference profiles count together, however they name it: by id or by ARN."""
        name = model_id.rpartition("/")[2]
        return next((one.id for one in self._catalogue if name == one.id or name in one.profiles), name)

    def stop(self, arn: str) -> None:
        try:
            self._call(lambda: self._client.stop_model_invocation_job(jobIdentifier=arn))
        except ServiceRejected:
            if not self.describe(arn).status.ended:
                raise

    def _listed(self, **which: Any) -> Iterator[Mapping[str, Any]]:
        more: dict[str, Any] = {}
        while True:
            page = self._call(lambda: self._client.list_model_invocation_jobs(**which, **more))  # noqa: B023 - at once
            yield from page.get("invocationJobSummaries", [])
            if not page.get("nextToken"):
                return
            more = {"nextToken": page["nextToken"]}

    def describe(self, arn: str) -> Job:
        return job_of(self._call(lambda: self._client.get_model_invocation_job(jobIdentifier=arn)))

    def _call(self, call: Callable[[], T]) -> T:
        return repeat(call, self._retry_seconds)


class BotoOnDemandClient:
    """OnDemandClient on a boto3 `bedrock-runtime` client, from any number of threads, at the pace of `pacer`.

    A prompt is repeated until `retry_seconds` have passed since it was first asked. When nobody has had an answer for
    as long, each of the others is asked just once more: Bedrock is down, and it need not be waited for a hundred times.
    """

    def __init__(self, client: BedrockRuntimeClient, retry_seconds: float, pacer: Pacer | None = None) -> None:
        self._client = client
        self._retry_seconds = retry_seconds
        self._pacer = pacer or Pacer()
        self._last_answer = time.monotonic()

    def invoke(self, model_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        encoded = orjson.dumps(body)
        tokens = guess_tokens(len(encoded), int(body.get("max_gen_len") or 0))
        began = time.monotonic()
        since = lambda: min(began, self._last_answer)  # noqa: E731 - one expression, passed on
        return repeat(lambda: self._invoke_paced(model_id, encoded, tokens), self._retry_seconds, since=since)

    def _invoke_paced(self, model_id: str, encoded: bytes, tokens: int) -> dict[str, Any]:
        call = self._pacer.enter(tokens)
        try:
            reply = self._invoke_once(model_id, encoded)
        except ClientError as error:
            self._pacer.refused(call, too_many=error.response.get("Error", {}).get("Code") in TOO_MANY)
            raise
        self._last_answer = time.monotonic()
        self._pacer.answered(call, _tokens_used(reply))
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


def connect_batch(
    access: BedrockAccess, retry_seconds: float, catalogue: tuple[Model, ...] | None = None
) -> BotoBatchClient:
    """A batch client. Raises ServiceRejected when there are no credentials or no region."""
    with mapped_errors():
        session = new_session(access)
        client = session.client("bedrock", region_name=access.region, endpoint_url=access.url, config=CONFIG)
        return BotoBatchClient(client, retry_seconds, catalogue)


def connect_on_demand(access: BedrockAccess, retry_seconds: float, threads: int, pacer: Pacer) -> BotoOnDemandClient:
    """An on-demand client for that many threads. Raises ServiceRejected as `connect_batch` does."""
    config = CONFIG.merge(Config(max_pool_connections=threads, read_timeout=300))
    with mapped_errors():
        session, place = new_session(access), access.region
        client = session.client("bedrock-runtime", region_name=place, endpoint_url=access.runtime_url, config=config)
        return BotoOnDemandClient(client, retry_seconds, pacer)


CONFIG = Config(retries={"mode": "standard", "max_attempts": 1}, connect_timeout=10, read_timeout=60)


def new_session(access: BedrockAccess) -> boto3.Session:
    """The session of the access, or one with its keys, or with boto3's own credential chain."""
    return access.session or boto3.Session(
        region_name=access.region,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
    )


def job_of(found: Mapping[str, Any]) -> Job:
    """A job as Get and List describe it."""
    return Job(
        arn=found["jobArn"],
        name=found.get("jobName", ""),
        status=JobStatus(found["status"]),
        message=found.get("message"),
        records_total=found.get("totalRecordCount") or 0,
        records_done=found.get("processedRecordCount") or 0,
        records_failed=found.get("errorRecordCount") or 0,
    )


def tag_value(text: str) -> str:
    """The text as AWS allows it in a tag: other characters are `-`, and a long one is told from others by a digest."""
    legal = re.sub(r"[^a-zA-Z0-9 ._:/=+@-]", "-", text)
    if len(legal) <= TAG_CHARACTERS:
        return legal
    digest = short_hash(text)
    return f"{legal[: TAG_CHARACTERS - len(digest) - 1]}-{digest}"


def _open_job(listed: Mapping[str, Any]) -> OpenJob:
    place = listed["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"]
    return OpenJob(listed["jobArn"], listed["jobName"], place, listed["submitTime"])


def _tokens_used(reply: Mapping[str, Any]) -> int | None:
    used = (reply.get("prompt_token_count"), reply.get("generation_token_count"))
    return sum(used) if all(isinstance(count, int) for count in used) else None  # type: ignore[arg-type] # just checked

"""The life of a batch job, without HTTP and with a clock that the test turns."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import obstore
import pytest
from botocore.exceptions import ClientError

from pipeline.domain import JobStatus
from pipeline.errors import ServiceBusy, ServiceRejected
from pipeline.local.inprocess import InProcessBedrock
from pipeline.local.jobs import JobStore
from pipeline.local.work import Rules
from tests.local.embedded_clients import input_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.local.vocabulary import LlamaVocabulary


@dataclass
class Scripted:
    """An engine that says "yes", and before that does what the test wants at the n-th call."""

    at: dict[int, Callable[[], object]] = field(default_factory=dict)
    name: str = "scripted"
    calls: int = 0

    def complete(self, prompt: str, max_output_tokens: int, temperature: float, top_p: float) -> str:  # noqa: ARG002 - the seam's
        self.calls += 1
        if self.calls in self.at:
            self.at[self.calls]()
        return "yes"


@dataclass
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def make(tmp_path: Path, vocabulary: LlamaVocabulary) -> Callable[..., InProcessBedrock]:
    """A factory of services that share the session's vocabulary."""

    def build(engine: Scripted | None = None, **changed: Any) -> InProcessBedrock:
        return InProcessBedrock(engine or Scripted(), tmp_path / "scratch", vocabulary=vocabulary, **changed)

    return build


def _put(bedrock: InProcessBedrock, job_request: dict[str, Any], content: bytes, name: str = "in.jsonl") -> None:
    key = job_request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].removeprefix("s3://docbatch/")
    obstore.put(bedrock.objects.open_bucket("docbatch"), key.removesuffix("in.jsonl") + name, content)


def _read(bedrock: InProcessBedrock, job_request: dict[str, Any], arn: str, name: str) -> list[dict[str, Any]]:
    prefix = job_request["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"].removeprefix("s3://docbatch/")
    key = f"{prefix}{arn.rpartition('/')[2]}/{name}"
    content = bytes(obstore.get(bedrock.objects.open_bucket("docbatch"), key).bytes())
    return [json.loads(line) for line in content.splitlines()]


def _run(bedrock: InProcessBedrock, job_request: dict[str, Any]) -> dict[str, Any]:
    arn = bedrock.create_model_invocation_job(**job_request)["jobArn"]
    return bedrock.get_model_invocation_job(jobIdentifier=arn)


def test_every_jsonl_file_below_a_prefix_is_read(
    make: Callable[..., InProcessBedrock], job_request: dict[str, Any]
) -> None:
    """Each file gets an output of its own name; other files are left alone; one manifest sums them all."""
    bedrock = make()
    for name in ("a.jsonl", "sub/b.jsonl"):
        _put(bedrock, job_request, input_lines(60), name)
    _put(bedrock, job_request, b"no JSON at all", "readme.txt")
    uri = job_request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].removesuffix("in.jsonl")
    job = _run(bedrock, job_request | {"inputDataConfig": {"s3InputDataConfig": {"s3Uri": uri}}})
    assert job["status"] == "Completed"
    assert [len(_read(bedrock, job_request, job["jobArn"], f"{name}.out")) for name in ("a.jsonl", "sub/b.jsonl")] == [
        60,
        60,
    ]
    (manifest,) = _read(bedrock, job_request, job["jobArn"], "manifest.json.out")
    assert (manifest["totalRecordCount"], manifest["outputTokenCount"]) == (120, 240)


def test_a_bad_record_fails_alone(make: Callable[..., InProcessBedrock], job_request: dict[str, Any]) -> None:
    """The job completes; the record carries the message and no output, and is counted as an error."""
    bedrock = make()
    _put(bedrock, job_request, input_lines(99) + b'{"recordId": "bad", "modelInput": {"prompt": "x", "top_k": 1}}\n')
    job = _run(bedrock, job_request)
    records = {record["recordId"]: record for record in _read(bedrock, job_request, job["jobArn"], "in.jsonl.out")}
    assert records["bad"]["error"]["errorCode"] == 400
    assert "extraneous key [top_k]" in records["bad"]["error"]["errorMessage"]
    assert "modelOutput" not in records["bad"]
    assert (job["status"], job["successRecordCount"], job["errorRecordCount"]) == ("Completed", 99, 1)


def test_completed_says_nothing_of_success(make: Callable[..., InProcessBedrock], job_request: dict[str, Any]) -> None:
    """A job whose records all failed is Completed."""
    bedrock = make()
    _put(bedrock, job_request, input_lines(100, max_gen_len=9999))
    job = _run(bedrock, job_request)
    assert (job["status"], job["successRecordCount"], job["errorRecordCount"]) == ("Completed", 0, 100)


def _raise(error: Exception) -> None:
    raise error


@pytest.mark.parametrize(
    ("error", "code"), [(ServiceBusy("down"), 503), (ServiceRejected("no"), 424), (IndexError("a defect"), 500)]
)
def test_an_engine_that_fails_fails_the_record(
    make: Callable[..., InProcessBedrock], job_request: dict[str, Any], error: Exception, code: int
) -> None:
    """An engine's error is the record's error, not the job's end."""
    bedrock = make(Scripted(at={7: lambda: _raise(error)}))
    _put(bedrock, job_request, input_lines(100))
    job = _run(bedrock, job_request)
    failed = [each for each in _read(bedrock, job_request, job["jobArn"], "in.jsonl.out") if "error" in each]
    assert (job["status"], len(failed), failed[0]["error"]["errorCode"]) == ("Completed", 1, code)


def test_a_record_without_an_id_is_given_one(
    make: Callable[..., InProcessBedrock], job_request: dict[str, Any]
) -> None:
    """Bedrock adds the id that is missing; half a surrogate pair comes back as it was sent, with an error."""
    bedrock = make()
    _put(bedrock, job_request, input_lines(99) + b'{"modelInput": {"prompt": "half \\ud83d"}}')
    records = _read(bedrock, job_request, _run(bedrock, job_request)["jobArn"], "in.jsonl.out")
    (added,) = (record for record in records if not record["recordId"].startswith("r"))
    assert added["recordId"] == "CALL0000100"
    assert added["modelInput"] == {"prompt": "half \ud83d"}
    assert added["error"]["errorCode"] == 400


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "less records (0)"),
        (input_lines(99), "less records (99) than the required minimum of: 100"),
        (input_lines(121), "more records (121) than the allowed maximum of: 120"),
        (input_lines(100) + b"not json\n", "line 101 of in.jsonl is not JSON"),
        (input_lines(100) + b'{"recordId": "x"}\n', "line 101 of in.jsonl has no modelInput"),
        (input_lines(101) + b" " * 9000, "larger than the allowed maximum of: 9000"),
    ],
)
def test_validation_fails_the_job_before_any_record_is_paid_for(
    make: Callable[..., InProcessBedrock], job_request: dict[str, Any], content: bytes, message: str
) -> None:
    """The job is Failed, says why, and the engine was never asked."""
    engine = Scripted()
    bedrock = make(engine, rules=Rules(state_seconds=0, maximum_records=120, maximum_file_bytes=9000))
    _put(bedrock, job_request, content)
    job = _run(bedrock, job_request)
    assert (job["status"], engine.calls) == ("Failed", 0)
    assert message in job["message"]


def test_a_job_whose_time_runs_out_is_partially_completed(
    make: Callable[..., InProcessBedrock], job_request: dict[str, Any]
) -> None:
    """What was answered is in S3 and in the manifest; the rest is simply not there."""
    clock = Clock()
    engine = Scripted(at={40: lambda: setattr(clock, "now", clock.now + 24 * 3600)})
    bedrock = make(engine, clock=clock)
    _put(bedrock, job_request, input_lines(200))
    job = _run(bedrock, job_request | {"timeoutDurationInHours": 24})
    records = _read(bedrock, job_request, job["jobArn"], "in.jsonl.out")
    (manifest,) = _read(bedrock, job_request, job["jobArn"], "manifest.json.out")
    assert job["status"] == "PartiallyCompleted"
    assert 40 <= len(records) < 200
    assert (manifest["totalRecordCount"], manifest["processedRecordCount"]) == (200, len(records))
    assert job["processedRecordCount"] == len(records)


def test_a_job_that_never_began_in_time_is_expired(
    make: Callable[..., InProcessBedrock], job_request: dict[str, Any]
) -> None:
    """Nothing is read and nothing is paid for."""
    clock = Clock()
    bedrock = make(clock=clock)
    _put(bedrock, job_request, input_lines(100))
    arn = bedrock.create_model_invocation_job(**job_request)["jobArn"]
    clock.now += 25 * 3600
    assert bedrock.get_model_invocation_job(jobIdentifier=arn)["status"] == "Expired"


def test_stop_keeps_what_was_answered(make: Callable[..., InProcessBedrock], job_request: dict[str, Any]) -> None:
    """A job that is stopped while it runs writes its output so far, and its manifest, and is Stopped."""
    engine = Scripted()
    bedrock = make(engine)
    _put(bedrock, job_request, input_lines(200))
    arn = bedrock.create_model_invocation_job(**job_request)["jobArn"]
    engine.at[40] = lambda: bedrock.stop_model_invocation_job(jobIdentifier=arn)
    job = bedrock.get_model_invocation_job(jobIdentifier=arn)
    records = _read(bedrock, job_request, arn, "in.jsonl.out")
    assert job["status"] == "Stopped"
    assert 40 <= len(records) < 200
    assert job["processedRecordCount"] == len(records)


def test_the_quota_of_jobs_is_by_base_model(make: Callable[..., InProcessBedrock], job_request: dict[str, Any]) -> None:
    """A profile counts with its model; another model has room of its own; a seen token is never refused."""
    bedrock = make(rules=Rules(state_seconds=0, maximum_jobs=1))
    first = bedrock.create_model_invocation_job(**job_request, clientRequestToken="one")
    with pytest.raises(ClientError) as caught:
        bedrock.create_model_invocation_job(**job_request | {"modelId": "us." + job_request["modelId"]})
    assert caught.value.response["Error"]["Code"] == "ServiceQuotaExceededException"
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 400
    assert bedrock.create_model_invocation_job(**job_request, clientRequestToken="one") == first
    bedrock.create_model_invocation_job(**job_request | {"modelId": "meta.llama3-1-70b-instruct-v1:0"})
    bedrock.run_waiting()
    bedrock.create_model_invocation_job(**job_request)


@pytest.mark.parametrize("status", [JobStatus.SUBMITTED, JobStatus.VALIDATING, JobStatus.IN_PROGRESS])
def test_a_job_that_outlives_its_service_is_run_again(
    make: Callable[..., InProcessBedrock], job_request: dict[str, Any], tmp_path: Path, status: JobStatus
) -> None:
    """Whatever state it was left in, a new service on the same file ends it; its token still means this job."""
    bedrock = make(jobs=JobStore(tmp_path / "jobs.sqlite"))
    _put(bedrock, job_request, input_lines(100))
    arn = bedrock.create_model_invocation_job(**job_request, clientRequestToken="kept")["jobArn"]
    bedrock.jobs.advance(arn.rpartition("/")[2], status, bedrock.clock())
    bedrock.jobs.count(arn.rpartition("/")[2], 100, 40, 0)
    bedrock.jobs.close()
    again = replace(bedrock, jobs=JobStore(tmp_path / "jobs.sqlite"))
    again.waiting.clear()
    again.waiting.extend(job.job_id for job in again.jobs.unended())
    job = again.get_model_invocation_job(jobIdentifier=arn)
    assert (job["status"], job["processedRecordCount"]) == ("Completed", 100)
    assert again.create_model_invocation_job(**job_request, clientRequestToken="kept")["jobArn"] == arn


def test_the_same_job_writes_the_same_bytes(make: Callable[..., InProcessBedrock], job_request: dict[str, Any]) -> None:
    """The order of the output is decided by the job's id, and that by its token."""
    written = []
    for _ in range(2):
        bedrock = make()
        _put(bedrock, job_request, input_lines(100))
        job = _run(bedrock, job_request | {"clientRequestToken": "same"})
        written.append((job["jobArn"], _read(bedrock, job_request, job["jobArn"], "in.jsonl.out")))
    assert written[0] == written[1]


def test_invoke_model_speaks_as_boto3_does(make: Callable[..., InProcessBedrock]) -> None:
    """The answer is a stream of JSON; a wrong body is a ClientError; an engine that is down is a 503."""
    bedrock = make(Scripted(at={2: lambda: _raise(ServiceBusy("down"))}))
    model = "meta.llama3-1-8b-instruct-v1:0"
    answer = json.loads(bedrock.invoke_model(modelId=model, body='{"prompt": "x"}')["body"].read())
    assert (answer["generation"], answer["engine"]) == ("yes", "scripted")
    for body, code in ((b'{"prompt": "x"}', "ServiceUnavailableException"), (b"{", "ValidationException")):
        with pytest.raises(ClientError) as caught:
            bedrock.invoke_model(modelId=model, body=body)
        assert caught.value.response["Error"]["Code"] == code


def test_times_are_datetimes_and_lists_take_them(
    make: Callable[..., InProcessBedrock], job_request: dict[str, Any]
) -> None:
    """Where boto3 gives and takes datetimes, so does this."""
    clock = Clock()
    bedrock = make(clock=clock)
    first = _run(bedrock, job_request)
    clock.now += 60
    second = _run(bedrock, job_request)
    assert first["submitTime"].timestamp() == clock.now - 60
    found = bedrock.list_model_invocation_jobs(submitTimeAfter=first["submitTime"])["invocationJobSummaries"]
    assert [job["jobArn"] for job in found] == [second["jobArn"]]

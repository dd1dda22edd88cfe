"""Every fault of a plan: what a client of Bedrock sees of it, what lies in S3, and what is on the bill."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import count
from typing import TYPE_CHECKING, Any, get_args

import obstore
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from pipeline.domain import Mode
from pipeline.local.active_faults import ActiveFaults
from pipeline.local.bill import Bill, Billed
from pipeline.local.fault_plan import FaultPlan, JobKind, RecordKind
from pipeline.local.inprocess import InProcessBedrock
from pipeline.local.jobs import JobStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.local.vocabulary import LlamaVocabulary

HEADER = "<|start_header_id|>assistant<|end_header_id|>\n\n"
BEGUN = '{"category": "'
REST = 'review", "why": "It praises."}'
MODEL = "meta.llama3-1-8b-instruct-v1:0"
MANIFEST = "manifest.json.out"


@dataclass
class Labels:
    """An engine that goes on where BEGUN ends."""

    name: str = "labels"
    calls: int = 0

    def complete(self, prompt: str, max_output_tokens: int, temperature: float, top_p: float) -> str:  # noqa: ARG002 - the seam's
        self.calls += 1
        return REST


@dataclass
class Bench:
    """A Bedrock in this process, and what a test does with it."""

    bedrock: InProcessBedrock
    request: dict[str, Any]

    def put(self, records: int, name: str = "in.jsonl") -> None:
        """An input of records r0, r1, ..., each with a prompt of its own."""
        lines = (json.dumps({"recordId": f"r{n}", "modelInput": {"prompt": prompt(n)}}) for n in range(records))
        key = self._key("inputDataConfig", "s3InputDataConfig").rpartition("/")[0] + f"/{name}"
        obstore.put(self._store(), key, "\n".join(lines).encode())

    def run(self) -> dict[str, Any]:
        arn = self.bedrock.create_model_invocation_job(**self.request)["jobArn"]
        return self.bedrock.get_model_invocation_job(jobIdentifier=arn)

    def output(self, job: dict[str, Any], name: str = "in.jsonl.out") -> bytes:
        folder = self._key("outputDataConfig", "s3OutputDataConfig") + job["jobArn"].rpartition("/")[2]
        return bytes(obstore.get(self._store(), f"{folder}/{name}").bytes())

    def records(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.output(job).splitlines()]

    def manifest(self, job: dict[str, Any]) -> Billed:
        """The manifest's totals in the form of the bill's."""
        counts = json.loads(self.output(job, MANIFEST))
        return Billed(counts["successRecordCount"], counts["inputTokenCount"], counts["outputTokenCount"])

    def ask(self, number: int) -> dict[str, Any]:
        body = json.dumps({"prompt": prompt(number)})
        answer: dict[str, Any] = json.loads(self.bedrock.invoke_model(modelId=MODEL, body=body)["body"].read())
        return answer

    def _store(self) -> Any:
        return self.bedrock.objects.open_bucket("docbatch")

    def _key(self, config: str, location: str) -> str:
        return str(self.request[config][location]["s3Uri"]).removeprefix("s3://docbatch/")


@pytest.fixture
def make(tmp_path: Path, vocabulary: LlamaVocabulary, job_request: dict[str, Any]) -> Callable[..., Bench]:
    """A bench with 100 records to read and the plan that is given as keywords."""

    def build(records_in: int = 100, **plan: Any) -> Bench:
        faults = ActiveFaults(FaultPlan.read(json.dumps(plan)))
        bench = Bench(
            InProcessBedrock(Labels(), tmp_path / "scratch", vocabulary=vocabulary, faults=faults), job_request
        )
        bench.put(records_in)
        return bench

    return build


def prompt(number: int) -> str:
    return f"Document {number}.{HEADER}{BEGUN}"


def _job_id(job: dict[str, Any]) -> str:
    return str(job["jobArn"].rpartition("/")[2])


RAMBLING = 'review", "why": "It pr and so on and so on'


@pytest.mark.parametrize(
    ("kind", "generation", "stop_reason"),
    [
        ("prose", "The text is about several matters, and its author seems content with most of them.", "stop"),
        ("fenced", f"```json\n{BEGUN}{REST}\n```", "stop"),
        ("truncated", 'review", "why": "It pr', "stop"),
        ("empty", "", "stop"),
        ("over-long", RAMBLING, "length"),
        ("wrong-label", 'no-such-label", "why": "It praises."}', "stop"),
    ],
)
def test_an_answer_is_spoiled_in_both_modes_and_counted_as_it_is(
    make: Callable[..., Bench], vocabulary: LlamaVocabulary, kind: str, generation: str, stop_reason: str
) -> None:
    """The record succeeds, with another text; its tokens are those of this text, and they are billed."""
    bench = make(records=[{"kind": kind, "ids": ["r7"]}])
    job = bench.run()
    outputs = {record["recordId"]: record["modelOutput"] for record in bench.records(job)}
    assert outputs["r8"]["generation"] == REST
    for output in (outputs["r7"], bench.ask(7)):
        assert output["generation"].startswith(generation)
        assert output["stop_reason"] == stop_reason
        if stop_reason == "stop":
            assert output["generation"] == generation
            assert output["generation_token_count"] == vocabulary.text_tokens(generation) + 1
        else:
            assert output["generation_token_count"] == vocabulary.text_tokens(output["generation"]) == 512
    assert bench.bedrock.bill.by_job() == {_job_id(job): bench.manifest(job)}


@pytest.mark.parametrize(
    ("text", "whole"),
    [('{"a": 1}', "no-such-label"), ('{"a": "b"}', '{"a": "no-such-label"}'), ("plain", "no-such-label")],
)
def test_spoiling_an_answer_that_was_not_begun(make: Callable[..., Bench], text: str, whole: str) -> None:
    """Without a header there is nothing begun; an answer without a labelled string gives way to the label."""
    bench = make(records=[{"kind": "wrong-label", "share": 1}])
    engine = bench.bedrock.engine
    engine.complete = lambda *_: text  # type: ignore[method-assign]
    answer = bench.bedrock.invoke_model(modelId=MODEL, body='{"prompt": "Say it."}')
    assert json.loads(answer["body"].read())["generation"] == whole


@pytest.mark.parametrize(
    ("kind", "status", "code", "message"),
    [
        ("error-400", 400, "ValidationException", "Malformed input request"),
        ("error-429", 429, "ThrottlingException", "Too many requests"),
        ("error-500", 500, "InternalServerException", "unexpected error during processing"),
    ],
)
def test_a_record_may_fail_and_then_costs_nothing(
    make: Callable[..., Bench], kind: str, status: int, code: str, message: str
) -> None:
    """In a job its line holds the error, on demand boto3 raises it; the model is not asked and nothing is billed."""
    bench = make(records=[{"kind": kind, "ids": ["r7"]}])
    job = bench.run()
    (failed,) = (record for record in bench.records(job) if "error" in record)
    assert (failed["recordId"], failed["error"]["errorCode"]) == ("r7", status)
    assert message in failed["error"]["errorMessage"]
    assert (job["status"], job["errorRecordCount"]) == ("Completed", 1)
    with pytest.raises(ClientError, match=message) as caught:
        bench.ask(7)
    assert caught.value.response["Error"]["Code"] == code
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert bench.bedrock.bill.total() == bench.manifest(job)
    assert bench.manifest(job).records == bench.bedrock.engine.calls == 99  # type: ignore[attr-defined]


def test_all_records_may_fail_in_a_job_that_is_completed(make: Callable[..., Bench]) -> None:
    """A share of 1 leaves no answer, no tokens and nothing on the bill, and the status does not tell."""
    bench = make(records=[{"kind": "error-400", "share": 1}])
    job = bench.run()
    assert (job["status"], job["successRecordCount"], job["errorRecordCount"]) == ("Completed", 0, 100)
    assert bench.manifest(job) == bench.bedrock.bill.total() == Billed(0, 0, 0)


@pytest.mark.parametrize(
    ("kind", "lines", "distinct", "billed"),
    [
        ("skipped", 90, 90, 90),
        ("dropped", 90, 90, 100),
        ("duplicated", 110, 100, 100),
        ("unknown", 110, 101, 100),
    ],
)
def test_lines_may_lack_or_be_too_many(
    make: Callable[..., Bench], kind: str, lines: int, distinct: int, billed: int
) -> None:
    """The job is Completed whatever its output holds; a record that was answered is billed once."""
    bench = make(records=[{"kind": kind, "count": 10}])
    job = bench.run()
    seen = Counter(record["recordId"] for record in bench.records(job))
    assert (job["status"], seen.total(), len(seen)) == ("Completed", lines, distinct)
    assert bench.bedrock.bill.total() == bench.manifest(job)
    assert bench.manifest(job).records == billed
    assert max(bench.bedrock.bill.times_billed().values()) == 1


def test_a_file_may_end_in_half_lines(make: Callable[..., Bench]) -> None:
    """The last lines are no JSON, and the file has no end of line; every other line is whole."""
    bench = make(records=[{"kind": "half-line", "count": 2}])
    job = bench.run()
    *whole, first, second = bench.output(job).split(b"\n")
    assert len([json.loads(line) for line in whole]) == 98
    for torn in (first, second):
        assert torn.startswith(b'{"recordId": ')
        with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
            json.loads(torn)
    assert bench.manifest(job).records == 100


@pytest.mark.parametrize(("kind", "billed"), [("skipped", 0), ("dropped", 1)])
def test_on_demand_a_lost_answer_is_a_lost_connection(make: Callable[..., Bench], kind: str, billed: int) -> None:
    """Nobody answers; whether the model did is on the bill. The second time the answer comes."""
    bench = make(records=[{"kind": kind, "share": 1, "first_attempts": 1}])
    with pytest.raises(ConnectionClosedError):
        bench.ask(1)
    assert bench.bedrock.bill.total().records == billed
    assert bench.ask(1)["generation"] == REST
    assert bench.bedrock.bill.times_billed() == {sha256(prompt(1).encode()).hexdigest(): billed + 1}


@pytest.mark.parametrize(
    ("fault", "status", "records", "message"),
    [
        ({"kind": "expired"}, "Expired", 0, None),
        ({"kind": "failed", "message": "Out of capacity."}, "Failed", 0, "Out of capacity."),
        ({"kind": "partial", "at": 0.29}, "PartiallyCompleted", 29, None),
        ({"kind": "partial", "at": 0}, "PartiallyCompleted", 0, None),
        ({"kind": "stopped", "at": 0.4}, "Stopped", 40, None),
    ],
)
def test_a_job_may_end_early(
    make: Callable[..., Bench], fault: dict[str, Any], status: str, records: int, message: str | None
) -> None:
    """What was answered until then is counted, billed and, where the job began, in S3; the next job is not hit."""
    bench = make(jobs=[fault | {"first_jobs": 1}])
    job = bench.run()
    assert (job["status"], job.get("message")) == (status, message)
    assert job["processedRecordCount"] == bench.bedrock.bill.total().records == records
    if fault["kind"] in {"partial", "stopped"}:
        assert {record["recordId"] for record in bench.records(job)} == {f"r{n}" for n in range(records)}
        assert bench.manifest(job) == bench.bedrock.bill.total()
    else:
        with pytest.raises(FileNotFoundError):
            bench.output(job)
    assert bench.run()["status"] == "Completed"


def test_a_share_of_a_job_is_a_share_of_all_its_files(make: Callable[..., Bench]) -> None:
    """Half of two files of 100 records is the first of them; the other's output is there, and empty."""
    bench = make(jobs=[{"kind": "partial", "at": 0.5}])
    bench.put(100, "two.jsonl")
    uri = bench.request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].removesuffix("in.jsonl")
    bench.request["inputDataConfig"] = {"s3InputDataConfig": {"s3Uri": uri}}
    job = bench.run()
    assert (job["totalRecordCount"], job["processedRecordCount"]) == (200, 100)
    assert (len(bench.records(job)), bench.output(job, "two.jsonl.out")) == (100, b"")


def test_a_job_may_stay_in_scheduled(make: Callable[..., Bench]) -> None:
    """It waits while others run, and ends when it is stopped, expires, or the plan is taken back."""
    bench = make(jobs=[{"kind": "stuck", "first_jobs": 3}])
    now = [1_800_000_000.0]
    bench.bedrock = replace(bench.bedrock, clock=lambda: now[0])
    stuck = [bench.run() for _ in range(3)]
    assert {job["status"] for job in stuck} == {"Scheduled"}
    assert bench.run()["status"] == "Completed"

    def status(number: int) -> str:
        return str(bench.bedrock.get_model_invocation_job(jobIdentifier=stuck[number]["jobArn"])["status"])

    bench.bedrock.stop_model_invocation_job(jobIdentifier=stuck[0]["jobArn"])
    assert (status(0), status(1)) == ("Stopped", "Scheduled")
    now[0] += 25 * 3600
    assert (status(1), status(2)) == ("Expired", "Expired")
    bench.bedrock.faults.replace(FaultPlan.read('{"jobs": [{"kind": "stuck", "seconds": 60}]}'))
    late = bench.run()
    assert late["status"] == "Scheduled"
    now[0] += 61
    assert bench.bedrock.get_model_invocation_job(jobIdentifier=late["jobArn"])["status"] == "Completed"


def test_a_manifest_may_lack_or_disagree(make: Callable[..., Bench]) -> None:
    """The first job has none, the second one tells of more than its lines hold; the bill knows better."""
    bench = make(jobs=[{"kind": "no-manifest", "first_jobs": 1}, {"kind": "wrong-manifest", "first_jobs": 2}])
    first, second = bench.run(), bench.run()
    assert len(bench.records(first)) == 100
    with pytest.raises(FileNotFoundError):
        bench.output(first, MANIFEST)
    true = bench.bedrock.bill.by_job()[_job_id(second)]
    assert bench.manifest(second) == Billed(true.records + 1, true.input_tokens, true.output_tokens + 1000)


@pytest.mark.parametrize(
    ("kind", "code", "status"),
    [
        ("throttled", "ThrottlingException", 429),
        ("error-500", "InternalServerException", 500),
        ("unavailable", "ServiceUnavailableException", 503),
        ("quota", "ServiceQuotaExceededException", 400),
    ],
)
def test_the_first_calls_may_be_refused(make: Callable[..., Bench], kind: str, code: str, status: int) -> None:
    """Nothing is created until the refusals are over; calls of other operations are not met."""
    bench = make(calls=[{"operation": "create", "kind": kind, "first": 2}])
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            bench.run()
        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert bench.bedrock.list_model_invocation_jobs()["invocationJobSummaries"] == []
    assert bench.run()["status"] == "Completed"


def test_a_connection_may_end_after_the_job_was_created(make: Callable[..., Bench]) -> None:
    """The caller learns nothing, but the job is there: the same token gives it, and no second one is made."""
    bench = make(calls=[{"operation": "create", "kind": "reset", "first": 1}])
    bench.request["clientRequestToken"] = "token"
    with pytest.raises(ConnectionClosedError):
        bench.run()
    (made,) = bench.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]
    assert bench.run()["jobArn"] == made["jobArn"]


def test_calls_may_be_slow(make: Callable[..., Bench]) -> None:
    """Each call waits as long as its faults say together."""
    waited: list[float] = []
    slow = {"operation": "invoke", "kind": "slow"}
    bench = make(calls=[slow | {"seconds": 2.5, "first": 2}, slow | {"seconds": 1, "first": 1}])
    bench.bedrock = replace(bench.bedrock, sleep=waited.append)
    for number in range(3):
        bench.ask(number)
    assert waited == [2.5, 1, 2.5]


def test_ten_of_each_leave_forty_to_ask_again(make: Callable[..., Bench]) -> None:
    """Of 1,000 records with five faults of ten each, 960 hold an object; asked again, so do the other forty."""
    kinds = ("error-500", "prose", "skipped", "truncated", "fenced")
    bench = make(1000, records=[{"kind": kind, "count": 10, "first_attempts": 1} for kind in kinds])

    def good(job: dict[str, Any]) -> set[str]:
        outputs = {
            each["recordId"]: each["modelOutput"]["generation"] for each in bench.records(job) if "error" not in each
        }
        return {each for each, text in outputs.items() if text in (REST, f"```json\n{BEGUN}{REST}\n```")}

    first, second = bench.run(), bench.run()
    assert (len(good(first)), len(good(second))) == (960, 1000)
    assert [bench.manifest(job).records for job in (first, second)] == [980, 1000]
    assert Counter(bench.bedrock.bill.times_billed().values()) == {2: 980, 1: 20}


def test_the_same_plan_spoils_the_same_bytes(make: Callable[..., Bench]) -> None:
    """Two services with one plan and one token write one output; another seed writes another."""
    written = []
    for seed in (1, 1, 2):
        bench = make(seed=seed, records=[{"kind": kind, "share": 0.07} for kind in get_args(RecordKind)])
        bench.request["clientRequestToken"] = "same"
        written.append(bench.output(bench.run()))
    assert written[0] == written[1] != written[2]


def test_a_job_that_runs_again_is_hit_and_billed_as_before(make: Callable[..., Bench], tmp_path: Path) -> None:
    """A service that ended in the middle of a job leaves rows on the bill; the next one bills no line twice."""
    bench = make(records=[{"kind": "prose", "count": 10, "first_attempts": 1}])
    jobs, bill = JobStore(tmp_path / "jobs.sqlite"), Bill(tmp_path / "bill.sqlite")
    bench.bedrock = replace(bench.bedrock, jobs=jobs, bill=bill, clock=count(1_800_000_000.0).__next__)
    put = obstore.put
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(obstore, "put", _interrupt)
        with pytest.raises(KeyboardInterrupt):
            bench.run()
    assert obstore.put is put
    assert bench.bedrock.bill.total().records == 100
    bench.bedrock.waiting.extend(job.job_id for job in bench.bedrock.jobs.unended())
    (job,) = bench.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]
    prose = [each for each in bench.records(job) if each["modelOutput"]["generation"] != REST]
    assert (job["status"], len(prose)) == ("Completed", 10)
    bench.bedrock.bill.close()
    assert Bill(tmp_path / "bill.sqlite").by_mode() == {Mode.BATCH: bench.manifest(job)}


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _any_plan(chance: random.Random) -> dict[str, Any]:
    """Three record faults that end after two attempts, and perhaps one job fault for the first job."""
    kinds = chance.sample([kind for kind in get_args(RecordKind) if kind != "half-line"], 3)
    amounts: list[dict[str, Any]] = [{"share": 0.2}, {"count": 9}, {"ids": ["r1", "r2"]}]
    records = [
        {"kind": kind, "first_attempts": 2} | amount
        for kind, amount in zip(kinds, chance.sample(amounts, 3), strict=True)
    ]
    options: dict[str, dict[str, Any]] = {"partial": {"at": 0.5}, "stopped": {"at": 0.3}, "failed": {"message": "no"}}
    kind = chance.choice([each for each in get_args(JobKind) if each not in {"stuck", "wrong-manifest", "no-manifest"}])
    return {
        "seed": chance.randrange(1000),
        "records": records,
        "jobs": [{"kind": kind, "first_jobs": 1} | options.get(kind, {})],
    }


@pytest.mark.parametrize("seed", range(20))
def test_the_bill_equals_the_manifests_under_any_plan(make: Callable[..., Bench], seed: int) -> None:
    """Whatever the plan: job by job the bill is the manifest, no line is billed twice, and the fourth job is whole."""
    bench = make(**_any_plan(random.Random(seed)))
    jobs = [bench.run() for _ in range(4)]
    began = [job for job in jobs if job["processedRecordCount"]]
    assert len(began) >= 3
    billed = bench.bedrock.bill.by_job()
    assert {_job_id(job): bench.manifest(job) for job in began} == billed
    assert max(bench.bedrock.bill.times_billed().values()) <= len(began)
    assert Counter(each["modelOutput"]["generation"] for each in bench.records(jobs[-1])) == {REST: 100}


def test_without_a_plan_the_bill_is_what_was_answered(make: Callable[..., Bench]) -> None:
    """Totals, modes, jobs and prompts tell the same; a prompt that both modes asked was billed twice."""
    bench = make()
    job, answer = bench.run(), bench.ask(3)
    one = Billed(1, answer["prompt_token_count"], answer["generation_token_count"])
    bill, batch = bench.bedrock.bill, bench.manifest(job)
    assert bill.by_mode() == {Mode.BATCH: batch, Mode.ON_DEMAND: one}
    assert bill.by_job() == {_job_id(job): batch}
    assert bill.total() == Billed(101, batch.input_tokens + one.input_tokens, batch.output_tokens + one.output_tokens)
    assert Counter(bill.times_billed().values()) == {1: 99, 2: 1}
    assert bill.times_billed()[sha256(prompt(3).encode()).hexdigest()] == 2
    assert Counter(one.prompt_sha256 for one in bill.charges()) == bill.times_billed()
    assert Counter(one.mode for one in bill.charges()) == {Mode.BATCH: 100, Mode.ON_DEMAND: 1}
    assert json.loads(json.dumps(bill.as_json()))["modes"]["on-demand"]["records"] == 1


def test_an_id_that_is_none_is_no_trouble(make: Callable[..., Bench]) -> None:
    """Numbers, lists and half a surrogate pair as ids are echoed as they came, and billed."""
    bench = make(records=[{"kind": "prose", "count": 1}])
    ids = [7, ["a"], "\ud83d", None]
    lines = [
        json.dumps({"recordId": ids[n] if n < 4 else f"r{n}", "modelInput": {"prompt": prompt(n)}}) for n in range(100)
    ]
    key = bench.request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].removeprefix("s3://docbatch/")
    obstore.put(bench.bedrock.objects.open_bucket("docbatch"), key, "\n".join(lines).encode())
    job = bench.run()
    seen = [record["recordId"] for record in bench.records(job)]
    assert all(each in seen for each in ids)
    assert bench.manifest(job) == bench.bedrock.bill.total()
    assert bench.manifest(job).records == 100

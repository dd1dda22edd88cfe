"""Sending a batch: one job, and no answer paid twice, whoever sends it and wherever it was broken off."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest
from botocore.exceptions import ClientError

from pipeline.domain import Mode
from pipeline.errors import NoFreeSlot, ObjectMissing, ServiceBusy, ServiceRejected
from pipeline.local.fault_plan import FaultPlan
from pipeline.manifest import intent_key, job_key, lease_key
from pipeline.steps import plan, prepare, start, submit
from pipeline.steps.intents import REVOKED_BY, intend, revoked_by
from pipeline.steps.rounds import read_batch
from pipeline.steps.submit import TURN, job_arn
from tests.world import Broken, World

BATCH = "r00-b0000"
URI = "s3://bucket/work/runs/night"
THREADS = 4


def planned(world: World, documents: int) -> World:
    """Up to where the first round is submitted; three requests a document."""
    world.put_many(documents)
    assert start(world.services, world.order()) == URI
    prepare(world.services, URI, 0, 0)
    plan(world.services, URI, 0)
    return world


@pytest.fixture
def by_job(world: World) -> World:
    """A world with one batch that is large enough for a job."""
    return planned(world, 2)


@pytest.fixture
def on_demand(make_world: Callable[..., World]) -> World:
    """99 records, one fewer than a job needs."""
    return planned(make_world(least=100, on_demand_threads=THREADS, lease_seconds=2.0), 33)


def send(world: World) -> str | None:
    return submit(world.services, URI, 0, BATCH)


def refuse_nothing(_name: str, _count: int) -> None:
    pass


def jobs(world: World) -> list[Any]:
    found: list[Any] = world.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]
    return found


def bedrocks_error(code: str, operation: str = "CreateModelInvocationJob") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": "why"}}, operation)


# --- jobs ---


def test_the_intent_is_written_before_the_job_and_the_arn_after_it(by_job: World) -> None:
    """The intent holds batch, content hash, job name and token; the lease is taken before it."""
    writes: list[str] = []
    by_job.on_write = writes.append

    def look(name: str, _count: int) -> None:
        if name == "create_model_invocation_job":
            writes.append("create")

    by_job.wire.before = look
    arn = send(by_job)
    assert writes == [lease_key(0, TURN), intent_key(0, BATCH), "create", job_key(0, BATCH)]
    intent = orjson.loads(by_job.state().store.read(intent_key(0, BATCH)))
    assert intent["batch_key"] == BATCH
    assert len(intent["content_hash"]) == 64
    (job,) = jobs(by_job)
    assert (job["jobArn"], job["jobName"]) == (arn, intent["order"]["name"])
    assert job["clientRequestToken"] == intent["order"]["token"]


@pytest.mark.parametrize("senders", [2, 8])
def test_senders_at_the_same_moment_start_one_job(by_job: World, senders: int) -> None:
    """All of them get its ARN, and Create is called once."""
    together = threading.Barrier(senders)

    def race(_number: int) -> str | None:
        together.wait()
        return send(by_job)

    with ThreadPoolExecutor(senders) as pool:
        arns = set(pool.map(race, range(senders)))
    (job,) = jobs(by_job)
    assert arns == {job["jobArn"]}
    assert by_job.wire.created == 1


def test_a_sender_that_lost_its_turn_starts_nothing(make_world: Callable[..., World]) -> None:
    """Between counting the jobs and Create another took its place: it calls no Create and gives the other's ARN."""
    world = planned(make_world(lease_seconds=0.4), 2)
    arns: list[str | None] = []

    def lose(name: str, count: int) -> None:
        if name == "list_model_invocation_jobs" and count == 1:
            store, key = world.state().store, lease_key(0, TURN)
            (renewing,) = [one for one in threading.enumerate() if one.name == "docbatch-lease"]
            released = orjson.dumps({"owner": "x", "beat": 1, "released": True})
            store.replace(key, released, store.read_version(key)[1])
            arns.append(send(world))
            renewing.join()  # it ends when it finds the lease gone

    world.wire.before = lose
    arns.append(send(world))
    assert arns == [jobs(world)[0]["jobArn"]] * 2
    assert world.wire.created == 1


@pytest.mark.parametrize("answer", ["conflict", "no arn"])
def test_a_token_that_bedrock_knows_leads_to_its_job(by_job: World, answer: str) -> None:
    """Bedrock may refuse a known token, or answer with nothing: the job is found by its name."""
    kept: list[str] = []

    class Odd:
        def __getattr__(self, name: str) -> Any:
            return getattr(by_job.bedrock, name)

        def create_model_invocation_job(self, **request: Any) -> dict[str, Any]:
            kept.append(by_job.bedrock.create_model_invocation_job(**request)["jobArn"])
            if answer == "conflict":
                raise bedrocks_error("ConflictException")
            return {}

    odd: Any = Odd()
    by_job.wire.bedrock = odd
    assert send(by_job) == kept[0]


def test_a_conflict_over_another_job_is_an_error(by_job: World) -> None:
    """Without a job of that name the conflict is told as it is."""

    def refuse(name: str, _count: int) -> None:
        if name == "create_model_invocation_job":
            raise bedrocks_error("ConflictException")

    by_job.wire.before = refuse
    with pytest.raises(ServiceRejected, match="ConflictException: why"):
        send(by_job)


def test_throttled_creates_are_repeated_and_start_one_job(make_world: Callable[..., World]) -> None:
    """Until the deadline; each with the same token."""
    world = planned(make_world(retry_seconds=60.0), 2)
    calls = [{"operation": "create", "kind": "throttled", "first": 2}]
    world.bedrock.faults.replace(FaultPlan.read(json.dumps({"calls": calls})))
    assert send(world) == jobs(world)[0]["jobArn"]
    assert world.wire.created == 3


def full(world: World, status: str = "InProgress", model: str | None = None) -> None:
    """Bedrock lists one job that somebody else started."""
    listed = {"jobArn": "arn:aws:bedrock:us-west-2:1:model-invocation-job/other0000000", "jobName": "theirs"}
    real = world.wire.bedrock

    class Busy:
        def __getattr__(self, name: str) -> Any:
            return getattr(real, name)

        def list_model_invocation_jobs(self, **which: Any) -> dict[str, Any]:
            theirs = (
                [{**listed, "modelId": model or world.settings.model}] if which.get("statusEquals") == status else []
            )
            return {"invocationJobSummaries": theirs}

    busy: Any = Busy()
    world.wire.bedrock = busy


@pytest.mark.parametrize(
    ("status", "model", "counts"),
    [
        ("Submitted", None, True),
        ("Validating", None, True),
        ("Scheduled", None, True),
        ("InProgress", None, True),
        ("Completed", None, False),
        ("InProgress", "us.meta.llama3-1-8b-instruct-v1:0", True),
        ("InProgress", "arn:aws:bedrock:us-west-2::foundation-model/meta.llama3-1-8b-instruct-v1:0", True),
        ("InProgress", "meta.llama3-1-70b-instruct-v1:0", False),
    ],
)
def test_what_takes_a_slot(by_job: World, status: str, model: str | None, counts: bool) -> None:
    """Unfinished jobs of the same base model, by whatever name it was given."""
    by_job.with_settings(max_jobs_in_flight=1)
    full(by_job, status, model)
    if not counts:
        assert send(by_job)
        return
    with pytest.raises(NoFreeSlot, match=r"1 jobs of .* in flight and DOCBATCH_MAX_JOBS_IN_FLIGHT is 1"):
        send(by_job)
    assert by_job.wire.created == 0
    by_job.wire.bedrock = by_job.bedrock
    assert send(by_job) == jobs(by_job)[0]["jobArn"]


@pytest.mark.parametrize(("others", "kind"), [(True, NoFreeSlot), (False, ServiceBusy)])
def test_a_quota_that_bedrock_names_itself(
    make_world: Callable[..., World], others: bool, kind: type[Exception]
) -> None:
    """With jobs in flight it is theirs, and waiting helps; without any it is another quota. Neither is repeated."""
    world = planned(make_world(retry_seconds=60.0), 2)

    def refuse(name: str, _count: int) -> None:
        if name == "create_model_invocation_job":
            raise bedrocks_error("ServiceQuotaExceededException")

    world.wire.before = refuse
    if others:
        full(world)
    with pytest.raises(kind, match="ServiceQuotaExceededException") as raised:
        send(world)
    assert type(raised.value) is kind
    assert world.wire.created == 1


@pytest.mark.parametrize("mode", list(Mode))
def test_a_batch_that_another_run_took_over_is_not_sent(make_world: Callable[..., World], mode: Mode) -> None:
    """A revoked intent: nothing is started or asked, and there is no ARN."""
    world = planned(make_world(least=4 if mode is Mode.BATCH else 100), 2)
    run = world.state()
    assert revoked_by(run, 0, BATCH) is None
    run.store.write(intent_key(0, BATCH), orjson.dumps({REVOKED_BY: "monday"}), create=True)
    assert send(world) is None
    assert job_arn(run, 0, read_batch(run, 0, BATCH)) is None
    assert revoked_by(run, 0, BATCH) == "monday"
    assert (world.wire.created, world.wire.invoked) == (0, 0)


def test_an_arn_before_submit_is_an_error(by_job: World) -> None:
    """A batch that was not sent has no ARN, which is not the same as needing none."""
    run = by_job.state()
    with pytest.raises(ObjectMissing, match="submit comes first"):
        job_arn(run, 0, read_batch(run, 0, BATCH))


def test_what_was_intended_first_holds(by_job: World) -> None:
    """A later sender with other settings starts what the first one intended."""
    run = by_job.state()
    intent, fresh = intend(run, 0, read_batch(run, 0, BATCH))
    assert fresh
    assert intent is not None
    by_job.with_settings(job_timeout_hours=48)
    send(by_job)
    (job,) = jobs(by_job)
    assert job["timeoutDurationInHours"] == 24
    assert intend(by_job.state(), 0, read_batch(run, 0, BATCH)) == (intent, False)


# --- on demand ---


def billed(world: World) -> Counter[int]:
    """How many prompts were billed so and so often."""
    return Counter(world.bedrock.bill.times_billed().values())


def test_a_crash_at_record_73_of_99_pays_for_the_rest_alone(on_demand: World) -> None:
    """Answers that were kept are not asked again; what was in flight may be."""

    def crash(name: str, _count: int) -> None:
        if name == "invoke_model" and on_demand.bedrock.bill.total().records >= 73:
            raise Broken

    on_demand.wire.before = crash
    with pytest.raises(Broken):
        send(on_demand)
    kept = len(on_demand.outputs())
    assert 73 <= kept < 73 + THREADS
    on_demand.wire.before = refuse_nothing
    asked = on_demand.wire.invoked
    send(on_demand)
    assert on_demand.wire.invoked - asked == 99 - kept
    assert billed(on_demand) == {1: 99}
    assert len(on_demand.outputs()) == 99


def test_answers_lost_before_they_were_kept_are_asked_again(on_demand: World) -> None:
    """A crash between answer and storage costs at most what was in flight."""
    writes = []

    def crash(key: str) -> None:
        if key.endswith(".jsonl.out"):
            writes.append(key)
            if len(writes) > 73:
                raise Broken

    on_demand.on_write = crash
    with pytest.raises(Broken):
        send(on_demand)
    on_demand.on_write = lambda _key: None
    send(on_demand)
    twice = billed(on_demand)[2]
    assert 1 <= twice <= THREADS
    assert billed(on_demand) == {1: 99 - twice, 2: twice}


def test_two_processes_on_one_batch_ask_every_record_once(on_demand: World) -> None:
    """The second waits until the first has finished, and finds all answers there."""
    together = threading.Barrier(2)

    def race(_number: int) -> None:
        together.wait()
        send(on_demand)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(race, range(2)))
    assert billed(on_demand) == {1: 99}


def test_the_second_goes_on_where_the_first_died(on_demand: World) -> None:
    """A lease that nobody renews is taken over after its seconds; what is answered stays answered."""
    store = on_demand.state().store
    store.write(lease_key(0, BATCH), orjson.dumps({"owner": "dead", "beat": 7, "released": False}))
    send(on_demand)
    assert billed(on_demand) == {1: 99}


def test_two_that_both_believe_to_hold_the_lease_end_alike(on_demand: World) -> None:
    """Even if the lease is torn from its holder, both end, and the store holds one answer for each record."""
    store, key = on_demand.state().store, lease_key(0, BATCH)
    others: list[threading.Thread] = []

    def tear(name: str, count: int) -> None:
        if name == "invoke_model" and count == 40:
            content = orjson.dumps({"owner": "x", "beat": 1, "released": True})
            store.replace(key, content, store.read_version(key)[1])
            others.append(threading.Thread(target=send, args=(on_demand,)))
            others[0].start()

    on_demand.wire.before = tear
    send(on_demand)
    others[0].join()
    assert len(on_demand.outputs()) == 99
    assert billed(on_demand).keys() <= {1, 2}


def test_a_busy_record_does_not_stop_the_others(make_world: Callable[..., World]) -> None:
    """What stays busy is told at the end, with how many; the next try asks for these alone."""
    world = planned(make_world(least=100, on_demand_threads=1), 10)
    busy = {5, 12, 30}

    def throttle(name: str, count: int) -> None:
        if name == "invoke_model" and count in busy:
            raise bedrocks_error("ServiceUnavailableException", "InvokeModel")

    world.wire.before = throttle
    with pytest.raises(ServiceBusy, match="3 of 30 records are not answered; the others are kept"):
        send(world)
    assert len(world.outputs()) == 27
    send(world)
    assert world.wire.invoked == 33
    assert billed(world) == {1: 30}


def test_a_caller_that_is_refused_stops_at_once(on_demand: World) -> None:
    """Access denied is said of every record: no more are asked than were in flight."""

    def deny(name: str, _count: int) -> None:
        if name == "invoke_model":
            raise bedrocks_error("AccessDeniedException", "InvokeModel")

    on_demand.wire.before = deny
    with pytest.raises(ServiceRejected, match="lacks a permission"):
        send(on_demand)
    assert on_demand.wire.invoked <= 2 * THREADS


def test_the_first_answer_wins(on_demand: World) -> None:
    """An answer that another process kept meanwhile is not overwritten: it may have been read already."""
    first = b'{"recordId":"x","modelOutput":{}}\n'

    def meanwhile(key: str) -> None:
        if key.endswith(".jsonl.out") and not on_demand.outputs():
            on_demand.on_write = lambda _key: None
            on_demand.bucket.put(f"work/runs/night/{key}", first)
            kept.append(f"work/runs/night/{key}")

    kept: list[str] = []
    on_demand.on_write = meanwhile
    send(on_demand)
    assert bytes(on_demand.bucket.get(kept[0]).bytes()) == first


def test_a_prompt_that_is_refused_is_an_answer(make_world: Callable[..., World]) -> None:
    """It is kept as an error line, and not asked again."""
    world = planned(make_world(least=100), 2)
    world.bedrock.faults.replace(FaultPlan.read(json.dumps({"records": [{"kind": "error-400", "share": 1.0}]})))
    send(world)
    assert len(world.outputs()) == 6
    world.bedrock.faults.replace(FaultPlan())
    send(world)
    assert world.wire.invoked == 6

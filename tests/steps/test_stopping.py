"""A run that is stopped starts nothing more, keeps what it paid for, and goes on with what is missing."""

from __future__ import annotations

import threading
from collections.abc import Callable

import orjson
import pytest

from pipeline.domain import JobStatus
from pipeline.errors import RunStopped
from pipeline.local.fault_plan import FaultPlan, JobFault
from pipeline.loop import Looped, stop_to_the_end
from pipeline.manifest import STOPPED, intent_key, job_key
from pipeline.steps import RunSummary, plan, prepare, start, submit
from pipeline.steps.intents import revoked_by
from pipeline.steps.stopping import Stopped, reopen, stop
from tests.world import WORK_URI, Broken, Unseen, World

PACE = Looped(1.0, sleep=lambda _seconds: None)
DOCUMENTS = 4
RECORDS = 3 * DOCUMENTS


def uri(key: str = "night") -> str:
    return f"{WORK_URI}/runs/{key}"


def begun(world: World, key: str = "night") -> list[str]:
    """A run that has planned its first round; the keys of its batches."""
    start(world.services, world.order(key))
    prepare(world.services, uri(key), 0, 0)
    return [batch.batch_key for batch in plan(world.services, uri(key), 0).batches]


def stopped(world: World, key: str = "night") -> Stopped:
    return stop_to_the_end(world.services, uri(key), Unseen(), PACE)


def resumed(world: World, key: str = "night") -> RunSummary:
    reopen(world.services, uri(key))
    return world.run(key)


def billed(world: World) -> int:
    return world.bedrock.bill.total().records


def statuses(world: World) -> list[str]:
    return [job["status"] for job in world.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]]


def hold(world: World) -> None:
    world.bedrock.faults.replace(FaultPlan(jobs=(JobFault(kind="stuck"),)))


@pytest.fixture
def spread(make_world: Callable[..., World]) -> World:
    """Three batches, and room for one job."""
    world = make_world(max_records_per_file=4, max_jobs_in_flight=1)
    world.put_many(DOCUMENTS)
    return world


@pytest.fixture
def on_demand(make_world: Callable[..., World]) -> World:
    world = make_world(least=100, on_demand_threads=1, lease_seconds=2.0)
    world.put_many(DOCUMENTS)
    return world


def test_a_job_in_flight_is_stopped_and_sent_again_by_resuming(world: World) -> None:
    """Nothing was answered, so nothing was paid; the run taken up again asks all of it, once."""
    world.put_many(DOCUMENTS)
    (batch_key,) = begun(world)
    hold(world)
    submit(world.services, uri(), 0, batch_key)
    found = stopped(world)
    assert (found.jobs, found.held_back, statuses(world), billed(world)) == (1, 0, [JobStatus.STOPPED], 0)
    world.bedrock.faults.replace(FaultPlan())
    summary = resumed(world)
    assert (summary.results, summary.failures, billed(world)) == (RECORDS, 0, RECORDS)
    assert summary.disagreements == []  # a stopped job leaves no totals: there is nothing to disagree with


def test_totals_that_a_completed_job_should_have_left_are_missed(world: World) -> None:
    """Stopping a run excuses the jobs that it stopped, and no other."""
    world.put_many(DOCUMENTS)
    (batch_key,) = begun(world)
    submit(world.services, uri(), 0, batch_key)
    world.bedrock.run_waiting()
    totals = [entry["path"] for page in world.bucket.list() for entry in page if entry["path"].endswith("json.out")]
    world.bucket.delete(totals)
    stopped(world)
    assert (statuses(world), len(totals)) == ([JobStatus.COMPLETED], 1)
    assert resumed(world).disagreements == [f"{batch_key}: the job left no manifest.json.out"]


@pytest.mark.parametrize("at", [0.25, 0.5])
def test_what_a_stopped_job_answered_is_kept(world: World, at: float) -> None:
    """Half of the records are answered: resuming pays for the other half only, and so does any other run."""
    world.put_many(DOCUMENTS)
    (batch_key,) = begun(world)
    world.bedrock.faults.replace(FaultPlan(jobs=(JobFault(kind="stopped", at=at, first_jobs=1),)))
    submit(world.services, uri(), 0, batch_key)
    world.bedrock.run_waiting()
    stopped(world)
    answered = int(at * RECORDS)
    assert billed(world) == answered
    other = world.run("other")
    assert (other.results, other.known, other.requests) == (RECORDS, answered, RECORDS - answered)
    assert (resumed(world).results, billed(world)) == (RECORDS, RECORDS)


def test_batches_that_were_not_begun_are_held_back(spread: World) -> None:
    """One job is in flight and stopped, the two batches that wait for its slot are never sent."""
    first, *others = begun(spread)
    hold(spread)
    submit(spread.services, uri(), 0, first)
    found = stopped(spread)
    assert (found.jobs, found.held_back, len(others)) == (1, 2, 2)
    with pytest.raises(RunStopped):
        spread.run()
    assert spread.wire.created == 1
    spread.bedrock.faults.replace(FaultPlan())
    summary = resumed(spread)
    assert (summary.results, summary.failures, billed(spread)) == (RECORDS, 0, RECORDS)


def test_what_another_run_answered_meanwhile_is_not_sent_again(spread: World) -> None:
    """While a run is stopped another asks the same; the first takes those answers when it goes on."""
    begun(spread)
    assert stopped(spread).held_back == 3
    assert spread.run("other").results == RECORDS
    summary = resumed(spread)
    assert (summary.results, summary.requests, billed(spread)) == (RECORDS, 0, RECORDS)


def test_whoever_works_on_the_run_learns_that_it_was_stopped(world: World) -> None:
    """The loop ends at its next step with what to type to go on."""
    world.put_many(DOCUMENTS)
    watch = Unseen(at={"round 0: batch": lambda: stop(world.services, uri())})
    with pytest.raises(RunStopped, match=r"run night: was stopped; .* Continue it with: docbatch resume night"):
        world.run(watch=watch)
    assert world.wire.created == 0
    assert resumed(world).results == RECORDS


def test_whoever_waits_for_a_job_that_is_stopped_learns_it_too(world: World) -> None:
    """Its outcomes are collected, and the next round is not planned."""
    world.put_many(DOCUMENTS)
    hold(world)
    told: list[Stopped] = []

    def stop_in_flight() -> None:
        submit(world.services, uri(), 0, "r00-b0000")
        told.append(stop(world.services, uri()))

    watch = Unseen(at={"round 0: batch": stop_in_flight})
    with pytest.raises(RunStopped):
        world.run(watch=watch)
    assert watch.names[-2:] == ["round 0: collect", "round 1: prepare"]
    assert told[0].jobs == 1


def test_on_demand_calls_end_at_the_next_record(on_demand: World) -> None:
    """What was answered is kept and known; the rest is asked when the run goes on, each record once."""
    begun(on_demand)
    found: list[Stopped] = []
    stopper = threading.Thread(target=lambda: found.append(stopped(on_demand)))

    def stop_at_the_fifth(name: str, count: int) -> None:
        if (name, count) == ("invoke_model", 5):
            stopper.start()
            while not on_demand.state().store.exists(STOPPED):
                pass

    on_demand.wire.before = stop_at_the_fifth
    with pytest.raises(RunStopped):
        on_demand.run()
    stopper.join()
    assert (found[0].jobs, len(found[0].begun), billed(on_demand)) == (0, 1, 5)
    other = on_demand.run("other")
    assert (other.results, other.known, other.requests) == (RECORDS, 5, RECORDS - 5)
    assert (resumed(on_demand).results, billed(on_demand)) == (RECORDS, RECORDS)


def broken_at(world: World, *, before: bool) -> None:
    """A run whose starter dies beside the call that creates its job."""

    def die(name: str, _count: int) -> None:
        if name == "create_model_invocation_job":
            raise Broken(name)

    world.put_many(DOCUMENTS)
    setattr(world.wire, "before" if before else "after", die)
    with pytest.raises(Broken):
        world.run()
    setattr(world.wire, "before" if before else "after", lambda _name, _count: None)


def test_a_job_whose_starter_died_is_found_and_stopped(world: World) -> None:
    """No ARN was written down: the name in the intent leads to the job."""
    hold(world)
    broken_at(world, before=False)
    assert not world.state().store.exists(job_key(0, "r00-b0000"))
    assert stopped(world).jobs == 1
    assert statuses(world) == [JobStatus.STOPPED]


def test_a_batch_whose_starter_died_before_the_job_is_held_back(world: World) -> None:
    """Its intent is revoked, so that neither this run nor one that waits for it starts the job."""
    broken_at(world, before=True)
    assert stopped(world) == Stopped((), 1)
    assert revoked_by(world.state(), 0, "r00-b0000") == "night"
    assert world.run("other").results == RECORDS
    assert (resumed(world).results, billed(world)) == (RECORDS, RECORDS)


def test_a_run_that_waits_for_a_stopped_one_asks_itself(world: World) -> None:
    """It takes what the stopped job answered, and sends the rest in its next round."""
    world.put_many(DOCUMENTS)
    (batch_key,) = begun(world)
    hold(world)
    submit(world.services, uri(), 0, batch_key)

    def stop_the_first() -> None:
        stop(world.services, uri())
        world.bedrock.faults.replace(FaultPlan())

    summary = world.run("other", Unseen(at={"round 0: on-demand": stop_the_first}))
    assert (summary.results, summary.failures, billed(world)) == (RECORDS, 0, RECORDS)


@pytest.mark.parametrize("times", [1, 3])
def test_stopping_takes_no_round_away(make_world: Callable[..., World], times: int) -> None:
    """However often a run with a single round is stopped, what was not sent becomes no failure."""
    world = make_world(max_rounds=1)
    world.put_many(DOCUMENTS)
    begun(world)
    for number in range(times):
        stopped(world)
        reopen(world.services, uri())
        watch = Unseen(at={f"round {number + 1}: batch": lambda: stop(world.services, uri())})
        if number + 1 < times:
            with pytest.raises(RunStopped):
                world.run(watch=watch)
    assert (world.run().results, billed(world)) == (RECORDS, RECORDS)


def test_stopping_twice_is_stopping_once(spread: World) -> None:
    """The second finds the same, and the time of the first stays."""
    first, *_ = begun(spread)
    hold(spread)
    submit(spread.services, uri(), 0, first)
    once = stop(spread.services, uri())
    when = spread.state().store.read(STOPPED)
    assert stop(spread.services, uri()) == once
    assert spread.state().store.read(STOPPED) == when
    assert stopped(spread) == once
    assert stopped(spread) == Stopped((), 2)


def test_a_run_may_be_stopped_before_it_has_planned_anything(world: World) -> None:
    """Nothing is sent until it is taken up again."""
    world.put_many(DOCUMENTS)
    start(world.services, world.order())
    assert stopped(world) == Stopped((), 0)
    with pytest.raises(RunStopped):
        world.run()
    assert billed(world) == 0
    assert resumed(world).results == RECORDS


def test_reopening_a_run_that_goes_on_changes_nothing(world: World) -> None:
    """Neither its rounds nor its batches."""
    world.put_many(DOCUMENTS)
    (batch_key,) = begun(world)
    submit(world.services, uri(), 0, batch_key)
    writes: list[str] = []
    world.on_write = writes.append
    reopen(world.services, uri())
    assert writes == []
    assert "order" in orjson.loads(world.state().store.read(intent_key(0, batch_key)))

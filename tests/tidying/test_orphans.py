"""Jobs in flight that no run waits for: adopted where a run had begun them, else stopped where that is allowed."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import pytest

from pipeline.bedrock.client import JobOrder
from pipeline.manifest import STOPPED, intent_key
from pipeline.steps import plan, prepare, start, submit
from pipeline.steps.intents import kept_arn
from pipeline.steps.status import Phase, phase_of
from pipeline.steps.stopping import stop
from pipeline.tidying import Orphan, settle_orphans
from pipeline.tidying.orphans import Done
from tests.chaos.seam import Killed, Seam, behind, dying_at
from tests.tidying.scenes import bucket, empty, hold, later, let_go, statuses
from tests.world import ROLE, WORK_URI, Broken, World

# A played process that dies ends the thread that renews its lease, too.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
YEAR = 366  # days, after which the endpoint's clock says that jobs are old
URI = f"{WORK_URI}/runs/night"
BATCH = "r00-b0000"


def settled(world: World, **how: bool) -> list[Orphan]:
    return settle_orphans(world.services, WORK_URI, **how)


def planned(world: World) -> None:
    """A run that has planned its first round, whose job will stay in flight."""
    world.put_many(4)
    hold(world)
    start(world.services, world.order())
    prepare(world.services, URI, 0, 0)
    plan(world.services, URI, 0)
    later(world, YEAR)


@pytest.fixture
def begun(world: World) -> World:
    """One whose job is in flight."""
    world.with_settings(lease_seconds=0.2)
    planned(world)
    submit(world.services, URI, 0, BATCH)
    assert statuses(world) == ["Scheduled"]
    return world


@pytest.fixture
def left_behind(world: World) -> World:
    """One whose submitter died between the start of the job and the writing of its ARN."""
    world.with_settings(lease_seconds=0.2)
    planned(world)

    def die(key: str) -> None:
        if key == f"rounds/00/jobs/{BATCH}.json":
            raise Broken(key)

    world.on_write = die
    with pytest.raises(Broken):
        submit(world.services, URI, 0, BATCH)
    world.on_write = lambda _key: None
    return world


def forget_job(world: World) -> None:
    """Neither intent nor ARN are there any more."""
    empty(world, "work/runs/night/rounds/00/jobs")


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_job_that_a_run_has_begun_is_adopted(left_behind: World, dry_run: bool) -> None:
    """The ARN is kept where submit would keep it, so that the run goes on with the job; a dry run only says so."""
    left_behind.with_settings(stop_orphans=True)
    (found,) = settled(left_behind, dry_run=dry_run)
    assert (found.run_key, found.done) == ("night", Done.ADOPTED)
    run = left_behind.state()
    (batch,) = plan(left_behind.services, URI, 0).batches
    assert kept_arn(run, 0, batch) == (None if dry_run else found.arn)
    assert settled(left_behind, dry_run=dry_run) == ([found] if dry_run else [])
    let_go(left_behind)
    assert left_behind.run().results == 12
    assert left_behind.wire.created == 1


def test_the_job_of_a_run_that_goes_on_is_no_orphan(begun: World) -> None:
    """However long it takes, and whatever may be stopped."""
    begun.with_settings(stop_orphans=True)
    assert settled(begun) == []
    assert statuses(begun) == ["Scheduled"]


@pytest.mark.parametrize("allowed", [False, True])
def test_the_job_of_a_stopped_run_is_stopped_where_that_is_allowed(begun: World, allowed: bool) -> None:
    """Whoever stopped the run was broken off before its jobs were told."""
    begun.with_settings(stop_orphans=allowed)
    begun.state().store.write(STOPPED, b"{}")
    assert phase_of(begun.state()) is Phase.STOPPED
    dry = settled(begun, dry_run=True)
    (found,) = settled(begun)
    assert dry == [found]
    assert (found.why, found.done) == ("its run is stopped", Done.STOPPED if allowed else Done.LEFT)
    assert (statuses(begun)[0] in {"Stopping", "Stopped"}) is allowed
    assert begun.wire.count("stop_model_invocation_job") == allowed


@pytest.mark.parametrize(
    ("lost", "why"),
    [
        (lambda world: empty(world, "work"), "no run of the work store has planned it"),
        (lambda world: empty(world, "work/runs/night/rounds"), "no run of the work store has planned it"),
        (forget_job, "its batch was never sent, or given up"),
    ],
    ids=["work store", "plan", "intent"],
)
def test_a_job_that_nobody_claims_is_stopped_where_that_is_allowed(begun: World, lost: Any, why: str) -> None:
    """Its output lies below our work store, and no run knows it; it costs money as long as it goes on."""
    lost(begun)
    assert [(one.why, one.done) for one in settled(begun)] == [(why, Done.LEFT)]
    begun.with_settings(stop_orphans=True)
    assert [(one.why, one.done) for one in settled(begun)] == [(why, Done.STOPPED)]
    assert statuses(begun)[0] in {"Stopping", "Stopped"}
    assert settled(begun) == []


def test_a_second_job_of_a_batch_is_one_too_many(begun: World) -> None:
    """The run waits for the other."""
    begun.with_settings(stop_orphans=True)
    (batch,) = plan(begun.services, URI, 0).batches
    kept = kept_arn(begun.state(), 0, batch)
    order = JobOrder(f"docbatch-{BATCH}-twice", "twice", begun.state().manifest.model, ROLE, batch.input_uri,
                     batch.output_uri, 24, {})  # fmt: skip
    twice = begun.services.batch_client().start(order)
    (found,) = settled(begun)
    assert (found.arn, found.why, found.done) == (twice, f"its batch has another job, {kept}", Done.STOPPED)
    let_go(begun)
    assert begun.run().results == 12


def test_a_job_whose_intent_was_revoked_is_an_orphan(left_behind: World) -> None:
    """Its run was stopped while Bedrock did not list the job yet: nobody will collect it."""
    left_behind.with_settings(stop_orphans=True)
    run = left_behind.state()
    run.store.write(intent_key(0, BATCH), b'{"revoked_by": "night"}')
    (found,) = settled(left_behind)
    assert found.done is Done.STOPPED


@pytest.mark.parametrize(
    ("name", "output"),
    [
        (f"docbatch-{BATCH}-1234", "s3://bucket/elsewhere/runs/night/rounds/00/output/r00-b0000/"),
        (f"docbatch-{BATCH}-1234", "s3://bucket/workshop/runs/night/rounds/00/output/r00-b0000/"),
        ("nightly-report", f"{WORK_URI}/runs/night/rounds/00/output/r00-b0000/"),
        ("my-docbatch-job", f"{WORK_URI}/runs/night/rounds/00/output/r00-b0000/"),
        ("docbatch-of-mine", f"{WORK_URI}/mine/"),
    ],
)
def test_jobs_of_others_are_never_touched(begun: World, name: str, output: str) -> None:
    """Those of other work stores, and of other tools whatever they are called."""
    begun.with_settings(stop_orphans=True)
    (batch,) = plan(begun.services, URI, 0).batches
    order = JobOrder(name, "other", begun.state().manifest.model, ROLE, batch.input_uri, output, 24, {})
    begun.services.batch_client().start(order)
    assert settled(begun) == []
    assert begun.wire.count("stop_model_invocation_job") == 0


def test_a_young_job_is_left_for_the_next_look(begun: World) -> None:
    """Not stopped: what it was started for may be too young to be seen."""
    begun.with_settings(stop_orphans=True)
    empty(begun, "work")
    began = begun.bedrock.list_model_invocation_jobs()["invocationJobSummaries"][0]["submitTime"]
    begun.now = began
    assert [one.done for one in settled(begun)] == [Done.LEFT]
    later(begun, YEAR)
    assert [one.done for one in settled(begun)] == [Done.STOPPED]


def test_a_job_that_another_run_waits_for_is_not_stopped(begun: World) -> None:
    """Although the run that started it was stopped."""
    begun.with_settings(stop_orphans=True)
    begun.output = begun.folder / "another output"
    other = f"{WORK_URI}/runs/other"
    start(begun.services, begun.order("other"))
    prepare(begun.services, other, 0, 0)
    plan(begun.services, other, 0)
    begun.state().store.write(STOPPED, b"{}")
    assert settled(begun) == []


def calls_of_submit(world: World) -> int:
    """How many calls to the world outside a submit makes."""
    seam = Seam()
    submit(behind(seam, world.services), URI, 0, BATCH)
    return len(seam.names)


def test_whoever_dies_while_submitting_is_found_at_every_call(make_world: Any) -> None:
    """Whatever had taken effect: the next look adopts or sees nothing, stops nothing, and the run has one job."""
    world = make_world()
    planned(world)
    adopted = 0
    for number in range(1, calls_of_submit(world) + 1):
        world = make_world(lease_seconds=0.1, stop_orphans=True)
        planned(world)
        with suppress(Killed):  # the last calls are those of its lease, by the clock
            submit(behind(dying_at(number), world.services), URI, 0, BATCH)
        found = settled(world)
        assert {one.done for one in found} <= {Done.ADOPTED}, number
        adopted += len(found)
        assert settled(world) == []
        let_go(world)
        assert submit(world.services, URI, 0, BATCH)
        assert world.wire.created == 1, number
        assert statuses(world) == ["Completed"], number
    assert adopted > 0


def test_a_look_at_any_moment_of_a_submit_stops_nothing(make_world: Any) -> None:
    """Beside a run that is just about to keep its ARN: whoever keeps it, it is that of its one job."""
    world = make_world()
    planned(world)
    for number in range(1, calls_of_submit(world) + 1):
        world = make_world(lease_seconds=0.2, stop_orphans=True)
        planned(world)
        looks: list[threading.Thread] = []

        def strike(reached: int, _name: str, number: int = number, world: World = world, looks: Any = looks) -> None:
            if reached == number:
                looks.append(threading.Thread(target=settled, args=(world,)))
                looks[0].start()
                looks[0].join(0.3)  # in the submitter's turn it waits for it

        arn = submit(behind(Seam(strike), world.services), URI, 0, BATCH)
        looks[0].join(30)
        (batch,) = plan(world.services, URI, 0).batches
        assert arn == kept_arn(world.state(), 0, batch)
        assert world.wire.count("stop_model_invocation_job") == 0, number
        assert world.wire.created == 1, number


def test_a_run_of_another_version_knows_its_own_jobs(begun: World) -> None:
    """What cannot be read is not judged."""
    begun.with_settings(stop_orphans=True)
    store = begun.state().store
    manifest = replace_field(store.read("run.json"))
    store.write("run.json", manifest)
    assert settled(begun) == []


def replace_field(content: bytes) -> bytes:
    return content.replace(b'"shards"', b'"pieces"')


def test_stopping_is_not_undone_by_an_adoption(left_behind: World) -> None:
    """The job of a stopped run that was left behind is adopted and stopped, so that its answers are collected."""
    left_behind.with_settings(stop_orphans=True)
    left_behind.state().store.write(STOPPED, b"{}")
    assert [one.done for one in settled(left_behind)] == [Done.ADOPTED]
    assert [one.done for one in settled(left_behind)] == [Done.STOPPED]
    let_go(left_behind)
    assert [one.arn is not None for one in stop(left_behind.services, URI).begun] == [True]
    assert any(key.endswith(f"{BATCH}.json") for key in bucket(left_behind))

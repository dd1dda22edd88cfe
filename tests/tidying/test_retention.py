"""Runs that were published long ago lose their working files, and everything that reads them goes on."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from pipeline.errors import BudgetExceeded, RunError
from pipeline.loop import Looped, stop_to_the_end
from pipeline.money.booked import booked_jobs
from pipeline.money.spending import By, Question, account
from pipeline.steps import collect, fold, plan, prepare, publish, start, submit
from pipeline.steps.reconcile import job_checks
from pipeline.steps.status import Phase, phase_of, read_status, run_lines
from pipeline.storage.objects import absolute_uri
from pipeline.tidying import Leftover, tidy_runs
from tests.tidying.scenes import bucket, empty, hold, later, let_go
from tests.world import NOW, WORK_URI, Broken, Unseen, World

PACE = Looped(1.0, sleep=lambda _seconds: None)
URI = f"{WORK_URI}/runs/night"


def tidied(world: World, **how: bool) -> list[Leftover]:
    return tidy_runs(world.services, WORK_URI, **how)


def of_run(world: World, key: str = "night") -> set[str]:
    return set(bucket(world, f"work/runs/{key}"))


@pytest.fixture
def published(world: World) -> World:
    """A run that ended long ago."""
    world.put_many(6)
    world.run()
    later(world)
    return world


@pytest.mark.parametrize(("seconds", "goes"), [(0, False), (30, True)])
def test_the_days_decide(world: World, seconds: int, goes: bool) -> None:
    """A run that was published fewer days ago keeps everything."""
    world.put_many(4)
    ended = world.run().ended
    world.with_settings(keep_work_days=7)
    world.now = ended + dt.timedelta(days=7, seconds=seconds - 10)
    before = bucket(world)
    found = tidied(world)
    assert [one.run_key for one in found] == ["night"] * goes
    assert (bucket(world) == before) is not goes


def test_a_dry_run_says_the_same_and_changes_nothing(published: World) -> None:
    """Not even a lease is taken."""
    before = [entry["path"] for page in published.bucket.list() for entry in page]
    found = tidied(published, dry_run=True)
    assert [entry["path"] for page in published.bucket.list() for entry in page] == before
    assert found == tidied(published)
    assert [one.kept_because for one in found] == [None]


def test_what_was_tidied_once_is_not_looked_at_again(published: World) -> None:
    """Repeating it finds nothing, and changes nothing."""
    tidied(published)
    before = bucket(published)
    assert tidied(published) == []
    assert bucket(published) == before


def test_every_step_of_a_tidied_run_may_be_repeated(published: World) -> None:
    """Whoever clears a task gets what it gave then; nothing is sent, and the tables stay as they are."""
    services, files, calls = published.services, published.files(), list(published.wire.calls)
    counts, summary = fold(services, URI, 0), publish(services, URI)
    tidied(published)
    assert start(services, published.order()) == URI
    assert prepare(services, URI, 0, 0) == 18
    (batch,) = plan(services, URI, 0).batches
    assert submit(services, URI, 0, batch.batch_key)
    assert collect(services, URI, 0, batch.batch_key).answered == 18
    assert fold(services, URI, 0) == counts
    assert publish(services, URI) == summary
    assert published.run() == summary
    assert published.files() == files
    assert published.wire.calls == calls


def test_calls_on_demand_of_a_tidied_run_are_not_repeated(make_world: Callable[..., World]) -> None:
    """Neither by its own step, nor by that of a run that waited for it."""
    world = make_world(mode="on-demand")
    world.put_many(2)
    summary = world.run()
    later(world)
    tidied(world)
    asked = world.wire.invoked
    (batch,) = plan(world.services, URI, 0).batches
    assert submit(world.services, URI, 0, batch.batch_key) is None
    assert world.run() == summary
    assert world.wire.invoked == asked


def test_later_nights_pay_for_nothing_that_is_known(published: World) -> None:
    """Unchanged documents, known answers of moved ones, and another output: all as before."""
    tidied(published)
    assert published.run("second").requests == 0
    path = published.source / "000.txt"
    path.rename(published.source / "moved.txt")
    moved = published.run("third")
    assert (moved.requests, moved.results, moved.deleted) == (0, 3, 1)
    published.output = published.folder / "another output"
    elsewhere = published.run("fourth")
    assert (elsewhere.requests, elsewhere.results, elsewhere.cost_usd) == (0, 18, 0)
    assert published.wire.created == 1


def test_readers_of_a_tidied_run_go_on(published: World) -> None:
    """status, costs, reconcile and show say what they said; of one run, status says when its files were deleted."""
    services, output_uri = published.services, absolute_uri(str(published.output))

    def told() -> list[object]:
        with services.catalog(output_uri) as catalog:
            checks = job_checks(services, WORK_URI, ["night"], booked_jobs(catalog, "night"))
            assert [one.differences for one in checks] == [()] or not any(one.differences for one in checks)
            assert not any(one.not_compared for one in checks)
            costs = account(catalog, Question((By.RUN,), None, None, None))
        shown = [published.rows(table) for table in ("summarization", "ledger", "documents", "runs")]
        status = replace(read_status(services, URI), tidied=None)
        return [checks, costs, shown, status, run_lines(services, WORK_URI)]

    before = told()
    tidied(published)
    assert told() == before
    assert read_status(services, URI).tidied is not None
    assert phase_of(published.state()) is Phase.PUBLISHED


def test_budgets_go_on_counting_what_a_tidied_run_paid(published: World) -> None:
    """It is settled from what stays: plan, ARNs and counts, even where nobody had looked at it before."""
    tidied(published)
    published.now = NOW + dt.timedelta(hours=1)  # the same month
    published.put("new.txt", "A new document, which costs something.")
    paid = published.rows("runs")[0]["cost_usd"]
    published.with_settings(budget_month_usd=paid + Decimal("0.0000001"))
    with pytest.raises(BudgetExceeded, match="more than is left of the budget"):
        published.run("second")


def test_a_tidied_run_whose_catalog_is_lost_says_so(published: World) -> None:
    """Its rows cannot be published again; another run takes the answers, which are kept."""
    tidied(published)
    empty_catalog = published.output / "catalog" / "catalog.db"
    empty_catalog.unlink()
    with pytest.raises(RunError, match=r"run night: its work files were deleted on \d{4}-\d\d-\d\d .*another key"):
        published.run()
    assert published.run("again").requests == 0


def test_a_run_that_is_stopped_is_not_touched(world: World) -> None:
    """It may be taken up again at any time."""
    world.put_many(4)
    hold(world)
    start(world.services, world.order())
    prepare(world.services, URI, 0, 0)
    (batch,) = plan(world.services, URI, 0).batches
    submit(world.services, URI, 0, batch.batch_key)
    let_go(world)
    stop_to_the_end(world.services, URI, Unseen(), PACE)
    later(world)
    world.with_settings(tidy_abandoned=True)
    before = bucket(world)
    assert tidied(world) == []
    assert bucket(world) == before


def test_a_run_that_is_awaited_keeps_its_files_until_its_answers_are_taken(world: World) -> None:
    """Who waits may have been broken off long ago: taken up again, it finds them, and pays nothing."""
    world.put_many(4)
    hold(world)
    start(world.services, world.order())
    prepare(world.services, URI, 0, 0)
    (batch,) = plan(world.services, URI, 0).batches
    submit(world.services, URI, 0, batch.batch_key)
    first, world.output = world.output, world.folder / "another output"
    other = f"{WORK_URI}/runs/other"
    start(world.services, world.order("other"))
    prepare(world.services, other, 0, 0)
    assert [one.awaits is not None for one in plan(world.services, other, 0).batches] == [True]
    let_go(world)
    second, world.output = world.output, first
    world.run()
    later(world)
    before = of_run(world)
    found = {one.run_key: one.kept_because for one in tidied(world)}
    assert found["night"] == "run other waits for its answers"
    assert of_run(world) == before
    world.output = second
    taken = world.run("other")
    assert (taken.results, taken.requests) == (12, 0)
    later(world)
    assert {one.run_key: one.kept_because for one in tidied(world)} == {"night": None, "other": None}
    assert world.wire.created == 1


@pytest.fixture
def refused(world: World) -> World:
    """A run that was above its budget, long ago."""
    world.put_many(4)
    world.with_settings(budget_usd=Decimal(0))
    with pytest.raises(BudgetExceeded):
        world.run()
    later(world)
    return world


def test_what_was_never_published_is_told_and_kept(refused: World) -> None:
    """Until a setting says that it goes."""
    before = bucket(refused)
    (found,) = tidied(refused)
    assert not found.published
    assert found.kept_because
    assert "DOCBATCH_TIDY_ABANDONED" in found.kept_because
    assert bucket(refused) == before


def test_what_was_never_published_goes_where_a_setting_says_so(refused: World) -> None:
    """It is then neither open nor refused, and whoever would go on with it is told to begin another."""
    refused.with_settings(tidy_abandoned=True)
    assert phase_of(refused.state()) is Phase.REFUSED
    assert [one.kept_because for one in tidied(refused)] == [None]
    assert tidied(refused) == []
    assert phase_of(refused.state()) is Phase.ABANDONED
    assert not any("requests" in key or "listing" in key for key in of_run(refused))
    with pytest.raises(RunError, match=r"deleted on .* it was never published"):
        refused.run()
    assert [one.phase for one in run_lines(refused.services, WORK_URI)] == [Phase.ABANDONED]
    refused.with_settings(budget_usd=None)
    assert refused.run("second").results == 12


def test_a_young_run_that_is_open_is_worked_on_for_all_we_know(world: World) -> None:
    """What counts is when anything of it was written last."""
    world.put_many(4)
    world.with_settings(tidy_abandoned=True)
    start(world.services, world.order())
    prepare(world.services, URI, 0, 0)
    world.now = dt.datetime.now(dt.UTC) + dt.timedelta(days=29)
    assert tidied(world) == []
    later(world)
    assert [one.kept_because for one in tidied(world)] == [None]


def test_paid_answers_of_an_abandoned_run_are_never_deleted(world: World) -> None:
    """Its job has ended and nobody collected it; while the job goes on, somebody may wait for it."""
    world.put_many(4)
    world.with_settings(tidy_abandoned=True)
    hold(world)
    start(world.services, world.order())
    prepare(world.services, URI, 0, 0)
    (batch,) = plan(world.services, URI, 0).batches
    submit(world.services, URI, 0, batch.batch_key)
    later(world)
    assert tidied(world) == []
    let_go(world)
    before = bucket(world)
    (found,) = tidied(world)
    assert found.kept_because == "what its batches r00-b0000 answered is paid; resume it"
    assert {key for key in before if not key.endswith(".out")} == {one for one in bucket(world) if ".out" not in one}
    assert world.run().results == 12
    assert world.wire.created == 1


def test_a_run_that_never_began_leaves_a_listing(world: World) -> None:
    """Broken off while it listed, it has no manifest: its listing goes like what was never published, whole."""
    world.put_many(4)

    def die(key: str) -> None:
        if key == "run.json":
            raise Broken(key)

    world.on_write = die
    with pytest.raises(Broken):
        world.run()
    world.on_write = lambda _key: None
    later(world)
    assert [bool(one.kept_because) for one in tidied(world)] == [True]
    world.with_settings(tidy_abandoned=True)
    assert [one.kept_because for one in tidied(world)] == [None]
    assert of_run(world) == set()
    assert world.run().results == 12


def test_an_output_may_hold_runs_whose_work_store_is_gone(published: World, tmp_path: Path) -> None:
    """There is nothing to tidy then, and nothing fails."""
    empty(published, "work")
    assert tidied(published) == []

"""How runs stand, read from the work store while they go on and afterwards; Bedrock is asked only about open jobs."""

from __future__ import annotations

import io
from collections.abc import Callable
from decimal import Decimal

import pytest

from pipeline.domain import Mode
from pipeline.errors import ObjectMissing
from pipeline.local.fault_plan import FaultPlan, JobFault, RecordFault
from pipeline.loop import Looped, stop_to_the_end
from pipeline.manifest import PUBLISHED, open_key
from pipeline.steps import plan, prepare, start, submit
from pipeline.steps.status import Phase, RunStatus, read_status, run_lines
from pipeline.terminal.showing import follow, print_view, run_frame, runs_frame
from tests.world import WORK_URI, Broken, Unseen, World

RECORDS = 12


def uri(key: str = "night") -> str:
    return f"{WORK_URI}/runs/{key}"


def planned(world: World, key: str = "night") -> list[str]:
    world.put_many(4)
    start(world.services, world.order(key))
    prepare(world.services, uri(key), 0, 0)
    return [batch.batch_key for batch in plan(world.services, uri(key), 0).batches]


def states(status: RunStatus) -> list[tuple[str, int]]:
    return [(batch.state, batch.records_done) for one in status.rounds for batch in one.batches]


def shown(status: RunStatus) -> str:
    stream = io.StringIO()
    print_view(run_frame(status).view, stream)
    return stream.getvalue()


def test_a_batch_from_its_plan_to_its_outcomes(world: World) -> None:
    """Planned, in flight with Bedrock's own word for it, collected; then the run is published."""
    (batch_key,) = planned(world)
    world.bedrock.faults.replace(FaultPlan(jobs=(JobFault(kind="stuck"),)))
    assert states(read_status(world.services, uri())) == [("planned", 0)]
    assert "; $0.000000 paid" in shown(read_status(world.services, uri()))  # nothing was sent, which is known
    submit(world.services, uri(), 0, batch_key)
    status = read_status(world.services, uri())
    assert (states(status), status.open_jobs, status.phase) == ([("Scheduled", 0)], 1, Phase.OPEN)
    assert "1 job open; 0 answered, 0 failed, 0 missing; cost unknown until it is collected" in shown(status)
    world.bedrock.faults.replace(FaultPlan())
    summary = world.run()
    status = read_status(world.services, uri())
    assert (states(status), status.open_jobs, status.phase) == ([("collected", RECORDS)], 0, Phase.PUBLISHED)
    assert (status.counts.requests, status.counts.answered, status.cost_usd) == (RECORDS, RECORDS, summary.cost_usd)
    assert "12 requests sent; 12 answered; $0.0" in shown(status)


def test_bedrock_is_asked_about_open_jobs_only(world: World) -> None:
    """With nothing in flight no call is made, and the table of all runs never makes one."""
    (batch_key,) = planned(world)
    read_status(world.services, uri())
    submit(world.services, uri(), 0, batch_key)
    before = list(world.wire.calls)
    (line,) = run_lines(world.services, WORK_URI)
    assert (line.open_jobs, world.wire.calls) == (1, before)
    world.run()
    before = list(world.wire.calls)
    read_status(world.services, uri())
    run_lines(world.services, WORK_URI)
    assert world.wire.calls == before


def test_on_demand_answers_count_while_they_arrive(make_world: Callable[..., World]) -> None:
    """Each answer that is kept is one that is done."""
    world = make_world(least=100, on_demand_threads=1)
    planned(world)
    seen: list[RunStatus] = []

    def look(name: str, count: int) -> None:
        if (name, count) == ("invoke_model", 4):
            seen.append(read_status(world.services, uri()))

    world.wire.before = look
    world.run()
    assert states(seen[0]) == [("asking", 3)]
    assert (seen[0].counts.answered, seen[0].counts.uncollected, seen[0].cost_usd) == (0, 3, None)
    assert "3 answers on demand kept so far, to be collected; cost unknown until it is collected" in shown(seen[0])
    assert "$" not in shown(seen[0])
    assert seen[0].rounds[0].batches[0].mode is Mode.ON_DEMAND


def test_failed_and_missing_requests_are_told_apart(world: World) -> None:
    """What a round left unanswered stands in it, with what the job and its records disagree in."""
    planned(world)
    world.bedrock.faults.replace(FaultPlan(records=(RecordFault(kind="dropped", count=2, first_attempts=1),)))
    world.run()
    status = read_status(world.services, uri())
    found = status.rounds[0].batches[0].collected
    assert found is not None
    assert (found.answered, found.failed, found.missing) == (10, 0, 2)
    assert "r00-b0000: input tokens: records say" in shown(status)


def test_what_two_runs_have_to_do_with_each_other_is_said(make_world: Callable[..., World]) -> None:
    """One waits for a job of the other, and has taken over what that had only planned."""
    world = make_world(max_records_per_file=4)
    begun, *_ = planned(world, "first")
    submit(world.services, uri("first"), 0, begun)
    planned(world, "second")
    assert [state for state, _ in states(read_status(world.services, uri("second")))] == [
        "planned",
        "planned",
        "waits for run first",
    ]
    assert [state for state, _ in states(read_status(world.services, uri("first")))][1:] == [
        "taken over by run second"
    ] * 2


def test_a_stopped_run_says_what_is_held_back(world: World) -> None:
    """Its phase is stopped until it is taken up again."""
    planned(world)
    stop_to_the_end(world.services, uri(), Unseen(), Looped(1.0, sleep=lambda _seconds: None))
    status = read_status(world.services, uri())
    assert (status.phase, states(status)) == (Phase.STOPPED, [("held back", 0)])


def test_a_publication_that_was_broken_off_is_open(world: World) -> None:
    """The summary is written before the tables: until the run is closed, there is something left to do."""
    world.put_many(4)
    world.run()
    world.state().work.write(open_key("night"), b"")
    assert world.state().store.exists(PUBLISHED)
    assert read_status(world.services, uri()).phase is Phase.OPEN
    assert [one.phase for one in run_lines(world.services, WORK_URI)] == [Phase.OPEN]


def test_all_runs_stand_in_one_table_the_newest_first(world: World) -> None:
    """Published ones with their results and cost, others with what became of their requests."""
    world.put_many(4)
    monday = world.run("monday")
    world.put("new.txt", "A document that was not there.")
    world.run("tuesday")
    with pytest.raises(Broken):
        world.run("wednesday", Unseen(break_at=1), force=True)
    found = {one.run_key: one for one in run_lines(world.services, WORK_URI)}
    assert list(found) == ["wednesday", "tuesday", "monday"]
    assert [one.phase for one in found.values()] == [Phase.OPEN, Phase.PUBLISHED, Phase.PUBLISHED]
    assert (found["monday"].results, found["monday"].cost_usd) == (12, monday.cost_usd)
    assert (found["tuesday"].results, found["tuesday"].unchanged) == (3, 12)
    assert (found["wednesday"].results, found["wednesday"].cost_usd) == (None, Decimal(0))
    stream = io.StringIO()
    print_view(runs_frame(list(found.values())).view, stream)
    assert [line.split()[0] for line in stream.getvalue().splitlines() if "-11-23" in line] == list(found)
    assert "3 results, 12 unchanged" in stream.getvalue()


def test_a_run_whose_documents_are_being_listed_is_none_yet(world: World) -> None:
    """Files of a run without a manifest are in nobody's way."""
    world.services.open(uri("begun")).write("listing/0000-x.parquet", b"")
    assert run_lines(world.services, WORK_URI) == []
    with pytest.raises(ObjectMissing):
        read_status(world.services, uri("begun"))


def test_whoever_follows_without_a_terminal_reads_a_line_for_each_change(world: World) -> None:
    """The same moment twice is one line."""
    (batch_key,) = planned(world)
    first = run_frame(read_status(world.services, uri()))
    submit(world.services, uri(), 0, batch_key)
    world.run()
    last = run_frame(read_status(world.services, uri()))
    stream = io.StringIO()
    follow([first, first, last], stream)
    lines = stream.getvalue().splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        "night: open, round 0, r00-b0000 planned 0/12",
        "night: published, round 1",
    ]


class Terminal(io.StringIO):
    """A stream that says that a person reads it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_a_narrow_terminal_hides_no_key_and_no_arn(world: World, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """What does not fit beside the counts stands below them."""
    world.put_many(4)
    world.run()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    status = read_status(world.services, uri())
    print_view(run_frame(status).view, stream)
    print_view(runs_frame(run_lines(world.services, WORK_URI)).view, stream)
    text = " ".join(stream.getvalue().split())
    assert status.rounds[0].batches[0].job_arn
    assert status.rounds[0].batches[0].job_arn.rpartition("/")[2] in text
    assert "12 results" in text
    assert "…" not in text

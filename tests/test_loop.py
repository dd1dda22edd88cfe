"""The loop that calls the steps: how it waits, what it tells whoever looks on, when it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from pipeline.domain import Job, JobStatus
from pipeline.loop import Looped, run_to_the_end
from pipeline.steps import plan, prepare, start, submit
from tests.world import Broken, Unseen, World, make_world, world

__all__ = ["make_world", "world"]


@dataclass
class Slow:
    """A batch client whose jobs need some looks until they have ended."""

    world: World
    looks: int
    looked: list[str] = field(default_factory=list)
    started: list[str] = field(default_factory=list)
    most: int = 0

    def describe(self, arn: str) -> Job:
        self.looked.append(arn)
        seen = self.looked.count(arn)
        if seen < self.looks:
            return Job(arn, "slow", JobStatus.IN_PROGRESS, None, 6, seen)
        return self.world.services.batch_client().describe(arn)

    def start(self, order: object) -> str:
        self.started.append(self.world.services.batch_client().start(order))  # type: ignore[arg-type]  # passed on
        self.most = max(self.most, self.in_flight(self.world.settings.model))
        return self.started[-1]

    def find(self, name: str) -> str | None:
        return self.world.services.batch_client().find(name)

    def in_flight(self, model_id: str) -> int:
        assert model_id == self.world.settings.model
        return sum(self.looked.count(arn) < self.looks for arn in self.started)

    def stop(self, arn: str) -> None:
        self.world.services.batch_client().stop(arn)


class Told(Unseen):
    """A watch that remembers how far each step said it was."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[str, int, int]] = []

    def advance(self, done: int, total: int) -> None:
        super().advance(done, total)
        self.told.append((self.names[-1], done, total))


def run_slowly(world: World, looks: int) -> tuple[list[float], Told, Slow]:
    pauses: list[float] = []
    slow, watch = Slow(world, looks), Told()
    services = world.services
    object.__setattr__(services, "batch_client", lambda: slow)
    run_to_the_end(services, world.order(), watch, Looped(7.0, sleep=pauses.append))
    return pauses, watch, slow


def test_the_loop_pauses_between_two_looks_and_not_after_the_last(world: World) -> None:
    """Three looks make two pauses, each as long as was asked for."""
    world.put_many(2)
    pauses, _, slow = run_slowly(world, looks=3)
    assert pauses == [7.0, 7.0]
    assert len(slow.looked) == 3


def test_a_job_that_has_ended_is_not_looked_at_again(make_world: Callable[..., World]) -> None:
    """Of several jobs only those that go on are described."""
    world = make_world(max_records_per_file=8)
    world.put_many(8)
    _, _, slow = run_slowly(world, looks=1)
    assert world.wire.created == 3
    assert len(slow.looked) == len(set(slow.looked)) == 3


@pytest.mark.parametrize(("slots", "most"), [(1, 1), (2, 2), (3, 3), (100, 3)])
def test_jobs_beyond_those_in_flight_wait_their_turn(make_world: Callable[..., World], slots: int, most: int) -> None:
    """A job is started when one has ended; all of them are in the end, and none is looked at after its end."""
    world = make_world(max_records_per_file=8, max_jobs_in_flight=slots)
    world.put_many(8)
    _, watch, slow = run_slowly(world, looks=3)
    assert (len(slow.started), slow.most) == (3, most)
    assert {slow.looked.count(arn) for arn in slow.started} == {3}
    assert "3 jobs ended" in watch.notes


def test_whoever_looks_on_hears_of_every_step(world: World) -> None:
    """Steps have names and notes, and how far they are never exceeds the whole."""
    world.put_many(2)
    _, watch, _ = run_slowly(world, looks=3)
    assert watch.names == [
        "list",
        "round 0: prepare",
        "round 0: batch",
        "round 0: collect",
        "round 1: prepare",
        "publish",
    ]
    assert watch.notes[0] == f"2 documents in {world.order().source_uri}"
    assert watch.notes[1].startswith("6 requests, batch, at most $0.00")
    assert watch.notes[2:5] == ["1 job ended", "6 answered, 0 failed, 0 missing", "nothing is owed any more"]
    assert watch.notes[5] == f"6 results and 0 failures in {world.order().output_uri}/tables"
    assert [entry for entry in watch.told if entry[0] == "round 0: batch"] == [
        ("round 0: batch", 1, 6),
        ("round 0: batch", 2, 6),
        ("round 0: batch", 6, 6),
    ]


@pytest.mark.parametrize(("max_rounds", "rounds"), [(1, 1), (2, 2), (5, 5)])
def test_the_loop_ends_after_the_last_round(make_world: Callable[..., World], max_rounds: int, rounds: int) -> None:
    """However much is still owed, there are no more rounds than the run was given."""
    world = make_world(max_rounds=max_rounds)
    world.put_many(2)
    emptied = {f"round {n}: collect": lambda: world.rewrite(lambda _lines: []) for n in range(8)}
    summary = world.run(watch=Unseen(at=emptied))
    assert (summary.rounds, summary.failures, world.wire.created) == (rounds, 6, rounds)


def test_several_batches_give_the_same_rows_as_one(make_world: Callable[..., World]) -> None:
    """How requests are packed into jobs changes no result."""
    packed, spread = make_world(folder="shared"), make_world(folder="shared", max_records_per_file=8)
    spread.output = spread.folder / "another output"  # what the first publishes would be unchanged for the second
    packed.put_many(8)
    packed.run("one")
    spread.run("many")
    assert (packed.wire.created, spread.wire.created) == (1, 3)
    for name in ("classification", "sentiment", "summarization"):
        columns = [column for column in packed.table(name, "one").column_names if column != "run_key"]
        assert packed.table(name, "one").select(columns).equals(spread.table(name, "many").select(columns))


def test_calls_of_a_process_that_died_are_not_counted_again(make_world: Callable[..., World]) -> None:
    """Whoever goes on tells what it asked, and how much was answered before."""
    world = make_world(least=100, on_demand_threads=1)
    world.put_many(2)

    def die(_name: str, count: int) -> None:
        if count == 5:
            raise Broken

    world.wire.before = die
    with pytest.raises(Broken):
        world.run()
    world.wire.before = lambda _name, _count: None
    watch = Unseen()
    world.run(watch=watch)
    assert "2 calls ended; 4 calls had ended before" in watch.notes


def test_a_job_of_another_run_is_told_as_such(make_world: Callable[..., World]) -> None:
    """A run that waits says for whom; it claims no job as its own."""
    world = make_world()
    world.put_many(2)
    first = world.order("first")
    run_uri = start(world.services, first)
    prepare(world.services, run_uri, 0, 0)
    (batch,) = plan(world.services, run_uri, 0).batches
    submit(world.services, run_uri, 0, batch.batch_key)
    watch = Unseen()
    world.run("second", watch)
    assert "1 job of another run ended" in watch.notes
    assert "1 job ended" not in watch.notes

"""Reading tells how far it is: every document once, with its bytes, and what that comes to."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from pipeline.loop import Looped, run_to_the_end
from pipeline.steps import prepare, start
from pipeline.steps.progress import Meter, Progress, Volume, unseen, volume_of
from pipeline.steps.run import Run
from tests.stand_ins import Unseen
from tests.world import World


def test_every_document_is_reported_once_with_its_size(world: World) -> None:
    """Those that cannot be read, and copies of a text, as well; a repetition reads nothing."""
    world.put_many(3)
    world.put("empty.txt", "")
    world.put("copy.txt", "the same")
    world.put("another copy.txt", "the same")
    run_uri = start(world.services, world.order())
    sizes: list[int] = []
    for _ in range(2):
        prepare(world.services, run_uri, 0, 0, sizes.append)
    assert sorted(sizes) == sorted(path.stat().st_size for path in world.source.rglob("*") if path.is_file())
    assert Volume(len(sizes), sum(sizes)) == volume_of(Run(world.services, run_uri), [0])


class Seen(Unseen):
    """A watch that keeps what was shown of the reading."""

    def __init__(self) -> None:
        super().__init__()
        self.shown: list[Progress] = []

    def read(self, progress: Progress) -> None:
        super().read(progress)
        self.shown.append(progress)


def test_the_whole_is_that_of_all_shards(make_world: Callable[..., World]) -> None:
    """One count runs through the shards, to the end of everything that was listed."""
    world = make_world(shard_documents=1)
    world.put_many(8)
    watch = Seen()
    run_to_the_end(world.services, world.order(), watch, Looped(0.0))
    assert watch.shown[-1].done == watch.shown[-1].total
    assert watch.shown[-1].total.documents == 8


def test_what_was_prepared_before_a_break_does_not_count_again(make_world: Callable[..., World]) -> None:
    """A run that is taken up again shows what is yet to be read, so that its rate is that of its own work."""
    world = make_world(shard_documents=1)
    world.put_many(8)
    run_uri = start(world.services, world.order())
    run = Run(world.services, run_uri)
    assert run.manifest.shards > 1
    prepare(world.services, run_uri, 0, 0)
    watch = Seen()
    run_to_the_end(world.services, world.order(), watch, Looped(0.0))
    assert watch.shown[-1].total == volume_of(run, range(1, run.manifest.shards))


def test_a_meter_shows_no_more_than_an_eye_can_follow() -> None:
    """Ten times a second at most, and the last document always."""
    now, shown = [0.0], list[Progress]()
    meter = Meter(shown.append, Volume(1_000, 5_000), lambda: now[0])
    for number in range(1, 1_001):
        now[0] = number / 1_000
        meter(5)
    assert 9 <= len(shown) <= 11
    assert shown[-1] == Progress(Volume(1_000, 5_000), Volume(1_000, 5_000), 1.0)


@pytest.mark.parametrize(
    ("progress", "told"),
    [
        (
            Progress(Volume(500, 10_000_000), Volume(1_000, 40_000_000), 50.0),
            "500 of 1,000 documents, 10.0 of 40.0 MB, 10 documents/s, 0.2 MB/s, 2:30 left",
        ),
        (
            Progress(Volume(1, 0), Volume(8_000, 0), 1.0),
            "1 of 8,000 documents, 0.0 of 0.0 MB, 1.0 documents/s, 0.0 MB/s, 2:13:19 left",
        ),
        (Progress(Volume(), Volume(2, 4), 0.0), "0 of 2 documents, 0.0 of 0.0 MB, 0 documents/s, 0.0 MB/s"),
    ],
)
def test_progress_in_words(progress: Progress, told: str) -> None:
    """How much of how much, how fast, and the time left by bytes; none is claimed before the first document."""
    assert progress.told() == told


def test_the_end_in_words() -> None:
    """What a task's log says of its shard."""
    meter = Meter(unseen, clock=iter([0.0, 1.0, 1.0, 2.0, 2.0, 4.0]).__next__)
    meter(3_000_000)
    meter(5_000_000)
    assert meter.progress.told_at_end() == "2 documents, 8.0 MB in 4.0 s, 0.5 documents/s, 2.0 MB/s"

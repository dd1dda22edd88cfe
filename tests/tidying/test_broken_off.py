"""A tidier that dies at any call leaves nothing half there for a reader, and the next one ends the work."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import pytest

from pipeline.errors import ObjectMissing
from pipeline.manifest import TIDYING_LEASE
from pipeline.steps.status import read_status
from pipeline.steps.tombstones import read_tombstone
from pipeline.storage.leases import Lease, holding
from pipeline.tidying import tidy_runs
from pipeline.tidying.remains import is_working
from tests.chaos.seam import Killed, Seam, behind, dying_at
from tests.tidying.scenes import bucket, later
from tests.world import WORK_URI, World

# A played process that dies ends the thread that renews its lease, too.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
KEYS = ("first", "second")


@pytest.fixture
def old(world: World) -> World:
    """Two runs that were published long ago."""
    world.with_settings(lease_seconds=0.1, analyses=("sentiment",))
    for number, key in enumerate(KEYS):
        world.put_many(4 + 2 * number)
        world.run(key)
    later(world)
    return world


def put_back(world: World, kept: dict[str, bytes]) -> None:
    world.bucket.delete([entry["path"] for page in world.bucket.list() for entry in page])
    for key, content in kept.items():
        world.bucket.put(key, content)


def test_a_tidier_may_die_at_any_call(old: World) -> None:
    """Where a file is gone there is a tombstone; status and the run itself go on; the end is the same."""
    kept, now, calls = bucket(old), old.now, list(old.wire.calls)
    seam = Seam(only_effects=True)
    tidy_runs(behind(seam, old.services), WORK_URI)
    ended = set(bucket(old))
    summaries = [old.run(key) for key in KEYS]
    died = 0
    for number in range(1, len(seam.names) + 1):
        put_back(old, kept)
        old.now = now
        dying = dying_at(number, only_effects=True)
        with suppress(Killed):
            tidy_runs(behind(dying, old.services), WORK_URI)
        died += dying.dead
        for key in KEYS:
            lost = {one for one in kept if f"runs/{key}/" in one} - set(bucket(old))
            assert not lost or read_tombstone(old.state(key).store), seam.names[number - 1]
            assert all(is_working(one.partition(f"runs/{key}/")[2]) for one in lost)
            assert read_status(old.services, f"{WORK_URI}/runs/{key}").counts.answered
        assert [old.run(key) for key in KEYS] == summaries
        tidy_runs(old.services, WORK_URI)
        assert set(bucket(old)) == ended, seam.names[number - 1]
        tombstone = read_tombstone(old.state("first").store)
        assert tombstone is not None
        assert tombstone.complete
    assert died >= 8
    assert old.wire.calls == calls


def test_one_tidier_at_a_time(old: World) -> None:
    """The second waits, and finds nothing left."""
    lease = Lease(old.services.open(WORK_URI), TIDYING_LEASE, old.settings.lease_seconds)
    found: list[Any] = []
    with holding(lease):
        second = threading.Thread(target=lambda: found.append(tidy_runs(old.services, WORK_URI)))
        second.start()
        second.join(0.5)
        assert second.is_alive()
        assert all(f"work/runs/{key}/tidied.json" not in bucket(old) for key in KEYS)
    second.join(30)
    assert [one.run_key for one in found[0]] == list(KEYS)


def test_what_cannot_be_deleted_is_an_error_and_stays_due(old: World) -> None:
    """A tidier without the right to delete fails; the next one that may goes on."""

    def refuse(_number: int, name: str) -> None:
        if name.startswith("delete "):
            raise ObjectMissing("refused")

    with pytest.raises(ObjectMissing):
        tidy_runs(behind(Seam(before=refuse), old.services), WORK_URI)
    found = tidy_runs(old.services, WORK_URI)
    assert [one.run_key for one in found] == list(KEYS)
    assert tidy_runs(old.services, WORK_URI) == []

"""Compacting whole runs: told first, done once, and a run within is withdrawn and brought back as any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog.reading import latest
from pipeline.steps import publish
from pipeline.steps.withdrawing import withdraw
from pipeline.storage.objects import absolute_uri
from pipeline.terminal.tidied import snapshot_lines
from pipeline.tidying import Expired, expire_snapshots
from tests.steps.test_publishing import kept, seen
from tests.tidying.scenes import later
from tests.world import World

RUNS = ("first", "second", "third")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three nights with a new document each, which ended long ago."""
    world = World(tmp_path / "world", analyses=("sentiment",), compact_runs=2)
    for run_key in RUNS:
        world.put(f"{run_key}.txt", f"This is the document of the {run_key} night.")
        world.run(run_key)
    later(world)
    return world


def tidied(world: World, *, dry_run: bool = False) -> Expired:
    return expire_snapshots(world.services, absolute_uri(str(world.output)), dry_run=dry_run)


def newest(world: World) -> list[dict[str, Any]]:
    with world.services.catalog(absolute_uri(str(world.output))) as catalog:
        rows: list[dict[str, Any]] = latest(catalog, "sentiment").to_pylist()
    return rows


def copies(world: World) -> list[str]:
    found = (world.output / "compacted").rglob("*.parquet")
    return sorted(path.parent.name for path in found)


def test_it_is_told_and_done_once(world: World) -> None:
    """The files of the runs stay as they are, to the byte, though no snapshot names them and the sweep has been."""
    rows, files, tables = newest(world), world.files(), seen(world)
    told = tidied(world, dry_run=True)
    assert (copies(world), told.compacted) == ([], {"documents": 3, "ledger": 3, "runs": 3, "sentiment": 3})
    assert next(snapshot_lines(told, dry_run=True)) == (
        "Would have compacted the rows of small runs (documents 3, ledger 3, runs 3, sentiment 3)"
    )
    assert tidied(world).compacted == told.compacted
    assert copies(world) == sorted(told.compacted)
    assert (newest(world), world.files(), seen(world)) == (rows, files, tables)
    later(world)
    assert tidied(world).compacted == {}
    assert (newest(world), world.files(), seen(world)) == (rows, files, tables)


def test_young_runs_are_left_alone(world: World) -> None:
    """What a publisher may still be busy with is not touched."""
    world.with_settings(sweep_hours=24.0 * 365)
    assert (tidied(world).compacted, copies(world)) == ({}, [])


def test_the_next_night_is_as_without_it(world: World) -> None:
    """Unchanged documents are known from the copies; nothing is asked again, and the new run stands beside them."""
    tidied(world)
    world.put("fourth.txt", "This is the document of the fourth night.")
    fourth = world.run("fourth")
    assert (fourth.documents, fourth.requests, fourth.results) == (4, 1, 1)
    assert {row["run_key"] for row in newest(world)} == {*RUNS, "fourth"}


@pytest.mark.parametrize("act", ["withdraw", "bring back"])
def test_broken_off_anywhere_a_run_within_is_whole_or_gone(world: World, tmp_path: Path, act: str) -> None:
    """After every write to the output and around every commit, as with a run that lies in files of its own."""
    tidied(world)
    whole, files, uri = seen(world), world.files(), world.state("second").store.uri()
    without = {
        name: count - sum(row["run_key"] == "second" for row in world.rows(name, None)) for name, count in whole.items()
    }

    def do() -> None:
        (withdraw if act == "withdraw" else publish)(world.services, uri)

    if act == "bring back":
        withdraw(world.services, uri)
        tidied(world)
    put_back, moments = kept(world, tmp_path / "kept"), []
    world.on_publish = moments.append
    do()
    after = seen(world)
    assert len(moments) > 8
    for number in range(len(moments)):
        put_back()
        world.break_off(do, number)
        assert seen(world) in (whole, without), moments[number]
        do()
        assert seen(world) == after == (without if act == "withdraw" else whole), moments[number]
        if act == "withdraw":
            publish(world.services, uri)
        assert world.files() == files, moments[number]

"""Withdrawing a run: its rows leave all tables at once, and come back as they were, whatever breaks off."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.browsing.gold import Label, Verdict, add_label, read_labels
from pipeline.catalog.reading import latest, runs_as_of
from pipeline.errors import ObjectMissing, RunError, StorageError
from pipeline.steps import publish
from pipeline.steps.status import Phase, phase_of, read_status, run_lines
from pipeline.steps.withdrawing import delete_set_aside, withdraw
from pipeline.storage.objects import absolute_uri
from pipeline.tidying import expire_snapshots, tidy_runs
from tests.steps.test_publishing import everything, kept, ready, seen
from tests.tidying.scenes import later
from tests.world import WORK_URI, World

WITHOUT = {"documents": 7, "failures": 1, "ledger": 6, "runs": 1, "sentiment": 6}
TABLES = set(WITHOUT)


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two nights: six documents, then one that is new and one that changed; both published."""
    world = World(tmp_path / "world", analyses=("sentiment",))
    world.put_many(6)
    world.put("empty.txt", "")
    world.run("first")
    world.put("000.txt", "This one says something else by now.")
    world.put("new.txt", "This one was not there before.")
    world.run("second")
    return world


def taken_out(world: World, key: str = "second") -> Any:
    return withdraw(world.services, world.state(key).store.uri())


def brought_back(world: World, key: str = "second") -> None:
    publish(world.services, world.state(key).store.uri())


def newest(world: World) -> list[dict[str, Any]]:
    with world.services.catalog(absolute_uri(str(world.output))) as catalog:
        rows: list[dict[str, Any]] = latest(catalog, "sentiment").to_pylist()
    return rows


def folder(world: World) -> dict[str, int]:
    """The rows of each table for a reader of the plain folder."""
    return {name: len(pd.read_parquet(world.output / "tables" / name)) for name in sorted(TABLES)}


def test_every_reader_sees_what_was_without_the_run(world: World) -> None:
    """Through the catalog and in the plain folder; the newest rows are those of the run before."""
    rows, files, before = newest(world), world.files(), folder(world)
    found = taken_out(world)
    assert set(found.set_aside) == TABLES
    assert {row["run_key"] for row in rows} == {"first", "second"}
    assert {row["run_key"] for row in newest(world)} == {"first"}
    assert seen(world) == folder(world) == WITHOUT
    assert not [name for name in world.files() if "/second/" in name]
    brought_back(world)
    assert (newest(world), world.files(), folder(world)) == (rows, files, before)
    assert not list((world.output / "withdrawn").rglob("*.parquet"))
    with world.services.catalog(absolute_uri(str(world.output))) as catalog:
        assert runs_as_of(catalog, "second") == ["first", "second"]


def test_repeating_it_changes_nothing(world: World) -> None:
    """Withdrawing twice is as once, and so is bringing back."""
    first = taken_out(world)
    files = everything(world)
    assert taken_out(world) == first
    assert everything(world) == files
    brought_back(world)
    files = world.files()
    brought_back(world)
    assert world.files() == files


def test_it_is_told_of_a_withdrawn_run(world: World) -> None:
    """Its status, the list of all runs, and every other run as before."""
    taken_out(world)
    assert {one.run_key: one.phase for one in run_lines(world.services, WORK_URI)} == {
        "first": Phase.PUBLISHED,
        "second": Phase.WITHDRAWN,
    }
    status = read_status(world.services, world.state("second").store.uri())
    assert (status.phase, status.withdrawn is None) == (Phase.WITHDRAWN, False)
    brought_back(world)
    assert phase_of(world.state("second")) is Phase.PUBLISHED


def test_the_next_run_asks_again_and_pays_nothing(world: World) -> None:
    """Its documents are new and changed once more; what was answered is known."""
    taken_out(world)
    third = world.run("third")
    assert (third.requests, third.known, third.results, third.cost_usd) == (0, 2, 2, 0)
    changes = {Path(row["uri"]).name: row["change"] for row in world.rows("documents", "third")}
    assert changes == {"000.txt": "changed", "new.txt": "new", "empty.txt": "unchanged"}
    assert world.run("fourth").results == 0
    brought_back(world)
    assert {row["run_key"] for row in newest(world)} == {"first", "third"}  # it ended before the third, as it had
    assert world.run("fifth").results == 0


def test_running_the_key_again_brings_it_back(world: World) -> None:
    """As the loop does it, to the same bytes, without a call of the model."""
    files, asked = world.files(), dict(world.engine.asked)  # type: ignore[attr-defined] # the canned engine counts
    taken_out(world)
    assert world.run("second").run_key == "second"
    assert (world.files(), world.engine.asked) == (files, asked)  # type: ignore[attr-defined] # as above


def test_a_tidied_run_comes_back_too(world: World) -> None:
    """Neither its working files nor its prompts are needed; until what was set aside is deleted."""
    rows, files = newest(world), world.files()
    taken_out(world)
    later(world)
    assert [one.run_key for one in tidy_runs(world.services, WORK_URI)] == ["first", "second"]
    world.own_prompts("sentiment", chunk_tokens=900)
    brought_back(world)
    assert (newest(world), world.files()) == (rows, files)
    taken_out(world)
    output = world.services.open(absolute_uri(str(world.output)))
    assert delete_set_aside(output, "second") == len(TABLES)
    with pytest.raises(RunError, match=r"it was withdrawn, and the files .* Begin a run with another key"):
        brought_back(world)
    assert seen(world)["runs"] == 1


def test_without_what_was_set_aside_it_is_published_from_its_work_files(world: World) -> None:
    """While those are there, the result is the same to the byte."""
    files = world.files()
    taken_out(world)
    delete_set_aside(world.services.open(absolute_uri(str(world.output))), "second")
    brought_back(world)
    assert world.files() == files


@pytest.mark.parametrize("act", ["withdraw", "bring back"])
def test_broken_off_anywhere_it_is_whole_or_gone(world: World, tmp_path: Path, act: str) -> None:
    """After every write to the output and around every commit: readers see both runs or one, and repeating ends it."""
    whole, files = seen(world), world.files()
    if act == "bring back":
        taken_out(world)
    put_back = kept(world, tmp_path / "kept")
    do = taken_out if act == "withdraw" else brought_back
    moments: list[str] = []
    world.on_publish = moments.append
    do(world)
    after = seen(world)
    assert len(moments) > 10
    for number in range(len(moments)):
        put_back()
        world.break_off(lambda: do(world), number)
        runs = seen(world)
        assert runs in (whole, WITHOUT), moments[number]
        do(world)
        assert seen(world) == after, moments[number]
        if act == "withdraw":
            brought_back(world)
        assert world.files() == files, moments[number]


def test_what_was_never_published_cannot_be_withdrawn(tmp_path: Path) -> None:
    """An open run is refused and stays as it is; an unknown one is not there."""
    world = ready(tmp_path / "world")
    with pytest.raises(RunError, match=r"run night: is not published.*docbatch status night"):
        taken_out(world, "night")
    brought_back(world, "night")
    with pytest.raises(ObjectMissing):
        withdraw(world.services, f"{WORK_URI}/runs/unknown")


def test_a_publisher_that_is_late_brings_back_no_half(tmp_path: Path) -> None:
    """A second publisher was between two commits when the first had ended and the run was withdrawn: it stops."""
    world = ready(tmp_path / "world")

    def rival(moment: str) -> None:
        if moment == "after the commit of sentiment":
            world.on_publish = lambda _what: None
            brought_back(world, "night")
            taken_out(world, "night")

    world.on_publish = rival
    with pytest.raises(StorageError, match="run night: was withdrawn while it was being published"):
        brought_back(world, "night")
    assert seen(world) == {}
    brought_back(world, "night")
    assert seen(world)["runs"] == 1


def test_what_was_set_aside_goes_when_it_is_old(world: World) -> None:
    """As snapshots do, and not before; a run that was brought back has nothing there."""
    uri = absolute_uri(str(world.output))
    taken_out(world)
    expire_snapshots(world.services, uri)
    assert len(list((world.output / "withdrawn").rglob("*.parquet"))) == len(TABLES)
    later(world)
    found = expire_snapshots(world.services, uri, dry_run=True)
    assert (found.files, sum(found.snapshots.values()) > 0) == (None, True)
    assert (expire_snapshots(world.services, uri).files or 0) > len(TABLES)
    assert not list((world.output / "withdrawn").rglob("*.*"))
    assert seen(world) == WITHOUT


def test_what_people_marked_stays(world: World) -> None:
    """Labels carry the key of the run that they are about, and are no rows of it."""
    row = next(row for row in newest(world) if row["run_key"] == "second")
    about = (row["document_id"], row["uri"], "sentiment", Verdict.RIGHT, None, None, None, world.now, None)
    label = Label(*about, row["content_hash"], None, None, None, "second")
    output = world.services.open(absolute_uri(str(world.output)))
    with world.services.catalog(absolute_uri(str(world.output))) as catalog:
        add_label(catalog, output, label)
        taken_out(world)
        assert read_labels(catalog) == [label]
        brought_back(world)
        assert read_labels(catalog) == [label]

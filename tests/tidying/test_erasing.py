"""Erasing a withdrawn run: nothing that it read, asked or was answered is left, and other runs have all of theirs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import RunError
from pipeline.steps import publish
from pipeline.steps.status import Phase, phase_of, read_status
from pipeline.steps.withdrawing import withdraw
from pipeline.storage.objects import absolute_uri
from pipeline.tidying import Erased, erase, expire_snapshots
from tests.steps.test_publishing import kept, seen
from tests.tidying.scenes import bucket, later
from tests.world import World

MARK = "Zyxwvut"  # a name, at the beginning of a text, where least and greatest values would have it


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Three nights; the second read of one person. Their tables were compacted, and snapshots of then are there."""
    world = World(tmp_path / "world", analyses=("sentiment", "summarization"), compact_runs=2)
    world.put("first.txt", "This is the document of the first night.")
    world.run("first")
    world.put(f"{MARK}.txt", f"{MARK} is a person, and {MARK} is unwell.")
    world.put("mail.eml", f"From: a@example.com\r\nSubject: {MARK}\r\n\r\n{MARK} writes.\r\n")
    world.run("second")
    world.put("third.txt", "This is the document of the third night.")
    world.run("third")
    later(world, 2)
    assert expire_snapshots(world.services, output_of(world)).compacted["sentiment"] == 3
    return world


def output_of(world: World) -> str:
    return absolute_uri(str(world.output))


def erased(world: World, key: str = "second") -> Erased:
    return erase(world.services, world.state(key).store.uri())


def told_in_tables(world: World) -> list[str]:
    """Every file below the output that tells of the person: rows, and what Iceberg's metadata says of their values."""
    found = [path for path in world.output.rglob("*.parquet") if MARK in str(pq.read_table(path).to_pylist())]
    found += [path for path in world.output.rglob("*.json") if MARK.encode() in path.read_bytes()]
    with world.services.catalog(output_of(world)) as catalog:
        for table in catalog.tables():
            look = catalog.look(table).found
            for snapshot in look.metadata.snapshots:
                for manifest in snapshot.manifests(look.io):
                    entries = manifest.fetch_manifest_entry(look.io, discard_deleted=False)
                    if any(MARK in str(_bounds(entry)) for entry in entries):
                        found.append(Path(manifest.manifest_path))
            known = catalog.references(table)
            on_disk = {f"catalog/{table}/{path.name}" for path in (world.output / "catalog" / table).glob("*.avro")}
            found += [world.output / key for key in sorted(on_disk - known)]  # what nobody can read through the catalog
    return sorted(str(path.relative_to(world.output)) for path in found)


def _bounds(entry: Any) -> list[Any]:
    return [entry.data_file.lower_bounds, entry.data_file.upper_bounds]


def told_in_work(world: World) -> list[str]:
    """Every object of the work store that tells of the person, in its name or in what it holds."""
    found = []
    for key, content in bucket(world).items():
        rows = str(pq.read_table(pa.BufferReader(content)).to_pylist()) if key.endswith(".parquet") else ""
        if MARK in key or MARK.encode() in content or MARK in rows:
            found.append(key)
    return found


def test_nothing_is_left_of_what_was_read_asked_and_answered(world: World) -> None:
    """Withdrawing alone leaves copies, what was set aside, work files and answers; erasing leaves none of them."""
    withdraw(world.services, world.state("second").store.uri())
    assert {path.partition("/")[0] for path in told_in_tables(world)} >= {"compacted", "withdrawn", "catalog"}
    assert any(key.startswith("work/runs/second/rounds/") for key in told_in_work(world))
    found = erased(world)
    assert told_in_tables(world) == []
    assert [key for key in told_in_work(world) if not key.startswith("work/runs/third/listing")] == []
    assert all((found.tables, found.work, found.answers, found.texts))
    again = erased(world)
    assert (again.work, again.answers, again.texts) == (0, 0, 0)


def test_other_runs_have_all_of_theirs(world: World) -> None:
    """Their rows are read as before, and their answers are known: the next night pays for what was erased alone."""
    withdraw(world.services, world.state("second").store.uri())
    rows = {table: world.rows(table, None) for table in seen(world)}
    answers = [key for key in bucket(world) if key.startswith("work/answers/") and "/second/" not in key]
    erased(world)
    assert {table: world.rows(table, None) for table in rows} == rows
    assert [key for key in bucket(world) if key.startswith("work/answers/")] == answers
    fourth = world.run("fourth")
    assert (fourth.documents, fourth.results, fourth.known) == (4, 4, 0)
    assert {row["run_key"] for row in world.rows("runs", None)} == {"first", "third", "fourth"}


def test_it_cannot_be_brought_back(world: World) -> None:
    """Whoever tries is told; the run is withdrawn as before."""
    withdraw(world.services, world.state("second").store.uri())
    erased(world)
    with pytest.raises(RunError, match=r"run second: was erased .* is asked, and paid, again"):
        publish(world.services, world.state("second").store.uri())
    assert phase_of(world.state("second")) is Phase.WITHDRAWN
    assert read_status(world.services, world.state("second").store.uri()).erased


def test_a_run_whose_rows_are_read_is_not_erased(world: World) -> None:
    """It is to be withdrawn first; nothing of it goes."""
    before = bucket(world), world.files()
    with pytest.raises(RunError, match="run second: is not withdrawn; begin with docbatch withdraw second"):
        erased(world)
    assert (bucket(world), world.files()) == before


def test_broken_off_anywhere_it_is_repeated(world: World, tmp_path: Path) -> None:
    """Before deletions in the output and around commits: others are read meanwhile, and repeating it ends it."""
    withdraw(world.services, world.state("second").store.uri())
    rows, put_back = seen(world), kept(world, tmp_path / "kept")
    moments: list[str] = []
    world.on_publish = moments.append
    erased(world)
    assert len(moments) > 10
    for number in range(0, len(moments), 9):
        put_back()
        world.break_off(lambda: erased(world), number)
        assert seen(world) == rows, moments[number]
        erased(world)
        assert told_in_tables(world) == [], moments[number]
        assert seen(world) == rows, moments[number]

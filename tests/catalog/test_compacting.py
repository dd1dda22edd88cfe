"""Compacting: rows of many small runs in one file, and every reader, publisher and withdrawal as without it."""

from __future__ import annotations

import datetime as dt
import io
import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.catalog import Catalog
from pipeline.catalog.compacting import compact
from pipeline.catalog.reading import committed_runs, list_tables, open_views, read_table, runs_as_of
from pipeline.catalog.sweeping import sweep
from pipeline.errors import StorageError
from pipeline.parquet import looked_up_in, published_key, write_rows
from pipeline.schemas import arrow_schema
from tests.chaos.seam import Killed, Seam, SeamCatalog, SeamStore, dying_at
from tests.published import MOOD, START, TABLES, Output

RUNS = ("a", "b", "c", "d")
LATER = START + dt.timedelta(days=30)
NAMES = ["documents", "mood", "runs"]


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """Four runs, each with two documents and a mood of each."""
    output = Output(tmp_path / "an output")
    for day, run_key in enumerate(RUNS):
        output.run(run_key, {f"{run_key}1": "glad", f"{run_key}2": "sad"}, day, {f"{run_key}1": "new"})
    return output


def compacted(output: Output, least: int = 2, before: dt.datetime = LATER) -> dict[str, int]:
    with output.catalog() as catalog:
        foreseen = compact(catalog, output.store, before, least, dry_run=True)
        found = compact(catalog, output.store, before, least)
    assert foreseen == found
    return found


def by_run(rows: pa.Table) -> list[dict[str, Any]]:
    return sorted(rows.to_pylist(), key=lambda row: (row["run_key"], row.get("document_id") or ""))


def everything(output: Output) -> dict[str, Any]:
    """What each reader sees: of all runs, of each, as of each, through Iceberg's own scan, and in the folder."""
    found: dict[str, Any] = {}
    with output.catalog() as catalog:
        runs = found["published"] = committed_runs(catalog)
        found["tables"] = list_tables(catalog)
        for table in catalog.tables():
            found[table] = read_table(catalog, table).to_pylist()
            found[f"{table} by run"] = {run: read_table(catalog, table, run).to_pylist() for run in runs}
            found[f"{table} as of"] = {run: read_table(catalog, table, as_of=run).to_pylist() for run in runs}
            found[f"{table} files"] = {run: catalog.files(table, run) for run in runs}
            scan = catalog.vendor.load_table(f"docbatch.{table}").scan
            found[f"{table} scanned"] = by_run(scan().to_arrow())
            filtered = {run: scan(row_filter=f"run_key = '{run}'").to_arrow().num_rows for run in runs}
            found[f"{table} filtered"] = filtered
            found[f"{table} folder"] = len(pd.read_parquet(output.folder / "tables" / table))
            place = output.folder / "tables" / table / "*" / "*.parquet"
            found[f"{table} glob"] = duckdb.sql(f"select count(*) from '{place}'").fetchall()
        with open_views(catalog) as views:
            found["views"] = {name: views.sql(f"select count(*) from {name}").fetchall() for name in NAMES}
            found["mood view"] = views.sql("select * from mood order by all").fetchall()
        found["as of"] = {run: runs_as_of(catalog, run) for run in runs}
    return found


def files(output: Output, table: str = "mood") -> list[str]:
    """The files that the newest snapshot names, by their folder below the output."""
    with output.catalog() as catalog:
        return [
            one.file.file_path.removeprefix(f"{output.folder}/").rpartition("/")[0] for one in catalog.look(table).files
        ]


def test_every_reader_sees_what_it_saw(output: Output) -> None:
    """Through the catalog, through Iceberg alone and in the plain folder; and the snapshot names one file a table."""
    before = everything(output)
    assert compacted(output) == dict.fromkeys(NAMES, 4)
    assert {table: files(output, table) for table in NAMES} == {name: [f"compacted/{name}"] for name in NAMES}
    assert everything(output) == before
    assert compacted(output) == {}


def test_the_file_is_as_those_that_it_holds(output: Output) -> None:
    """The same columns with the same ids and descriptions, in structures as well; the run's rows lie together."""
    compacted(output)
    for table in NAMES:
        (path,) = (output.folder / "compacted" / table).iterdir()
        own = pq.read_schema(output.folder / "tables" / table / "a" / "part-0000.parquet")
        copy = pq.read_schema(path)
        assert copy.remove_metadata().equals(own.remove_metadata(), check_metadata=True)
        assert list(dict.fromkeys(pq.read_table(path)["run_key"].to_pylist())) == list(RUNS)


@pytest.mark.parametrize("looked_up", [["document_id"], ["document_id", "mood"]])
def test_a_copy_is_looked_up_by_the_same_columns(tmp_path: Path, looked_up: list[str]) -> None:
    """Those that the largest file has Bloom filters for, an analysis' label among them."""
    output, schema = Output(tmp_path / "output"), arrow_schema("mood", "A table", MOOD)
    for day, run_key in enumerate(RUNS):
        key = published_key("mood", run_key, 0)
        with io.BytesIO() as file:
            write_rows(schema, [[run_key, run_key, "glad", run_key]], file, looked_up=looked_up)
            output.store.write(key, file.getvalue())
        with output.catalog() as catalog:
            catalog.commit("mood", schema, run_key, [key])
        output.commit("runs", run_key, [{"ended": START + dt.timedelta(days=day)}])
    assert compacted(output)["mood"] == 4
    (path,) = (output.folder / "compacted" / "mood").iterdir()
    assert looked_up_in(pq.read_metadata(path)) == looked_up


def test_only_old_runs_and_only_when_they_are_many(output: Output) -> None:
    """A run counts from its end; fewer than the least are left alone, and none is never."""
    assert compacted(output, least=5) == {}
    assert compacted(output, least=0) == {}
    assert compacted(output, before=START) == {}
    assert compacted(output, before=START + dt.timedelta(days=2)) == dict.fromkeys(NAMES, 3)
    assert files(output) == ["compacted/mood", "tables/mood/d"]
    before = everything(output)
    output.run("e", {"e1": "calm"}, 4, {})
    assert compacted(output) == dict.fromkeys(NAMES, 2)
    assert files(output) == ["compacted/mood"] * 2
    assert everything(output)["mood by run"] == before["mood by run"] | {"e": everything(output)["mood by run"]["e"]}


def test_what_is_no_published_run_is_left_alone(output: Output) -> None:
    """Rows of a run that is being published, or withdrawn, are in no `runs` yet or any more."""
    output.commit("mood", "broken", [{"mood": "glad"}])
    with output.catalog() as catalog:
        catalog.withdraw("runs", "b")
    compacted(output)
    assert files(output) == ["compacted/mood", "tables/mood/b", "tables/mood/broken"]


def test_a_run_within_is_withdrawn_and_brought_back(output: Output) -> None:
    """The others are read from their own files again, until they are compacted once more."""
    before = everything(output)
    compacted(output)
    with output.catalog() as catalog:
        kept = {table: catalog.files(table, "b") for table in NAMES}
        assert all(catalog.withdraw(table, "b") for table in NAMES)
        assert not any(catalog.withdraw(table, "b") for table in NAMES)
    assert files(output) == ["tables/mood/a", "tables/mood/c", "tables/mood/d"]
    without = everything(output)
    assert without["published"] == ["a", "c", "d"]
    assert without["mood"] == [row for row in before["mood"] if row["run_key"] != "b"]
    assert compacted(output) == dict.fromkeys(NAMES, 3)
    with output.catalog() as catalog:
        for table in ("documents", "mood", "runs"):
            schema = pq.read_schema(output.folder / kept[table][0])
            assert catalog.commit(table, schema, "b", kept[table])
            assert not catalog.commit(table, schema, "b", kept[table])
    assert files(output) == ["compacted/mood", "tables/mood/b"]
    after = everything(output)
    assert by_run(pa.Table.from_pylist(after.pop("mood"))) == by_run(pa.Table.from_pylist(before.pop("mood")))
    assert after["mood by run"] == before["mood by run"]
    assert after["mood scanned"] == before["mood scanned"]


def test_publishing_a_run_within_again(output: Output) -> None:
    """The same files are no change; others take the place of what the copy held."""
    compacted(output)
    with output.catalog() as catalog:
        schema = arrow_schema("mood", "A table", MOOD)
        assert not catalog.commit("mood", schema, "b", ["tables/mood/b/part-0000.parquet"])
    assert files(output) == ["compacted/mood"]
    assert output.commit("mood", "b", [{"document_id": "b1", "mood": "calm and content by now"}])
    with output.catalog() as catalog:
        moods = {row["run_key"]: row["mood"] for row in catalog.dataset("mood").to_table().to_pylist()}
    assert moods["b"] == "calm and content by now"
    assert files(output) == [f"tables/mood/{run}" for run in RUNS]


def test_columns_that_came_later(output: Output) -> None:
    """Rows of before have none; rows after have all, whether a table grew before its runs were compacted or after."""
    wider = [*MOOD[:3], ("why", pa.string(), "Why it feels so"), MOOD[3]]
    compacted(output)
    output.commit("mood", "e", [{"document_id": "e1", "mood": "glad", "why": "because"}], wider)
    output.commit("documents", "e", [{"document_id": "e1"}])
    output.commit("runs", "e", [{"ended": START + dt.timedelta(days=5)}])
    output.run("f", {"f1": "sad"}, 6, {})
    before = everything(output)
    assert {row["run_key"]: row["why"] for row in before["mood"]} == dict.fromkeys((*RUNS, "f")) | {"e": "because"}
    assert compacted(output) == dict.fromkeys(NAMES, 2)
    assert everything(output) == before


def test_the_sweep_keeps_the_runs_own_files(output: Output) -> None:
    """Though no snapshot names them; a copy that no snapshot names goes when it is old."""
    before = everything(output)
    compacted(output)
    left = output.folder / "compacted" / "mood" / "1-20200101T000000.parquet"
    left.write_bytes(b"left")
    with output.catalog() as catalog:
        for table in NAMES:
            catalog.expire(table, dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
        for path in output.folder.rglob("*"):
            os.utime(path, (START.timestamp() + 60,) * 2)
        assert sweep(catalog, output.store, LATER) > 0
    assert not left.exists()
    assert everything(output) == before
    with output.catalog() as catalog:
        catalog.withdraw("mood", "b")
        catalog.expire("mood", dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
        sweep(catalog, output.store, LATER)
    assert not (output.folder / "compacted" / "mood").exists()
    assert not (output.folder / "tables/mood/b/part-0000.parquet").exists()
    assert len(list((output.folder / "tables" / "mood").rglob("*.parquet"))) == 3


@pytest.mark.parametrize("rival", ["publishes", "withdraws", "compacts"])
def test_who_changes_a_table_first_is_right(output: Output, rival: str) -> None:
    """Just before the commit: what was written is left, and the table is looked at afresh."""

    def strike(_number: int, name: str) -> None:
        if name == "catalog about to commit" and not struck:
            struck.append(name)
            with output.catalog() as other:
                if rival == "withdraws":
                    for table in ("runs", "mood", "documents"):
                        other.withdraw(table, "b")
                elif rival == "compacts":
                    compact(other, output.store, LATER, 2)
                else:
                    output.commit("documents", "e", [{"document_id": "e1"}])

    struck: list[str] = []
    before = everything(output)
    with output.catalog() as catalog:
        compact(behind(catalog, Seam(strike)), output.store, LATER, 2)
    assert struck
    after = everything(output)
    gone = {"b"} if rival == "withdraws" else set()
    assert after["mood scanned"] == [row for row in before["mood scanned"] if row["run_key"] not in gone]
    assert after["documents scanned"][: len(before["documents scanned"])] == [
        row for row in before["documents scanned"] if row["run_key"] not in gone
    ]
    assert files(output) == ["compacted/mood"]


def behind(catalog: Catalog, seam: Seam) -> Catalog:
    vendor: Any = SeamCatalog(catalog.vendor, seam)
    return replace(catalog, vendor=vendor, sleep=lambda _seconds: None)


def test_killed_anywhere_nothing_is_lost(output: Output) -> None:
    """After each write and commit, readers see what they saw, and repeating it ends it."""
    before, kept = seen(output), shutil.copytree(output.folder, output.folder.with_name("kept"))
    with output.catalog() as catalog:
        counting = Seam(only_effects=True)
        compact(behind(catalog, counting), SeamStore(output.store, counting), LATER, 2)
    assert len(counting.names) == 3 * len(NAMES)
    for number in range(1, len(counting.names) + 1):
        shutil.rmtree(output.folder)
        shutil.copytree(kept, output.folder)
        seam = dying_at(number, only_effects=True)
        with output.catalog() as catalog, pytest.raises(Killed):
            compact(behind(catalog, seam), SeamStore(output.store, seam), LATER, 2)
        assert seen(output) == before
        compacted(output)
        assert seen(output) == before
        assert {table: files(output, table) for table in NAMES} == {name: [f"compacted/{name}"] for name in NAMES}


def seen(output: Output) -> dict[str, Any]:
    """What readers of the catalog, of Iceberg alone and of the folder see."""
    with output.catalog() as catalog:
        return {
            name: (
                catalog.dataset(name).to_table().to_pylist(),
                catalog.vendor.load_table(f"docbatch.{name}").scan().to_arrow().num_rows,
                len(pd.read_parquet(output.folder / "tables" / name)),
            )
            for name in NAMES
        }


def test_a_file_that_says_no_runs_is_refused(output: Output) -> None:
    """What another engine wrote undivided cannot be told apart by run: that is said, not guessed."""
    with output.catalog() as catalog:
        found = catalog.vendor.load_table("docbatch.mood")
        with found.update_spec() as spec:
            spec.remove_field("run_key")
        found.append(found.scan().to_arrow())
        with pytest.raises(StorageError, match="does not say which runs it holds"):
            catalog.dataset("mood")


def test_the_tables_of_the_scene() -> None:
    """The tables that are read here are those that runs have."""
    assert set(NAMES) <= set(TABLES)

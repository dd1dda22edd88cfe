"""Old snapshots go, the newest never does: rows of all runs stay, and whoever reads a young snapshot goes on."""

from __future__ import annotations

import datetime as dt
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog.commits import MOST_SNAPSHOTS
from pipeline.catalog.sweeping import sweep
from pipeline.schemas import arrow_schema
from tests.chaos.seam import Seam, SeamCatalog
from tests.published import MOOD, START, Output

RUNS = ("monday", "tuesday", "wednesday")


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """Three runs, of which the first was published twice: its first rows were replaced."""
    output = Output(tmp_path / "output")
    for run_key in RUNS:
        output.commit("mood", run_key, [{"mood": "glad"}])
        time.sleep(0.002)  # Iceberg tells snapshots' times in milliseconds
    with output.catalog() as catalog:
        catalog.withdraw("mood", "monday")
    time.sleep(0.002)  # as above
    output.write("mood", "monday", [{"mood": "sad"}, {"mood": "glad"}], MOOD, part=1)
    with output.catalog() as catalog:
        schema = arrow_schema("mood", "A table", MOOD)
        catalog.commit("mood", schema, "monday", ["tables/mood/monday/part-0001.parquet"])
    return output


def snapshots(output: Output) -> list[Any]:
    with output.catalog() as catalog:
        return list(catalog.vendor.load_table("docbatch.mood").metadata.snapshots)


def rows(output: Output) -> list[dict[str, Any]]:
    with output.catalog() as catalog:
        found: list[dict[str, Any]] = catalog.dataset("mood").to_table().to_pylist()
        assert catalog.vendor.load_table("docbatch.mood").scan().to_arrow().num_rows == len(found)
    return found


def expired(output: Output, before: dt.datetime) -> int:
    with output.catalog() as catalog:
        foreseen = len(catalog.superseded("mood", before))
        count = catalog.expire("mood", before)
    assert foreseen == count
    return count


def soon() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)


def test_every_row_stays_and_what_was_replaced_goes(output: Output) -> None:
    """Of five snapshots the newest stays; then the sweep deletes the file that only the others needed."""
    before = rows(output)
    assert [row["run_key"] for row in before] == ["monday", "monday", "tuesday", "wednesday"]
    assert (len(snapshots(output)), expired(output, soon()), len(snapshots(output))) == (5, 4, 1)
    assert rows(output) == before
    old = START.timestamp() + 60
    for path in output.folder.rglob("*"):
        if path.is_file():
            os.utime(path, (old, old))
    with output.catalog() as catalog:
        assert sweep(catalog, output.store, START + dt.timedelta(days=1)) > 0
    assert rows(output) == before
    assert not (output.folder / "tables/mood/monday/part-0000.parquet").exists()
    output.commit("mood", "thursday", [{"mood": "glad"}])
    assert len(rows(output)) == len(before) + 1


def test_a_snapshot_is_as_old_as_its_successor(output: Output) -> None:
    """One that was made long ago and replaced a moment ago may have readers: it stays."""
    made = [one.timestamp_ms for one in snapshots(output)]
    third = dt.datetime.fromtimestamp(made[2] / 1_000, dt.UTC)
    assert expired(output, third) == 1
    assert [one.timestamp_ms for one in snapshots(output)] == made[1:]
    assert expired(output, third + dt.timedelta(milliseconds=1)) == 1


def test_nothing_old_is_no_commit(output: Output) -> None:
    """A night without anything to expire leaves the table's metadata as it is."""
    expired(output, soon())
    files = sorted((output.folder / "catalog").rglob("*.json"))
    assert expired(output, soon()) == 0
    assert sorted((output.folder / "catalog").rglob("*.json")) == files


def test_a_reader_that_has_begun_reads_on(output: Output) -> None:
    """It holds the newest snapshot of then, whose files another snapshot needs still."""
    with output.catalog() as catalog:
        held = catalog.dataset("mood")
        expected = held.to_table()
        catalog.expire("mood", soon())
        assert held.to_table().equals(expected)


@pytest.mark.parametrize("rival", ["publishes", "expires"])
def test_a_race_is_run_again(output: Output, rival: str) -> None:
    """Somebody else changes the table just before the commit: both changes hold, whichever they are."""

    def strike(_number: int, name: str) -> None:
        if name == "catalog about to commit" and not struck:
            struck.append(name)
            if rival == "publishes":
                output.commit("mood", "thursday", [{"mood": "glad"}])
            else:
                expired(output, soon())

    struck: list[str] = []
    before = rows(output)
    with output.catalog() as catalog:
        vendor: Any = SeamCatalog(catalog.vendor, Seam(strike))
        replace(catalog, vendor=vendor, sleep=lambda _seconds: None).expire("mood", soon())
    assert struck
    assert len(snapshots(output)) == 1 + (rival == "publishes")  # that was made when the look was over
    assert [row["run_key"] for row in rows(output)] == sorted(
        [row["run_key"] for row in before] + ["thursday"] * (rival == "publishes")
    )


def test_many_snapshots_are_thinned_and_no_row_is(tmp_path: Path) -> None:
    """Above a hundred, half of them stay, of old ones; below, and where all are young, nothing changes."""
    output = Output(tmp_path / "output")
    output.commit("mood", "monday", [{"mood": "glad"}])
    with output.catalog() as catalog:
        key, schema = "tables/mood/monday/part-0000.parquet", arrow_schema("mood", "A table", MOOD)
        while len(snapshots(output)) <= MOST_SNAPSHOTS:
            assert catalog.thin("mood", soon()) == 0
            catalog.withdraw("mood", "monday")
            catalog.commit("mood", schema, "monday", [key])
        assert catalog.thin("mood", START) == 0
        count = len(snapshots(output))
        assert catalog.thin("mood", soon()) == count - MOST_SNAPSHOTS // 2
        assert len(snapshots(output)) == MOST_SNAPSHOTS // 2
    assert [row["mood"] for row in rows(output)] == ["glad"]

"""Sweeping: files that no snapshot needs go when they are old; everything else stays."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pytest

from pipeline.catalog.sweeping import sweep
from pipeline.errors import AccessDenied
from pipeline.storage.folders import Folder
from pipeline.storage.objects import ObjectStore
from tests.published import MOOD, START, Output

NOW = START + dt.timedelta(days=10)
OLD = NOW - dt.timedelta(hours=25)
YOUNG = NOW - dt.timedelta(hours=23)
OLDER_THAN_THE_TABLE = START - dt.timedelta(seconds=1)
DAY = dt.timedelta(hours=24)


def aged(path: Path, changed: dt.datetime) -> None:
    os.utime(path, (changed.timestamp(), changed.timestamp()))


def age_all(output: Output) -> None:
    for path in output.folder.rglob("*"):
        if path.is_file():
            aged(path, OLD)


def files(output: Output) -> set[str]:
    return {path.relative_to(output.folder).as_posix() for path in output.folder.rglob("*") if path.is_file()}


@pytest.fixture
def output(tmp_path: Path) -> Output:
    output = Output(tmp_path / "output")
    for run_key in ("monday", "tuesday"):
        output.commit("mood", run_key, [{"mood": "glad"}])
        output.commit("runs", run_key, [{"ended": START}])
    return output


def swept(output: Output) -> int:
    with output.catalog() as catalog:
        before = catalog.dataset("mood").to_table()
        deleted = sweep(catalog, output.store, NOW - DAY)
        assert catalog.dataset("mood").to_table().equals(before)
        assert catalog.vendor.load_table("docbatch.mood").scan().to_arrow().num_rows == before.num_rows
    return deleted


@pytest.mark.parametrize(
    "name",
    [
        "tables/mood/broken/part-0000.parquet",
        "tables/mood/monday/part-0001.parquet",
        "tables/mood/broken/.docbatch-x1",
        "catalog/mood/00009-left.metadata.json",
        "catalog/mood/left-m0.avro",
    ],
)
@pytest.mark.parametrize(("changed", "goes"), [(OLD, True), (YOUNG, False), (OLDER_THAN_THE_TABLE, False)])
def test_what_a_broken_publish_left_goes_when_it_is_old(
    output: Output, name: str, changed: dt.datetime, goes: bool
) -> None:
    """Not before, since it may belong to a publish that goes on; and not what was there before the catalog."""
    age_all(output)
    kept = files(output)
    path = output.folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"left")
    aged(path, changed)
    assert swept(output) == int(goes)
    assert files(output) == (kept if goes else kept | {name})
    assert swept(output) == 0


@pytest.mark.parametrize(
    "name",
    [
        "tables/mood/README.txt",
        "tables/mood/broken/notes.parquet",
        "tables/mood/broken/deeper/part-0000.parquet",
        "tables/unknown/broken/part-0000.parquet",
        "catalog/mood/statistics.puffin",
        "catalog/notes.avro",
        "work/mood/broken/part-0000.parquet",
        "part-0000.parquet",
    ],
)
def test_what_publishing_does_not_make_stays(output: Output, name: str) -> None:
    """Files of another kind, of another table or in another place are nobody's to delete."""
    path = output.folder / name
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_bytes(b"mine")
    age_all(output)
    assert swept(output) == 0
    assert path.exists()


def test_old_snapshots_keep_their_files(output: Output) -> None:
    """Rows that were replaced can be read at their snapshot still: the files of every snapshot are needed."""
    with output.catalog() as catalog:
        assert catalog.withdraw("mood", "monday")
    age_all(output)
    assert swept(output) == 0
    with output.catalog() as catalog:
        found = catalog.vendor.load_table("docbatch.mood")
        counts = [found.scan(snapshot_id=one.snapshot_id).to_arrow().num_rows for one in found.snapshots()]
    assert counts == [1, 2, 1]


class Refusing(ObjectStore):
    """A folder in which nothing may be deleted."""

    def delete(self, key: str) -> None:
        raise AccessDenied(f"{self.uri(key)}: access denied")


def test_a_sweep_that_is_refused_fails_nothing(output: Output, caplog: pytest.LogCaptureFixture) -> None:
    """The run is published already: a file that cannot be deleted is told to the log."""
    output.write("mood", "broken", [{"mood": "sad"}], MOOD)
    age_all(output)
    with output.catalog() as catalog:
        assert sweep(catalog, Refusing(Folder(output.folder), output.uri), NOW - DAY) == 0
    assert "Not swept: " in caplog.text
    assert swept(output) == 1

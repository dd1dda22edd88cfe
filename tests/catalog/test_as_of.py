"""Reading as of a run or a moment: every table as it was then, whatever was expired, replaced or withdrawn since."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from pipeline.catalog.reading import latest, list_tables, open_views, read_table, runs_as_of, shown_rows
from pipeline.errors import ObjectMissing, SettingsError
from tests.published import START, Output

CHICAGO = dt.timezone(dt.timedelta(hours=-6))


def day(number: int) -> dt.datetime:
    return START + dt.timedelta(days=number)


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """Four runs, named against the order in which they ended; two ended together, and one is not complete."""
    output = Output(tmp_path / "output")
    output.run("d", {"1": "glad", "2": "glad"}, day=1, changes=dict.fromkeys("12", "new"))
    output.run("c", {"2": "sad"}, day=2, changes={"1": "deleted", "2": "changed"})
    output.run("a", {"3": "calm"}, day=3, changes={"3": "new"})
    output.run("b", {"3": "angry"}, day=3, changes={"3": "changed"})
    output.commit("mood", "broken", [{"document_id": "1", "mood": "angry"}])
    return output


@pytest.mark.parametrize(
    ("as_of", "expected"),
    [
        ("d", "d"),
        ("c", "dc"),
        ("a", "dca"),
        ("b", "dcab"),
        (day(0), ""),
        (day(1), "d"),
        (day(2) - dt.timedelta(microseconds=1), "d"),
        (day(2), "dc"),
        (day(3), "dcab"),
        (day(2).astimezone(CHICAGO), "dc"),
        ("2026-11-02T00:00Z", "d"),
        ("2026-11-01T18:00:00-06:00", "d"),
        ("20261103T000000Z", "dc"),
    ],
)
def test_the_runs_of_then(output: Output, as_of: str | dt.datetime, expected: str) -> None:
    """Up to the run, that one included, or up to the moment, in whatever zone; in the order of their ends."""
    with output.catalog() as catalog:
        assert runs_as_of(catalog, as_of) == list(expected)


@pytest.mark.parametrize(
    ("as_of", "error", "message"),
    [
        ("broken", ObjectMissing, "no run broken is published there, and .*; published runs are d, c, a, b"),
        (
            "yesterday",
            ObjectMissing,
            "no run yesterday is published there, and it is no moment such as 2026-11-20T00:00Z",
        ),
        ("2026-11-02", SettingsError, "has no zone; write for example 2026-11-02T00:00Z for UTC"),
        (dt.datetime(2026, 11, 2), SettingsError, "has no zone"),  # noqa: DTZ001 - what is refused
    ],
)
def test_what_is_no_run_and_no_moment_is_told(
    output: Output, as_of: str | dt.datetime, error: type[Exception], message: str
) -> None:
    """The message names the runs that there are, or a moment as it should be written."""
    with output.catalog() as catalog, pytest.raises(error, match=message):
        runs_as_of(catalog, as_of)


def then(output: Output, as_of: str | dt.datetime | None) -> dict[str, Any]:
    """Everything that a reader of that moment sees."""
    with output.catalog() as catalog:
        tables = list_tables(catalog, as_of)
        rows = {name: read_table(catalog, name, as_of=as_of).to_pylist() for name in tables}
        shown = {name: shown_rows(catalog, name, as_of=as_of).to_pylist() for name in tables}
        with open_views(catalog, as_of) as views:
            joined = views.sql("select count(*) from mood join runs using (run_key)").fetchall()
        return {"tables": tables, "rows": rows, "shown": shown, "joined": joined}


def test_every_table_is_as_it_was(tmp_path: Path) -> None:
    """What readers saw after each run is what they see as of it, later and after all snapshots but one are expired."""
    output, seen = Output(tmp_path / "output"), {}
    for number, run_key in enumerate(("c", "a", "b"), 1):
        output.run(run_key, {"1": f"mood {number}", str(number): "glad"}, day=number, changes={"1": "changed"})
        seen[run_key] = then(output, None)
    assert seen["c"] != seen["a"] != seen["b"]
    assert {run_key: then(output, run_key) for run_key in seen} == seen
    assert {run_key: then(output, day(number)) for number, run_key in enumerate(seen, 1)} == seen
    with output.catalog() as catalog:
        for table in catalog.tables():
            assert catalog.expire(table, dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)) > 0
    assert {run_key: then(output, run_key) for run_key in seen} == seen


def test_the_newest_row_of_then(output: Output) -> None:
    """A document's newest row, and whether it was deleted, are those of the runs of then."""
    with output.catalog() as catalog:
        found = {key: latest(catalog, "mood", as_of=key).to_pylist() for key in ("d", "c")}
        with pytest.raises(ObjectMissing, match="nothing was published there as of 2026-11-01"):
            latest(catalog, "mood", as_of=day(0))
        with pytest.raises(ObjectMissing, match="published runs are d, c"):
            shown_rows(catalog, "mood", "b", as_of="c")
    assert [(row["document_id"], row["mood"], row["deleted"]) for row in found["d"]] == [
        ("1", "glad", False),
        ("2", "glad", False),
    ]
    assert [(row["document_id"], row["mood"], row["deleted"]) for row in found["c"]] == [
        ("1", "glad", True),
        ("2", "sad", False),
    ]

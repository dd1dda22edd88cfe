"""Reading through the catalog: published runs only, the newest row of each document, and who was deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.catalog.reading import latest, list_tables, newest_run, open_views, read_table, shown_rows
from pipeline.errors import ObjectMissing
from tests.published import Output


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """Three runs, named against the order in which they ended; a fourth is not in `runs`."""
    output = Output(tmp_path / "output")
    output.run("c", {"1": "glad", "2": "glad", "3": "glad"}, day=1, changes=dict.fromkeys("123", "new"))
    output.run("b", {"2": "sad"}, day=2, changes={"1": "unchanged", "2": "changed", "3": "deleted"})
    output.run("a", {"4": "calm"}, day=3, changes={"1": "deleted", "2": "unchanged", "4": "new"})
    output.commit("mood", "broken", [{"document_id": "1", "mood": "angry"}, {"document_id": "5", "mood": "angry"}])
    return output


def test_only_published_runs_are_read(output: Output) -> None:
    """A run that is not in `runs` is in no list, no table and no view; runs stand in the order of their ends."""
    with output.catalog() as catalog:
        assert list_tables(catalog) == {name: ["c", "b", "a"] for name in ("documents", "mood", "runs")}
        assert newest_run(catalog) == "a"
        assert set(read_table(catalog, "mood")["run_key"].to_pylist()) == {"a", "b", "c"}
        assert read_table(catalog, "mood", "b")["mood"].to_pylist() == ["sad"]
        with open_views(catalog) as views:
            assert views.sql("select count(*) from mood where mood = 'angry'").fetchall() == [(0,)]
            assert views.sql("select count(*) from mood join runs using (run_key)").fetchall() == [(5,)]


def test_the_current_rows_are_the_newest_of_each_document(output: Output) -> None:
    """A document that a later run left unchanged keeps its row; whoever is gone now is marked."""
    with output.catalog() as catalog:
        rows = latest(catalog, "mood").to_pylist()
    assert [(row["document_id"], row["mood"], row["run_key"], row["deleted"]) for row in rows] == [
        ("1", "glad", "c", True),
        ("2", "sad", "b", False),
        ("3", "glad", "c", True),
        ("4", "calm", "a", False),
    ]


def test_without_a_column_for_changes_nothing_is_deleted(tmp_path: Path) -> None:
    """Tables of a version that did not know deletions are read all the same."""
    output = Output(tmp_path / "output")
    output.run("a", {"1": "glad"}, day=1)
    with output.catalog() as catalog:
        assert latest(catalog, "mood")["deleted"].to_pylist() == [False]


def test_runs_that_ended_together_have_one_newest(tmp_path: Path) -> None:
    """A document has one current row even then."""
    output = Output(tmp_path / "output")
    output.run("a", {"1": "glad"}, day=1)
    output.run("b", {"1": "sad"}, day=1)
    with output.catalog() as catalog:
        assert latest(catalog, "mood")["mood"].to_pylist() == ["sad"]


@pytest.mark.parametrize(
    ("table", "run_key", "all_runs", "limit", "count"),
    [
        ("mood", None, False, None, 4),
        ("mood", None, False, 2, 2),
        ("mood", None, False, 0, 0),
        ("mood", None, True, None, 5),
        ("mood", None, True, 3, 3),
        ("mood", "c", False, None, 3),
        ("documents", None, False, None, 4),
        ("documents", None, True, None, 9),
        ("runs", None, False, None, 3),
    ],
)
def test_what_show_shows(
    output: Output, table: str, run_key: str | None, all_runs: bool, limit: int | None, count: int
) -> None:
    """Current rows of an analysis and of documents, every run, or what was asked for."""
    with output.catalog() as catalog:
        assert shown_rows(catalog, table, run_key, all_runs=all_runs, limit=limit).num_rows == count


@pytest.mark.parametrize(
    ("table", "run_key", "known"),
    [("moods", None, "tables are documents, mood, runs"), ("mood", "broken", "runs are c, b, a")],
)
def test_what_is_not_published_is_told(output: Output, table: str, run_key: str | None, known: str) -> None:
    """A wrong table, and a run that is not complete, are errors that name the right ones."""
    with output.catalog() as catalog:
        for read in (read_table, shown_rows):
            with pytest.raises(ObjectMissing, match=f"nothing is published there; published {known}"):
                read(catalog, table, run_key)


def test_before_the_first_run_there_is_nothing(tmp_path: Path) -> None:
    """An empty catalog has no runs, no tables and no views."""
    output = Output(tmp_path / "output")
    output.commit("mood", "broken", [{"mood": "angry"}])
    with output.catalog() as catalog:
        assert (newest_run(catalog), list_tables(catalog)) == (None, {})
        with open_views(catalog) as views:
            assert views.sql("show tables").fetchall() == []
        with pytest.raises(ObjectMissing, match="published tables are none"):
            read_table(catalog, "mood")


def test_a_slow_query_prints_nothing(output: Output) -> None:
    """DuckDB's bar of progress would go where programs read rows."""
    with output.catalog() as catalog, open_views(catalog) as views:
        assert views.sql("select current_setting('enable_progress_bar')").fetchall() == [(False,)]

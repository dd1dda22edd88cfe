"""Views for DuckDB and Athena: what `docbatch views` prints, in plain engines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
import sqlglot

from pipeline.schemas.views import Dialect, athena_views, external_tables, latest_query
from pipeline.tables import Tables
from tests.dictionary import ANALYSES, SCHEMAS
from tests.world import World

PLAIN = """
import sys, duckdb
duckdb.execute("set autoinstall_known_extensions = false; set autoload_known_extensions = false")
duckdb.execute(open(sys.argv[1], encoding="utf-8").read())
print(duckdb.sql(sys.argv[2]).fetchall())
"""


@pytest.fixture(scope="module")
def script(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the command prints for DuckDB."""
    command = [sys.executable, "-m", "pipeline", "views", "--for", "duckdb", "--output", str(world.output)]
    path = tmp_path_factory.mktemp("views") / "views.sql"
    path.write_text(subprocess.run(command, capture_output=True, text=True, check=True).stdout, "utf-8")
    return path


@pytest.mark.parametrize("name", [*SCHEMAS, *(f"{name}_latest" for name in [*ANALYSES, "documents"])])
def test_plain_duckdb_reads_the_published_files(script: Path, opened: Tables, name: str) -> None:
    """Without docbatch, the catalog or any download, every view gives the rows and types that docbatch gives."""
    with duckdb.connect() as plain:
        plain.execute("set autoinstall_known_extensions = false; set autoload_known_extensions = false")
        plain.execute(script.read_text("utf-8"))
        seen = plain.table(name)
        ours = opened[name].duckdb()
        assert (seen.columns, seen.types) == (ours.columns, ours.types)
        assert sorted(map(repr, seen.fetchall())) == sorted(map(repr, ours.fetchall()))


def test_a_table_without_rows_is_a_view_all_the_same(tmp_path: Path) -> None:
    """It has no file, and its columns have their types."""
    from pipeline.schemas.views import duckdb_views

    with duckdb.connect() as plain:
        for statement in duckdb_views(SCHEMAS, dict.fromkeys(SCHEMAS, ())):
            plain.execute(statement)
        assert plain.sql("select count(*), sum(cost_usd) from sentiment_latest").fetchall() == [(0, None)]


@pytest.mark.parametrize("table", [*ANALYSES, "documents"])
def test_athena_and_duckdb_say_the_same(opened: Tables, table: str) -> None:
    """Athena's view, translated from Trino's SQL, gives the rows of ours; its statement is one that creates a view."""
    (statement,) = [one for one in athena_views(SCHEMAS, "letters") if f'"{table}_latest"' in one]
    tree = sqlglot.parse_one(statement, read="athena", error_level=sqlglot.ErrorLevel.RAISE)
    assert (tree.key, tree.args["kind"]) == ("create", "VIEW")
    assert {one.db for one in tree.find_all(sqlglot.exp.Table) if one.name in SCHEMAS} == {"letters"}
    query = latest_query(table, Dialect.ATHENA, SCHEMAS[table].names)
    (translated,) = sqlglot.transpile(query, read="athena", write="duckdb")
    theirs = opened.sql(translated).duckdb().fetchall()
    assert theirs
    assert sorted(map(repr, theirs)) == sorted(map(repr, opened.latest(table).duckdb().fetchall()))


def test_external_tables_are_hive_sql() -> None:
    """Each statement is one that Hive's grammar knows, with every column of the schema and its folder."""
    statements = list(external_tables(SCHEMAS, "letters", "s3://bucket/output/tables"))
    assert len(statements) == 1 + len(SCHEMAS)
    for table, statement in zip(SCHEMAS, statements[1:], strict=True):
        tree = sqlglot.parse_one(statement, read="hive", error_level=sqlglot.ErrorLevel.RAISE)
        defined = tree.this.expressions
        assert [one.name for one in defined] == SCHEMAS[table].names
        assert f"location 's3://bucket/output/tables/{table}/'" in statement
        for column, field in zip(defined, SCHEMAS[table], strict=True):
            assert column.kind.is_type("array") == pa.types.is_list(field.type)


def test_a_document_is_as_the_newest_run_that_listed_it_says(opened: Tables) -> None:
    """One row for each document that was ever listed, also when the newest run had to do with few of them."""
    rows = opened.latest("documents").arrow().to_pylist()
    found = {row["uri"].rpartition("/")[2]: (row["run_key"], row["change"]) for row in rows}
    assert len(found) == len(rows) == len(set(opened["documents"].arrow()["document_id"].to_pylist()))
    assert found["minutes.txt"] == ("wednesday", "unchanged")
    assert found["news.txt"] == ("tuesday", "deleted")
    assert found["lease.txt"] == ("wednesday", "changed")


def test_rows_of_an_older_prompt_are_told_apart(opened: Tables) -> None:
    """The lease failed under Wednesday's prompt and keeps Monday's row; the copy was asked anew; the news is gone."""
    rows = {row["uri"].rpartition("/")[2]: row for row in opened.latest("sentiment").arrow().to_pylist()}
    assert {name for name, row in rows.items() if not row["current_prompt"]} == {"lease.txt", "news.txt"}
    assert {name for name, row in rows.items() if row["deleted"]} == {"news.txt"}
    assert (rows["lease.txt"]["run_key"], rows["copy.txt"]["run_key"]) == ("monday", "wednesday")
    others = opened.latest("classification").arrow()
    assert others["current_prompt"].to_pylist() == [True] * len(rows)


def test_a_run_that_asked_nothing_has_the_prompt_that_is_current(tmp_path: Path) -> None:
    """The prompt is that of the newest run that ran the analysis, whether or not it had to ask."""
    world = World(tmp_path / "world", analyses=("sentiment",))
    world.put_many(4)
    world.run("monday")
    world.run("tuesday")
    from pipeline import tables

    with tables.open(world.output) as opened:
        rows = opened.latest("sentiment").arrow().to_pylist()
    assert {(row["run_key"], row["current_prompt"]) for row in rows} == {("monday", True)}

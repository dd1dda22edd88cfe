"""An analysis that changes its answer: rows of before stay readable beside those of after, in every reader."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline import tables
from pipeline.catalog.reading import shown_rows
from pipeline.errors import DeclarationError
from pipeline.schemas.views import duckdb_views
from pipeline.storage.objects import absolute_uri
from tests.dictionary import DOCS
from tests.world import Canned, World

SCORE = '[answer.properties.score]\ntype = ["number", "null"]\nminimum = -1\nmaximum = 1\n'
REQUIRED = 'required = ["sentiment", "score"]'
REASON = '[answer.properties.reason]\ntype = "string"\ndescription = "Why"\n\n'


@pytest.fixture
def world(tmp_path: Path) -> World:
    """Two documents, one night by the analysis as it ships."""
    world = World(tmp_path / "world", analyses=("sentiment",))
    world.put_many(2)
    world.run("before")
    return world


def change(world: World, answer: str, *replacements: tuple[str, str]) -> None:
    """Another declaration of sentiment from now on, and answers that follow it."""
    path = world.own_prompts("sentiment") / "sentiment" / "analysis.toml"
    text = path.read_text("utf-8")
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, "utf-8")
    assert isinstance(world.engine, Canned)
    world.engine.script = lambda prompt, _before: answer if '"sentiment": "' in prompt[-20:] else None


ADDED = (
    'mixed", "score": 0.5, "reason": "both"}',
    (SCORE, REASON + SCORE),
    ('score = "mean"', 'score = "mean"\nreason = "first"'),
)
DROPPED = (
    'mixed"}',
    (REQUIRED, 'required = ["sentiment"]'),
    (SCORE, '[answer.properties.reason]\ntype = "string"\n'),
    ('score = "mean"', 'reason = "first"'),
)
RENAMED = (
    'mixed", "grade": "good"}',
    (REQUIRED, 'required = ["sentiment", "grade"]'),
    (SCORE, '[answer.properties.grade]\ntype = "string"\n'),
    ('score = "mean"', 'grade = "first"'),
)


@pytest.mark.parametrize(
    ("answer", "changes", "column", "old_has_score", "new_has"),
    [
        pytest.param(ADDED[0], ADDED[1:], "reason", True, "both", id="a property more"),
        pytest.param(DROPPED[0], DROPPED[1:], "reason", True, None, id="one in the place of another"),
        pytest.param(RENAMED[0], RENAMED[1:], "grade", True, "good", id="another type by another name"),
    ],
)
def test_every_reader_finds_old_and_new_rows(
    world: World, answer: str, changes: tuple[tuple[str, str], ...], column: str, old_has_score: bool, new_has: Any
) -> None:
    """A column that a run did not know is null in its rows; one that it no longer writes keeps the old values."""
    change(world, answer, *changes)
    assert world.run("after").results == 2
    expected = [("after", new_has)] * 2 + [("before", None)] * 2
    folder = world.output / "tables" / "sentiment"

    def found(rows: list[dict[str, Any]]) -> list[tuple[Any, Any]]:
        return sorted(((row["run_key"], row[column]) for row in rows), key=str)

    ours = world.rows("sentiment", None)
    assert found(ours) == expected
    assert all((row["score"] is not None) == old_has_score for row in ours if row["run_key"] == "before")
    with world.services.catalog(absolute_uri(str(world.output))) as catalog:
        scan = catalog.vendor.load_table(("docbatch", "sentiment")).scan()
        assert found(scan.to_arrow().to_pylist()) == expected
        assert found(scan.to_duckdb("t").sql("from t").to_arrow_table().to_pylist()) == expected
        assert (
            found(scan.to_pandas().astype(object).where(lambda one: one.notna(), None).to_dict("records")) == expected
        )
        wide = catalog.dataset("sentiment").schema
    in_duckdb = duckdb.sql(f"from read_parquet('{folder}/*/*.parquet', union_by_name = true)")
    assert found(in_duckdb.to_arrow_table().to_pylist()) == expected
    in_pandas = pd.read_parquet(folder, schema=wide)
    assert found(in_pandas.astype(object).where(in_pandas.notna(), None).to_dict("records")) == expected
    in_polars = pl.scan_parquet(
        f"{folder}/*/*.parquet",
        schema=pl.from_arrow(wide.empty_table()).schema,
        missing_columns="insert",  # type: ignore[union-attr] # a frame
    )
    assert found(in_polars.collect().to_dicts()) == expected


def test_a_new_column_is_read_with_the_answer(world: World) -> None:
    """It stands among the answer's columns, before provenance and cost, wherever the tables are looked at."""
    change(world, ADDED[0], *ADDED[1:])
    world.run("after")
    order = ["document_id", "uri", "sentiment", "reason", "score", "truncated"]
    with tables.open(world.output) as opened:
        found = [opened["sentiment"].columns, opened.latest("sentiment").columns]
    with world.services.catalog(absolute_uri(str(world.output))) as catalog:
        schemas = {name: catalog.dataset(name, []).schema for name in catalog.tables()}
        found += [shown_rows(catalog, "sentiment").column_names]
        found += [catalog.vendor.load_table("docbatch.sentiment").scan().to_arrow().column_names]
    with duckdb.connect() as plain:
        for statement in duckdb_views(schemas, dict.fromkeys(schemas, ())):
            plain.execute(statement)
        found += [plain.table("sentiment").columns, plain.table("sentiment_latest").columns]
    assert [names[: len(order)] for names in found] == [order] * len(found)
    ends = [[name for name in names if name not in ("deleted", "current_prompt")][-1] for names in found]
    assert set(ends) == {"cost_usd"}


BLOCKS = re.findall(r"```python\n(.*?)```", (DOCS / "runs-and-tables.md").read_text("utf-8"), re.DOTALL)


def test_plain_readers_told_as_the_page_says_find_all_columns(world: World) -> None:
    """The blocks for pandas, polars and DuckDB, as they stand; a reader that is told nothing misses the column."""
    change(world, ADDED[0], *ADDED[1:])
    world.run("zafter")
    files, *readers = [block.replace("output/tables", f"{world.output}/tables") for block in BLOCKS]
    assert ["pandas" in one or "polars" in one or "duckdb" in one for one in readers] == [True] * 3
    for block in readers:
        said: dict[str, Any] = {}
        exec(files + block, said)
        frame = said["frame"]
        rows = (frame.to_arrow_table() if "duckdb" in block else pa.table(frame)).to_pylist()
        assert sorted((row["run_key"], str(row["reason"])) for row in rows) == [
            *[("before", "None")] * 2,
            *[("zafter", "both")] * 2,
        ]
    assert "reason" not in pd.read_parquet(world.output / "tables" / "sentiment").columns
    with pytest.raises(pl.exceptions.SchemaError):
        pl.read_parquet(world.output / "tables" / "sentiment")


def test_another_type_by_the_same_name_is_refused_before_anything_is_paid(world: World) -> None:
    """The message names the column, both types and the ways out; the next night by the old declaration goes on."""
    files, asked = world.files(), dict(world.engine.asked)  # type: ignore[attr-defined] # the canned engine counts
    change(
        world,
        'mixed", "score": "good"}',
        (SCORE, '[answer.properties.score]\ntype = "string"\n'),
        ('score = "mean"', 'score = "first"'),
    )
    with pytest.raises(
        DeclarationError, match=r"column sentiment.score holds double .* would hold string now.* another name"
    ):
        world.run("after")
    assert (world.files(), world.engine.asked) == (files, asked)  # type: ignore[attr-defined] # as above
    world.with_settings(prompts=None)
    assert world.run("later").results == 0
    assert (
        pq.read_schema(next((world.output / "tables" / "sentiment").rglob("*.parquet"))).field("score").type == "double"
    )

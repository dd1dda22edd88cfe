"""The data dictionary: docs/tables.md says what the schemas say, and both say what is true of published rows."""

from __future__ import annotations

import re

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.domain import short_hash
from pipeline.schemas import null_when
from pipeline.schemas.examples import EXAMPLES, LATEST_EXAMPLES
from pipeline.schemas.views import LATEST_COLUMNS
from pipeline.tables import Tables
from tests.dictionary import ANALYSES, DESCRIBED, DOCS, SCHEMAS, dictionary
from tests.world import World

PAGE = DOCS / "tables.md"
_GENERATED = re.compile(r"(<!-- tables: .*? -->\n)(.*?)(<!-- /tables -->)", re.DOTALL)
EVERY_TABLE = pytest.mark.parametrize("table", DESCRIBED)
EVERY_PUBLISHED = pytest.mark.parametrize("table", SCHEMAS)


def described(field: pa.Field[object]) -> str:
    return (field.metadata or {})[b"description"].decode()


def test_the_page_is_what_the_schemas_say(request: pytest.FixtureRequest) -> None:
    """Every column of every shipped table is there, with type, meaning, example and when it is null."""
    text = PAGE.read_text("utf-8")
    found = _GENERATED.search(text)
    assert found
    if request.config.getoption("--update-goldens"):
        PAGE.write_text(text.replace(found[0], found[1] + "\n" + dictionary() + found[3]), "utf-8")
        return
    assert found[2] == "\n" + dictionary(), f"stale; renew it with: pytest {request.path} --update-goldens"


@EVERY_TABLE
def test_every_example_is_of_its_type(table: str) -> None:
    """An example is a value that the column could hold, not null, and unchanged when Arrow holds it."""
    for field in DESCRIBED[table]:
        example = EXAMPLES[field.name]
        assert example is not None
        assert pa.array([example], field.type).to_pylist() == [example], field.name


def test_no_example_is_of_a_column_that_is_gone() -> None:
    """Whoever renames a column renames its example."""
    assert EXAMPLES.keys() == {name for schema in DESCRIBED.values() for name in schema.names}
    assert LATEST_EXAMPLES.keys() == {name for name, _, _ in LATEST_COLUMNS}


@pytest.mark.parametrize(("name", "kind", "description"), LATEST_COLUMNS)
def test_every_example_of_the_newest_rows_is_of_its_type(name: str, kind: pa.DataType, description: str) -> None:
    """`deleted` is a count in `runs`, and true or false there."""
    assert pa.array([LATEST_EXAMPLES[name]], kind).to_pylist() == [LATEST_EXAMPLES[name]], description


@pytest.mark.parametrize("name", ["document_id", "duplicate_of", "content_hash", "record_id", "method_id"])
def test_examples_of_ids_are_as_long_as_ids(name: str) -> None:
    """Whoever makes room for one makes enough."""
    assert len(EXAMPLES[name]) == len(short_hash("anything"))


@EVERY_PUBLISHED
def test_what_is_never_null_never_is(opened: Tables, table: str) -> None:
    """In three nights of new, changed, deleted, copied, empty and failing documents."""
    rows = opened[table].arrow()
    assert rows.num_rows > 0
    nulls = {field.name for field in DESCRIBED[table] if rows[field.name].null_count}
    assert nulls <= {field.name for field in DESCRIBED[table] if null_when(described(field))}


def test_null_is_said_in_one_way() -> None:
    """A description that speaks of null ends with the clause that says when."""
    said = [described(field) for schema in DESCRIBED.values() for field in schema]
    assert [text for text in said if "null" in text and null_when(text) is None] == []
    assert any(map(null_when, said))


@EVERY_PUBLISHED
def test_columns_stand_in_the_order_of_reading(opened: Tables, table: str) -> None:
    """Published tables have the schema's order: the document or run first, tokens and cost behind what they are for."""
    names = opened[table].columns
    assert names == DESCRIBED[table].names
    assert names[0] in ("document_id", "run_key")
    assert names.index("run_key") < names.index("cost_usd") if "cost_usd" in names else table == "documents"
    if table in ANALYSES:
        answer = [names.index(name) for name in ANALYSES[table].schema["properties"]]
        assert names.index("uri") < min(answer) <= max(answer) < names.index("run_key")
        assert names[-1] == "cost_usd"


@pytest.mark.parametrize("analysis", [name for name, one in ANALYSES.items() if one.declaration.label_property])
def test_labels_are_texts_kept_once(world: World, analysis: str) -> None:
    """In the files they are dictionary-encoded; every reader gets a text, across the files of all runs."""
    label = ANALYSES[analysis].declaration.label_property
    files = sorted((world.output / "tables" / analysis).rglob("*.parquet"))
    assert len(files) > 1
    for path in files:
        group = pq.ParquetFile(path).metadata.row_group(0)
        columns = [group.column(n) for n in range(group.num_columns)]
        (encodings,) = [one.encodings for one in columns if one.path_in_schema == label]
        assert "RLE_DICTIONARY" in encodings
    folder = world.output / "tables" / analysis
    assert pq.read_table(folder).schema.field(label).type == pa.string()
    assert pl.read_parquet(folder / "*/*.parquet").schema[label] == pl.String
    assert duckdb.sql(f"select {label} from '{folder}/*/*.parquet'").types == ["VARCHAR"]

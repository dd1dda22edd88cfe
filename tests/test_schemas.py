"""Published tables: described, the same bytes every time, and read by everybody's tools with the right types."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.analyses import load_analyses, shipped_prompts
from pipeline.errors import DeclarationError
from pipeline.parquet import write_rows
from pipeline.schemas import FIXED, Column, arrow_schema, arrow_type, money, result_columns

ANALYSES = load_analyses(shipped_prompts(), output_language="German")
TABLES: dict[str, list[Column]] = {name: columns for name, (_, columns) in FIXED.items()}
TABLES |= {name: result_columns(analysis) for name, analysis in ANALYSES.items()}
EVERY_TABLE = pytest.mark.parametrize("name", TABLES)


def sample(kind: pa.DataType) -> Any:
    if pa.types.is_list(kind):
        return [sample(kind.value_type)]
    if pa.types.is_struct(kind):
        return {field.name: sample(field.type) for field in kind}
    values: dict[pa.DataType, Any] = {
        pa.string(): "ü",
        pa.int32(): 2**31 - 1,
        pa.int64(): 2**63 - 1,
        pa.float64(): -0.5,
        pa.bool_(): True,
        pa.date32(): dt.date(2026, 11, 1),
        pa.decimal128(20, 10): Decimal("1234567890.0000000001"),
        pa.timestamp("us", tz="UTC"): dt.datetime(2026, 11, 1, 2, 0, 0, 123456, tzinfo=dt.UTC),
    }
    return values[kind]


def written(name: str, rows: list[list[Any]], group_rows: int = 50_000) -> bytes:
    sink = io.BytesIO()
    assert write_rows(arrow_schema(name, "A table", TABLES[name]), iter(rows), sink, group_rows=group_rows) == len(rows)
    return sink.getvalue()


@EVERY_TABLE
def test_every_column_is_described(name: str) -> None:
    """Each column has its own description in the file, beside the table's; none is written twice."""
    schema = pq.read_schema(io.BytesIO(written(name, [])))
    about = json.loads((schema.metadata or {})[b"docbatch"])
    assert about["table"] == name
    assert list(about["columns"]) == schema.names
    assert len(set(schema.names)) == len(schema.names) > 10
    for field in schema:
        described = (field.metadata or {})[b"description"].decode()
        assert described == about["columns"][field.name]
        assert len(described) > 8


def field_ids(fields: Iterable[pa.Field[Any]]) -> list[int]:
    """The ids of fields and of all that is nested in them."""
    found = []
    for field in fields:
        found.append(int((field.metadata or {})[b"PARQUET:field_id"]))
        if pa.types.is_nested(field.type):
            found += field_ids(field.type.field(n) for n in range(field.type.num_fields))
    return found


@EVERY_TABLE
def test_every_field_has_an_id_of_its_own_name(name: str) -> None:
    """Ids stand in the files, differ within a table, and stay when columns come or go before them."""
    inside = field_ids(pq.read_schema(io.BytesIO(written(name, []))))
    assert inside == field_ids(arrow_schema(name, "A table", TABLES[name]))
    assert len(set(inside)) == len(inside) >= len(TABLES[name])
    assert field_ids(arrow_schema(name, "A table", TABLES[name][3:])) == inside[3:]


@EVERY_TABLE
def test_the_same_rows_are_the_same_bytes(name: str) -> None:
    """Values and missing values come back as they are; a second file of the same rows is the same file."""
    full = [sample(kind) for _, kind, _ in TABLES[name]]
    rows = [full, [None] * len(full), full]
    content = written(name, rows)
    assert content == written(name, rows)
    columns = pq.read_table(io.BytesIO(content)).to_pydict()
    assert [list(row) for row in zip(*columns.values(), strict=True)] == rows


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5])
def test_row_groups(count: int) -> None:
    """Rows are written a group at a time, counted, and an empty table is a file too."""
    rows = [[str(n), *[None] * (len(TABLES["runs"]) - 1)] for n in range(count)]
    file = pq.ParquetFile(io.BytesIO(written("runs", rows, group_rows=2)))
    assert file.metadata.num_rows == count
    assert file.read().column("run_key").to_pylist() == [row[0] for row in rows]


@EVERY_TABLE
def test_pandas_polars_and_duckdb_agree(name: str, tmp_path: Path) -> None:
    """Money is decimal, days are dates, moments are UTC, lists are lists: in every reader, without options."""
    path = tmp_path / "part-0000.parquet"
    path.write_bytes(written(name, [[sample(kind) for _, kind, _ in TABLES[name]]]))
    in_pandas, in_polars = pd.read_parquet(path), pl.read_parquet(path)
    described = duckdb.execute(f"describe select * from '{path}'").fetchall()
    in_duckdb = dict(zip([row[0] for row in described], [row[1] for row in described], strict=True))
    values = duckdb.execute(f"select * from '{path}'").fetchall()[0]
    for (column, kind, _), value in zip(TABLES[name], values, strict=True):
        expected = sample(kind)
        if pa.types.is_decimal(kind):
            assert in_pandas[column][0] == in_polars[column][0] == value == expected
            assert (in_duckdb[column], in_polars.schema[column]) == ("DECIMAL(20,10)", pl.Decimal(20, 10))
        elif kind == pa.date32():
            assert in_pandas[column][0] == in_polars[column][0] == value == expected
        elif pa.types.is_timestamp(kind):
            assert in_pandas[column][0] == in_polars[column][0] == expected
            assert (in_duckdb[column], str(in_pandas[column].dt.tz)) == ("TIMESTAMP WITH TIME ZONE", "UTC")
        elif pa.types.is_nested(kind):
            assert list(in_polars[column][0]) == value == expected
            assert list(in_pandas[column][0]) == expected
        else:
            assert in_pandas[column][0] == in_polars[column][0] == value == expected


def test_answers_become_columns() -> None:
    """The properties of an answer stand behind the document, with the types of their schema and their descriptions."""
    columns = {name: (kind, text) for name, kind, text in TABLES["summarization"]}
    assert columns["summary"][0] == pa.string()
    assert columns["key_points"] == (
        pa.list_(pa.string()),
        "Up to five facts, each a short sentence; null when the model gave none",
    )
    assert {name: kind for name, kind, _ in TABLES["sentiment"]}["score"] == pa.float64()


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ({"type": "integer"}, pa.int64()),
        ({"type": ["null", "boolean"]}, pa.bool_()),
        ({"enum": ["a"]}, pa.string()),
        ({"type": "array", "items": {"type": "array", "items": {"type": "number"}}}, pa.list_(pa.list_(pa.float64()))),
        (
            {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}},
            pa.struct([("a", pa.string()), ("b", pa.int64())]),
        ),
        ({"type": "array"}, None),
        ({"type": ["string", "integer"]}, None),
        ({}, None),
    ],
)
def test_types(spec: dict[str, Any], kind: pa.DataType | None) -> None:
    """Every JSON type has one column type; what has none is refused by name."""
    if kind is None:
        with pytest.raises(DeclarationError, match=r"mood\.answer\.x: type .* cannot become a column"):
            arrow_type(spec, "mood.answer.x")
    else:
        assert arrow_type(spec, "mood.answer.x") == kind


@given(st.integers(0, 10**12), st.decimals(0, 1000, places=4))
def test_money_keeps_every_digit(tokens: int, price: Decimal) -> None:
    """Tokens times a price of four places, divided by a million, fits the column to the last digit."""
    cost = tokens * price / 1_000_000
    assert money(cost) == cost
    assert money(None) is None

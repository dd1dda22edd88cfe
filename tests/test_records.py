"""Working files: frozen values to Parquet and back."""

from __future__ import annotations

import dataclasses
import datetime as dt
import io
from enum import StrEnum
from typing import Any, get_args, get_type_hints

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.domain import Document, Request
from pipeline.records import DocumentRecord, OutcomeRecord, from_parquet, to_parquet

KINDS = [Document, Request, DocumentRecord, OutcomeRecord]
TIMES = st.datetimes(timezones=st.just(dt.UTC))
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    str: st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    int: st.integers(-(2**63), 2**63 - 1),
    bool: st.booleans(),
    dt.datetime: TIMES,
    type(None): st.none(),
}


def rows_of(kind: type) -> st.SearchStrategy[list[Any]]:
    """Lists of a frozen dataclass with any values that its annotations allow."""
    fields = {}
    for name, hint in get_type_hints(kind).items():
        kinds = get_args(hint) or (hint,)
        fields[name] = st.one_of(
            *(st.sampled_from(list(one)) if issubclass(one, StrEnum) else SCALARS[one] for one in kinds)
        )
    return st.lists(st.builds(kind, **fields), max_size=4)


@pytest.mark.parametrize("kind", KINDS)
@given(found=st.data())
@settings(deadline=None, max_examples=40)
def test_rows_come_back_in_order(kind: type, found: st.DataObject) -> None:
    """Every value and its type survive, enumerations and absent values included; the same rows are the same bytes."""
    rows = found.draw(rows_of(kind))
    content = to_parquet(kind, rows)
    back: list[Any] = list(from_parquet(kind, content))
    assert back == rows
    for row, other in zip(rows, back, strict=True):
        for field in dataclasses.fields(kind):
            assert type(getattr(row, field.name)) is type(getattr(other, field.name))
    assert to_parquet(kind, back) == content


def test_nullable_columns_are_those_that_may_be_none() -> None:
    """The schema tells required fields from optional ones."""
    schema = pq.read_schema(io.BytesIO(to_parquet(DocumentRecord, [])))
    optional = {name for name, hint in get_type_hints(DocumentRecord).items() if type(None) in get_args(hint)}
    assert {field.name for field in schema if field.nullable} == optional
    assert optional


def test_many_rows() -> None:
    """More rows than are read at a time come back all, in their order."""
    day = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
    rows = [Document(f"s3://b/{n}", "e", n, day) for n in range(25_001)]
    assert list(from_parquet(Document, to_parquet(Document, rows))) == rows

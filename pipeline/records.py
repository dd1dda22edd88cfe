"""The working files of a run: frozen values as rows of Parquet, and back."""

from __future__ import annotations

import dataclasses
import io
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from functools import cache
from typing import Any, Generic, TypeVar, cast, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.domain import Change, Fate, Mode, Reason, Usage

Row = TypeVar("Row")
_TIME = pa.timestamp("us", tz="UTC")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ARROW: dict[type, pa.DataType] = {str: pa.string(), int: pa.int64(), bool: pa.bool_(), datetime: _TIME}


@dataclass(frozen=True, slots=True)
class DocumentRecord:
    """What became of reading one document, and whether it had to be. `held`, `source`, `extra` are the listing's."""

    document_id: str
    uri: str
    size_bytes: int
    last_modified: datetime
    etag: str
    form: str | None
    encoding: str | None
    characters: int | None
    tokens: int | None
    language: str | None
    title: str | None
    author: str | None
    created: datetime | None
    pages: int | None
    recognised_pages: int | None
    unread_parts: int | None
    removed_characters: int | None
    content_hash: str | None
    duplicate_of: str | None
    failure: Reason | None
    detail: str | None
    change: Change
    held: str
    source: str | None = None
    extra: str | None = None


@dataclass(frozen=True, slots=True)
class OutcomeRecord:
    """One outcome as it is kept: the answer as JSON text, with what the ledger needs to know of the call.

    `paid_by` is the key of the run that paid for the call, None when it is this one; its own key stands with the
    copies of a request that it paid once. The tokens are those of the call, whoever paid.
    """

    record_id: str
    question_id: str
    fate: Fate
    round_number: int
    mode: Mode
    job_arn: str | None
    answer: str | None
    reason: Reason | None
    detail: str | None
    retryable: bool
    truncated: bool
    model: str | None
    input_tokens: int | None
    output_tokens: int | None
    raw: str | None
    paid_by: str | None

    @property
    def usage(self) -> Usage | None:
        """The tokens; None when Bedrock reported none."""
        if self.input_tokens is None or self.output_tokens is None:
            return None
        return Usage(self.input_tokens, self.output_tokens)


@dataclass(frozen=True)
class _Codec(Generic[Row]):
    kind: type[Row]
    schema: pa.Schema
    enums: dict[str, type[StrEnum]]


def to_parquet(kind: type[Row], rows: Sequence[Row]) -> bytes:
    """The rows of a frozen dataclass as Parquet; fields are str, int, bool, datetime or StrEnum, or that or None."""
    schema = schema_of(kind)
    columns = [pa.array([getattr(row, field.name) for row in rows], type=field.type) for field in schema]
    return table_to_parquet(pa.Table.from_arrays(columns, schema=schema))


def table_to_parquet(table: pa.Table) -> bytes:
    """A table in the schema of some kind of row, as `to_parquet` would write its rows."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", compression_level=1)
    return sink.getvalue()


def schema_of(kind: type[Any]) -> pa.Schema:
    """The columns of a frozen dataclass."""
    codec: _Codec[Any] = _codec(cast("Any", kind))
    return codec.schema


def from_parquet(kind: type[Row], content: bytes) -> Iterator[Row]:
    """The rows that `to_parquet` wrote, in their order; None for what a version did not write yet."""
    codec: _Codec[Row] = _codec(cast("Any", kind))
    file = pq.ParquetFile(io.BytesIO(content))
    missing = {field.name for field in codec.schema if field.nullable} - set(file.schema_arrow.names)
    for batch in file.iter_batches(batch_size=10_000):
        columns = [
            [None] * batch.num_rows
            if field.name in missing
            else _decoded(batch.column(field.name), field, codec.enums.get(field.name))
            for field in codec.schema
        ]
        for values in zip(*columns, strict=True):
            yield kind(*values)


def _decoded(column: pa.Array[Any], field: pa.Field[Any], enum: type[StrEnum] | None) -> list[Any]:
    """A column as Python values; Arrow's own way to a time with a zone takes ten times as long."""
    if field.type == _TIME:
        instants = column.cast(pa.int64()).to_pylist()
        return [None if instant is None else _EPOCH + timedelta(microseconds=instant) for instant in instants]
    values = column.to_pylist()
    if enum is None:
        return values
    members = {member.value: member for member in enum}
    return [None if value is None else members[value] for value in values]


@cache
def _codec(kind: Any) -> _Codec[Any]:
    hints = get_type_hints(kind)
    fields, enums = [], {}
    for field in dataclasses.fields(kind):
        inner, optional = _inner(hints[field.name])
        if issubclass(inner, StrEnum):
            enums[field.name] = inner
            inner = str
        fields.append(pa.field(field.name, _ARROW[inner], nullable=optional))
    return _Codec(kind, pa.schema(fields), enums)


def _inner(hint: Any) -> tuple[type, bool]:
    if get_origin(hint) is types.UnionType:
        return next(part for part in get_args(hint) if part is not type(None)), True
    return hint, False

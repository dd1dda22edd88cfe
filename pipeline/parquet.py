"""Rows of a table as Parquet files, and where these lie below an output."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

SET_ASIDE = "withdrawn"
COMPACTED = "compacted"


# A shard has up to 10,000 documents in the order of their uris: in groups of so many rows, whoever wants the documents
# below a prefix reads one or two of them. Files grow by less than 1 %. Copies of many runs likewise: a
# filter on a run or day reads one group; 300 runs of 50 rows are 5 % larger than in one group, and scanned as fast.
GROUP_ROWS = 2_000
GROUP_BYTES = 64_000_000  # of a copy's group in memory
# Each row has a value of its own: a dictionary would only make the file larger.
UNIQUE = {"document_id", "uri", "etag", "content_hash", "record_id"}
_BLOOMS = int(pa.__version__.split(".")[0]) >= 26
_WRONGLY_FOUND = 0.01  # share of row groups without a value that a Bloom filter lets a reader open all the same


def write_rows(
    schema: pa.Schema,
    rows: Iterable[Sequence[Any]],
    file: BinaryIO,
    *,
    looked_up: Collection[str] = ("document_id",),
    group_rows: int = GROUP_ROWS,
) -> int:
    """Rows (values in the order of the schema) as one Parquet file, a row group at a time; how many there were.

    Statistics stand with groups and pages, Bloom filters with the columns that are `looked_up` by value, as far as the
    table has them. The same rows give the same bytes.
    """
    written = 0
    with pq.ParquetWriter(file, schema, **_options(schema, looked_up, group_rows)) as writer:
        group: list[Sequence[Any]] = []
        for row in rows:
            group.append(row)
            if len(group) == group_rows:
                writer.write_table(_table(schema, group))
                written, group = written + len(group), []
        if group or not written:
            writer.write_table(_table(schema, group))
    return written + len(group)


def copy_rows(
    schema: pa.Schema,
    batches: Iterable[pa.RecordBatch],
    file: BinaryIO,
    *,
    looked_up: Collection[str] = ("document_id",),
    group_rows: int = GROUP_ROWS,
) -> None:
    """Rows of other files as one, as `write_rows` writes them; only one group is held in memory."""
    with pq.ParquetWriter(file, schema, **_options(schema, looked_up, group_rows)) as writer:
        group: list[pa.RecordBatch] = []
        rows = size_bytes = 0
        for batch in batches:
            group, rows, size_bytes = [*group, batch], rows + batch.num_rows, size_bytes + batch.nbytes
            if rows >= group_rows or size_bytes >= GROUP_BYTES:
                held = pa.Table.from_batches(group)
                whole = rows - rows % group_rows or rows
                writer.write_table(held.slice(0, whole).cast(schema), row_group_size=group_rows)
                left = held.slice(whole)
                group, rows, size_bytes = left.to_batches(), left.num_rows, left.nbytes
        if group:
            writer.write_table(pa.Table.from_batches(group).cast(schema), row_group_size=group_rows)


def looked_up_in(file: pq.FileMetaData) -> list[str]:
    """The columns that a file of ours has Bloom filters for; pyarrow tells of them from 26 on."""
    groups = min(file.num_row_groups, 1)
    columns = [file.row_group(group).column(number) for group in range(groups) for number in range(file.num_columns)]
    return [one.path_in_schema for one in columns if getattr(one, "bloom_filter_offset", None) is not None]


def _options(schema: pa.Schema, looked_up: Collection[str], group_rows: int) -> dict[str, Any]:
    blooms = {
        name: {"ndv": group_rows, "fpp": _WRONGLY_FOUND}
        for name in looked_up
        if name in schema.names and schema.field(name).type == pa.string()
    }
    return {
        "compression": "zstd",
        "compression_level": 3,
        "use_dictionary": [leaf for field in schema if field.name not in UNIQUE for leaf in _leaves(field)],
        "write_page_index": True,
        **({"bloom_filter_options": blooms} if _BLOOMS and blooms else {}),
    }


def _leaves(field: pa.Field[Any], above: str = "") -> Iterator[str]:
    """The paths of a column's own columns in the file."""
    path = f"{above}{field.name}"
    if isinstance(field.type, pa.StructType):
        for part in field.type:
            yield from _leaves(part, f"{path}.")
    elif isinstance(field.type, pa.ListType):
        yield from _leaves(field.type.value_field.with_name("element"), f"{path}.list.")
    else:
        yield path


def count_rows(file: BinaryIO) -> int:
    """The rows of a Parquet file; the file stands at its beginning before and after."""
    rows = pq.ParquetFile(file).metadata.num_rows
    file.seek(0)
    return int(rows)


def published_key(table: str, run_key: str, part: int) -> str:
    """Where a part lies below the output. No `key=value`: every column is in the file."""
    return f"tables/{table}/{run_key}/part-{part:04d}.parquet"


def compacted_key(table: str, version: int, written: dt.datetime) -> str:
    """Where a copy of many runs' rows lies: apart from the tables, whose readers would count its rows twice.

    Named by the snapshot whose files it is made of and the second: what a broken-off one left is never written again.
    """
    return f"{COMPACTED}/{table}/{version}-{written:%Y%m%dT%H%M%S}.parquet"


def set_aside_folder(run_key: str) -> str:
    """Where the files of a withdrawn run lie, apart from all tables."""
    return f"{SET_ASIDE}/{run_key}"


def set_aside_key(run_key: str, key: str) -> str:
    """Where a part of a withdrawn run lies; `key` is its place among the tables."""
    return f"{set_aside_folder(run_key)}/{key}"


def set_aside_list(run_key: str) -> str:
    """What says, by table, which files were set aside: it is there while all of them are."""
    return f"{set_aside_folder(run_key)}/files.json"


def _table(schema: pa.Schema, rows: Sequence[Sequence[Any]]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema)
    arrays = [pa.array(list(column), type=field.type) for column, field in zip(columns, schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=schema)

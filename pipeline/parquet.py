"""Rows of a table as Parquet files, and where these lie below an output."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

SET_ASIDE = "withdrawn"


def write_rows(schema: pa.Schema, rows: Iterable[Sequence[Any]], file: BinaryIO, *, group_rows: int = 50_000) -> int:
    """Rows (values in the order of the schema) as one Parquet file, a row group at a time; how many there were.

    The same rows give the same bytes.
    """
    written = 0
    with pq.ParquetWriter(file, schema, compression="zstd", compression_level=3) as writer:
        group: list[Sequence[Any]] = []
        for row in rows:
            group.append(row)
            if len(group) == group_rows:
                writer.write_table(_table(schema, group))
                written, group = written + len(group), []
        if group or not written:
            writer.write_table(_table(schema, group))
    return written + len(group)


def count_rows(file: BinaryIO) -> int:
    """The rows of a Parquet file; the file stands at its beginning before and after."""
    rows = pq.ParquetFile(file).metadata.num_rows
    file.seek(0)
    return int(rows)


def published_key(table: str, run_key: str, part: int) -> str:
    """Where a part lies below the output. No `key=value`: every column is in the file."""
    return f"tables/{table}/{run_key}/part-{part:04d}.parquet"


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

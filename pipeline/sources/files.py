"""The rows of a table in a file, one after the other: CSV, JSONL, Parquet or ORC, of any size."""

from __future__ import annotations

import csv
import json
import tempfile
import zlib
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

from pipeline.errors import SettingsError, StorageError
from pipeline.storage.objects import READ_BYTES, ObjectStore

MOST_ROW_BYTES = 100_000_000  # of a line of CSV or JSONL
BATCH_ROWS = 1_000
BATCH_BYTES = 16_000_000
PEEKED_ROWS = 100  # of JSONL, where a column may be missing in some

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Line:
    """One row, from 1 (after the header, where there is one); or why it cannot be read."""

    number: int
    values: Values
    problem: str | None = None
    twice: frozenset[str] = frozenset()  # columns that the header names more than once


def read_lines(store: ObjectStore, key: str, header: Sequence[str] | None = None) -> Iterator[Line]:
    """The rows of a file by the ending of its name. `header` are the columns of a CSV file that does not say them.

    Raises StorageError, and SettingsError for a file that is empty or no such table.
    """
    name = key.lower()
    if name.endswith((".parquet", ".orc")):
        return _of_columns(store, key)
    pieces = _filled(store.stream(key), store.uri(key))
    pieces = _unpacked(pieces, store.uri(key)) if name.endswith(".gz") else pieces
    lines = _split(_in_utf8(pieces, store.uri(key)))
    if name.removesuffix(".gz").endswith((".jsonl", ".ndjson")):
        return _of_json(lines)
    return _of_csv(lines, "\t" if ".tsv" in name else ",", header)


def with_columns(lines: Iterator[Line], wanted: Sequence[str], uri: str) -> Iterator[Line]:
    """The same rows. Raises SettingsError for a column that stands twice or in none of the first ones."""
    first = list(islice(lines, PEEKED_ROWS))
    there = list(dict.fromkeys(name for line in first for name in line.values))
    if there:
        for name in wanted:
            if name in first[0].twice:
                raise SettingsError(f"{uri}: has two columns {name!r}; leave one of them, or give it another name")
            if name not in there:
                raise SettingsError(f"{uri}: has no column {name!r}; {_told(there)}")
    return chain(first, lines)


def _told(names: Sequence[str]) -> str:
    try:
        return f"its columns are {', '.join(names).encode().decode()}"
    except UnicodeEncodeError:  # `surrogateescape` stands for bytes that are none
        return "its header is not UTF-8; save it anew as that"


def _filled(pieces: Iterator[bytes], uri: str) -> Iterator[bytes]:
    first = next((piece for piece in pieces if piece), None)
    if first is None:
        raise SettingsError(f"{uri}: is empty (0 bytes)")
    yield first
    yield from pieces


def _in_utf8(pieces: Iterator[bytes], uri: str) -> Iterator[bytes]:
    """A mark or a zero byte at the beginning shows another encoding; no row of it could be read."""
    first = next(pieces, b"")
    if first.startswith((BOM_UTF16_LE, BOM_UTF16_BE)) or b"\0" in first[:4]:
        raise SettingsError(f"{uri}: is UTF-16 or UTF-32, and must be UTF-8; save it anew as that")
    yield first
    yield from pieces


def _unpacked(pieces: Iterable[bytes], uri: str) -> Iterator[bytes]:
    """What lies in a gzip file, its members one after the other, a piece at a time however small it was packed."""
    unpacker = zlib.decompressobj(wbits=31)
    try:
        for piece in pieces:
            rest = piece
            while rest:
                if unpacker.eof:
                    unpacker = zlib.decompressobj(wbits=31)
                yield unpacker.decompress(rest, READ_BYTES)
                rest = unpacker.unused_data if unpacker.eof else unpacker.unconsumed_tail
        yield unpacker.flush()
    except zlib.error as error:
        raise StorageError(f"{uri}: is no whole gzip file ({error})") from error
    if not unpacker.eof:
        raise StorageError(f"{uri}: is no whole gzip file (it was cut short)")


def _split(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Lines with their ends; of one that is longer than MOST_ROW_BYTES, a part that is still too long."""
    held: list[bytes] = []
    size = 0
    for piece in pieces:
        for part in _ended(piece):
            if size <= MOST_ROW_BYTES or part.endswith(b"\n"):
                held.append(part)
                size += len(part)
            if part.endswith(b"\n"):
                yield b"".join(held)
                held, size = [], 0
    if held:
        yield b"".join(held)


def _ended(piece: bytes) -> list[bytes]:
    """By line feeds alone; `splitlines` would take more for an end."""
    *lines, last = piece.split(b"\n")
    return [line + b"\n" for line in lines] + ([last] if last else [])


def _of_json(lines: Iterable[bytes]) -> Iterator[Line]:
    number = 0
    for line in lines:
        if line.strip():
            number += 1
            yield _json_row(number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line)


def _json_row(number: int, line: bytes) -> Line:
    if len(line) > MOST_ROW_BYTES:
        return Line(number, {}, f"is longer than {MOST_ROW_BYTES} bytes")
    try:
        found = json.loads(line, object_pairs_hook=_without_repeats)
    except _Repeated as repeated:
        return Line(number, {}, f"has the key {repeated} twice")
    except UnicodeDecodeError:
        return Line(number, {}, "is not UTF-8")
    except (ValueError, RecursionError):
        return Line(number, {}, "is not JSON")
    if not isinstance(found, dict):
        return Line(number, {}, "is no JSON object")
    return Line(number, found)


class _Repeated(Exception):
    pass


def _without_repeats(pairs: list[tuple[str, Any]]) -> Values:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _Repeated(repr(next(name for name in names if names.count(name) > 1))[:200])
    return found


def _repeated(names: Sequence[str]) -> frozenset[str]:
    return frozenset(name for name, times in Counter(names).items() if times > 1)


def _of_csv(lines: Iterable[bytes], separator: str, header: Sequence[str] | None) -> Iterator[Line]:
    """RFC 4180: a quoted field may hold line ends. Every value is a text."""
    csv.field_size_limit(max(csv.field_size_limit(), MOST_ROW_BYTES))
    rows = csv.reader((line.decode("utf-8", "surrogateescape") for line in lines), delimiter=separator, strict=True)
    names = list(header) if header else [name.removeprefix("\ufeff").strip() for name in next(rows, [])]
    number, twice = 0, _repeated(names)
    while True:
        try:
            fields = next(rows, None)
        except csv.Error as error:
            number += 1
            yield Line(number, {}, f"is not CSV ({error})", twice)
            continue
        if fields is None:
            return
        if fields:
            number += 1
            wrong = len(fields) != len(names)
            problem = f"has {len(fields)} fields; the header has {len(names)}" if wrong else None
            yield Line(number, dict(zip(names, fields, strict=False)), problem, twice)


def _of_columns(store: ObjectStore, key: str) -> Iterator[Line]:
    """From a copy on disk: these formats are read from their end."""
    number = 0
    with tempfile.TemporaryFile(prefix="docbatch-") as file:
        for piece in store.stream(key):
            file.write(piece)
        if not file.tell():
            raise SettingsError(f"{store.uri(key)}: is empty (0 bytes)")
        file.seek(0)
        try:
            for batch in _orc_batches(file) if key.lower().endswith(".orc") else _parquet_batches(file):
                twice = _repeated(batch.schema.names)
                for values in _rows_of(batch):
                    number += 1
                    yield Line(number, values or {}, None if values is not None else "holds what is not UTF-8", twice)
        except (pa.ArrowException, OSError) as error:
            what = "ORC" if key.lower().endswith(".orc") else "Parquet"
            reason = str(error).splitlines()[0]
            raise StorageError(f"{store.uri(key)}: cannot be read as {what} after row {number}: {reason}") from error


def _parquet_batches(file: IO[bytes]) -> Iterator[pa.RecordBatch]:
    table = pq.ParquetFile(file, buffer_size=READ_BYTES, pre_buffer=False)
    for group in range(table.num_row_groups):
        about = table.metadata.row_group(group)
        rows = BATCH_BYTES * about.num_rows // max(1, about.total_byte_size)
        yield from table.iter_batches(max(1, min(BATCH_ROWS, rows)), row_groups=[group])


def _orc_batches(file: IO[bytes]) -> Iterator[pa.RecordBatch]:
    table = orc.ORCFile(file)
    for stripe in range(table.nstripes):
        whole = table.read_stripe(stripe)
        for start in range(0, whole.num_rows, BATCH_ROWS):
            yield whole.slice(start, BATCH_ROWS)


def _rows_of(batch: pa.RecordBatch) -> Iterator[Values | None]:
    """The rows as Python values; None for one with a text that is none."""
    try:
        yield from batch.to_pylist()
    except UnicodeDecodeError:
        for place in range(batch.num_rows):
            try:
                yield batch.slice(place, 1).to_pylist()[0]
            except UnicodeDecodeError:
                yield None

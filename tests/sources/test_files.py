"""Tables in files: every form gives the same rows, and a broken one says what is wrong."""

from __future__ import annotations

import datetime as dt
import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from pipeline.errors import DocbatchError, SettingsError, StorageError
from pipeline.sources import files
from pipeline.sources.files import Line, read_lines, with_columns
from pipeline.sources.rows import as_extra
from pipeline.storage.folders import Folder
from pipeline.storage.objects import ObjectStore

ROWS: list[dict[str, Any]] = [
    {"id": "1", "text": 'One, with\na line end and "quotes".'},
    {"id": "2", "text": "Zwei — é 漢"},
    {"id": "3", "text": ""},
]


def as_csv(separator: str) -> bytes:
    lines = [separator.join('"' + str(value).replace('"', '""') + '"' for value in row.values()) for row in ROWS]
    return b"\xef\xbb\xbf" + "\r\n".join([separator.join(ROWS[0]), *lines, ""]).encode()


def as_jsonl() -> bytes:
    return b"\xef\xbb\xbf" + "\n\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()


def as_parquet() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(ROWS), sink, row_group_size=2)
    return sink.getvalue().to_pybytes()


def as_orc() -> bytes:
    sink = pa.BufferOutputStream()
    orc.write_table(pa.Table.from_pylist(ROWS), sink)
    return sink.getvalue().to_pybytes()


def read(folder: Path, name: str, content: bytes, header: list[str] | None = None) -> list[Line]:
    (folder / name).write_bytes(content)
    return list(read_lines(ObjectStore(Folder(folder), folder.as_uri()), name, header))


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("t.csv", lambda: as_csv(",")),
        ("t.tsv", lambda: as_csv("\t")),
        ("t.csv.gz", lambda: gzip.compress(as_csv(",")[:40]) + gzip.compress(as_csv(",")[40:])),
        ("t.jsonl", as_jsonl),
        ("T.NDJSON", as_jsonl),
        ("t.jsonl.gz", lambda: gzip.compress(as_jsonl())),
        ("t.parquet", as_parquet),
        ("t.orc", as_orc),
    ],
)
def test_every_form_gives_the_same_rows(tmp_path: Path, name: str, write: Callable[[], bytes]) -> None:
    """Marks, quotes, line ends within a field, members of a gzip file and row groups change nothing."""
    assert read(tmp_path, name, write()) == [Line(number, row) for number, row in enumerate(ROWS, 1)]


@pytest.mark.parametrize(
    ("name", "content", "problems"),
    [
        (
            "t.csv",
            b"a,b\n1,2\n3\n4,5,6\n7,8\n",
            {2: "has 1 fields; the header has 2", 3: "has 3 fields; the header has 2"},
        ),
        ("t.csv", b'a,b\n1,2\n3,"x"y\n5,6\n', {2: "is not CSV"}),
        (
            "t.jsonl",
            b'{"a": 1}\n{"a": \n"x"\n\xff\n{"a": 2}',
            {2: "is not JSON", 3: "is no JSON object", 4: "is not UTF-8"},
        ),
        (
            "t.jsonl",
            b'{"a": 1}\n{"a": 1, "b": 2, "a": 3}\n{"b": {"c": 1, "c": 1}}\n{"a": 2}',
            {2: "has the key 'a' twice", 3: "has the key 'c' twice"},
        ),
    ],
)
def test_a_broken_row_is_one_row(tmp_path: Path, name: str, content: bytes, problems: dict[int, str]) -> None:
    """Those before and after it are read; its number and what is wrong with it are told."""
    found = {line.number: line.problem for line in read(tmp_path, name, content)}
    assert {number for number, problem in found.items() if problem} == problems.keys()
    assert all(said in str(found[number]) for number, said in problems.items())
    assert found[1] is None
    assert found[len(found)] is None


def test_a_text_that_is_none_spoils_its_row_alone(tmp_path: Path) -> None:
    """Parquet takes any bytes for a text; the other rows of the batch are read."""
    texts = pa.Array.from_buffers(
        pa.string(), 3, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"a\xffc")]
    )
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": texts}), sink)
    found = read(tmp_path, "t.parquet", sink.getvalue().to_pybytes())
    assert [line.values for line in found] == [{"text": "a"}, {}, {"text": "c"}]
    assert [line.problem for line in found] == [None, "holds what is not UTF-8", None]


def test_a_line_without_an_end_takes_no_memory(tmp_path: Path) -> None:
    """Of a line that is too long no more is held than shows it; the next row is read."""
    long = b'{"a": "' + b"x" * (files.MOST_ROW_BYTES + 5_000_000) + b'"}\n{"a": 1}\n'
    first, second = read(tmp_path, "t.jsonl", long)
    assert first.problem == "is longer than 100000000 bytes"
    assert second == Line(2, {"a": 1})


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("t.csv", "id,text\n1,x\n".encode("utf-16"), SettingsError, "is UTF-16 or UTF-32, and must be UTF-8"),
        ("t.csv", "id,text\n1,x\n".encode("utf-16-be"), SettingsError, "is UTF-16 or UTF-32, and must be UTF-8"),
        ("t.jsonl.gz", gzip.compress("{}\n".encode("utf-16"), mtime=0), SettingsError, "is UTF-16 or UTF-32"),
        ("t.jsonl", b"", SettingsError, r"t\.jsonl: is empty \(0 bytes\)"),
        ("t.parquet", b"", SettingsError, r"is empty \(0 bytes\)"),
        ("t.parquet", b"no table", StorageError, "cannot be read as Parquet after row 0"),
        ("t.orc", b"no table", StorageError, "cannot be read as ORC after row 0"),
        ("t.csv.gz", b"no gzip", StorageError, "is no whole gzip file"),
        ("t.csv.gz", gzip.compress(b"a,b\n1,2\n", mtime=0)[:-6], StorageError, "it was cut short"),
    ],
)
def test_a_file_that_is_no_table_says_so(
    tmp_path: Path, name: str, content: bytes, error: type[DocbatchError], message: str
) -> None:
    """The file is named, and what it should be."""
    with pytest.raises(error, match=message):
        read(tmp_path, name, content)


def test_columns_that_are_missing_name_those_that_are_there() -> None:
    """One that some rows lack is no mistake; a table without rows has none."""
    with pytest.raises(SettingsError, match="has no column 'a'; its header is not UTF-8; save it anew"):
        with_columns(iter([Line(1, {"\udce9": 1})]), ["a"], "s3://b/t.csv")
    lines = [Line(1, {"a": 1}), Line(2, {"b": 1})]
    assert list(with_columns(iter(lines), ["a", "b"], "s3://b/t.jsonl")) == lines
    assert list(with_columns(iter([]), ["a"], "s3://b/t.csv")) == []
    with pytest.raises(SettingsError, match=r"s3://b/t\.jsonl: has no column 'c'; its columns are a, b"):
        with_columns(iter(lines), ["c"], "s3://b/t.jsonl")


def two_columns() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table([["1"], ["x"], ["y"]], names=["id", "text", "text"]), sink)
    return sink.getvalue().to_pybytes()


@pytest.mark.parametrize(
    ("name", "content"), [("t.csv", b"id,text,more,text,more\n1,x,2,y,3\n"), ("t.parquet", two_columns())]
)
def test_a_column_that_stands_twice_is_refused_where_it_is_used(tmp_path: Path, name: str, content: bytes) -> None:
    """Nobody could say which of the two was meant; of others it is no matter."""
    lines = read(tmp_path, name, content)
    assert list(with_columns(iter(lines), ["id"], "t")) == lines
    with pytest.raises(SettingsError, match=r"s3://b/t: has two columns 'text'"):
        with_columns(iter(lines), ["id", "text"], "s3://b/t")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (2**70, str(2**70)),
        (2.5, "2.5"),
        (True, "true"),
        (None, "null"),
        ("é\n", '"é\\n"'),
        (Decimal("1.10"), '"1.10"'),
        (dt.date(2026, 11, 1), '"2026-11-01"'),
        (dt.datetime(2026, 11, 1, 2, tzinfo=dt.UTC), '"2026-11-01T02:00:00+00:00"'),
        (b"\0\1", '"AAE="'),
        (float("nan"), "null"),
        ([float("inf")], "[null]"),
        ([1, {"b": 2, "a": None}], '[1,{"a":null,"b":2}]'),
        ("half \ud800", '"half ?"'),
    ],
)
def test_extra_columns_keep_what_json_has(value: Any, text: str) -> None:
    """Numbers, booleans, null and what is nested stay; what JSON does not have becomes text."""
    assert as_extra({"b": 1, "a": value}) == f'{{"a":{text},"b":1}}'

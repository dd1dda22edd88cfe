"""Lists and inventories: which documents they name, and what they say of them."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from obstore.store import MemoryStore
from pyarrow import orc

from pipeline.errors import ObjectMissing, SettingsError
from pipeline.sources.listing import list_sources, refuse_missing
from pipeline.sources.selecting import Selection
from pipeline.sources.spelling import parse_sources
from pipeline.sources.spool import Spool
from pipeline.sources.values import Entry
from pipeline.storage.objects import ObjectStore
from tests.stand_ins import Prefixed

MODIFIED = dt.datetime(2026, 11, 20, 8, 30, 15, tzinfo=dt.UTC)
FOLDER = "reports/documents/all"
OBJECTS: list[tuple[str, bool, bool, int | None]] = [
    ("plain.txt", True, False, 10),
    ("a folder/ü+1 &.txt", True, False, 11),
    ("older version.txt", False, False, 12),
    ("gone.txt", True, True, None),
    ("a folder/", True, False, 0),
]


class Buckets:
    """Buckets in memory, opened by uri; counts what is looked up."""

    def __init__(self) -> None:
        self._stores: dict[str, MemoryStore] = {}

    def bucket(self, name: str) -> MemoryStore:
        return self._stores.setdefault(name, MemoryStore())

    def put(self, uri: str, content: bytes) -> None:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self.bucket(bucket).put(key, content)

    def open(self, uri: str, *, make: bool = False) -> ObjectStore:
        del make
        bucket, _, prefix = uri.removeprefix("s3://").partition("/")
        if bucket not in self._stores:
            raise ObjectMissing(f"{uri}: there is no such bucket")
        return ObjectStore(Prefixed(self._stores[bucket], prefix), uri)  # type: ignore[arg-type] # part of a store


@pytest.fixture
def buckets() -> Buckets:
    return Buckets()


@pytest.fixture
def listing(tmp_path: Path, buckets: Buckets) -> Callable[..., dict[str, Entry]]:
    def entries(said: str, selection: Selection | None = None) -> dict[str, Entry]:
        with tempfile.TemporaryDirectory(dir=tmp_path) as folder, closing(Spool(Path(folder))) as spool:
            found = list_sources(buckets.open, parse_sources(said), selection or Selection(), spool)
            return {one.document.uri: one for one in found}

    return entries


def put_inventory(buckets: Buckets, kind: str, day: str = "2026-11-22T01-00Z", **changed: Any) -> str:
    """An inventory as S3 writes it: a manifest, and one file of it in another folder."""
    write, ending, schema = WRITERS[kind]
    key = f"{FOLDER}/data/{day}{ending}"
    buckets.put(f"s3://reports/{key}", write())
    manifest = {
        "sourceBucket": "documents",
        "destinationBucket": "arn:aws:s3:::reports",
        "version": "2016-11-30",
        "creationTimestamp": "1514944800000",
        "fileFormat": kind,
        "fileSchema": schema,
        "files": [{"key": key, "size": 1, "MD5checksum": "0"}],
    }
    uri = f"s3://reports/{FOLDER}/{day}/manifest.json"
    buckets.put(uri, json.dumps(manifest | changed).encode())
    return uri


def csv_inventory() -> bytes:
    lines = [
        f'"documents","{quote_plus(key, safe="/")}","v1","{str(latest).lower()}","{str(gone).lower()}",'
        f'"{"" if size is None else size}","2026-11-20T08:30:15.000Z","{"" if gone else "etag"}"\n'
        for key, latest, gone, size in OBJECTS
    ]
    return gzip.compress("".join(lines).encode())


def table(kind: pa.DataType) -> pa.Table:
    columns = {
        "bucket": ["documents"] * len(OBJECTS),
        "key": [key for key, *_ in OBJECTS],
        "version_id": ["v1"] * len(OBJECTS),
        "is_latest": [latest for _, latest, *_ in OBJECTS],
        "is_delete_marker": [gone for _, _, gone, _ in OBJECTS],
        "size": [size for *_, size in OBJECTS],
        "last_modified_date": pa.array([MODIFIED] * len(OBJECTS), pa.timestamp("ms", "UTC")).cast(kind),
        "e_tag": [None if gone else "etag" for _, _, gone, _ in OBJECTS],
    }
    return pa.table(columns)


def parquet_inventory() -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table(pa.timestamp("ms", "UTC")), sink)
    return sink.getvalue().to_pybytes()


def orc_inventory() -> bytes:
    sink = pa.BufferOutputStream()
    orc.write_table(table(pa.timestamp("ns", "UTC")), sink)
    return sink.getvalue().to_pybytes()


CSV_SCHEMA = "Bucket, Key, VersionId, IsLatest, IsDeleteMarker, Size, LastModifiedDate, ETag"
WRITERS: dict[str, tuple[Callable[[], bytes], str, str]] = {
    "CSV": (csv_inventory, ".csv.gz", CSV_SCHEMA),
    "Parquet": (parquet_inventory, ".parquet", "message s3.inventory {}"),
    "ORC": (orc_inventory, ".orc", "struct<bucket:string>"),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_an_inventory_in_every_form(buckets: Buckets, listing: Callable[..., dict[str, Entry]], kind: str) -> None:
    """The newest versions that are no folders; what it says of them is not asked of S3: there is no such bucket."""
    uri = put_inventory(buckets, kind)
    found = listing(f"inventory:{uri}")
    assert list(found) == ["s3://documents/plain.txt", "s3://documents/a folder/ü+1 &.txt"]
    first = found["s3://documents/plain.txt"]
    assert (first.document.etag, first.document.size_bytes, first.document.last_modified) == ("etag", 10, MODIFIED)
    assert first.origin == f"inventory:s3://reports/{FOLDER}"


def test_the_newest_inventory_of_a_folder(buckets: Buckets, listing: Callable[..., dict[str, Entry]]) -> None:
    """By its date; one whose manifest is not there yet is not complete."""
    put_inventory(buckets, "CSV", "2026-11-21T01-00Z", files=[])
    put_inventory(buckets, "CSV", "2026-11-22T01-00Z")
    buckets.put(f"s3://reports/{FOLDER}/2026-11-23T01-00Z/manifest.checksum", b"0")
    assert len(listing(f"inventory:s3://reports/{FOLDER}")) == 2
    with pytest.raises(SettingsError, match=r"inventory:s3://reports/reports: holds no dated folder"):
        listing("inventory:s3://reports/reports")


def test_what_an_inventory_does_not_say_is_looked_up(
    buckets: Buckets, listing: Callable[..., dict[str, Entry]]
) -> None:
    """Size, time and ETag are optional fields; what is gone since is listed all the same, and read in vain."""
    buckets.put("s3://documents/plain.txt", b"0123456789ab")
    key = f"{FOLDER}/data/short.csv.gz"
    buckets.put(f"s3://reports/{key}", gzip.compress(b'"documents","plain.txt"\n"documents","gone.txt"\n'))
    uri = put_inventory(buckets, "CSV", fileSchema="Bucket, Key", files=[{"key": key}])
    found = listing(f"inventory:{uri}")
    assert [one.document.size_bytes for one in found.values()] == [12, 0]
    assert found["s3://documents/gone.txt"].document.etag == ""


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"fileFormat": "Avro"}, "is no manifest of an S3 Inventory: fileFormat is 'Avro'"),
        ({"fileSchema": "Key, Size"}, "row 1 has 8 fields; the header has 2"),
        ({"files": [{"key": "x.zip"}]}, r"names the file x\.zip, which is no \.csv\.gz"),
    ],
)
def test_an_inventory_that_is_none_is_refused(
    buckets: Buckets, listing: Callable[..., dict[str, Entry]], changed: dict[str, Any], message: str
) -> None:
    """What half an inventory does not name would be taken for deleted."""
    uri = put_inventory(buckets, "CSV", **changed)
    with pytest.raises(SettingsError, match=message):
        listing(f"inventory:{uri}")


def test_a_list_in_a_bucket_names_objects_of_buckets_alone(
    buckets: Buckets, listing: Callable[..., dict[str, Entry]]
) -> None:
    """Whoever writes to a bucket must not choose which files of this machine are read."""
    buckets.put("s3://one/a b+c%20.txt", b"12345")
    rows = ["s3://one/a b+c%20.txt", "file:///etc/passwd", "/etc/passwd", "s3://one/", "s3://one", "a.txt", ""]
    buckets.put("s3://lists/x.jsonl", "".join(json.dumps({"path": row}) + "\n" for row in rows).encode())
    found = listing("list:s3://lists/x.jsonl?uri=path")
    assert found.pop("s3://one/a b+c%20.txt").document.size_bytes == 5
    assert sorted(found) == [f"s3://lists/x.jsonl#row:{number}" for number in range(2, 8)]


def test_what_a_list_says_is_believed(buckets: Buckets, listing: Callable[..., dict[str, Entry]]) -> None:
    """ETag, size and time of a list spare the look-up; patterns see the key, and a row in vain is always wanted."""
    lines = ["uri,etag,size_bytes,last_modified", 's3://one/in/a.txt,"""1""",7,2026-11-20T08:30:15Z', "nowhere,2,7,"]
    buckets.put("s3://lists/x.csv", "\n".join(lines).encode())
    found = listing("list:s3://lists/x.csv", Selection(include=("in/*.txt",), min_bytes=7))
    document = found["s3://one/in/a.txt"].document
    assert (document.etag, document.size_bytes, document.last_modified) == ("1", 7, MODIFIED)
    assert [one.selected for one in found.values()] == [True, True]
    assert not listing("list:s3://lists/x.csv", Selection(include=("*.md",)))["s3://one/in/a.txt"].selected


@pytest.mark.parametrize(
    "said", ["list:s3://lists/none.csv", "rows:s3://lists/none.parquet", "inventory:s3://lists/x/manifest.json"]
)
def test_a_file_that_is_not_there_is_refused(buckets: Buckets, said: str) -> None:
    """Before anything is begun, by the name that was given."""
    buckets.put("s3://lists/x.csv", b"uri\n")
    with pytest.raises(SettingsError, match=f"{said}: there is no such file"):
        refuse_missing(buckets.open, parse_sources(said))

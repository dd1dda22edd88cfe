"""A listing beside what an output holds: which documents are new, changed, unchanged or deleted, in little memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.domain import Change, Document

# DuckDB keeps to this and spills to disk beyond it; ten million documents need 1 GB with Python and Arrow beside it.
MEMORY = "400MB"
THREADS = 2
ROWS_AT_ONCE = 20_000
BUCKETS = 256
_TIME = pa.timestamp("us", tz="UTC")
_COLUMNS: list[tuple[str, pa.DataType]] = [
    ("document_id", pa.string()),
    ("uri", pa.string()),
    ("etag", pa.string()),
    ("size_bytes", pa.int64()),
    ("last_modified", _TIME),
]
_LISTED = pa.schema(_COLUMNS)
# A document's id is 24 hexadecimal digits: as 12 bytes it stands inside DuckDB's own cell, without a pointer.
_SCHEMA = """
CREATE TABLE listed (id BLOB, uri VARCHAR, etag VARCHAR, size_bytes BIGINT, last_modified TIMESTAMPTZ);
CREATE TABLE published (
    id BLOB, uri VARCHAR, etag VARCHAR, size_bytes BIGINT, last_modified TIMESTAMPTZ, content_hash BLOB, change VARCHAR,
    ended TIMESTAMPTZ);
CREATE TABLE held (id BLOB, content_hash BLOB, analysis VARCHAR);
CREATE TABLE runs (run_key VARCHAR, ended TIMESTAMPTZ);
"""
_SHARD = """
CREATE OR REPLACE TEMP TABLE compared AS
WITH now AS (FROM listed WHERE {within}),
before AS (
    SELECT id, unnest(max_by(struct_pack(uri, etag, size_bytes, last_modified, content_hash, change), ended))
    FROM published WHERE {within} GROUP BY id),
known AS (
    SELECT id, content_hash, string_agg(DISTINCT analysis, ',' ORDER BY analysis) AS analyses
    FROM held WHERE {within} GROUP BY ALL)
SELECT now.uri, now.etag, now.size_bytes, now.last_modified,
    CASE WHEN before.id IS NULL OR before.change = 'deleted' THEN 'new'
         WHEN before.etag <> now.etag OR now.etag = '' THEN 'changed' ELSE 'unchanged' END AS difference,
    CASE WHEN difference = 'unchanged' THEN coalesce(known.analyses, '') ELSE '' END AS held
FROM now LEFT JOIN before ON before.id = now.id
LEFT JOIN known ON known.id = now.id AND known.content_hash = before.content_hash
UNION ALL
SELECT uri, etag, size_bytes, last_modified, 'deleted', '' FROM before ANTI JOIN now ON now.id = before.id
WHERE change <> 'deleted' AND starts_with(uri, ?)
"""


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document of the listing, or one that is gone from it.

    `held` names, comma-separated, the analyses whose published results still hold.
    """

    uri: str
    etag: str
    size_bytes: int
    last_modified: datetime
    change: Change
    held: str

    @property
    def document(self) -> Document:
        return Document(self.uri, self.etag, self.size_bytes, self.last_modified)


@dataclass(frozen=True, slots=True)
class ComparedShard:
    """The documents of a shard that have something to be done, in the order of their uris; the rest is counted."""

    documents: list[ListedDocument]
    unchanged: dict[str, int]


class Comparison:
    """The listing and what was published, in a database in `folder` for as long as the context lasts."""

    def __init__(self, folder: Path) -> None:
        self._database = duckdb.connect(str(folder / "comparison.duckdb"))
        self._database.execute(f"SET memory_limit = '{MEMORY}'; SET threads = {THREADS}; SET TimeZone = 'UTC'")
        self._database.execute("SET preserve_insertion_order = false")
        self._database.execute(_SCHEMA)
        self.documents = 0

    def __enter__(self) -> Comparison:
        return self

    def __exit__(self, _kind: object, _error: object, _trace: TracebackType | None) -> None:
        self._database.close()

    def add_listing(self, documents: Iterable[Document]) -> None:
        """Every listed document."""
        listing = iter(documents)
        while some := list(islice(listing, ROWS_AT_ONCE)):
            columns = [pa.array([getattr(one, field.name) for one in some], field.type) for field in _LISTED]
            rows = pa.Table.from_arrays(columns, schema=_LISTED)
            self._insert(rows, "listed SELECT unhex(document_id), uri, etag, size_bytes, last_modified FROM rows")
            self.documents += len(some)

    def add_runs(self, ended: Mapping[str, datetime]) -> None:
        """The committed runs, by key; rows of any other run do not count. Call it before the next two."""
        columns = {"run_key": list(ended), "ended": pa.array(list(ended.values()), _TIME)}
        self._insert(pa.table(columns), "runs SELECT * FROM rows")

    def add_published(self, documents: pa.RecordBatchReader) -> None:
        """Rows of the table `documents`: all its columns that are compared, and run_key."""
        self._insert(
            documents,
            "published SELECT unhex(document_id), uri, etag, size_bytes, last_modified, unhex(content_hash), change, "
            "ended FROM rows JOIN runs USING (run_key)",
        )

    def add_held(self, analysis: str, results: pa.RecordBatchReader) -> None:
        """Rows of an analysis' table that were asked as this run would ask: document_id, content_hash, run_key."""
        self._insert(
            results,
            f"held SELECT unhex(document_id), unhex(content_hash), '{analysis}' "  # noqa: S608 - names a column, too
            "FROM rows JOIN runs USING (run_key)",
        )

    def shard(self, shard: int, shards: int, source_uri: str, analyses: Collection[str]) -> ComparedShard:
        """One shard: what is to be looked at, and how many documents each analysis holds the result of already.

        Deleted documents are those below `source_uri`. Shards are ranges of the first byte of a document's id.
        """
        size = BUCKETS // shards
        low, high = shard * size, (shard + 1) * size
        within = f"id >= '\\x{low:02X}'::BLOB" + (f" AND id < '\\x{high:02X}'::BLOB" if high < BUCKETS else "")
        self._database.execute(_SHARD.format(within=within), [source_uri + "/"])
        counted = self._database.execute("SELECT held, count(*) FROM compared GROUP BY held").fetchall()
        unchanged = {name: sum(n for held, n in counted if name in held.split(",")) for name in sorted(analyses)}
        everything = ",".join(sorted(analyses))
        rows = self._database.execute("FROM compared WHERE held <> ? ORDER BY uri", [everything]).fetchall()
        return ComparedShard([_listed(row) for row in rows], unchanged)

    def _insert(self, rows: pa.Table | pa.RecordBatchReader, target_and_query: str) -> None:
        self._database.register("rows", rows)
        self._database.execute(f"INSERT INTO {target_and_query}")
        self._database.unregister("rows")


def _listed(row: tuple[Any, ...]) -> ListedDocument:
    uri, etag, size_bytes, last_modified, difference, held = row
    return ListedDocument(uri, etag, size_bytes, last_modified, Change(difference), held)

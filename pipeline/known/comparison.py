"""A listing beside what an output holds: which documents are new, changed, unchanged or deleted, in little memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa

from pipeline.domain import Change, Document
from pipeline.manifest import Held
from pipeline.sources.spelling import Scope
from pipeline.sources.values import Entry

# DuckDB fills this with 100,000 documents, and spills to disk beyond it: more documents take no more memory.
MEMORY = "64MB"
THREADS = 2
ROWS_AT_ONCE = 20_000
BUCKETS = 256
PARTS = 32  # compared one after the other, so that a join holds a part of the ids
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
CREATE TABLE listed (
    id BLOB, uri VARCHAR, etag VARCHAR, size_bytes BIGINT, last_modified TIMESTAMPTZ, source VARCHAR, selected BOOLEAN);
CREATE TABLE published (
    id BLOB, uri VARCHAR, etag VARCHAR, size_bytes BIGINT, last_modified TIMESTAMPTZ, content_hash BLOB, change VARCHAR,
    source VARCHAR, ended TIMESTAMPTZ);
CREATE TABLE scope (below VARCHAR, origin VARCHAR);
CREATE TABLE held (
    id BLOB, content_hash BLOB, analysis VARCHAR, same BOOLEAN, input_tokens BIGINT, output_tokens BIGINT,
    ended TIMESTAMPTZ);
CREATE TABLE joined (
    id BLOB, difference VARCHAR, held VARCHAR, input_tokens BIGINT, output_tokens BIGINT, uncounted BIGINT);
CREATE TABLE compared (
    id BLOB, uri VARCHAR, etag VARCHAR, size_bytes BIGINT, last_modified TIMESTAMPTZ, source VARCHAR,
    difference VARCHAR, held VARCHAR);
CREATE TABLE runs (run_key VARCHAR, ended TIMESTAMPTZ);
"""
# Of a document that several sources list, what was seen last holds: an inventory is older than a listing.
_MERGE = """
INSERT INTO merged
SELECT id, unnest(max_by(struct_pack(uri, etag, size_bytes, last_modified, source, selected),
    (selected, last_modified, -rowid)))
FROM listed WHERE id BETWEEN $low AND $high GROUP BY id
"""
# The first join is narrow, because everything goes through it; only what is to be looked at is made whole.
_JOIN = """
INSERT INTO joined
WITH before AS (
    SELECT id, unnest(max_by(struct_pack(etag, content_hash, change), ended))
    FROM published WHERE id BETWEEN $low AND $high GROUP BY id),
newest AS (
    SELECT id, analysis, max_by(struct_pack(content_hash, same, input_tokens, output_tokens), ended) AS last
    FROM held WHERE id BETWEEN $low AND $high GROUP BY id, analysis),
known AS (
    SELECT id, last.content_hash AS content_hash, string_agg(analysis, ',' ORDER BY analysis) AS analyses,
        sum(last.input_tokens)::BIGINT AS input_tokens, sum(last.output_tokens)::BIGINT AS output_tokens,
        count(*) FILTER (WHERE coalesce(last.input_tokens, 0) = 0) AS uncounted
    FROM newest WHERE last.same GROUP BY ALL)
SELECT now.id,
    CASE WHEN before.id IS NULL OR before.change = 'deleted' THEN 'new'
         WHEN before.etag <> now.etag OR now.etag = '' THEN 'changed' ELSE 'unchanged' END AS difference,
    CASE WHEN difference = 'unchanged' THEN coalesce(known.analyses, '') ELSE '' END AS held,
    known.input_tokens, known.output_tokens, known.uncounted
FROM (FROM listed WHERE id BETWEEN $low AND $high AND selected) AS now LEFT JOIN before ON before.id = now.id
LEFT JOIN known ON known.id = now.id AND known.content_hash = before.content_hash
"""
_COMPARE = """
INSERT INTO compared
SELECT listed.* EXCLUDE (selected), difference, joined.held FROM joined JOIN listed USING (id)
WHERE joined.held <> $everything AND listed.id BETWEEN $low AND $high AND joined.id BETWEEN $low AND $high
UNION ALL
SELECT id, last.uri, last.etag, last.size_bytes, last.last_modified, last.source, 'deleted', ''
FROM (
    SELECT id, max_by(struct_pack(uri, etag, size_bytes, last_modified, source, change), ended) AS last
    FROM (FROM published WHERE id BETWEEN $low AND $high)
    ANTI JOIN (FROM listed WHERE id BETWEEN $low AND $high) USING (id) GROUP BY id)
WHERE last.change <> 'deleted' AND EXISTS (
    FROM scope WHERE last.source = scope.origin OR (starts_with(last.uri, scope.below)
        AND (ends_with(scope.below, '#') OR NOT starts_with(coalesce(last.source, ''), 'rows:'))))
"""
_COUNT = """
CREATE TABLE counted AS SELECT hex(id)[1:2] AS bucket, held, count(*) AS documents,
    coalesce(sum(input_tokens), 0) AS input_tokens, coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(uncounted), 0) AS uncounted
FROM joined GROUP BY ALL
"""
_USED = """
SELECT coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), coalesce(sum(uncounted), 0)
FROM counted WHERE held <> ''
"""
_COUNTED = "SELECT held, sum(documents) FROM counted WHERE bucket BETWEEN ? AND ? GROUP BY held"
_TO_DO = "FROM compared WHERE id BETWEEN ? AND ? ORDER BY uri"


@dataclass(frozen=True, slots=True)
class ListedDocument:
    """A document of the listing, or one that is gone from it.

    `held` names, comma-separated, the analyses whose published results still hold. `source` is what listed it. Of a
    row of a table, `extra` are its other columns as JSON, and `piece` is the key of the working file with its text.
    """

    uri: str
    etag: str
    size_bytes: int
    last_modified: datetime
    change: Change
    held: str
    source: str | None = None
    extra: str | None = None
    piece: str | None = None

    @property
    def document(self) -> Document:
        return Document(self.uri, self.etag, self.size_bytes, self.last_modified)


@dataclass(frozen=True, slots=True)
class ComparedShard:
    """The documents of a shard that have something to be done, in the order of their uris; the rest is counted."""

    documents: list[ListedDocument]
    unchanged: dict[str, int]

    def without(self, left_out: Collection[str]) -> ComparedShard:
        """The same without some uris: they count nowhere, not even where an analysis holds their result."""
        gone = [one for one in self.documents if one.uri in left_out]
        held = {name: sum(name in one.held.split(",") for one in gone) for name in self.unchanged}
        unchanged = {name: count - held[name] for name, count in self.unchanged.items()}
        return ComparedShard([one for one in self.documents if one.uri not in left_out], unchanged)


class Comparison:
    """The listing and what was published, in a database in `folder` for as long as the context lasts.

    Add everything, call `compare` once, then ask for the shards.
    """

    def __init__(self, folder: Path) -> None:
        self._database = duckdb.connect(str(folder / "comparison.duckdb"))
        self._database.execute(f"SET memory_limit = '{MEMORY}'; SET threads = {THREADS}; SET TimeZone = 'UTC'")
        self._database.execute("SET enable_progress_bar = false; SET preserve_insertion_order = false")
        self._database.execute(_SCHEMA)
        self.documents = self.not_selected = 0
        self._analyses: list[str] = []

    def __enter__(self) -> Comparison:
        return self

    def __exit__(self, _kind: object, _error: object, _trace: TracebackType | None) -> None:
        self._database.close()

    def add_listing(self, entries: Iterable[Entry], *, repeats: bool = False) -> None:
        """Everything that is listed, once; with `repeats`, a document may be listed several times and counts as one."""
        listing = iter(entries)
        while some := list(islice(listing, ROWS_AT_ONCE)):
            columns = [pa.array([getattr(one.document, name) for one in some], kind) for name, kind in _COLUMNS]
            rows = pa.Table.from_arrays(columns, schema=_LISTED)
            rows = rows.append_column("source", pa.array([one.origin for one in some], pa.string()))
            rows = rows.append_column("selected", pa.array([one.selected for one in some], pa.bool_()))
            self._insert(rows, "listed SELECT unhex(document_id), * EXCLUDE (document_id) FROM rows")
        if repeats:
            self._merge()
        counts = self._database.execute("SELECT count(*) FILTER (WHERE selected), count(*) FROM listed").fetchall()[0]
        self.documents, self.not_selected = counts[0], counts[1] - counts[0]

    def _merge(self) -> None:
        self._database.execute("CREATE TABLE merged AS FROM listed LIMIT 0")
        for part in range(PARTS):
            low, high = _ids(part, PARTS)
            self._database.execute(_MERGE, {"low": low, "high": high})
        self._database.execute("DROP TABLE listed; ALTER TABLE merged RENAME TO listed")

    def add_runs(self, ended: Mapping[str, datetime]) -> None:
        """The committed runs, by key; rows of any other run do not count. Call it before the next two."""
        columns = {"run_key": list(ended), "ended": pa.array(list(ended.values()), _TIME)}
        self._insert(pa.table(columns), "runs SELECT * FROM rows")

    def add_published(self, documents: pa.RecordBatchReader) -> None:
        """Rows of the table `documents`: all its columns that are compared, and run_key. Old tables have no source."""
        source = "source" if "source" in documents.schema.names else "NULL"
        for some in _pieces(documents):
            self._insert(
                some,
                "published SELECT unhex(document_id), uri, etag, size_bytes, last_modified, unhex(content_hash), "  # noqa: S608 - a column
                f"change, {source}, ended FROM rows JOIN runs USING (run_key)",
            )

    def add_held(self, analysis: str, method: str, results: pa.RecordBatchReader) -> None:
        """Rows of an analysis' table: document_id, content_hash, method_id, input_tokens, output_tokens, run_key.

        The newest row of a document holds, if it was asked by this method: an older one is not what readers see.
        """
        for some in _pieces(results):
            self._insert(
                some,
                f"held SELECT unhex(document_id), unhex(content_hash), '{analysis}', "  # noqa: S608 - names a column, too
                f"coalesce(method_id = '{method}', false), input_tokens, output_tokens, ended "
                "FROM rows JOIN runs USING (run_key)",
            )

    def compare(self, scope: Scope, analyses: Collection[str]) -> None:
        """Hold both sides against each other, once. What is in the scope and not listed is deleted."""
        self._analyses = sorted(analyses)
        for below in scope.below:
            self._database.execute("INSERT INTO scope (below) VALUES (?)", [below])
        for origin in scope.origins:
            self._database.execute("INSERT INTO scope (origin) VALUES (?)", [origin])
        for part in range(PARTS):
            low, high = _ids(part, PARTS)
            self._database.execute(_JOIN, {"low": low, "high": high})
            values = {"low": low, "high": high, "everything": ",".join(self._analyses)}
            self._database.execute(_COMPARE, values)
        self._database.execute(_COUNT)

    def held(self) -> Held:
        """What the results that still hold had used, over all shards."""
        return Held(*(int(count) for count in self._database.execute(_USED).fetchall()[0]))

    def shard(self, shard: int, shards: int) -> ComparedShard:
        """One shard: what is to be looked at, and how many documents each analysis holds the result of already.

        Shards are ranges of the first byte of a document's id.
        """
        low, high = _ids(shard, shards)
        counted = self._database.execute(_COUNTED, [low[:1].hex().upper(), high[:1].hex().upper()]).fetchall()
        unchanged = {name: sum(int(n) for held, n in counted if name in held.split(",")) for name in self._analyses}
        rows = self._database.execute(_TO_DO, [low, high]).fetchall()
        return ComparedShard([_listed(row) for row in rows], unchanged)

    def _insert(self, rows: pa.Table, target_and_query: str) -> None:
        self._database.register("rows", rows)
        self._database.execute(f"INSERT INTO {target_and_query}")
        self._database.unregister("rows")


def _pieces(rows: pa.RecordBatchReader) -> Iterator[pa.Table]:
    """Tables of at least ROWS_AT_ONCE rows but for the last: an insertion for each small file would take long."""
    held: list[pa.RecordBatch] = []
    for batch in rows:
        held.append(batch)
        if sum(one.num_rows for one in held) >= ROWS_AT_ONCE:
            yield pa.Table.from_batches(held)
            held = []
    if held:
        yield pa.Table.from_batches(held)


def _ids(part: int, parts: int) -> tuple[bytes, bytes]:
    """The first and the last id of one of so many equal ranges."""
    size = BUCKETS // parts
    return bytes([part * size]) + bytes(11), bytes([(part + 1) * size - 1]) + b"\xff" * 11


def _listed(row: tuple[Any, ...]) -> ListedDocument:
    _, uri, etag, size_bytes, last_modified, source, difference, held = row
    return ListedDocument(uri, etag, size_bytes, last_modified, Change(difference), held, source)

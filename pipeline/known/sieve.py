"""Which prepared requests need not be sent: answered before, sent by another run, or asked twice in this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.domain import FUSED_BY

# DuckDB keeps to this and spills to disk beyond it.
MEMORY = "300MB"
THREADS = 2
# Ids are looked for in groups of so many: a look goes through everything that is wanted.
IDS_AT_ONCE = 500_000
ROWS_AT_ONCE = 20_000
# Ids are 32 hexadecimal digits, which DuckDB holds as 16 bytes when they are taken for a UUID.
_SCHEMA = """
CREATE TABLE wanted (segment INTEGER, place INTEGER, part INTEGER, record UUID, question UUID);
CREATE TABLE found (why VARCHAR, id UUID, source INTEGER);
CREATE TABLE left_out (segment INTEGER, place INTEGER, part INTEGER, why VARCHAR, source INTEGER);
"""
# A fused request has a row for each part, with a question of its own and the record of all.
_KNOWN = """
INSERT INTO left_out
SELECT segment, place, part, 'known', min(source)
FROM wanted JOIN found ON found.why = 'known' AND found.id = wanted.question GROUP BY segment, place, part
"""
_HALF_KNOWN = """
DELETE FROM left_out WHERE (segment, place) IN (
    SELECT (segment, place) FROM wanted ANTI JOIN left_out USING (segment, place, part))
"""
_AWAITED = """
INSERT INTO left_out
SELECT segment, place, 0, 'awaited', min(source)
FROM wanted JOIN found ON found.why = 'awaited' AND found.id = wanted.record
ANTI JOIN left_out USING (segment, place) WHERE part = 0 GROUP BY segment, place
"""
_REPEATED = """
INSERT INTO left_out
WITH open AS (FROM wanted ANTI JOIN left_out USING (segment, place) WHERE part = 0),
ranked AS (
    SELECT segment, place, record, row_number() OVER same AS rank, first_value(segment) OVER same AS first
    FROM open WINDOW same AS (PARTITION BY record ORDER BY segment, place))
SELECT segment, place, 0, 'repeated', first FROM ranked WHERE rank > 1
"""
_WANTED = "INSERT INTO wanted SELECT segment, place, 0, record_id::UUID, question_id::UUID FROM rows"
_WANTED_PARTS = """
INSERT INTO wanted SELECT segment, place, part - 1, record_id::UUID, questions[part]::UUID
FROM (SELECT *, string_split(question_id, '{fused_by}') AS questions FROM rows),
     LATERAL unnest(range(1, len(questions) + 1)) AS parts(part)
"""
_FOUND = """
INSERT INTO found SELECT why, id::UUID, source FROM rows
WHERE (why = 'known' AND id::UUID IN (SELECT question FROM wanted))
OR (why = 'awaited' AND id::UUID IN (SELECT record FROM wanted))
"""
_ANSWERED = """
SELECT segment, replace(wanted.record::VARCHAR, '-', '') AS record_id, rows.*
FROM left_out JOIN wanted USING (segment, place, part) JOIN rows ON rows.question_id::UUID = wanted.question
WHERE left_out.why = 'known' AND source = ? ORDER BY segment, place, part
"""


class Why(StrEnum):
    """Why a request is not sent, and what `source` then numbers."""

    KNOWN = "known"  # the list of known answers
    AWAITED = "awaited"  # the batch of another run
    REPEATED = "repeated"  # the segment in which the record stands first


@dataclass(frozen=True, slots=True)
class LeftOut:
    """One request that is not sent: the one at `place` (from 0) of its segment."""

    segment: int
    place: int
    why: Why
    source: int


class Sieve:
    """Everything that a round wants to send, in a database in `folder` for as long as the context lasts.

    Call `add_wanted` for every segment first, then add what is known and awaited, then `sift` once, then ask.
    """

    def __init__(self, folder: Path) -> None:
        self._database = duckdb.connect(str(folder / "sieve.duckdb"))
        self._database.execute(f"SET memory_limit = '{MEMORY}'; SET threads = {THREADS}")
        self._database.execute("SET enable_progress_bar = false; SET preserve_insertion_order = false")
        self._database.execute(_SCHEMA)
        self._waiting: list[pa.Table] = []
        self._fused = False

    def __enter__(self) -> Sieve:
        return self

    def __exit__(self, _kind: object, _error: object, _trace: TracebackType | None) -> None:
        self._database.close()

    def add_wanted(self, segment: int, index: pa.Table) -> None:
        """The requests of one segment in their order: columns record_id and question_id."""
        places = pa.array(range(index.num_rows), pa.int32())
        segments = pa.array([segment] * index.num_rows, pa.int32())
        rows = index.select(["record_id", "question_id"]).append_column("place", places)
        rows = rows.append_column("segment", segments)
        fused = bool(pc.any(pc.match_substring(rows["question_id"], FUSED_BY)).as_py())
        self._fused = self._fused or fused
        self._take(_WANTED_PARTS.format(fused_by=FUSED_BY) if fused else _WANTED, rows)

    def add_known(self, source: int, question_ids: pa.ChunkedArray[Any]) -> None:
        """Questions that have an answer."""
        self._add(Why.KNOWN, source, question_ids)

    def add_awaited(self, source: int, record_ids: pa.ChunkedArray[Any]) -> None:
        """Records that another run has sent."""
        self._add(Why.AWAITED, source, record_ids)

    def sift(self, *, take_over: Callable[[int], bool]) -> None:
        """Decide. What is known is not awaited, and what is either is not repeated. A fused request is known when
        all its parts are; where one is not, it is asked whole.

        `take_over` is asked once for each source of awaited records that are wanted, whether they can be had instead.
        """
        self._look()
        self._database.execute(_KNOWN)
        if self._fused:
            self._database.execute(_HALF_KNOWN)
        self._database.execute(_AWAITED)
        for source in self.sources(Why.AWAITED):
            if take_over(source):
                self._database.execute("DELETE FROM left_out WHERE why = ? AND source = ?", [Why.AWAITED, source])
        self._database.execute(_REPEATED)

    def count(self, why: Why) -> int:
        """How many requests are left out for this reason."""
        query = "SELECT count(*) FROM left_out WHERE why = ? AND part = 0"
        return int(self._database.execute(query, [why]).fetchall()[0][0])

    def sources(self, why: Why) -> list[int]:
        """The sources that something was found in."""
        query = "SELECT DISTINCT source FROM left_out WHERE why = ? ORDER BY source"
        return [source for (source,) in self._database.execute(query, [why]).fetchall()]

    def segments(self) -> list[int]:
        """The segments that something is left out of."""
        query = "SELECT DISTINCT segment FROM left_out ORDER BY segment"
        return [segment for (segment,) in self._database.execute(query).fetchall()]

    def left_out(self, segment: int) -> Iterator[LeftOut]:
        """What is left out of a segment, in the order of places."""
        query = "SELECT place, why, source FROM left_out WHERE segment = ? AND part = 0 ORDER BY place"
        for place, why, source in self._database.execute(query, [segment]).fetchall():
            yield LeftOut(segment, place, Why(why), source)

    def answered(self, source: int, answers: pa.Table) -> pa.Table:
        """The requests that one list of known answers answers: segment, record_id, and the columns of `answers`."""
        self._database.register("rows", answers)
        found: pa.Table = self._database.sql(_ANSWERED, params=[source]).to_arrow_table()
        return found

    def _add(self, why: Why, source: int, ids: pa.ChunkedArray[Any]) -> None:
        count = len(ids)
        columns = {"why": pa.array([why] * count, pa.string()), "source": pa.array([source] * count, pa.int32())}
        self._waiting.append(pa.table(columns).append_column("id", ids))
        if sum(table.num_rows for table in self._waiting) > IDS_AT_ONCE:
            self._look()

    def _look(self) -> None:
        """Keep the ids that somebody wants."""
        if self._waiting:
            self._take(_FOUND, pa.concat_tables(self._waiting))
            self._waiting = []

    def _take(self, query: str, rows: pa.Table) -> None:
        self._database.register("rows", rows)
        self._database.execute(query)
        self._database.unregister("rows")

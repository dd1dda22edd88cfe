"""Batch inference jobs, kept in SQLite so that none is lost when the endpoint ends."""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from pipeline.domain import JobStatus

if TYPE_CHECKING:
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id TEXT NOT NULL UNIQUE,
    token TEXT NOT NULL UNIQUE,
    base_model TEXT NOT NULL,
    request TEXT NOT NULL,
    status TEXT NOT NULL,
    message TEXT,
    submitted REAL NOT NULL,
    modified REAL NOT NULL,
    ended REAL,
    total INTEGER NOT NULL DEFAULT 0,
    succeeded INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0
)
"""
_SELECT = """
SELECT * FROM jobs WHERE (?1 IS NULL OR status = ?1)
AND (?2 IS NULL OR instr(json_extract(request, '$.jobName'), ?2) > 0)
AND (?3 IS NULL OR submitted > ?3) AND (?4 IS NULL OR submitted < ?4)
"""
_SELECT_ASCENDING = _SELECT + " AND (?5 IS NULL OR sequence > ?5) ORDER BY sequence ASC LIMIT ?6"
_SELECT_DESCENDING = _SELECT + " AND (?5 IS NULL OR sequence < ?5) ORDER BY sequence DESC LIMIT ?6"
_WAITING = (JobStatus.SUBMITTED, JobStatus.VALIDATING, JobStatus.SCHEDULED, JobStatus.IN_PROGRESS)


@dataclass(frozen=True, slots=True)
class StoredJob:
    """One job as it is kept. Times are seconds since the epoch; `sequence` grows with every job created."""

    sequence: int
    job_id: str
    token: str
    base_model: str
    request: dict[str, Any]
    status: JobStatus
    message: str | None
    submitted: float
    modified: float
    ended: float | None
    total: int
    succeeded: int
    failed: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Which jobs a List call wants; None selects all."""

    status: str | None = None
    name_contains: str | None = None
    after: float | None = None
    before: float | None = None
    ascending: bool = False
    beyond_sequence: int | None = None


class JobStore:
    """One SQLite file, or ":memory:". Every method is one transaction and may be called from any thread."""

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._connection.row_factory = sqlite3.Row
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def add(self, *, job_id: str, token: str, base_model: str, request: dict[str, Any], now: float) -> bool:
        """Keep a new job; False where its token (and so its id) is already there.

        It is submitted at a whole millisecond, as it is described: who filters by a described time means that time.
        """
        added = self._run(
            "INSERT INTO jobs (job_id, token, base_model, request, status, submitted, modified)"
            " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING RETURNING job_id",
            (job_id, token, base_model, json.dumps(request), JobStatus.SUBMITTED, round(now, 3), now),
        )
        return bool(added)

    def get(self, job_id: str) -> StoredJob | None:
        return _first(self._run("SELECT * FROM jobs WHERE job_id = ?", (job_id,)))

    def by_token(self, token: str) -> StoredJob | None:
        return _first(self._run("SELECT * FROM jobs WHERE token = ?", (token,)))

    def unended(self, base_model: str | None = None) -> list[StoredJob]:
        """Jobs that have not reached an end, oldest first; of one base model, or of all."""
        found = self._run(
            "SELECT * FROM jobs WHERE ended IS NULL AND (?1 IS NULL OR base_model = ?1) ORDER BY sequence",
            (base_model,),
        )
        return [_job(row) for row in found]

    def select(self, wanted: Selection, limit: int) -> list[StoredJob]:
        """At most `limit` jobs in order of creation, newest first unless `wanted.ascending`."""
        rows = self._run(
            _SELECT_ASCENDING if wanted.ascending else _SELECT_DESCENDING,
            (wanted.status, wanted.name_contains, wanted.after, wanted.before, wanted.beyond_sequence, limit),
        )
        return [_job(row) for row in rows]

    def advance(self, job_id: str, status: JobStatus, now: float, message: str | None = None) -> bool:
        """Move a job that nobody has asked to stop; False where somebody has, or where it has ended."""
        return self._move(job_id, _WAITING, status, now, message)

    def stop(self, job_id: str, now: float) -> bool:
        """Ask a job to stop; False where it has ended."""
        return self._move(job_id, (*_WAITING, JobStatus.STOPPING), JobStatus.STOPPING, now, None)

    def stopped(self, job_id: str, now: float) -> bool:
        """The worker has let go of a job that was asked to stop."""
        return self._move(job_id, (JobStatus.STOPPING,), JobStatus.STOPPED, now, None)

    def count(self, job_id: str, total: int, succeeded: int, failed: int) -> None:
        self._run(
            "UPDATE jobs SET total = ?, succeeded = ?, failed = ? WHERE job_id = ?", (total, succeeded, failed, job_id)
        )

    def _move(
        self, job_id: str, origins: tuple[JobStatus, ...], status: JobStatus, now: float, message: str | None
    ) -> bool:
        moved = self._run(
            "UPDATE jobs SET status = ?, message = COALESCE(?, message), modified = ?, ended = ?"
            " WHERE job_id = ? AND status IN (SELECT value FROM json_each(?)) RETURNING job_id",
            (status, message, now, now if status.ended else None, job_id, json.dumps(origins)),
        )
        return bool(moved)

    def _run(self, statement: str, arguments: tuple[object, ...]) -> list[sqlite3.Row]:
        with self._lock:
            return self._connection.execute(statement, arguments).fetchall()


def _first(rows: list[sqlite3.Row]) -> StoredJob | None:
    return _job(rows[0]) if rows else None


def _job(row: sqlite3.Row) -> StoredJob:
    values = {field.name: row[field.name] for field in fields(StoredJob)}
    return StoredJob(**values | {"request": json.loads(row["request"]), "status": JobStatus(row["status"])})

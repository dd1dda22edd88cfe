"""The fault plan in force, and the counters that its decisions need: calls, jobs, and attempts at each record."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

from pipeline.domain import Mode
from pipeline.local.fault_plan import CallFault, FaultPlan, JobFault, ObjectKind, Operation, RecordKind

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS plan (content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS calls (operation TEXT PRIMARY KEY, number INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS jobs (number INTEGER PRIMARY KEY, job_id TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS prompts (prompt_sha256 TEXT PRIMARY KEY, record_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS attempts (
    number INTEGER PRIMARY KEY, record_id TEXT NOT NULL, source_id TEXT NOT NULL, UNIQUE (record_id, source_id)
);
CREATE INDEX IF NOT EXISTS attempts_of_source ON attempts (source_id);
"""
_TABLES = ("plan", "calls", "jobs", "prompts", "attempts")
_ATTEMPTS = """
SELECT own.record_id, COUNT(*) FROM attempts own
JOIN attempts earlier ON earlier.record_id = own.record_id AND earlier.number <= own.number
WHERE own.source_id = ? GROUP BY own.record_id
"""


class ActiveFaults:
    """One SQLite file, or ":memory:". Every method is one transaction and may be called from any thread.

    The counters begin with the plan: another plan starts them anew, the same plan after a restart goes on. A job that
    is run again makes no further attempts. Without a plan nothing is counted.
    """

    def __init__(self, plan: FaultPlan | None = None, path: Path | str = ":memory:") -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False)
        self._connection.executescript(_SCHEMA)
        self._plan = FaultPlan()
        kept = self._connection.execute("SELECT content FROM plan").fetchone()
        if plan is not None and kept == (plan.model_dump_json(),):
            self._plan = plan
        else:
            self.replace(plan or FaultPlan())

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    @property
    def plan(self) -> FaultPlan:
        return self._plan

    def replace(self, plan: FaultPlan) -> None:
        """Put another plan in force, with counters at zero."""
        with self._lock, self._connection:
            for table in _TABLES:
                self._connection.execute(f"DELETE FROM {table}")  # noqa: S608 - our own names
            self._connection.execute("INSERT INTO plan VALUES (?)", (plan.model_dump_json(),))
            self._plan = plan

    def of_call(self, operation: Operation) -> tuple[CallFault, ...]:
        """Count a call; the faults that meet it."""
        if not self._plan.calls:
            return ()
        with self._lock, self._connection:
            return self._plan.of_call(operation, self._number(operation))

    def of_object(self, method: str) -> ObjectKind | None:
        """Count a request to the object store; what meets it."""
        if not self._plan.objects:
            return None
        with self._lock, self._connection:
            return self._plan.of_object(method, self._number(method))

    def created(self, job_id: str) -> None:
        """Count a new job."""
        if self._plan.jobs:
            with self._lock, self._connection:
                self._connection.execute("INSERT OR IGNORE INTO jobs (job_id) VALUES (?)", (job_id,))

    def of_job(self, job_id: str) -> tuple[JobFault, ...]:
        """The faults that meet a job; none where it was created before the plan."""
        if not self._plan.jobs:
            return ()
        with self._lock:
            found = self._connection.execute("SELECT number FROM jobs WHERE job_id = ?", (job_id,)).fetchone()
            return self._plan.of_job(found[0]) if found else ()

    def of_records(self, job_id: str, records: Iterable[tuple[str, str]]) -> dict[str, RecordKind]:
        """Count an attempt at each (record id, sha256 of its prompt) of a job; the ids that are hit."""
        if not self._plan.records:
            return {}
        rows = list(records)
        with self._lock, self._connection:
            self._connection.executemany(
                "INSERT OR REPLACE INTO prompts (record_id, prompt_sha256) VALUES (?, ?)", rows
            )
            return self._attempt(job_id, (record_id for record_id, _ in rows), Mode.BATCH)

    def of_prompt(self, request_id: str, prompt_sha256: str) -> RecordKind | None:
        """Count an attempt on demand; what hits it. It is the record that a job asked with this prompt, if one did."""
        if not self._plan.records:
            return None
        with self._lock, self._connection:
            found = self._connection.execute(
                "SELECT record_id FROM prompts WHERE prompt_sha256 = ?", (prompt_sha256,)
            ).fetchone()
            record_id: str = found[0] if found else prompt_sha256
            return self._attempt(request_id, [record_id], Mode.ON_DEMAND).get(record_id)

    def _number(self, operation: str) -> int:
        ((number,),) = self._connection.execute(
            "INSERT INTO calls VALUES (?, 1) ON CONFLICT DO UPDATE SET number = number + 1 RETURNING number",
            (operation,),
        ).fetchall()
        return int(number)

    def _attempt(self, source_id: str, record_ids: Iterable[str], mode: Mode) -> dict[str, RecordKind]:
        self._connection.executemany(
            "INSERT OR IGNORE INTO attempts (record_id, source_id) VALUES (?, ?)",
            ((record_id, source_id) for record_id in record_ids),
        )
        return self._plan.of_records(dict(self._connection.execute(_ATTEMPTS, (source_id,)).fetchall()), mode)

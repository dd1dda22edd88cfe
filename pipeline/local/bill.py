"""What the embedded Bedrock would charge: a row for every answer, written by the endpoint and by nobody else."""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from pipeline.domain import Mode

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS charges (
    source_id TEXT NOT NULL,
    place TEXT NOT NULL,
    mode TEXT NOT NULL,
    record_id TEXT,
    prompt_sha256 TEXT NOT NULL,
    input_tokens INTEGER NOT NULL,
    output_tokens INTEGER NOT NULL,
    seconds REAL NOT NULL,
    PRIMARY KEY (source_id, place)
)
"""
_SUMS = "COUNT(*), SUM(input_tokens), SUM(output_tokens) FROM charges"


@dataclass(frozen=True, slots=True)
class Charge:
    """One answer. `source_id` is the job's or the request's id; `place` is the input file and line, empty on demand.

    `record_id` is None on demand: InvokeModel knows none.
    """

    source_id: str
    place: str
    mode: Mode
    record_id: str | None
    prompt_sha256: str
    input_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Billed:
    """Answers that were billed, and their tokens."""

    records: int
    input_tokens: int
    output_tokens: int


class Bill:
    """One SQLite file, or ":memory:". Every method is one transaction and may be called from any thread.

    A record costs when the model answered it, whatever becomes of the answer afterwards; an error costs nothing. A job
    that runs again because the endpoint was restarted bills each of its lines once, at the later answer: here the
    interruption is ours, while Amazon charges for everything that it processed.
    """

    def __init__(self, path: Path | str) -> None:
        self._lock = threading.Lock()
        self._connection = sqlite3.connect(path, check_same_thread=False)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(_SCHEMA)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def add(self, charges: Iterable[Charge], now: float) -> None:
        """Write the charges down, all or none. `now` is in seconds since the epoch."""
        columns = "source_id, place, mode, record_id, prompt_sha256, input_tokens, output_tokens"
        rows = [asdict(charge) | {"now": now} for charge in charges]
        with self._lock, self._connection:
            self._connection.executemany(
                f"INSERT OR REPLACE INTO charges ({columns}, seconds) VALUES"  # noqa: S608 - fixed names
                " (:source_id, :place, :mode, :record_id, :prompt_sha256, :input_tokens, :output_tokens, :now)",
                rows,
            )

    def total(self) -> Billed:
        ((records, tokens_in, tokens_out),) = self._all(f"SELECT {_SUMS}")
        return Billed(records, tokens_in or 0, tokens_out or 0)

    def by_mode(self) -> dict[Mode, Billed]:
        rows = self._all(f"SELECT mode, {_SUMS} GROUP BY mode ORDER BY mode")
        return {Mode(mode): Billed(*sums) for mode, *sums in rows}

    def by_job(self) -> dict[str, Billed]:
        """By the 12-character id of each batch job that billed anything, in order of the ids."""
        rows = self._all(f"SELECT source_id, {_SUMS} WHERE mode = ? GROUP BY source_id ORDER BY source_id", Mode.BATCH)
        return {job_id: Billed(*sums) for job_id, *sums in rows}

    def times_billed(self) -> dict[str, int]:
        """How often each prompt was billed in either mode, by the sha256 of its text."""
        return dict(self._all("SELECT prompt_sha256, COUNT(*) FROM charges GROUP BY prompt_sha256 ORDER BY 1"))

    def charges(self) -> list[Charge]:
        """Every answer that was billed, in the order of sources and places."""
        columns = "source_id, place, mode, record_id, prompt_sha256, input_tokens, output_tokens"
        rows = self._all(f"SELECT {columns} FROM charges ORDER BY source_id, place")  # noqa: S608 - fixed names
        return [Charge(source_id, place, Mode(mode), *rest) for source_id, place, mode, *rest in rows]

    def as_json(self) -> dict[str, Any]:
        """Everything above, for GET /control/bill."""
        return {
            "total": asdict(self.total()),
            "modes": {mode.value: asdict(billed) for mode, billed in self.by_mode().items()},
            "jobs": {job_id: asdict(billed) for job_id, billed in self.by_job().items()},
            "prompts": self.times_billed(),
        }

    def _all(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._connection.execute(query, arguments).fetchall()


def prompt_sha256(model_input: object) -> str:
    """The sha256 of the prompt in a native body, in hexadecimal; of the empty text where there is none."""
    prompt = model_input.get("prompt") if isinstance(model_input, dict) else None
    text = prompt if isinstance(prompt, str) else ""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

"""The texts of rows between the reading of a table and what becomes of them: on disk, by document."""

from __future__ import annotations

import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

from pipeline.domain import Document
from pipeline.errors import StorageError

CACHE_KIB = 32_000


@dataclass(frozen=True, slots=True)
class Row:
    """What a row says: its text and its extra columns as a JSON object, or why it cannot be read."""

    text: str | None
    extra: str | None = None
    problem: str | None = None


class Spool:
    """Rows by the id of their document, in a file in `folder` that is as large as their texts together."""

    def __init__(self, folder: Path) -> None:
        self._rows = sqlite3.connect(folder / "rows.sqlite", check_same_thread=False, isolation_level=None)
        self._lock = threading.Lock()
        self._rows.execute("PRAGMA journal_mode = OFF")
        self._rows.execute("PRAGMA synchronous = OFF")
        self._rows.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        self._rows.execute("CREATE TABLE rows (id BLOB UNIQUE, text TEXT, extra TEXT, problem TEXT)")
        self._rows.execute("BEGIN")
        self.empty = True

    def add(self, document: Document, row: Row) -> bool:
        """False when the document has a row already, which stays."""
        self.empty = False
        values = (bytes.fromhex(document.document_id), row.text, row.extra, row.problem)
        try:
            return self._rows.execute("INSERT OR IGNORE INTO rows VALUES (?, ?, ?, ?)", values).rowcount == 1
        except sqlite3.Error as error:
            raise StorageError(f"texts of rows: cannot be kept on this machine's disk ({error})") from error

    def row(self, document_id: str) -> Row | None:
        """The row of a document; None for what is no row."""
        with self._lock:
            found = self._rows.execute(
                "SELECT text, extra, problem FROM rows WHERE id = ?", [bytes.fromhex(document_id)]
            ).fetchone()
        return None if found is None else Row(*found)

    def close(self) -> None:
        self._rows.close()

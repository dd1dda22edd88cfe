"""A catalog over a local output folder, and small runs published into it without a pipeline."""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.catalog import Catalog, open_catalog
from pipeline.parquet import published_key, write_rows
from pipeline.schemas import FIXED, Column, arrow_schema
from pipeline.settings import Settings
from pipeline.storage.objects import ObjectStore, S3Access, open_store

ACCESS = S3Access("us-west-2")
START = dt.datetime(2026, 11, 1, tzinfo=dt.UTC)
RUN_KEY: Column = ("run_key", pa.string(), "The run that wrote the row")
MOOD: list[Column] = [
    ("document_id", pa.string(), "Derived from the uri"),
    ("uri", pa.string(), "Where the document lies"),
    ("mood", pa.string(), "What it feels like"),
    RUN_KEY,
]
TABLES = {name: columns for name, (_, columns) in FIXED.items()} | {"mood": MOOD}


class Output:
    """An output folder with its catalog; rows are given as mappings, and what they lack is null."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.uri = folder.absolute().as_uri()
        self.store: ObjectStore = open_store(self.uri, ACCESS, make=True)

    @contextmanager
    def catalog(self, **settings: Any) -> Iterator[Catalog]:
        found = open_catalog(Settings(**settings), self.uri, ACCESS, lambda: START, make=True)
        try:
            yield found
        finally:
            found.close()

    def write(
        self, table: str, run_key: str, rows: Sequence[dict[str, Any]], columns: list[Column], part: int = 0
    ) -> str:
        """One part of a table, not committed; its key."""
        sink = io.BytesIO()
        filled = [[row.get(name, run_key if name == "run_key" else None) for name, _, _ in columns] for row in rows]
        write_rows(arrow_schema(table, "A table", columns), filled, sink)
        self.store.write(key := published_key(table, run_key, part), sink.getvalue())
        return key

    def commit(
        self,
        table: str,
        run_key: str,
        rows: Sequence[dict[str, Any]],
        columns: list[Column] | None = None,
        **settings: Any,
    ) -> bool:
        """One part of a table, written and committed."""
        columns = columns or TABLES[table]
        key = self.write(table, run_key, rows, columns)
        with self.catalog(**settings) as catalog:
            return catalog.commit(table, arrow_schema(table, "A table", columns), run_key, [key])

    def run(self, run_key: str, moods: dict[str, str], day: int, changes: dict[str, str] | None = None) -> None:
        """A whole run: a mood for each document, what changed (if that is known), and the row of `runs`."""
        documents = [*DOCUMENTS_WITH_CHANGE] if changes is not None else TABLES["documents"]
        listed = sorted({*moods, *(changes or {})})
        self.commit(
            "documents",
            run_key,
            [{"document_id": one, "change": (changes or {}).get(one)} for one in listed],
            documents,
        )
        self.commit("mood", run_key, [{"document_id": one, "uri": one, "mood": mood} for one, mood in moods.items()])
        self.commit("runs", run_key, [{"ended": START + dt.timedelta(days=day)}])


DOCUMENTS_WITH_CHANGE: list[Column] = [*TABLES["documents"]]
if "change" not in {name for name, _, _ in DOCUMENTS_WITH_CHANGE}:
    DOCUMENTS_WITH_CHANGE.append(("change", pa.string(), "new, changed, unchanged or deleted"))

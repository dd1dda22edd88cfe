"""Published tables, read back: every part of a table as one Arrow table."""

from __future__ import annotations

import io
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.errors import ObjectMissing
from pipeline.storage import ObjectStore


def list_tables(output: ObjectStore) -> dict[str, set[str]]:
    """The tables that have been published, each with the keys of its runs."""
    found: dict[str, set[str]] = {}
    for key in _parts(output, "tables"):
        _, table, run_key, _ = key.split("/")
        found.setdefault(table, set()).add(run_key)
    return found


def read_table(output: ObjectStore, table: str, run_key: str | None = None) -> pa.Table:
    """The rows of a table, of one run or of all, in the order of runs and parts. Raises ObjectMissing."""
    folder = f"tables/{table}/{run_key}" if run_key else f"tables/{table}"
    parts = [pq.read_table(io.BytesIO(output.read(key))) for key in sorted(_parts(output, folder))]
    if not parts:
        tables = list_tables(output)
        known = ", ".join(sorted(tables.get(table, tables))) or "none"
        kind = "runs of that table" if table in tables else "tables"
        raise ObjectMissing(f"{output.uri(folder)}: nothing is published there; published {kind} are {known}")
    return pa.concat_tables(parts, promote_options="default")


def newest_run(output: ObjectStore) -> str | None:
    """The key of the run that was published last; None before the first."""
    if "runs" not in list_tables(output):
        return None
    rows = read_table(output, "runs").select(["ended", "run_key"]).to_pylist()
    return str(max(rows, key=lambda row: row["ended"])["run_key"])


def _parts(output: ObjectStore, folder: str) -> Iterator[str]:
    for entry in output.list(folder):
        if entry.key.count("/") == 3 and entry.key.endswith(".parquet"):
            yield entry.key

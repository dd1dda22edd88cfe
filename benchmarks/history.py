"""A long history: what a commit takes after ever more runs, and what readers take after 1,000 small ones."""

from __future__ import annotations

import datetime as dt
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg.io.pyarrow import parquet_file_to_data_file
from rich.table import Table

from benchmarks.measuring import cpu_seconds, in_child, peak_bytes
from pipeline.analyses import load_analyses
from pipeline.catalog import Catalog, open_catalog
from pipeline.catalog.compacting import compact
from pipeline.catalog.reading import committed_runs, open_views, runs_as_of, shown_rows
from pipeline.declared import shipped_prompts
from pipeline.domain import Document, short_hash
from pipeline.known.comparison import Comparison
from pipeline.parquet import published_key, write_rows
from pipeline.schemas import table_schemas
from pipeline.settings import Settings
from pipeline.sources.spelling import Scope
from pipeline.sources.values import Entry
from pipeline.steps.start import add_published
from pipeline.storage.objects import S3Access, open_store

if TYPE_CHECKING:
    from rich.console import Console

RUNS = 1_000
DOCUMENTS = 50  # new ones a night
MARKS = (1, 50, 100, 200)  # runs whose commits are timed
ANALYSIS = "summarization"
METHOD = "0f" * 12
FIRST = dt.datetime(2024, 1, 1, 2, tzinfo=dt.UTC)
ACCESS = S3Access("us-west-2")
SOURCE = "s3://bucket/documents"


@dataclass(frozen=True)
class Took:
    """What one look took, and what it found."""

    peak_bytes: int
    cpu_seconds: float
    found: int


def report(console: Console) -> None:
    """Commits after ever more runs with every snapshot kept; then every reader, in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="docbatch-bench-") as folder:
        commits = in_child(write_history, folder, MARKS)
        table = Table("runs before", "CPU of a table's commit", "its metadata.json")
        for runs, (seconds, size) in commits.items():
            table.add_row(f"{runs - 1:,}", f"{seconds * 1_000:,.0f} ms", f"{size / 1e3:,.0f} KB")
        console.print(table)
        in_child(write_at_once, folder, MARKS[-1] + 1, RUNS)
        before = {name: in_child(look, folder, name) for name in LOOKS}
        changes = {
            name: in_child(change, folder, name) for name in ("compact", "withdraw a run within", "compact again")
        }
        after = {name: in_child(look, folder, name) for name in LOOKS}
    for title, looks in {"a file a run": before, "changes": changes, "compacted": after}.items():
        table = Table(f"{RUNS:,} runs of {DOCUMENTS} documents: {title}", "CPU", "peak memory", "found")
        for name, one in looks.items():
            table.add_row(name, f"{one.cpu_seconds:,.2f} s", f"{one.peak_bytes / 1e6:,.0f} MB", f"{one.found:,}")
        console.print(table)


def opened(folder: str) -> Catalog:
    return open_catalog(Settings(), Path(folder).as_uri(), ACCESS, lambda: FIRST, make=True)


def schemas() -> dict[str, pa.Schema]:
    analyses = load_analyses(shipped_prompts(), [ANALYSIS], output_language="English")
    return {name: found for name, found in table_schemas(analyses).items() if name != "failures"}


def write_history(folder: str, marks: tuple[int, ...]) -> dict[int, tuple[float, int]]:
    """Runs as publishing writes them; what a commit took at each mark, and how large the metadata was."""
    found, tables, catalog = {}, schemas(), opened(folder)
    catalog.prepare(tables)
    for number in range(1, marks[-1] + 1):
        took = []
        for table, schema in tables.items():
            key = write_part(folder, table, schema, number)
            took.append(cpu_seconds(partial(catalog.commit, table, schema, run_key(number), [key])))
        if number in marks:
            metadata = (Path(folder) / "catalog" / ANALYSIS).glob("*.metadata.json")
            found[number] = (sum(took) / len(took), max(path.stat().st_size for path in metadata))
    catalog.close()
    return found


def write_at_once(folder: str, first: int, last: int) -> None:
    """More runs in one commit a table: the newest snapshot is as if each had its own, and older ones had expired."""
    catalog = opened(folder)
    for table, schema in schemas().items():
        keys = [write_part(folder, table, schema, number) for number in range(first, last + 1)]
        found = catalog.vendor.load_table((catalog.namespace, table))
        with found.transaction() as change, change.update_snapshot().merge_append() as snapshot:
            for key in keys:
                location = catalog.place.location(key)
                snapshot.append_data_file(parquet_file_to_data_file(found.io, found.metadata, location))
    for table in catalog.tables():
        catalog.expire(table, dt.datetime.now(dt.UTC))
    catalog.close()


def write_part(folder: str, table: str, schema: pa.Schema, number: int) -> str:
    """A table's rows of one run; the key of their file."""
    store, key = open_store(Path(folder).as_uri(), ACCESS, make=True), published_key(table, run_key(number), 0)
    with tempfile.TemporaryFile() as file:
        write_rows(schema, rows_of(table, schema, number), file)
        file.seek(0)
        store.write(key, file)
    return key


def run_key(number: int) -> str:
    return f"night-{number:05d}"


def rows_of(table: str, schema: pa.Schema, number: int) -> Iterator[list[Any]]:
    for place in range(1 if table == "runs" else DOCUMENTS):
        values = values_of(number, place)
        yield [values.get(field.name) for field in schema]


def values_of(number: int, place: int) -> dict[str, Any]:
    uri, ended = uri_of(number, place), FIRST + dt.timedelta(days=number)
    text = f"What document {place} of night {number} says in a sentence or two, none of which is true of any other."
    return {
        "run_key": run_key(number),
        "run_date": ended.date(),
        "document_id": Document(uri, "", 0, FIRST).document_id,
        "uri": uri,
        "etag": f"{number}-{place}",
        "size_bytes": 5_000,
        "last_modified": ended,
        "content_hash": short_hash(uri),
        "change": "new",
        "method_id": METHOD,
        "summary": text,
        "input_tokens": 1_500,
        "output_tokens": 60,
        "chunks": 1,
        "record_id": short_hash(uri, "asked"),
        "analysis": ANALYSIS,
        "started": ended,
        "ended": ended,
    }


def uri_of(number: int, place: int) -> str:
    return f"{SOURCE}/{number:05d}/{place:03d}.txt"


def look(folder: str, name: str) -> Took:
    """One of the looks, timed without the loading of libraries."""
    import pandas as pd  # noqa: F401 - loaded before the clock starts
    import polars as pl  # noqa: F401 - likewise

    catalog = opened(folder)
    catalog.tables()
    began = time.process_time()
    found = LOOKS[name](catalog, Path(folder))
    took = Took(peak_bytes(), time.process_time() - began, found)
    catalog.close()
    return took


def change(folder: str, name: str) -> Took:
    """Compacting all tables, or taking a run out of them and putting it back; timed likewise."""
    catalog, store = opened(folder), open_store(Path(folder).as_uri(), ACCESS)
    catalog.tables()
    began = time.process_time()
    if name.startswith("compact"):
        found = sum(compact(catalog, store, FIRST + dt.timedelta(days=2 * RUNS), 100).values())
    else:
        found = sum(catalog.withdraw(table, run_key(2)) for table in schemas())
    took = Took(peak_bytes(), time.process_time() - began, found)
    if not name.startswith("compact"):
        for table, schema in schemas().items():
            catalog.commit(table, schema, run_key(2), [published_key(table, run_key(2), 0)])
    catalog.close()
    return took


def _compare(catalog: Catalog, _folder: Path) -> int:
    with tempfile.TemporaryDirectory() as place, Comparison(Path(place)) as comparison:
        listing = (
            Document(uri_of(n, p), f"{n}-{p}", 5_000, FIRST) for n in range(1, RUNS + 1) for p in range(DOCUMENTS)
        )
        comparison.add_listing(map(Entry, listing))
        add_published(comparison, catalog, {ANALYSIS: METHOD}, "tonight")
        comparison.compare(Scope((f"{SOURCE}/",)), [ANALYSIS])
        return comparison.shard(0, 1).unchanged[ANALYSIS]


def _query(catalog: Catalog, _folder: Path) -> int:
    with open_views(catalog) as views:
        return int(views.sql(f"select count(*) from {ANALYSIS}_latest").fetchall()[0][0])


def _open(catalog: Catalog, _folder: Path) -> int:
    with open_views(catalog) as views:
        return len(views.sql("show tables").fetchall())


def _pandas(_catalog: Catalog, folder: Path) -> int:
    import pandas as pd

    return len(pd.read_parquet(folder / "tables" / ANALYSIS))


def _polars(_catalog: Catalog, folder: Path) -> int:
    import polars as pl

    return len(pl.read_parquet(str(folder / "tables" / ANALYSIS / "*" / "*.parquet")))


def _duckdb(_catalog: Catalog, folder: Path) -> int:
    import duckdb

    place = folder / "tables" / ANALYSIS / "*" / "*.parquet"
    return int(duckdb.sql(f"select count(summary) from '{place}'").fetchall()[0][0])


LOOKS: dict[str, Callable[[Catalog, Path], int]] = {
    "runs that are published": lambda catalog, _folder: len(committed_runs(catalog)),
    "runs as of the second": lambda catalog, _folder: len(runs_as_of(catalog, committed_runs(catalog)[1])),
    "start: compare with a listing": _compare,
    "open all tables as views": _open,
    "count the latest summaries": _query,
    "docbatch show summarization --limit 5": lambda catalog, _folder: shown_rows(catalog, ANALYSIS, limit=5).num_rows,
    "docbatch show summarization --run-key": lambda catalog, _folder: (
        shown_rows(catalog, ANALYSIS, run_key(2)).num_rows
    ),
    "pandas.read_parquet(folder)": _pandas,
    "polars.read_parquet(folder)": _polars,
    "DuckDB over the folder": _duckdb,
}

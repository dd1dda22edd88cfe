"""Looking up what is known: a listing against published tables, and a round's requests against all answers."""

from __future__ import annotations

import datetime as dt
import hashlib
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from rich.table import Table

from benchmarks.measuring import in_child, peak_bytes
from pipeline.domain import Document, short_hash
from pipeline.known.comparison import Comparison
from pipeline.known.sieve import Sieve, Why
from pipeline.sources.spelling import Scope
from pipeline.sources.values import Entry
from pipeline.steps.start import AHEAD

if TYPE_CHECKING:
    from rich.console import Console

DOCUMENTS = 10_000_000
WANTED = 1_000_000
SHARDS = 256
ROWS = 100_000
SOURCE = "s3://bucket/source"
NIGHT = dt.datetime(2026, 11, 23, 2, tzinfo=dt.UTC)
ANALYSIS = "classification"
METHOD = "0f" * 12


@dataclass(frozen=True)
class Looked:
    """What a look-up took, and what it found."""

    peak_bytes: int
    cpu_seconds: float
    found: int


def report(console: Console) -> None:
    """Both look-ups, each in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="docbatch-bench-") as folder:
        in_child(write_published, folder)
        rows = {
            f"{DOCUMENTS:,} listed documents, all unchanged": in_child(compare, folder),
            f"{WANTED:,} requests among {DOCUMENTS:,} known answers, half of them known": in_child(sieve, folder),
        }
    table = Table("look-up", "peak memory", "documents or answers per CPU-second", "found")
    for name, one in rows.items():
        speed = f"{DOCUMENTS / one.cpu_seconds:,.0f}"
        table.add_row(name, f"{one.peak_bytes / 1e6:,.0f} MB", speed, f"{one.found:,}")
    console.print(table)


def write_published(folder: str) -> None:
    """What an earlier night left: the tables `documents` and of one analysis, and the ids of all answers."""
    for number, some in enumerate(_in_groups(_listing(DOCUMENTS))):
        ids = [one.document_id for one in some]
        same = [short_hash("one text")] * len(ids)
        columns = {
            "document_id": ids,
            "uri": [one.uri for one in some],
            "etag": [one.etag for one in some],
            "size_bytes": [one.size_bytes for one in some],
            "last_modified": pa.array([NIGHT] * len(ids), pa.timestamp("us", tz="UTC")),
            "content_hash": same,
            "change": ["new"] * len(ids),
            "run_key": ["monday"] * len(ids),
            "method_id": [METHOD] * len(ids),
        }
        _write(pa.table(columns), Path(folder) / "documents", number)
        answers = [_question(number * ROWS + place) for place in range(len(ids))]
        _write(pa.table({"question_id": answers}), Path(folder) / "answers", number)


def compare(folder: str) -> Looked:
    """Start a run over the same documents: list them, and see that all are unchanged."""
    before = time.process_time()
    with tempfile.TemporaryDirectory(dir=folder) as place, Comparison(Path(place)) as comparison:
        comparison.add_listing(map(Entry, _listing(DOCUMENTS)))
        comparison.add_runs({"monday": NIGHT})
        published = ds.dataset(Path(folder) / "documents")
        comparison.add_published(published.scanner(**AHEAD).to_reader())
        held = published.scanner(columns=["document_id", "content_hash", "method_id", "run_key"], **AHEAD)
        comparison.add_held(ANALYSIS, METHOD, held.to_reader())
        comparison.compare(Scope((f"{SOURCE}/",)), [ANALYSIS])
        unchanged = sum(comparison.shard(shard, SHARDS).unchanged[ANALYSIS] for shard in range(SHARDS))
    return Looked(peak_bytes(), time.process_time() - before, unchanged)


def sieve(folder: str) -> Looked:
    """Plan a round half of whose requests have an answer."""
    before = time.process_time()
    first = DOCUMENTS - WANTED // 2
    with tempfile.TemporaryDirectory(dir=folder) as place, Sieve(Path(place)) as found:
        for segment in range(WANTED // ROWS):
            ids = [_question(first + segment * ROWS + number) for number in range(ROWS)]
            found.add_wanted(segment, pa.table({"record_id": ids, "question_id": ids}))
        for number, path in enumerate(sorted((Path(folder) / "answers").iterdir())):
            found.add_known(number, pq.read_table(path)["question_id"])
        found.sift(take_over=lambda _source: False)
        return Looked(peak_bytes(), time.process_time() - before, found.count(Why.KNOWN))


def _listing(count: int) -> Iterator[Document]:
    for number in range(count):
        yield Document(f"{SOURCE}/{number % 1_000:03d}/document-{number:08d}.txt", f"{number:x}", 5_000, NIGHT)


def _in_groups(listing: Iterator[Document]) -> Iterator[list[Document]]:
    group: list[Document] = []
    for one in listing:
        group.append(one)
        if len(group) == ROWS:
            yield group
            group = []
    if group:
        yield group


def _question(number: int) -> str:
    return hashlib.sha256(number.to_bytes(8, "big")).hexdigest()[:32]


def _write(table: pa.Table, folder: Path, number: int) -> None:
    folder.mkdir(exist_ok=True)
    pq.write_table(table, folder / f"{number:05d}.parquet", compression="zstd", compression_level=1)

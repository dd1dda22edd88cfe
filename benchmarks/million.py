"""A million small objects listed, planned and prepared, and the night after, in which none of them is read."""

from __future__ import annotations

import datetime as dt
import io
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.table import Column, Table

from benchmarks.corpus import Corpus
from benchmarks.measuring import in_child, peak_bytes
from benchmarks.memory import CLASSIFICATION, SIZE_BYTES, SOURCE, Content, Made
from benchmarks.stage import Stores, order_from, services_on, warm_up
from pipeline.analyses import Analysis
from pipeline.parquet import published_key, write_rows
from pipeline.records import DocumentRecord
from pipeline.schemas import table_schemas
from pipeline.steps import Services, plan, prepare, start
from pipeline.steps.run import Run
from pipeline.steps.state import read_document_records
from pipeline.storage.objects import ObjectStore

if TYPE_CHECKING:
    import pyarrow as pa
    from rich.console import Console

COUNTS = (100_000, 1_000_000)
NIGHTS = ("bench", "bench-2")


@dataclass
class Counting(Made):
    """Counts how many of its objects were read."""

    read: int = 0

    def get(self, key: str) -> Content:
        self.read += 1
        return super().get(key)


@dataclass(frozen=True, slots=True)
class Part:
    """What a part of a night took, in a process of its own; `count` is what it came to."""

    before_bytes: int
    peak_bytes: int
    cpu_seconds: float
    wall_seconds: float
    count: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a night works: its source has so many objects."""

    folder: str
    objects: int
    night: str

    @property
    def work_uri(self) -> str:
        return Path(self.folder, "work").as_uri()

    @property
    def run_uri(self) -> str:
        return f"{self.work_uri}/runs/{self.night}"

    def services(self) -> tuple[Services, Counting]:
        made = Counting(self.objects, Corpus(SIZE_BYTES))
        stores = Stores({SOURCE: ObjectStore(cast("Any", made), SOURCE)})
        return services_on(stores, CLASSIFICATION), made


def measure_start(place: Place) -> Part:
    """Listing and comparison; the documents that have something to be done."""

    def work(services: Services, _made: Counting) -> int:
        order = replace(order_from(SOURCE, place.work_uri, f"{place.folder}/output"), run_key=place.night)
        manifest = Run(services, start(services, order)).manifest
        return manifest.documents - sum(manifest.unchanged.values())

    return _measured(place, work)


def measure_prepare(place: Place) -> Part:
    """All shards one after the other; the objects that were read."""

    def work(services: Services, made: Counting) -> int:
        for shard in range(Run(services, place.run_uri).manifest.shards):
            prepare(services, place.run_uri, 0, shard)
        return made.read

    return _measured(place, work)


def measure_plan(place: Place) -> Part:
    """The batches of the first round; the requests in them."""

    def work(services: Services, _made: Counting) -> int:
        return plan(services, place.run_uri, 0).requests

    return _measured(place, work)


def _measured(place: Place, work: Callable[[Services, Counting], int]) -> Part:
    services, made = place.services()
    warm_up(services)
    before, cpu, wall = peak_bytes(), time.process_time(), time.perf_counter()
    count = work(services, made)
    return Part(before, peak_bytes(), time.process_time() - cpu, time.perf_counter() - wall, count)


def publish(place: Place) -> int:
    """Rows as a run would publish them, without its answers: what the next night compares with; the shards."""
    services, _made = place.services()
    run = Run(services, place.run_uri)
    analyses = run.services.analyses(CLASSIFICATION, run.manifest.output_language)
    schemas = table_schemas(cast("dict[str, Analysis]", analyses))
    output = services.open(run.manifest.output_uri)
    told = {"run_key": place.night, "method_id": run.manifest.methods[CLASSIFICATION[0]], "input_tokens": 300}
    told |= {"output_tokens": 8, "ended": dt.datetime(2026, 11, 23, 3, tzinfo=dt.UTC)}
    keys: dict[str, list[str]] = {"documents": [], CLASSIFICATION[0]: [], "runs": []}
    for shard in range(run.manifest.shards):
        for table in ("documents", CLASSIFICATION[0]):
            keys[table].append(published_key(table, place.night, shard))
            output.write(keys[table][-1], _file(schemas[table], read_document_records(run, shard), told))
    keys["runs"].append(published_key("runs", place.night, 0))
    output.write(keys["runs"][0], _file(schemas["runs"], iter([None]), told))
    with services.catalog(run.manifest.output_uri, make=True) as catalog:
        for table, written in keys.items():
            catalog.commit(table, schemas[table], place.night, written)
    return run.manifest.shards


def _file(schema: pa.Schema, records: Iterator[DocumentRecord | None], told: dict[str, Any]) -> bytes:
    sink = io.BytesIO()
    rows = ([told.get(name, getattr(record, name, None)) for name in schema.names] for record in records)
    write_rows(schema, rows, sink)
    return sink.getvalue()


def nights(count: int) -> tuple[int, dict[str, Part]]:
    """The shards, and every part of two nights over so many objects, of which none changes."""
    with tempfile.TemporaryDirectory(prefix="docbatch-bench-") as folder:
        first, second = (Place(folder, count, night) for night in NIGHTS)
        found = {
            "start: listed and compared": in_child(measure_start, first),
            "prepare: all shards in turn": in_child(measure_prepare, first),
            "plan": in_child(measure_plan, first),
        }
        shards = in_child(publish, first)
        found |= {"second night, start": in_child(measure_start, second)}
        found |= {"second night, prepare": in_child(measure_prepare, second)}
        return shards, found | {"second night, plan": in_child(measure_plan, second)}


def report(console: Console) -> None:
    few, many = (nights(count) for count in COUNTS)
    title = f"Objects of 1 KB, {few[0]} and {many[0]} shards; each part in a process of its own, peak memory in MB"
    columns = ("nothing done", *(f"{count:,}" for count in COUNTS), "ratio", "CPU s", "wall s", "came to")
    table = Table("", *(Column(name, justify="right") for name in columns), title=title)
    for name, small in few[1].items():
        large = many[1][name]
        peaks = [f"{size / 1e6:.0f}" for size in (large.before_bytes, small.peak_bytes, large.peak_bytes)]
        took = f"{large.cpu_seconds:.0f}", f"{large.wall_seconds:.0f}", f"{large.count:,}"
        table.add_row(name, *peaks, f"{large.peak_bytes / small.peak_bytes:.2f}", *took)
    console.print(table)
    console.print(f"CPU, wall and what it came to are those of {COUNTS[1]:,}: documents to do, objects read, requests.")

"""The most memory that a process holds while it prepares, and while it collects, at two sizes of a run."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from obstore import Bytes
from rich.table import Table

from benchmarks.corpus import Corpus
from benchmarks.measuring import in_child, peak_bytes
from benchmarks.stage import Stores, answer_round, order_from, services_on, warm_up
from pipeline.steps import Services, collect, fold, plan, prepare, start
from pipeline.steps.plan import read_plan
from pipeline.steps.run import Run
from pipeline.storage.objects import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

COUNTS = (20_000, 200_000)
SIZE_BYTES = 1_000  # with 200,000 documents, prompts and outputs are 1.6 GB on disk
CLASSIFICATION = ("classification",)
SOURCE = "s3://source"
WRITTEN = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


@dataclass
class Made:
    """What obstore's stores are to ObjectStore, with documents that are made when they are read."""

    count: int
    corpus: Corpus

    def list(self, _prefix: str | None) -> Iterator[list[dict[str, Any]]]:
        for number in range(self.count):
            name = self.corpus.name(number)
            yield [{"path": name, "size": SIZE_BYTES, "e_tag": str(number), "last_modified": WRITTEN}]

    def get(self, key: str) -> Content:
        return Content(self.corpus.content(int(key.rpartition("/")[2].removesuffix(".txt"))))


@dataclass
class Content:
    content: Any

    @property
    def meta(self) -> dict[str, int]:
        return {"size": len(self.content)}

    def bytes(self) -> Bytes:
        return Bytes(self.content)


def measure_prepare(work_uri: str, output_folder: str, count: int) -> tuple[int, int]:
    """Peak bytes before the first document, and after start and prepare."""
    services = _services(count)
    warm_up(services)
    before = peak_bytes()
    run = Run(services, start(services, order_from(SOURCE, work_uri, output_folder)))
    for shard in range(run.manifest.shards):
        prepare(services, run.store.uri(), 0, shard)
    return before, peak_bytes()


def measure_plan(work_uri: str, count: int) -> tuple[int, int]:
    services = _services(count)
    warm_up(services)
    before = peak_bytes()
    plan(services, f"{work_uri}/runs/bench", 0)
    return before, peak_bytes()


def measure_collect(work_uri: str, count: int) -> tuple[int, int]:
    """Peak bytes before the first output, and after collect and fold."""
    run = _run(work_uri, count)
    warm_up(run.services)
    before = peak_bytes()
    for batch in read_plan(run, 0).batches:
        collect(run.services, run.store.uri(), 0, batch.batch_key)
    results = 0
    for shard in range(run.manifest.shards):
        results += fold(run.services, run.store.uri(), shard).analyses["classification"].results
    if results != count:
        raise ValueError(f"{results} results for {count} documents: the figures would mean nothing")
    return before, peak_bytes()


def answer_and_tidy(work_uri: str, count: int) -> None:
    """Job output for every batch; input files go, so that prompts lie on the disk twice at most."""
    run = _run(work_uri, count)
    inputs = {run.store.key(batch.input_uri) for batch in read_plan(run, 0).batches}
    for entry in list(run.store.list("rounds/00/requests")):
        if entry.key.endswith(".jsonl") and entry.key not in inputs:
            run.store.delete(entry.key)
    answer_round(run, forget_input=True)


def _services(count: int) -> Services:
    stores = Stores({SOURCE: ObjectStore(cast("Any", Made(count, Corpus(SIZE_BYTES))), SOURCE)})
    return services_on(stores, CLASSIFICATION)


def _run(work_uri: str, count: int) -> Run:
    return Run(_services(count), f"{work_uri}/runs/bench")


def peaks(count: int) -> dict[str, tuple[int, int]]:
    """Of each part, measured in a process of its own: peak bytes before its work, and after."""
    with tempfile.TemporaryDirectory(prefix="docbatch-bench-") as folder:
        work_uri = Path(folder).as_uri()
        found = {"start and prepare": in_child(measure_prepare, work_uri, f"{folder}/output", count)}
        found["plan"] = in_child(measure_plan, work_uri, count)
        in_child(answer_and_tidy, work_uri, count)
        return found | {"collect and fold": in_child(measure_collect, work_uri, count)}


def report(console: Console) -> None:
    few, many = (peaks(count) for count in COUNTS)
    title = "Peak memory (resident), MB; documents of 1 KB, shards one after another in one process"
    table = Table("", "nothing done", *(f"{count:,} documents" for count in COUNTS), "ratio", title=title)
    for part, (before, small) in few.items():
        large = many[part][1]
        figures = [f"{size / 1e6:.0f}" for size in (before, small, large)]
        table.add_row(part, *figures, f"{large / small:.2f}")
    console.print(table)

"""What preparing requests costs, against rendering, hashing and serialising the same bytes in memory."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
from rich.table import Table

from benchmarks.corpus import Corpus
from benchmarks.measuring import cpu_seconds, in_child
from benchmarks.stage import Stores, order_from, services_on, warm_up
from pipeline.analyses import load_analyses, shipped_prompts
from pipeline.steps import prepare, start
from pipeline.steps.run import Run
from pipeline.wire import body

if TYPE_CHECKING:
    from rich.console import Console

DOCUMENTS = 20_000
SIZE_BYTES = 5_000
ROUNDS = 2
ONE = ("classification",)
THREE = ("classification", "sentiment", "summarization")
MEMORY, FOLDER = "memory", "folder"


def measure_floor(analyses: tuple[str, ...], documents: int = DOCUMENTS) -> float:
    """CPU seconds to decode, hash, render with plain jinja2 and serialise, document by document."""
    contents = list(Corpus(SIZE_BYTES).contents(documents))
    loaded = load_analyses(shipped_prompts(), analyses, output_language="English").values()
    plain = [(one.map.template.render, one.map.constants, one.generation) for one in loaded]

    def work() -> None:
        for content in contents:
            text = content.decode()
            record_id = hashlib.sha256(content).hexdigest()
            for render, constants, generation in plain:
                prompt = render(constants, document=text, position=1, siblings=1)
                orjson.dumps({"recordId": record_id, "modelInput": body(prompt, generation)})

    return cpu_seconds(work)


def measure_ours(analyses: tuple[str, ...], place: str, documents: int = DOCUMENTS) -> tuple[float, float]:
    """CPU seconds of start (listing into shards) and of prepare; documents and work in memory, or in folders."""
    with tempfile.TemporaryDirectory(prefix="docbatch-bench-") as folder:
        root = "s3:/" if place == MEMORY else Path(folder).as_uri()
        stores = Stores()
        Corpus(SIZE_BYTES).write(stores.open(f"{root}/source"), documents)
        services = services_on(stores, analyses)
        warm_up(services)
        order = order_from(f"{root}/source", f"{root}/work", f"{folder}/output")
        started = cpu_seconds(lambda: start(services, order))
        run = Run(services, f"{root}/work/runs/bench")
        shards = range(run.manifest.shards)
        return started, cpu_seconds(lambda: [prepare(services, run.store.uri(), 0, shard) for shard in shards])


def measure_reading(place: str) -> float:
    """CPU seconds to read every document, one after another, through obstore."""
    with tempfile.TemporaryDirectory(prefix="docbatch-bench-") as folder:
        store = Stores().open("s3://source" if place == MEMORY else Path(folder).as_uri())
        corpus = Corpus(SIZE_BYTES)
        corpus.write(store, DOCUMENTS)
        return cpu_seconds(lambda: [store.read(corpus.name(number)) for number in range(DOCUMENTS)])


def report(console: Console) -> None:
    title = f"Preparing {DOCUMENTS:,} documents of 5 KB; least CPU time of {ROUNDS} rounds"
    table = Table("", "CPU s", "documents / CPU s", "requests / CPU s", "floor = 1", title=title)
    for analyses in (ONE, THREE):
        floor = min(in_child(measure_floor, analyses) for _ in range(ROUNDS))
        _add(table, f"floor, {_named(analyses)}", floor, floor, len(analyses))
        for place in (MEMORY, FOLDER) if analyses == ONE else (MEMORY,):
            measured = [in_child(measure_ours, analyses, place) for _ in range(ROUNDS)]
            _add(table, f"prepare, {_named(analyses)}, {place}", min(p for _, p in measured), floor, len(analyses))
            if analyses == ONE:
                _add(table, f"  listing before it, {place}", min(s for s, _ in measured), floor, None)
    console.print(table)
    reading = {place: in_child(measure_reading, place) / DOCUMENTS * 1e6 for place in (MEMORY, FOLDER)}
    console.print(f"Reading alone, a document at a time: {reading[MEMORY]:.0f} µs from memory, ", end="")
    console.print(f"{reading[FOLDER]:.0f} µs from a folder. Floor: decode, sha256, jinja2, orjson, in memory.")


def _named(analyses: tuple[str, ...]) -> str:
    return analyses[0] if len(analyses) == 1 else f"{len(analyses)} analyses"


def _add(table: Table, name: str, seconds: float, floor: float, analyses: int | None) -> None:
    rate = DOCUMENTS / seconds
    requests = f"{rate * analyses:,.0f}" if analyses else ""
    table.add_row(name, f"{seconds:.2f}", f"{rate:,.0f}", requests, f"{seconds / floor:.2f}")

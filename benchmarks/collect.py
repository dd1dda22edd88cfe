"""What collecting outputs and folding them into tables costs, against parsing them into one Parquet table."""

from __future__ import annotations

import io
import tempfile
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from rich.table import Table

from benchmarks.corpus import Corpus
from benchmarks.measuring import cpu_seconds, in_child
from benchmarks.stage import Stores, answer_round, order_from, services_on
from pipeline.steps import collect, fold, plan, prepare, start
from pipeline.steps.plan import read_plan
from pipeline.steps.run import Run

if TYPE_CHECKING:
    from rich.console import Console

DOCUMENTS = 20_000
SIZE_BYTES = 5_000
ROUNDS = 2
CLASSIFICATION = ("classification",)


def measure(documents: int = DOCUMENTS) -> tuple[float, float, float]:
    """CPU seconds of the floor, of collect and of fold on the same output lines, with the answers checked."""
    with tempfile.TemporaryDirectory(prefix="docbatch-bench-") as output_folder:
        return _measure(_answered_run(output_folder, documents), documents)


def _measure(run: Run, documents: int) -> tuple[float, float, float]:
    uri, batches, shards = run.store.uri(), read_plan(run, 0).batches, range(run.manifest.shards)
    lines = _output_lines(run)
    floor = cpu_seconds(lambda: _parse_into_table(lines))
    lines.clear()
    collected = cpu_seconds(lambda: [collect(run.services, uri, 0, batch.batch_key) for batch in batches])
    counts: list[Any] = []
    folded = cpu_seconds(lambda: counts.extend(fold(run.services, uri, shard) for shard in shards))
    results = sum(one.analyses["classification"].results for one in counts)
    if results != documents:
        raise ValueError(f"{results} results for {documents} documents: the figures would mean nothing")
    return floor, collected, folded


def _answered_run(output_folder: str, documents: int) -> Run:
    stores = Stores()
    Corpus(SIZE_BYTES).write(stores.open("s3://source"), documents)
    services = services_on(stores, CLASSIFICATION)
    run = Run(services, start(services, order_from("s3://source", "memory://work", output_folder)))
    for shard in range(run.manifest.shards):
        prepare(services, run.store.uri(), 0, shard)
    plan(services, run.store.uri(), 0)
    answer_round(run)
    return run


def _output_lines(run: Run) -> list[bytes]:
    keys = [entry.key for entry in run.store.list("rounds/00/output") if entry.key.endswith(".jsonl.out")]
    return [line for key in keys for line in run.store.lines(key)]


def _parse_into_table(lines: list[bytes]) -> None:
    rows = []
    for line in lines:
        record = orjson.loads(line)
        output = record["modelOutput"]
        answer = orjson.loads('{"category": "' + output["generation"])
        tokens = output["prompt_token_count"], output["generation_token_count"]
        rows.append((record["recordId"], answer["category"], *tokens))
    names = ["record_id", "category", "input_tokens", "output_tokens"]
    columns = [pa.array(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(dict(zip(names, columns, strict=True))), io.BytesIO(), compression="zstd")


def report(console: Console) -> None:
    rounds = [in_child(measure) for _ in range(ROUNDS)]
    floor, collected, folded = (min(column) for column in zip(*rounds, strict=True))
    title = f"Collecting {DOCUMENTS:,} outputs with their prompts, in memory; least CPU time of {ROUNDS} rounds"
    table = Table("", "CPU s", "records / CPU s", "floor = 1", title=title)
    for name, seconds in (
        ("floor: orjson and one Parquet table", floor),
        ("collect: parse, repair, validate, outcomes", collected),
        ("fold: five tables with tokens and cost", folded),
        ("collect and fold", collected + folded),
    ):
        table.add_row(name, f"{seconds:.2f}", f"{DOCUMENTS / seconds:,.0f}", f"{seconds / floor:.2f}")
    console.print(table)

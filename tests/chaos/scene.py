"""The run that the suite disturbs: all kinds of documents, a job, calls on demand, corrections, a reduction."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.domain import Mode
from pipeline.local.bill import Charge
from pipeline.local.fault_plan import FaultPlan, RecordFault
from tests.world import World

SEED = 20261124  # by which each kind of fault meets some record
THREADS = 2  # on demand: so many calls can be in flight when a process dies
# Long enough for a reduction: two rounds for it alone.
LONG = "".join(f"Sentence {n} of a long document. " for n in range(60))
# What may differ between a disturbed run and an undisturbed one: when it was, where it wrote, what Bedrock called it.
MAY_DIFFER = {"started", "ended", "output_uri", "job_arn"}


def faults(share: float) -> FaultPlan:
    """That share of a job's records each spoilt, left out, and lost after it was billed; on demand all goes well.

    They are the same ones every time, however often the run dies: what comes back must not depend on attempts.
    """
    kinds = ("empty", "skipped", "dropped")
    records = tuple(RecordFault(kind=kind, share=share, mode=Mode.BATCH) for kind in kinds)
    return FaultPlan(seed=SEED, records=records)


def put_documents(source: Path, short: int, copies: int) -> None:
    """`short` documents of their own text, copies of one of them, an empty one and one with a reduction."""
    source.mkdir(parents=True, exist_ok=True)
    texts = {f"{number:03d}.txt": f"Document number {number} of {short}." for number in range(short)}
    texts |= {f"copy {number}.txt": texts["001.txt"] for number in range(copies)}
    texts |= {"empty.txt": "", "long.txt": LONG}
    for name, text in texts.items():
        (source / name).write_text(text, "utf-8")


def tables_of(output: Path) -> dict[str, Any]:
    """Every published file, to be compared: its bytes, or its rows where something may differ."""
    found: dict[str, Any] = {}
    for path in sorted(one for one in (output / "tables").rglob("*.parquet")):
        name = str(path.relative_to(output))
        content = path.read_bytes()
        if name.split("/")[1] in ("ledger", "runs"):
            rows = pq.read_table(io.BytesIO(content)).to_pylist()
            found[name] = [{key: value for key, value in row.items() if key not in MAY_DIFFER} for row in rows]
        else:
            found[name] = content
    return found


def world_over(folder: Path, output: Path, **settings: Any) -> World:
    """A world of its own over the documents and prompts of `folder`, with an output of its own.

    Eight records make a job, so that all rounds but the first go on demand.
    """
    given: dict[str, Any] = {"lease_seconds": 0.2, "on_demand_threads": THREADS, "shard_documents": 7}
    given |= {"analyses": ("summarization",)} | settings
    world = World(folder, least=8, prompts=folder / "prompts", **given)
    world.output = output
    world.bedrock.faults.replace(faults(0.12))
    return world


def scene(folder: Path, output: Path, **settings: Any) -> World:
    """A world with the documents, and prompts by which the long one is long."""
    world = World(folder)
    world.own_prompts("summarization", chunk_tokens=256)
    put_documents(world.source, 8, 2)
    return world_over(folder, output, **settings)


@dataclass(frozen=True, slots=True)
class Billed:
    """How often the endpoint billed each prompt, by mode."""

    batch: Counter[str]
    on_demand: Counter[str]

    @classmethod
    def of(cls, charges: list[Charge]) -> Billed:
        prompts = {mode: Counter(one.prompt_sha256 for one in charges if one.mode is mode) for mode in Mode}
        return cls(prompts[Mode.BATCH], prompts[Mode.ON_DEMAND])

    def all(self) -> Counter[str]:
        """In either mode."""
        return self.batch + self.on_demand

    def twice_on_demand(self, undisturbed: Billed) -> int:
        """How many calls more were billed than in the undisturbed run, which billed the same prompts."""
        assert self.batch == undisturbed.batch, "a record of a batch was billed twice, or not at all"
        assert self.on_demand.keys() == undisturbed.on_demand.keys()
        return self.on_demand.total() - undisturbed.on_demand.total()

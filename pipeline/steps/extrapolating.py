"""What all documents of a source would have cost, from those that a sampled run was about."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq

from pipeline.drawing import size_stratum
from pipeline.estimating import Sums, estimate, member
from pipeline.manifest import staged_key
from pipeline.steps.run import Run
from pipeline.tables import SECOND_EXACT


def extrapolated(run: Run) -> tuple[Decimal, Decimal, Decimal] | None:
    """USD for all new and changed documents: expected, low and high, 95 times in 100. None without a sample or price.

    Copies and known answers cost nothing here, as often as in the sample.
    """
    if run.manifest.seed is None:
        return None
    strata = {key: Sums(*counts) for key, counts in run.manifest.strata.items()}
    for shard in range(run.manifest.shards):
        ledger = _columns(run, "ledger", shard, "document_id", "cost_usd")
        costs = Counter[str]()
        for document_id, cost in zip(ledger["document_id"], ledger["cost_usd"], strict=True):
            if cost is None:
                return None
            costs[str(document_id)] += int(cost / SECOND_EXACT)
        documents = _columns(run, "documents", shard, "document_id", "size_bytes", "change")
        for document_id, size, change in zip(*documents.values(), strict=True):
            if change != "deleted":
                strata[size_stratum(size)] += replace(member(size, costs[document_id]), members=0, size=0)
    found = estimate(strata.values())
    low, expected, high = (round(Decimal(one) * SECOND_EXACT, 10) for one in (found.low, found.expected, found.high))
    return expected, low, high


def _columns(run: Run, table: str, shard: int, *names: str) -> dict[str, list[Any]]:
    content = run.store.read(staged_key(table, shard))
    found: dict[str, list[Any]] = pq.read_table(io.BytesIO(content), columns=list(names)).to_pydict()
    return found

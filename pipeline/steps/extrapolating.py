"""What all documents of a source would have cost, from those that a sampled run was about."""

from __future__ import annotations

import io
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow.parquet as pq

from pipeline.batching import choose_mode
from pipeline.domain import Change, Usage
from pipeline.forecasts.drawing import size_stratum
from pipeline.forecasts.estimating import Sums, estimate, is_enough, member
from pipeline.ledger import cost_of
from pipeline.manifest import staged_key
from pipeline.schemas import SECOND_EXACT
from pipeline.steps.run import Run


def extrapolated(run: Run) -> tuple[Decimal, Decimal, Decimal] | None:
    """USD for all new and changed documents: expected, low and high, 95 times in 100.

    None without a price, or a sample of three documents at least.
    At the price that all of them would have together: a sample may be too small for a job. Copies and known answers
    cost nothing here, as often as in the sample.
    """
    if run.manifest.seed is None:
        return None
    strata = {key: Sums(*counts) for key, counts in run.manifest.strata.items()}
    used, requests = _usage_by_document(run)
    whole = sum(one.members for one in strata.values())
    looked_at = max(1, whole - run.manifest.left_out)
    price = run.price(choose_mode(requests * whole // looked_at, run.quotas))
    for shard in range(run.manifest.shards):
        documents = _columns(run, "documents", shard, "document_id", "size_bytes", "change")
        for document_id, size, change in zip(*documents.values(), strict=True):
            if change != Change.DELETED:
                cost = cost_of(used.get(document_id, Usage(0, 0)), price)
                if cost is None:
                    return None
                strata[size_stratum(size)] += replace(member(size, int(cost / SECOND_EXACT)), members=0, size=0)
    if not is_enough(strata.values()):
        return None
    found = estimate(strata[key] for key in sorted(strata))
    low, expected, high = (round(Decimal(one) * SECOND_EXACT, 10) for one in (found.low, found.expected, found.high))
    return expected, low, high


def _usage_by_document(run: Run) -> tuple[dict[str, Usage], int]:
    """The tokens that each document used, over all rounds, and how many requests there were: a fused one is one."""
    used, requests = dict[str, Usage](), set[tuple[str, int]]()
    for shard in range(run.manifest.shards):
        ledger = _columns(run, "ledger", shard, "record_id", "round", "document_id", "input_tokens", "output_tokens")
        for record_id, number, document_id, tokens_in, tokens_out in zip(*ledger.values(), strict=True):
            requests.add((record_id, number))
            used[document_id] = used.get(document_id, Usage(0, 0)) + Usage(tokens_in or 0, tokens_out or 0)
    return used, len(requests)


def _columns(run: Run, table: str, shard: int, *names: str) -> dict[str, list[Any]]:
    content = run.store.read(staged_key(table, shard))
    found: dict[str, list[Any]] = pq.read_table(io.BytesIO(content), columns=list(names)).to_pydict()
    return found

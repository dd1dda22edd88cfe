"""What a shard and its analyses came to, kept beside the staged rows."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal

from pydantic import TypeAdapter

from pipeline.manifest import staged_counts_key
from pipeline.money.costs import Amount
from pipeline.steps.run import Run


@dataclass(frozen=True, slots=True)
class AnalysisCounts:
    """What one analysis came to.

    `failures_again` are those of documents that are as an earlier run saw them; `empty` and `labels` are of results.
    """

    results: int
    failures: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    failures_again: int = 0
    empty: int = 0
    labels: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """What one shard came to.

    What must not be, by name: `without_end` documents and analyses that have neither result nor failure, and
    `without_tokens` records that were answered for nothing. `unused` was paid and no result rests on it.
    """

    documents: int
    duplicates: int
    requests: int
    analyses: dict[str, AnalysisCounts]
    reasons: dict[str, int]
    models: list[str]
    without_end: list[str]
    without_tokens: list[str]
    unused: Amount
    savings: dict[str, Amount]


COUNTS = TypeAdapter(ShardCounts)


def read_counts(run: Run, shard: int) -> ShardCounts:
    return COUNTS.validate_json(run.store.read(staged_counts_key(shard)))

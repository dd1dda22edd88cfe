"""Segments of requests -> batches within Bedrock's quotas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.domain import Mode

# A batch is filled from whole segments, so these are a fraction of what a batch may hold.
SEGMENTS_PER_BATCH = 4


@dataclass(frozen=True, slots=True)
class Segment:
    """Some requests of one shard and round: a JSONL file, and an index beside it."""

    key: str
    index_key: str
    shard: int
    records: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Quotas:
    """What one job accepts (Bedrock quotas, November 2026); all are settings because AWS changes them."""

    min_records: int
    max_records: int
    max_file_bytes: int

    @property
    def segment_records(self) -> int:
        return max(1, self.max_records // SEGMENTS_PER_BATCH)

    @property
    def segment_bytes(self) -> int:
        return self.max_file_bytes // SEGMENTS_PER_BATCH


def choose_mode(segments: Sequence[Segment], quotas: Quotas) -> Mode:
    """Batch, or on-demand for a round that stays below the minimum that a job must have."""
    return Mode.BATCH if sum(segment.records for segment in segments) >= quotas.min_records else Mode.ON_DEMAND


def pack(segments: Sequence[Segment], quotas: Quotas) -> list[list[Segment]]:
    """Every segment in exactly one batch, in their order, each batch within the quotas.

    A last batch below the minimum takes segments from the one before it until it has enough.
    """
    batches: list[list[Segment]] = []
    for segment in segments:
        if batches and _fits([*batches[-1], segment], quotas):
            batches[-1].append(segment)
        else:
            batches.append([segment])
    while len(batches) > 1 and _records(batches[-1]) < quotas.min_records and len(batches[-2]) > 1:
        batches[-1].insert(0, batches[-2].pop())
    return batches


def _fits(segments: Sequence[Segment], quotas: Quotas) -> bool:
    size_bytes = sum(segment.size_bytes for segment in segments)
    return _records(segments) <= quotas.max_records and size_bytes <= quotas.max_file_bytes


def _records(segments: Sequence[Segment]) -> int:
    return sum(segment.records for segment in segments)

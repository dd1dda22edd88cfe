"""Segments of requests -> batches within Bedrock's quotas."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pipeline.domain import Mode

# A batch is filled from whole segments, so these are a fraction of what a batch may hold.
SEGMENTS_PER_BATCH = 4
# A round has no more batches while jobs can be larger: Airflow maps a task over 1,024 things at most, and those that
# other runs have sent come on top.
MOST_BATCHES = 1_000


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
    """What one job accepts (Bedrock quotas, November 2026); all are settings because AWS changes them.

    `on_demand_only` when there are to be no jobs at all. `max_records` is what a job is to have, `quota_records` what
    Bedrock takes, for rounds that would have too many jobs.
    """

    min_records: int
    max_records: int
    max_file_bytes: int
    on_demand_only: bool = False
    quota_records: int = 0

    @property
    def segment_records(self) -> int:
        return max(1, self.max_records // SEGMENTS_PER_BATCH)

    @property
    def segment_bytes(self) -> int:
        return self.max_file_bytes // SEGMENTS_PER_BATCH


def widened(quotas: Quotas, records: int) -> Quotas:
    """The same with jobs so large, within Bedrock's quota, that so many records make MOST_BATCHES at most."""
    # Batches are filled from whole segments, so one may stay short by all but a record of a segment.
    enough = -(-records // MOST_BATCHES) + quotas.segment_records
    return replace(quotas, max_records=max(quotas.max_records, min(quotas.quota_records, enough)))


def choose_mode(records: int, quotas: Quotas) -> Mode:
    """Batch; on-demand for a batch below the minimum that a job must have, and where there are to be no jobs."""
    return Mode.BATCH if records >= quotas.min_records and not quotas.on_demand_only else Mode.ON_DEMAND


def pack(segments: Sequence[Segment], quotas: Quotas) -> list[list[Segment]]:
    """Every segment in exactly one batch, in their order, each batch within the quotas.

    Of all such divisions, one with the fewest batches below the minimum, then with the fewest batches; of equal ones,
    the one whose first batches are fullest. A segment that alone exceeds the quotas is a batch of its own.
    """
    # For the segments from each place on: batches below the minimum, batches, and where the first of them ends.
    best = [(0, 0, 0)] * (len(segments) + 1)
    for start in reversed(range(len(segments))):
        choices = (
            (best[end][0] + (records < quotas.min_records), best[end][1] + 1, -end)
            for end, records in _ends(segments, start, quotas)
        )
        short, batches, negative_end = min(choices)
        best[start] = (short, batches, -negative_end)
    ends, place = [0], 0
    while place < len(segments):
        place = best[place][2]
        ends.append(place)
    return [list(segments[start:end]) for start, end in pairwise(ends)]


def _ends(segments: Sequence[Segment], start: int, quotas: Quotas) -> Iterator[tuple[int, int]]:
    """Where a batch that begins at `start` may end, with its records; at least after one segment."""
    records = size_bytes = 0
    for end in range(start + 1, len(segments) + 1):
        segment = segments[end - 1]
        records += segment.records
        size_bytes += segment.size_bytes
        if end > start + 1 and (records > quotas.max_records or size_bytes > quotas.max_file_bytes):
            return
        yield end, records

"""Segments -> batches: complete, in order, within the quotas, above the minimum where that can be."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.batching import MOST_BATCHES, Quotas, Segment, choose_mode, pack, widened
from pipeline.domain import Mode

QUOTAS = st.builds(Quotas, st.integers(1, 20), st.integers(4, 40), st.integers(4, 400))


@st.composite
def segments_and_quotas(draw: st.DrawFn, most: int = 40) -> tuple[list[Segment], Quotas]:
    quotas = draw(QUOTAS)
    sizes = st.tuples(st.integers(1, quotas.segment_records), st.integers(1, quotas.segment_bytes))
    return segments(draw(st.lists(sizes, max_size=most))), quotas


def segments(sizes: list[tuple[int, int]]) -> list[Segment]:
    return [Segment(f"{n}.jsonl", f"{n}.parquet", 0, records, size) for n, (records, size) in enumerate(sizes)]


def within(batch: list[Segment], quotas: Quotas) -> bool:
    records, size_bytes = sum(one.records for one in batch), sum(one.size_bytes for one in batch)
    return records <= quotas.max_records and size_bytes <= quotas.max_file_bytes


def short(batches: list[list[Segment]], quotas: Quotas) -> int:
    return sum(sum(one.records for one in batch) < quotas.min_records for batch in batches)


@given(segments_and_quotas())
def test_every_segment_once_in_order_within_the_quotas(case: tuple[list[Segment], Quotas]) -> None:
    """Batches, one after the other, are the segments; none is empty and none exceeds a quota."""
    given_segments, quotas = case
    batches = pack(given_segments, quotas)
    assert [one for batch in batches for one in batch] == given_segments
    assert all(batch and within(batch, quotas) for batch in batches)


@given(segments_and_quotas(most=8))
def test_no_division_has_fewer_short_batches(case: tuple[list[Segment], Quotas]) -> None:
    """No other division has fewer batches below the minimum, nor as few of those and fewer batches."""
    given_segments, quotas = case
    found = pack(given_segments, quotas)
    best = (short(found, quotas), len(found))
    for size in range(len(given_segments)):
        for cuts in combinations(range(1, len(given_segments)), size):
            other = [given_segments[a:b] for a, b in pairwise([0, *cuts, len(given_segments)])]
            if all(within(batch, quotas) for batch in other):
                assert best <= (short(other, quotas), len(other))


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([], []),
        ([250] * 5, [4, 1]),
        ([250] * 4, [4]),
        ([250, 250, 250, 250, 20], [4, 1]),
        ([250, 250, 250, 250, 9], [3, 2]),
        ([5], [1]),
    ],
)
def test_the_last_batch_gets_its_minimum(records: list[int], expected: list[int]) -> None:
    """First batches are full; the last takes from the one before it what it needs. Here: 20 to 1,000 records."""
    batches = pack(segments([(count, 1) for count in records]), Quotas(20, 1_000, 1_000_000))
    assert [len(batch) for batch in batches] == expected


def test_a_segment_that_alone_exceeds_the_quotas_is_kept() -> None:
    """One line may be larger than a quarter of a small file quota: it goes alone, and Bedrock decides."""
    batches = pack(segments([(1, 10), (1, 5_000), (1, 10)]), Quotas(1, 10, 1_000))
    assert [len(batch) for batch in batches] == [1, 1, 1]


@pytest.mark.parametrize(
    ("segments_of_250", "quota_records", "most_records"),
    [
        (4, 4_000, 1_000),  # one job
        (3_000, 4_000, 1_000),  # 1,000 jobs at worst
        (3_001, 4_000, 1_001),
        (12_000, 4_000, 3_250),
        (40_000, 4_000, 4_000),  # more than Bedrock takes: whoever maps tasks over them says so
        (40_000, 0, 1_000),
    ],
)
def test_a_huge_round_has_larger_jobs(segments_of_250: int, quota_records: int, most_records: int) -> None:
    """Jobs grow, up to Bedrock's quota, where there would be more of them than Airflow maps tasks over."""
    quotas = Quotas(100, 1_000, 1_000_000, quota_records=quota_records)
    wide = widened(quotas, 250 * segments_of_250)
    assert wide.max_records == most_records
    if most_records < quota_records:
        assert len(pack(segments([(250, 1)] * segments_of_250), wide)) <= MOST_BATCHES


@pytest.mark.parametrize(
    ("records", "mode"), [(0, Mode.ON_DEMAND), (99, Mode.ON_DEMAND), (100, Mode.BATCH), (5_000, Mode.BATCH)]
)
def test_a_batch_below_the_minimum_goes_on_demand(records: int, mode: Mode) -> None:
    """Bedrock takes a job from the minimum on."""
    assert choose_mode(records, Quotas(100, 1_000, 1_000_000)) is mode

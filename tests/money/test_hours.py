"""Billing by time: begun hours of provisioned throughput, begun windows of an imported model."""

from __future__ import annotations

import datetime as dt
import random
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain import Span
from pipeline.money.hours import billed_minutes, joined, time_cost
from pipeline.prices import Billing, TimePrice

BEGAN = dt.datetime(2026, 11, 23, 2, 0, tzinfo=dt.UTC)
SPANS = st.lists(st.tuples(st.integers(0, 7_200), st.integers(0, 900)), max_size=12)
PRICE = TimePrice(units=2, usd=Decimal("0.05718"), since=BEGAN.date(), source="test")


def span(first_seconds: float, last_seconds: float) -> Span:
    return Span(BEGAN + dt.timedelta(seconds=first_seconds), BEGAN + dt.timedelta(seconds=last_seconds))


@pytest.mark.parametrize(
    ("calls", "provisioned", "imported"),
    [
        ([], 0, 0),
        ([(0, 0)], 60, 5),
        ([(0, 299)], 60, 5),
        ([(0, 301)], 60, 10),
        ([(0, 10), (290, 310)], 60, 10),  # the first window has not ended when the second call comes
        ([(0, 10), (400, 410)], 60, 10),
        ([(0, 10), (3_590, 3_601)], 120, 10),  # idle in between: an imported model is not billed for it
        ([(3_590, 3_601), (0, 10)], 120, 10),
        ([(0, 3_600)], 60, 60),
    ],
)
def test_begun_hours_and_begun_windows(calls: list[tuple[int, int]], provisioned: int, imported: int) -> None:
    """Hours count from the first call to the last, windows only while there are calls."""
    spans = [span(*call) for call in calls]
    assert billed_minutes(Billing.PROVISIONED, spans) == provisioned
    assert billed_minutes(Billing.IMPORTED, spans) == imported


@given(SPANS, st.randoms())
def test_time_is_the_same_in_any_order_and_however_it_is_joined(
    calls: list[tuple[int, int]], order: random.Random
) -> None:
    """What batches keep of their calls loses nothing of what the whole run is billed."""
    spans = [span(first, first + seconds) for first, seconds in calls]
    shuffled = order.sample(spans, len(spans))
    half = len(spans) // 2
    kept = [*joined(shuffled[:half]), *joined(shuffled[half:])]
    for billing in (Billing.PROVISIONED, Billing.IMPORTED):
        assert billed_minutes(billing, kept) == billed_minutes(billing, spans)
        if spans:
            used = max(one.last for one in spans) - min(one.first for one in spans)
            assert billed_minutes(billing, spans) <= used / dt.timedelta(minutes=1) + 60


@pytest.mark.parametrize(
    ("billing", "minutes", "usd"),
    [(Billing.PROVISIONED, 120, "0.22872"), (Billing.IMPORTED, 10, "1.14360"), (Billing.IMPORTED, 0, "0")],
)
def test_units_times_time_times_price(billing: Billing, minutes: int, usd: str) -> None:
    """Provisioned units are paid by the hour, those of imported models by the minute; exact."""
    assert time_cost(billing, PRICE, minutes) == Decimal(usd)
    assert time_cost(billing, None, minutes) is None

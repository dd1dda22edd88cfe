"""What a model costs that is billed by time: when it was in use, the hours or windows of that, times its units."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal

from pipeline.domain import Span
from pipeline.prices import Billing, TimePrice

WINDOW = dt.timedelta(minutes=5)  # an imported model is billed by such windows, and idle after one without a call
HOUR = dt.timedelta(hours=1)
HOUR_MINUTES = 60


def joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    """The same times in order, those that are less than a window apart as one."""
    found: list[Span] = []
    for span in sorted(spans, key=lambda one: one.first):
        if found and span.first - found[-1].last < WINDOW:
            found[-1] = Span(found[-1].first, max(found[-1].last, span.last))
        else:
            found.append(span)
    return tuple(found)


def billed_minutes(billing: Billing, spans: Iterable[Span]) -> int:
    """Minutes that a use comes to: begun hours from first to last, or begun windows of five minutes; 0 without use.

    Provisioned throughput is paid for while it exists, whoever uses it: this is the part of a run that has it alone.
    """
    used = joined(spans)
    if not used:
        return 0
    if billing is Billing.PROVISIONED:
        return _begun(max(one.last for one in used) - used[0].first, HOUR) * HOUR_MINUTES
    return _windows(used) * (WINDOW // dt.timedelta(minutes=1))


def time_cost(billing: Billing, price: TimePrice | None, minutes: int) -> Decimal | None:
    """USD, exact: `minutes` are whole hours where hours are billed. None when the price is unknown, never zero."""
    if price is None:
        return None
    times = minutes // HOUR_MINUTES if billing is Billing.PROVISIONED else minutes
    return price.units * price.usd * times


def _windows(used: Iterable[Span]) -> int:
    """A window begins with the first call after the last one has ended."""
    count, ends = 0, dt.datetime.min.replace(tzinfo=dt.UTC)
    for span in used:
        if span.last > ends:
            begins = max(span.first, ends)
            begun = _begun(span.last - begins, WINDOW)
            count, ends = count + begun, begins + begun * WINDOW
    return count


def _begun(length: dt.timedelta, unit: dt.timedelta) -> int:
    """How many units a length takes when each counts as soon as it has begun; at least one."""
    return max(1, -(-length // unit))

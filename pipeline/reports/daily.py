"""Which pictures the page over all runs shows: a value for each day, and a mark above the days that are suspect."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial

from pipeline.loop import counted
from pipeline.reports import drawing
from pipeline.reports.drawing import BLUE, GREEN, PURPLE, RED, Days
from pipeline.reports.figures import DayPoint
from pipeline.reports.pictures import Picture, painted
from pipeline.terminal.console import usd

UNKNOWN = "unknown"
MARK = "▼"  # as the charts draw it
SAID_DAYS = 5  # of those that are suspect; the table has all

Values = Mapping[dt.date, float | Decimal | None]


def trend(days: Sequence[DayPoint]) -> list[Picture]:
    """Cost, volume, failure share, and a chart for each column of labels, by day; one without any value is left out."""
    suspects = {one.day: one.suspects for one in days if one.suspects}
    over_days = partial(_over_days, suspects=suspects)
    volume, failed = {one.day: one.asked for one in days}, {one.day: one.failure_share for one in days}
    found = [
        over_days("Cost a day, USD", {one.day: one.cost_usd for one in days}, "$~g", _usd),
        over_days("Documents and analyses that ended, a day", volume, "~s", _count, GREEN),
        over_days("Share of them that failed", failed, ".0%", _percent, RED, joined=True),
    ]
    for name in sorted({name for one in days for name in one.drifts}):
        drifts = {one.day: one.drifts.get(name) for one in days}
        found.append(over_days(f"Drift of the labels: {name}", drifts, ".0%", _percent, PURPLE, joined=True))
    return painted([one for one in found if one is not None])


def _over_days(
    title: str,
    values: Values,
    form: str,
    told: Callable[[float], str],
    colour: str = BLUE,
    *,
    suspects: Mapping[dt.date, int],
    joined: bool = False,
) -> Picture | None:
    """All charts have the same days below them, so that one can be compared with the next."""
    known = {day: float(value) for day, value in values.items() if value is not None}
    if not known:
        return None
    days = Days(known, min(values), max(values), frozenset(suspects))
    names = ("day", "value", *(("suspect runs",) if suspects else ()))
    rows = tuple(
        (str(day), UNKNOWN if value is None else told(float(value)), *_judged(day, suspects))
        for day, value in sorted(values.items(), reverse=True)
    )
    unknown = len(values) - len(known)
    notes = [f"{MARK} a day with a suspect run."] if suspects else []
    notes += [f"Unknown on {counted(unknown, 'day')}."] if unknown else []
    says = _said_of_days(known, told) + _said_of_suspects(sorted(suspects))
    draw = partial(drawing.over_days, days, form, colour, joined=joined)
    return Picture(title, says, draw, names, rows, " ".join(notes))


def _judged(day: dt.date, suspects: Mapping[dt.date, int]) -> tuple[str, ...]:
    """Nothing where no day of the page is suspect, and the column is left out."""
    if not suspects:
        return ()
    return (f"{MARK} {suspects[day]}" if day in suspects else "",)


def _said_of_suspects(days: Sequence[dt.date]) -> str:
    if not days:
        return ""
    more = f" and {counted(len(days) - SAID_DAYS, 'more day')}" if len(days) > SAID_DAYS else ""
    return f" Suspect: {', '.join(map(str, days[-SAID_DAYS:]))}{more}."


def _said_of_days(known: Mapping[dt.date, float], told: Callable[[float], str]) -> str:
    """Only what differs is told twice."""
    newest, least, most = max(known), told(min(known.values())), told(max(known.values()))
    days = f"From {min(known)} to {newest}" if len(known) > 1 else f"On {newest}"
    if least != most:
        return f"{days}: between {least} and {most}, the last {told(known[newest])}."
    return f"{days}: {'always ' if len(known) > 1 else ''}{most}."


def _usd(value: float) -> str:
    return usd(Decimal(f"{value:.10f}"))


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _percent(value: float) -> str:
    return f"{value:.1%}"

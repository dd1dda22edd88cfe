"""Charts as specifications of Vega-Lite, by altair; their colours stand for names of the page's style sheet.

So one drawing serves light, dark and print. Loading altair takes a second: import this where something is drawn.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt

WIDTH = 340  # what a phone of 390 pixels has room for; wider screens scale it
LABEL_PIXELS, LABEL_CHARACTERS = 124, 40
STEP = 26
FONT = "Liberation Sans"  # vl_convert brings it: the same widths on every machine
# A colour that no chart would have by chance, and what the page's style sheet calls it.
INK, MUTED, LINE, ON = "#010203", "#010204", "#010205", "#010206"
SERIES = tuple(f"#0102a{number}" for number in range(1, 7))
BLUE, ORANGE, GREEN, RED, PURPLE, GREY = SERIES
NAMES = {INK: "ink", MUTED: "muted", LINE: "line", ON: "paper"} | {
    one: f"s{number}" for number, one in enumerate(SERIES, start=1)
}
# What XML has no place for: in a label it would end whoever measures it.
_ILLEGAL = re.compile("[^\\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]+")
Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a chart; without a value it has its text and no bar. `ticks` are what it is compared with."""

    label: str
    value: float | None
    text: str
    colour: str = BLUE
    ticks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Part:
    """A segment of a stacked row."""

    row: str
    name: str
    value: int
    colour: str


@dataclass(frozen=True, slots=True)
class Range:
    """A row with a low, a middle and a high value, drawn on a logarithmic scale."""

    label: str
    low: float
    middle: float
    high: float
    text: str


def bars(rows: Sequence[Bar]) -> Spec:
    """A bar a row, from zero, with its text behind it and a tick for each value that it is compared with."""
    most = max([0.0, *(one.value or 0.0 for one in rows), *(tick for one in rows for tick in one.ticks)]) or 1.0
    scale = alt.Scale(domain=[0, most * 1.5], nice=False)
    values = [
        {"row": _key(place, one.label), "value": one.value or 0.0, "text": one.text, "colour": one.colour}
        | {"end": max([one.value or 0.0, *one.ticks])}
        for place, one in enumerate(rows)
    ]
    ticks = [
        {"row": _key(place, one.label), "value": tick} for place, one in enumerate(rows) for tick in sorted(one.ticks)
    ]
    base = alt.Chart(_rows(values)).encode(y=_row_axis())
    drawn = base.mark_bar(height=15).encode(
        x=alt.X("value:Q", scale=scale, axis=None), color=alt.Color("colour:N", scale=None)
    )
    told = base.mark_text(align="left", dx=5, color=INK).encode(x=alt.X("end:Q", scale=scale), text="text:N")
    layers = [drawn, told]
    if ticks:
        marks = alt.Chart(_rows(ticks)).mark_tick(thickness=2, size=21, color=INK)
        layers.insert(1, marks.encode(y=_row_axis(), x=alt.X("value:Q", scale=scale)))
    return _spec(alt.layer(*layers), len(rows))


def stacked(parts: Sequence[Part], whole: int) -> Spec:
    """Rows of segments on one scale from zero to the whole; a number stands in each that has room for it."""
    rows = list(dict.fromkeys(one.row for one in parts))
    values, begun = [], dict.fromkeys(rows, 0)
    for one in parts:
        start = begun[one.row]
        begun[one.row] += one.value
        roomy = one.value * 200 >= whole * (8 * len(f"{one.value:,}") + 6)
        values.append(
            {"row": _key(rows.index(one.row), one.row), "start": start, "end": begun[one.row], "colour": one.colour}
            | {"middle": start + one.value / 2, "text": f"{one.value:,}" if roomy else ""}
        )
    scale = alt.Scale(domain=[0, max(whole, 1)], nice=False)
    base = alt.Chart(_rows(values)).encode(y=_row_axis())
    segments = base.mark_bar(height=18, stroke=ON, strokeWidth=1).encode(
        x=alt.X("start:Q", scale=scale, axis=None), x2="end:Q", color=alt.Color("colour:N", scale=None)
    )
    told = base.mark_text(color=ON, fontWeight="bold").encode(x=alt.X("middle:Q", scale=scale), text="text:N")
    return _spec(alt.layer(segments, told), len(rows))


def ranges(rows: Sequence[Range]) -> Spec:
    """A line from low to high and a dot at the middle, which has a text."""
    values = [
        {"row": _key(place, one.label), "low": one.low, "middle": one.middle, "high": one.high, "text": one.text}
        for place, one in enumerate(rows)
    ]
    low, high = min(one.low for one in rows), max(one.high for one in rows)
    scale = alt.Scale(type="log", domain=[max(low * 0.7, 1), max(high, low + 1) * 5], nice=False)
    base = alt.Chart(_rows(values)).encode(y=_row_axis())
    axis = alt.Axis(tickCount=3, format="~s", title=None, grid=True)
    lines = base.mark_rule(strokeWidth=5, color=BLUE, opacity=0.45).encode(
        x=alt.X("low:Q", scale=scale, axis=axis), x2="high:Q"
    )
    dots = base.mark_point(size=70, filled=True, opacity=1, color=BLUE).encode(x=alt.X("middle:Q", scale=scale))
    told = base.mark_text(align="left", dx=8, color=INK).encode(x=alt.X("high:Q", scale=scale), text="text:N")
    return _spec(alt.layer(lines, dots, told), len(rows))


def over_days(points: Mapping[dt.date, float], form: str, colour: str = BLUE, *, joined: bool = False) -> Spec:
    """A bar for each day, or points joined by a line; days without a value have nothing."""
    values = [{"day": day.isoformat(), "value": value} for day, value in sorted(points.items())]
    days = (max(points) - min(points)).days + 1
    around = [min(points) - dt.timedelta(days=1), max(points) + dt.timedelta(days=1)]
    scale = alt.Scale(type="utc", domain=[one.isoformat() for one in around], nice=False)
    marked = [dt.datetime.combine(day, dt.time(), dt.UTC).timestamp() * 1_000 for day in _told_days(points)]
    x = alt.X("day:T", scale=scale, axis=alt.Axis(title=None, grid=False, values=marked, format="%d %b %y"))
    top = max(points.values()) or 1.0
    form = f".{1 if top >= 0.004 else 2}%" if form == ".0%" and top < 0.04 else form  # else two ticks read alike
    steps: Spec = {"tickMinStep": 1} if form == "~s" else {}  # of what is counted there is no half
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(domain=[0, top * 1.05], nice=False),
        axis=alt.Axis(title=None, tickCount=4, format=form, **steps),
    )
    chart = alt.Chart(_rows(values))
    if not joined:
        return _spec(
            chart.mark_bar(width=max(1.0, min(18.0, 260 / (days + 2) - 1)), color=colour).encode(x=x, y=y), None
        )
    size = 30 if days < 100 else 8
    line = chart.mark_line(strokeWidth=1.2, color=colour, opacity=0.6).encode(x=x, y=y)
    return _spec(
        alt.layer(line, chart.mark_point(size=size, filled=True, opacity=1, color=colour).encode(x=x, y=y)), None
    )


def _told_days(points: Mapping[dt.date, float]) -> list[dt.date]:
    """Of the days from the first to the last, at most four with the same number of days between them, or nearly."""
    first, days = min(points), (max(points) - min(points)).days
    steps = min(days, 3)
    return [first + dt.timedelta(days=round(days * step / steps)) for step in range(steps + 1)] if days else [first]


def _rows(values: Sequence[Mapping[str, Any]]) -> Any:
    return alt.Data(values=[dict(one) for one in values])  # type: ignore[no-untyped-call] # altair has no types for it


def _key(place: int, label: str) -> str:
    """Rows keep their order and may be called alike: the place stands before the label, and is not shown."""
    text = " ".join(_ILLEGAL.sub(" ", label).split())
    return f"{place:03d}{text if len(text) <= LABEL_CHARACTERS else text[: LABEL_CHARACTERS - 1] + '…'}"


def _row_axis() -> alt.Y:
    axis = alt.Axis(title=None, labelExpr="slice(datum.value, 3)", labelLimit=LABEL_PIXELS, ticks=False, domain=False)
    return alt.Y("row:N", axis=axis)


def _spec(chart: Any, rows: int | None) -> Spec:
    label = {"labelColor": INK, "labelFont": FONT, "labelFontSize": 12, "labelPadding": 6}
    lines = {"gridColor": LINE, "domainColor": LINE, "tickColor": LINE, "gridOpacity": 0.6}
    config = {"view": {"stroke": None}, "aria": False, "background": None, "font": FONT, "axis": label | lines}
    height = STEP * rows if rows else 150
    sized = chart.properties(width=WIDTH, height=height, autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    spec: Spec = sized.properties(padding={"left": 10, "top": 2, "right": 2, "bottom": 2}).to_dict()
    return spec | {"config": config | {"text": {"fontSize": 12, "font": FONT}}}

"""Charts as specifications of Vega-Lite, by altair; their colours stand for names of the page's style sheet.

So one drawing serves light, dark and print. Loading altair takes a second: import this where something is drawn.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import altair as alt

from pipeline.reports.flow import Flow, Label

WIDTH, WIDE = 340, 860  # what a phone of 390 pixels has room for, and a page for a desk; the style sheet scales them
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
_AXIS = {"labelColor": INK, "labelFont": FONT, "labelFontSize": 12, "labelPadding": 6}
_AXIS |= {"gridColor": LINE, "domainColor": LINE, "tickColor": LINE, "gridOpacity": 0.6}
_CONFIG = {"view": {"stroke": None}, "aria": False, "background": None, "font": FONT, "axis": _AXIS}
_CONFIG |= {"text": {"fontSize": 12, "font": FONT}}


@dataclass(frozen=True, slots=True)
class Bar:
    """A row of a chart; without a value it has its text and no bar. `ticks` are what it is compared with."""

    label: str
    value: float | None
    text: str
    colour: str = BLUE
    ticks: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Range:
    """A row with a low, a middle and a high value, drawn on a logarithmic scale."""

    label: str
    low: float
    middle: float
    high: float
    text: str


@dataclass(frozen=True, slots=True)
class Days:
    """Values by day, from the first to the last day that is shown; and the days that have a mark."""

    points: Mapping[dt.date, float]
    first: dt.date
    last: dt.date
    marked: frozenset[dt.date] = frozenset()

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1


def bars(rows: Sequence[Bar], width: float = WIDTH) -> Spec:
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
    return _spec(alt.layer(*layers), STEP * len(rows), width)


def flowing(flow: Flow) -> Spec:
    """Bands between nodes, with texts beside them, where they were laid out."""
    x, y = (alt.Scale(domain=[0, most], nice=False) for most in (flow.width, flow.height))
    across = {"x": alt.X("x:Q", scale=x, axis=None), "y": alt.Y("top:Q", scale=y.copy(), axis=None, sort="descending")}
    coloured = {"color": alt.Color("colour:N", scale=None)}
    opacity = alt.Opacity("opacity:Q", scale=None)
    bands = [
        {"band": f"{number:03d}", "x": _px(along), "top": _px(top), "bottom": _px(bottom), "colour": one.colour}
        | {"opacity": 0.75 if one.loud else 0.4}
        for number, one in enumerate(flow.bands)
        for along, top, bottom in one.points
    ]
    boxes = [
        {"x": one.left, "right": one.right, "top": _px(one.top), "bottom": _px(one.bottom), "colour": one.colour}
        for one in flow.boxes
    ]
    drawn = alt.Chart(_rows(bands)).mark_area(interpolate="monotone")
    layers = [drawn.encode(**across, **coloured, y2="bottom:Q", detail="band:N", opacity=opacity)]
    layers.append(alt.Chart(_rows(boxes)).mark_rect().encode(**across, **coloured, x2="right:Q", y2="bottom:Q"))
    for kind, labels in groupby(sorted(flow.labels, key=_kind), key=_kind):
        texts = [{"x": one.x, "top": _px(one.y), "text": _shown(one.text)} for one in labels]
        style: Spec = dict(zip(("align", "fontWeight", "limit"), kind, strict=True))
        layers.append(alt.Chart(_rows(texts)).mark_text(color=INK, **style).encode(**across, text="text:N"))
    chart = alt.layer(*layers).properties(width=flow.width, height=_px(flow.height), padding=0, autosize="none")
    spec: Spec = chart.to_dict()
    return spec | {"config": _CONFIG}


def _kind(one: Label) -> tuple[str, str, float]:
    """How a label is drawn: where its text ends, its weight, its room."""
    return "right" if one.before else "left", "bold" if one.strong else "normal", one.room


def _px(pixels: float) -> float:
    return round(pixels, 1)


def ranges(rows: Sequence[Range], width: float = WIDTH) -> Spec:
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
    return _spec(alt.layer(lines, dots, told), STEP * len(rows), width)


def over_days(days: Days, form: str, colour: str, width: float = WIDTH, *, joined: bool = False) -> Spec:
    """A bar for each day, or points joined by a line; days without a value have none, some a mark above them."""
    points = days.points
    values = [{"day": day.isoformat(), "value": value} for day, value in sorted(points.items())]
    around = [days.first - dt.timedelta(days=1), days.last + dt.timedelta(days=1)]
    scale = alt.Scale(type="utc", domain=[one.isoformat() for one in around], nice=False)
    told = [dt.datetime.combine(day, dt.time(), dt.UTC).timestamp() * 1_000 for day in _told_days(days)]
    x = alt.X("day:T", scale=scale, axis=alt.Axis(title=None, grid=False, values=told, format="%d %b %y"))
    top = max(points.values()) or 1.0
    form = f".{1 if top >= 0.004 else 2}%" if form == ".0%" and top < 0.04 else form  # else two ticks read alike
    steps: Spec = {"tickMinStep": 1} if form == "~s" else {}  # of what is counted there is no half
    y = alt.Y(
        "value:Q",
        scale=alt.Scale(domain=[0, top * (1.15 if days.marked else 1.05)], nice=False),
        axis=alt.Axis(title=None, tickCount=4, format=form, **steps),
    )
    chart, bar = alt.Chart(_rows(values)).encode(x=x, y=y), max(1.0, min(18.0, 0.76 * width / (days.length + 2) - 1))
    many = days.length >= 100
    point: Spec = {"filled": True, "opacity": 1}
    layers = [chart.mark_bar(width=bar, color=colour)]
    if joined:
        line = chart.mark_line(strokeWidth=1.2, color=colour, opacity=0.6)
        layers = [line, chart.mark_point(size=8 if many else 30, color=colour, **point)]
    if days.marked:
        marks = alt.Chart(_rows([{"day": day.isoformat()} for day in sorted(days.marked)]))
        shape: Spec = {"shape": "triangle-down", "size": 30 if many else 70, "color": INK} | point
        layers.append(marks.mark_point(**shape).encode(x=x, y=alt.value(5)))
    return _spec(alt.layer(*layers), 150, width)


def _told_days(days: Days) -> list[dt.date]:
    """Of the days from the first to the last, at most four with the same number of days between them, or nearly."""
    between = days.length - 1
    steps = min(between, 3)
    return (
        [days.first + dt.timedelta(days=round(between * step / steps)) for step in range(steps + 1)]
        if steps
        else [days.first]
    )


def _rows(values: Sequence[Mapping[str, Any]]) -> Any:
    return alt.Data(values=[dict(one) for one in values])  # type: ignore[no-untyped-call] # altair has no types for it


def _key(place: int, label: str) -> str:
    """Rows keep their order and may be called alike: the place stands before the label, and is not shown."""
    return f"{place:03d}{_shown(label)}"


def _shown(label: str) -> str:
    text = " ".join(_ILLEGAL.sub(" ", label).split())
    return text if len(text) <= LABEL_CHARACTERS else text[: LABEL_CHARACTERS - 1] + "…"


def _row_axis() -> alt.Y:
    axis = alt.Axis(title=None, labelExpr="slice(datum.value, 3)", labelLimit=LABEL_PIXELS, ticks=False, domain=False)
    return alt.Y("row:N", axis=axis)


def _spec(chart: Any, height: float, width: float) -> Spec:
    sized = chart.properties(width=width, height=height, autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    spec: Spec = sized.properties(padding={"left": 10, "top": 2, "right": 2, "bottom": 2}).to_dict()
    return spec | {"config": _CONFIG}

"""Which pictures the pages show: each a chart, what it says in words, and the figures that it is drawn from."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import islice

from pipeline.loop import counted
from pipeline.money.costs import Amount
from pipeline.reports import drawing
from pipeline.reports.drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Bar, Part, Range, Spec
from pipeline.reports.figures import DayPoint, Labels, RunFigures, Spread
from pipeline.reports.painting import paint
from pipeline.terminal.console import usd, usd_of

FIRST_ROUND = "forecast, first round"  # at most; later rounds are not known before
MOST_BARS = 20  # of analyses, languages or reasons; the table below the chart has all
UNKNOWN = "unknown"
_ENDS = {"results": GREEN, "failures": RED, "unchanged": GREY}
_ARRIVALS = {"new": BLUE, "changed": ORANGE, "read again": PURPLE, "not read, unchanged": GREY}


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart with its title, a sentence that says what it shows, and its figures; `legend` names the colours used."""

    title: str
    says: str
    spec: Spec
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    legend: tuple[tuple[str, int], ...] = ()
    svg: str = ""  # when it is painted


def pictures_of(figures: RunFigures) -> dict[str, list[Picture]]:
    """The charts of a run, by the section of the page that shows them; one without anything to show is left out."""
    sections = {
        "flow": [flow(figures)],
        "cost": [cost(figures), *shares(figures)],
        "tokens": [spread(figures.spreads)] if figures.spreads else [],
        "labels": [distribution(one, figures.run_key) for one in figures.labels if figures.run_key in one.counts],
        "failures": [failures(figures)] if figures.failures else [],
    }
    drawn = iter(painted([one for section in sections.values() for one in section]))
    return {name: list(islice(drawn, len(section))) for name, section in sections.items()}


def painted(pictures: Sequence[Picture]) -> list[Picture]:
    """All of them with their drawings, by one process. Raises RunError."""
    return [replace(one, svg=svg) for one, svg in zip(pictures, paint([one.spec for one in pictures]), strict=True)]


def flow(figures: RunFigures) -> Picture:
    """Every row has all listed documents, whatever became of them."""
    came, documents = figures.arrivals, int(figures.row["documents"])
    parts = [
        Part("listed", name, count, _ARRIVALS[name])
        for name, count in zip(_ARRIVALS, (came.new, came.changed, came.again, came.unread), strict=True)
    ]
    for one in figures.ends:
        counts = (one.results, one.failures, one.unchanged)
        parts += [Part(one.analysis, name, count, _ENDS[name]) for name, count in zip(_ENDS, counts, strict=True)]
    used = [part for part in parts if part.value]
    told = "; ".join(f"{row}: {_counted(part for part in used if part.row == row)}" for row in _rows(parts))
    legend = tuple(dict.fromkeys((part.name, _number(part.colour)) for part in used))
    rows = tuple((part.row, part.name, f"{part.value:,}") for part in used)
    says = f"{counted(documents, 'document')} {'was' if documents == 1 else 'were'} listed. {told}."
    return Picture("What came in and what came out", says, drawing.stacked(parts, documents), _FLOW, rows, legend)


_FLOW = ("row", "what", "documents")


def cost(figures: RunFigures) -> Picture:
    """Against what was expected, and what was allowed."""
    row = figures.row
    sums: list[tuple[str, Decimal | None, str]] = [
        (FIRST_ROUND, row.get("forecast_usd"), GREY),
        ("cost", row["cost_usd"], BLUE),
    ]
    if row.get("unused_requests"):
        sums.append(("of it for nothing", row.get("unused_usd"), RED))
    budgets = {"budget of the run": "budget_usd", "budget of the day": "budget_day_usd"}
    budgets |= {"budget of the month": "budget_month_usd"}
    sums += [(name, row[column], PURPLE) for name, column in budgets.items() if row.get(column) is not None]
    rows = [Bar(name, _value(amount), usd(amount), colour) for name, amount, colour in sums]
    title = "Cost against forecast and budget" if len(sums) > 2 else "Cost against forecast"
    picture = _of_bars(title, rows, ("what", "USD"))
    told = " The forecast is the most that the first round could come to; the cost is that of all rounds."
    return replace(picture, says=picture.says + told)


def shares(figures: RunFigures) -> Iterator[Picture]:
    """By analysis and by language, where there is anything to compare."""
    by_analysis = _amounts(figures.paid_by_analysis(), GREEN)
    by_language = _amounts({one or UNKNOWN: amount for one, amount in figures.paid_by_language().items()}, ORANGE)
    if by_analysis:
        yield _of_bars("Cost by analysis", by_analysis, ("analysis", "USD"))
        rows = [
            (one.analysis, one.language or UNKNOWN, f"{one.documents:,}", usd_of(one.paid)) for one in figures.shares
        ]
        picture = _of_bars("Cost by language of the document", by_language, ())
        names = ("analysis", "language", "documents", "USD")
        yield Picture(picture.title, picture.says, picture.spec, names, tuple(rows))


def spread(spreads: Sequence[Spread]) -> Picture:
    ranges = [
        Range(size_class(one), one.low_tokens, one.median_tokens, one.high_tokens, f"{one.median_tokens:,}")
        for one in spreads
    ]
    told = "; ".join(f"{size_class(one)}: {one.median_tokens:,}" for one in spreads)
    says = (
        "Input tokens of a document over all analyses, by its size. The dot and the number are the median, the line "
        f"holds eight of ten documents; the scale is logarithmic. Medians: {told}."
    )
    numbers = [(one.documents, one.low_tokens, one.median_tokens, one.high_tokens) for one in spreads]
    rows = [(size_class(one), *map(_count, found)) for one, found in zip(spreads, numbers, strict=True)]
    names = ("size", "documents", "10th of 100", "median", "90th of 100")
    return Picture("Tokens by size of the document", says, drawing.ranges(ranges), names, tuple(rows))


def size_class(one: Spread) -> str:
    """`4 to 16 KB`."""
    return _CLASSES.get(one.above_bytes, f"from {one.above_bytes:,} bytes")


_CLASSES = {
    0: "below 1 KB",
    1_000: "1 to 4 KB",
    4_000: "4 to 16 KB",
    16_000: "16 to 64 KB",
    64_000: "64 to 256 KB",
    256_000: "256 KB to 1 MB",
    1_000_000: "1 MB and more",
}


def distribution(labels: Labels, run_key: str) -> Picture:
    """The shares of this run as bars, those of the runs before as ticks."""
    earlier = [one for one in labels.counts if one != run_key]
    now = labels.counts[run_key]
    rows = [
        Bar(label, _part(now, label), f"{_part(now, label):.0%} ({count:,})", BLUE,
            tuple(_part(labels.counts[one], label) for one in earlier))
        for label, count in now.items()
    ]  # fmt: skip
    told = ", ".join(f"{label} {_part(now, label):.0%}" for label in now)
    compared = f" Ticks: the same of the {_runs(len(earlier))} before." if earlier else ""
    moved = labels.drift(run_key, earlier[0]) if earlier else None
    drifted = f" {moved:.0%} of the results would need another label to be as in the run before." if moved else ""
    title = f"{labels.column} ({labels.analysis})" if labels.column != labels.analysis else labels.column
    names = ("label", "this run", *earlier)
    counts = [(label, *(_count(labels.counts[one].get(label, 0)) for one in (run_key, *earlier))) for label in now]
    return Picture(title, f"{told}.{compared}{drifted}", drawing.bars(rows), names, tuple(counts))


def failures(figures: RunFigures) -> Picture:
    rows = [Bar(one.reason, one.failures, f"{one.failures:,}", RED) for one in figures.failures[:MOST_BARS]]
    return _of_bars("Failures by reason", rows, ("reason", "failures"))


def trend(days: Sequence[DayPoint]) -> list[Picture]:
    """Cost, volume, failure share, and a chart for each column of labels, by day; one without any value is left out."""
    found = [
        _over_days("Cost a day, USD", {one.day: one.cost_usd for one in days}, "$~g", _usd),
        _over_days(
            "Documents and analyses that ended, a day", {one.day: one.asked for one in days}, "~s", _count, GREEN
        ),
        _over_days(
            "Share of them that failed", {one.day: one.failure_share for one in days}, ".0%", _percent, RED, joined=True
        ),
    ]
    for name in sorted({name for one in days for name in one.drifts}):
        title = f"Drift of the labels: {name}"
        drifts = {one.day: one.drifts.get(name) for one in days}
        found.append(_over_days(title, drifts, ".0%", _percent, PURPLE, joined=True))
    return painted([one for one in found if one is not None])


def _over_days(
    title: str,
    values: Mapping[dt.date, float | Decimal | None],
    form: str,
    told: Callable[[float], str],
    colour: str = BLUE,
    *,
    joined: bool = False,
) -> Picture | None:
    known = {day: float(value) for day, value in values.items() if value is not None}
    unknown = len(values) - len(known)
    if not known:
        return None
    says = _said_of_days(known, told)
    says += f" Unknown on {counted(unknown, 'day')}, without a mark." if unknown else ""
    rows = [
        (str(day), UNKNOWN if value is None else told(float(value)))
        for day, value in sorted(values.items(), reverse=True)
    ]
    return Picture(title, says, drawing.over_days(known, form, colour, joined=joined), ("day", "value"), tuple(rows))


def _said_of_days(known: Mapping[dt.date, float], told: Callable[[float], str]) -> str:
    """Only what differs is told twice."""
    newest, least, most = max(known), told(min(known.values())), told(max(known.values()))
    days = f"From {min(known)} to {newest}" if len(known) > 1 else f"On {newest}"
    if least != most:
        return f"{days}: between {least} and {most}, the last {told(known[newest])}."
    return f"{days}: {'always ' if len(known) > 1 else ''}{most}."


def _usd(value: float) -> str:
    return usd(Decimal(f"{value:.10f}"))


def _of_bars(title: str, rows: Sequence[Bar], names: tuple[str, ...]) -> Picture:
    says = "; ".join(f"{one.label}: {one.text}" for one in rows) + "."
    return Picture(title, says, drawing.bars(rows[:MOST_BARS]), names, tuple((one.label, one.text) for one in rows))


def _amounts(sums: Mapping[str, Amount], colour: str) -> list[Bar]:
    """The dearest first; a sum of which nothing is known has no bar."""
    known = {name: None if _nothing_known(one) else one.known_usd for name, one in sums.items()}
    order = sorted(sums, key=lambda name: (-(known[name] or 0), name))
    return [Bar(name, _value(known[name]), usd_of(sums[name]), colour) for name in order]


def _nothing_known(amount: Amount) -> bool:
    return amount.requests > 0 and amount.unknown == amount.requests


def _value(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)


def _part(counts: Mapping[str, int], label: str) -> float:
    return counts.get(label, 0) / (sum(counts.values()) or 1)


def _counted(parts: Iterable[Part]) -> str:
    return ", ".join(f"{part.value:,} {part.name}" for part in parts) or "none"


def _rows(parts: Sequence[Part]) -> list[str]:
    return list(dict.fromkeys(part.row for part in parts))


def _number(colour: str) -> int:
    """Of a series colour, as the style sheet numbers them."""
    return drawing.SERIES.index(colour) + 1


def _runs(count: int) -> str:
    return "run" if count == 1 else f"{count} runs"


def _count(value: float) -> str:
    return f"{value:,.0f}"


def _percent(value: float) -> str:
    return f"{value:.1%}"

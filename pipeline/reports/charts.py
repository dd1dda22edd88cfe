"""Which pictures the page of a run shows, by its sections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from itertools import islice

from pipeline.loop import counted
from pipeline.money.costs import Amount
from pipeline.reports import drawing
from pipeline.reports.drawing import BLUE, GREEN, GREY, ORANGE, PURPLE, RED, Bar, Range
from pipeline.reports.figures import Labels, RunFigures, Spread
from pipeline.reports.flow import Group, Node, laid_out
from pipeline.reports.pictures import Picture, colour_number, painted
from pipeline.terminal.console import usd, usd_of

FIRST_ROUND = "forecast, first round"  # at most; later rounds are not known before
MOST_BARS = 20  # of analyses, languages or reasons; the table below the chart has all
UNKNOWN = "unknown"
_ENDS = {"results": GREEN, "failures": RED, "unchanged": GREY}
# Fields of Arrivals: what they are called, beside the node and whole, and their colours.
_ARRIVALS = {
    "new": ("new", "new", BLUE),
    "changed": ("changed", "changed", ORANGE),
    "again": ("read again", "read again", PURPLE),
    "unread": ("not read", "not read, unchanged", GREY),
}


def pictures_of(figures: RunFigures) -> dict[str, list[Picture]]:
    """The charts of a run, by the section of the page that shows them; one without anything to show is left out."""
    sections = {
        "flow": [flow(figures)] if figures.row["documents"] and figures.ends else [],
        "cost": [cost(figures), *shares(figures)],
        "tokens": [spread(figures.spreads)] if figures.spreads else [],
        "labels": [distribution(one, figures.run_key) for one in figures.labels if figures.run_key in one.counts],
    }
    sections = {name: [replace(one, alone=len(some) == 1) for one in some] for name, some in sections.items()}
    sections["failures"] = [failures(figures)] if figures.failures else []  # beside what is said of each reason
    drawn = iter(painted([one for some in sections.values() for one in some]))
    return {name: list(islice(drawn, len(some))) for name, some in sections.items()}


def flow(figures: RunFigures) -> Picture:
    """Every analysis has all listed documents, whatever became of them."""
    came = [
        Node(name, getattr(figures.arrivals, name), (_count(getattr(figures.arrivals, name)), short), colour)
        for name, (short, _, colour) in _ARRIVALS.items()
    ]
    groups = [Group(one.analysis, tuple(_ended(end, getattr(one, end)) for end in _ENDS)) for one in figures.ends]
    streams = {(one.arrival, one.analysis, one.end): one.documents for one in figures.streams}
    nodes = [("listed", _ARRIVALS[one.key][1], one) for one in came if one.documents]
    nodes += [(group.name, one.key, one) for group in groups for one in group.nodes if one.documents]
    legend = tuple(dict.fromkeys((name, colour_number(one.colour)) for _, name, one in nodes))
    return Picture(
        "From the list to the tables",
        _told(int(figures.row["documents"]), nodes),
        lambda width: drawing.flowing(laid_out(came, groups, streams, width, loud="failures")),
        ("row", "what", "documents"),
        tuple((row, name, _count(one.documents)) for row, name, one in nodes),
        _explained(figures),
        legend,
    )


def _explained(figures: RunFigures) -> str:
    failed = (
        ", that of failures is red, and even one is wide enough to be seen"
        if any(one.failures for one in figures.ends)
        else ""
    )
    return f"Every listed document goes into each analysis. A band has the colour of what came in{failed}."


def _ended(end: str, documents: int) -> Node:
    says = f"{documents:,} {end}" if end == "unchanged" else counted(documents, end.removesuffix("s"))
    return Node(end, documents, (says,), _ENDS[end])


def _told(documents: int, nodes: Sequence[tuple[str, str, Node]]) -> str:
    rows = dict.fromkeys(row for row, _, _ in nodes)
    told = (f"{row}: " + ", ".join(f"{one.documents:,} {name}" for of, name, one in nodes if of == row) for row in rows)
    return f"{counted(documents, 'document')} {'was' if documents == 1 else 'were'} listed. {'; '.join(told)}."


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
    note = "The forecast is the most that the first round could come to; the cost is that of all rounds."
    return _of_bars(title, rows, ("what", "USD"), note=note)


def shares(figures: RunFigures) -> Iterator[Picture]:
    """By analysis and by language, where there is anything to compare."""
    by_analysis = _amounts(figures.paid_by_analysis(), GREEN)
    by_language = _amounts({one or UNKNOWN: amount for one, amount in figures.paid_by_language().items()}, ORANGE)
    if by_analysis:
        yield _of_bars("Cost by analysis", by_analysis, ("analysis", "USD"))
        rows = [
            (one.analysis, one.language or UNKNOWN, f"{one.documents:,}", usd_of(one.paid)) for one in figures.shares
        ]
        names = ("analysis", "language", "documents", "USD")
        yield _of_bars("Cost by language of the document", by_language, names, rows)


def spread(spreads: Sequence[Spread]) -> Picture:
    ranges = [
        Range(size_class(one), one.low_tokens, one.median_tokens, one.high_tokens, f"{one.median_tokens:,}")
        for one in spreads
    ]
    told = "; ".join(f"{size_class(one)}: {one.median_tokens:,}" for one in spreads)
    note = (
        "Input tokens of a document over all analyses. The dot and the number are the median, the line holds eight of "
        "ten documents; the scale is logarithmic."
    )
    numbers = [(one.documents, one.low_tokens, one.median_tokens, one.high_tokens) for one in spreads]
    rows = [(size_class(one), *map(_count, found)) for one, found in zip(spreads, numbers, strict=True)]
    names = ("size", "documents", "10th percentile", "median", "90th percentile")
    draw = partial(drawing.ranges, ranges)
    return Picture("Tokens by size of the document", f"Medians: {told}.", draw, names, tuple(rows), note)


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
    compared = f"Ticks: the {_runs(len(earlier))} before." if earlier else ""
    moved = labels.drift(run_key, earlier[0]) if earlier else None
    drifted = f" {_moved(moved)} of the results would need another label to be as in the run before." if moved else ""
    title = f"{labels.column} ({labels.analysis})" if labels.column != labels.analysis else labels.column
    names = ("label", "this run", *earlier)
    counts = [(label, *(_count(labels.counts[one].get(label, 0)) for one in (run_key, *earlier))) for label in now]
    return Picture(title, f"{told}.", partial(drawing.bars, rows), names, tuple(counts), compared + drifted)


def failures(figures: RunFigures) -> Picture:
    rows = [Bar(one.reason, one.failures, f"{one.failures:,}", RED) for one in figures.failures[:MOST_BARS]]
    return _of_bars("Failures by reason", rows, ("reason", "failures"))


def _of_bars(
    title: str,
    bars: Sequence[Bar],
    names: tuple[str, ...],
    rows: Iterable[tuple[str, ...]] | None = None,
    note: str = "",
) -> Picture:
    """With the bars' own texts as figures where no others are given."""
    says = "; ".join(f"{one.label}: {one.text}" for one in bars) + "."
    told = tuple((one.label, one.text) for one in bars) if rows is None else tuple(rows)
    more = f"The first {MOST_BARS} of {len(bars)}; the figures have all." if len(bars) > MOST_BARS else ""
    return Picture(title, says, partial(drawing.bars, bars[:MOST_BARS]), names, told, note or more)


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


def _moved(share: float) -> str:
    return f"{share:.0%}" if share >= 0.01 else "Less than 1%"


def _runs(count: int) -> str:
    return "run" if count == 1 else f"{count} runs"


def _count(value: float) -> str:
    return f"{value:,.0f}"

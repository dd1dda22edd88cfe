"""The figures of a run in a terminal: numbers, and bars as wide as there is room."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import TextIO

from rich.console import Console
from rich.text import Text

from pipeline.loop import counted
from pipeline.money.costs import Amount
from pipeline.reports.figures import Labels, RunFigures, answered_by
from pipeline.terminal.console import console_on, shown_name, shown_place, usd, usd_of

PIPE_COLUMNS = 80  # of what goes to a file; on a terminal, its own width
LABEL_COLUMNS, TEXT_COLUMNS = 24, 22
MOST_ROWS = 20
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")  # a terminal would obey it

Row = tuple[str, float | None, str]


def print_figures(figures: RunFigures, stream: TextIO) -> None:
    """What the page of a run shows, without samples of results."""
    console, row = console_on(stream), figures.row
    columns = console.width if stream.isatty() else PIPE_COLUMNS
    source, documents = shown_place(row["source_uri"]), counted(row["documents"], "document")
    _say(console, f"Run {figures.run_key}, dated {row['run_date']}: {documents} in {source}", "bold")
    _say(console, answered_by(row))
    for title, rows in _sections(figures):
        if rows:
            console.print()
            _say(console, title, "bold")
            _print_bars(console, rows[:MOST_ROWS], columns)
    for one in figures.failures:
        _say(console, f"{one.reason}: {one.advice or 'see the table `failures`'}")
        for example in one.examples:
            _say(console, f"  {example.document_id}  {shown_name(example.uri)}")


def _sections(figures: RunFigures) -> Iterator[tuple[str, Sequence[Row]]]:
    came, row = figures.arrivals, figures.row
    arrivals = {"new": came.new, "changed": came.changed, "read again": came.again, "not read, unchanged": came.unread}
    yield "What came in: documents", [(name, count, f"{count:,}") for name, count in arrivals.items()]
    for one in figures.ends:
        ends = {"results": one.results, "failures": one.failures, "unchanged": one.unchanged}
        yield f"What came out: {one.analysis}", [(name, count, f"{count:,}") for name, count in ends.items()]
    sums = {"forecast, first round": row.get("forecast_usd"), "cost": row["cost_usd"]}
    sums |= {"budget of the run": row["budget_usd"]} if row.get("budget_usd") is not None else {}
    yield "Cost", [(name, _value(amount), usd(amount)) for name, amount in sums.items()]
    yield "Cost by analysis", [_paid(name, amount) for name, amount in figures.paid_by_analysis().items()]
    by_language = figures.paid_by_language().items()
    yield "Cost by language", [_paid(language or "unknown", amount) for language, amount in by_language]
    for labels in figures.labels:
        if figures.run_key in labels.counts:
            yield _title(labels, figures.run_key), _shares(labels, figures.run_key)
    dearest = [(shown_name(one.uri), _value(one.cost_usd), usd(one.cost_usd)) for one in figures.dearest]
    yield "The most expensive documents", dearest
    longest = [(shown_name(one.uri), one.input_tokens, f"{one.input_tokens or 0:,} tokens") for one in figures.longest]
    yield "The longest documents", longest
    yield "Failures", [(one.reason, one.failures, f"{one.failures:,}") for one in figures.failures]


def _title(labels: Labels, run_key: str) -> str:
    earlier = [one for one in labels.counts if one != run_key]
    moved = labels.drift(run_key, earlier[0]) if earlier else None
    drifted = "" if moved is None else f"; {moved:.0%} of it would need another label to be as in the run before"
    return f"{labels.column} ({labels.analysis}){drifted}"


def _shares(labels: Labels, run_key: str) -> list[Row]:
    counts = labels.counts[run_key]
    whole = sum(counts.values())
    return [(label, count, f"{count / whole:.0%} ({count:,})") for label, count in counts.items()]


def _paid(name: str, amount: Amount) -> Row:
    unknown = amount.requests > 0 and amount.unknown == amount.requests
    return name, None if unknown else float(amount.known_usd), usd_of(amount)


def _print_bars(console: Console, rows: Sequence[Row], columns: int) -> None:
    """The longest bar for the largest value; a row of which nothing is known has none."""
    room = max(columns - LABEL_COLUMNS - TEXT_COLUMNS - 2, 8)
    most = max([value or 0.0 for _, value, _ in rows]) or 1.0
    for label, value, text in rows:
        bar = "█" * round((value or 0.0) * room / most)
        flat = _CONTROL.sub(" ", label)
        cut = flat if len(flat) <= LABEL_COLUMNS else "…" + flat[1 - LABEL_COLUMNS :]
        line = Text.assemble(f"{cut:<{LABEL_COLUMNS}} ", (f"{bar:<{room}}", "cyan"), f" {text:>{TEXT_COLUMNS}}")
        console.print(line, soft_wrap=True)


def _say(console: Console, text: str, style: str = "") -> None:
    console.print(Text(_CONTROL.sub(" ", text), style=style), soft_wrap=True)


def _value(amount: Decimal | None) -> float | None:
    return None if amount is None else float(amount)

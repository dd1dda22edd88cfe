"""What people see in a terminal: a run's summary, a forecast, a table."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, TextIO
from urllib.parse import unquote

import orjson
import pyarrow as pa
from rich import box
from rich.console import Console
from rich.table import Column, Table

from pipeline.loop import counted
from pipeline.money.costs import Amount, Way
from pipeline.steps import RunSummary
from pipeline.tables.spreadsheets import write_csv

SHOWN_CHARACTERS = 60
# In a file or a pipe nothing is cut or wrapped.
UNBOUNDED_COLUMNS = 100_000
# A text may hold escape sequences that a terminal would obey.
_FILE_URI = re.compile(r"file://(/[^|?#]*)")
# Controls, marks that turn the direction of what follows, ends of lines, and what stands for bytes that are no UTF-8.
_ACTING = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufffd]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


def print_summary(summary: RunSummary, stream: TextIO, report_uri: str | None = None) -> None:
    """What came out of a run, in words and one table, and where its report is."""
    console = console_on(stream)
    duplicates = f" ({summary.duplicates} with a text that another had)" if summary.duplicates else ""
    console.print(f"Run {summary.run_key}: {summary.documents:,} documents{duplicates}, {summary.requests:,} requests")
    console.print(_summary_table(summary))
    for line in _summary_lines(summary):
        console.print(line)
    for disagreement in summary.disagreements:
        console.print(f"Disagrees  {disagreement}", style="bold")
    for departure in summary.departures:
        console.print(f"Suspect    {departure}", style="bold")
    console.print(f"Tables     {shown_place(summary.tables_uri)}")
    if report_uri:
        console.print(f"Report     {shown_place(report_uri)}")
    if _nothing_new(summary):
        shown = f"docbatch show {max(summary.analyses, default='')}".rstrip()
        console.print(f"Nothing was asked: the results of earlier runs still hold. They are in the tables ({shown}).")
        console.print("To ask all of it anew, and pay for it: docbatch run … --force")


def _nothing_new(summary: RunSummary) -> bool:
    return bool(sum(summary.unchanged.values())) and not summary.results and not summary.requests


def _summary_table(summary: RunSummary) -> Table:
    """A row for each analysis; a column for what is unchanged where anything is."""
    unchanged = sum(summary.unchanged.values())
    names = ("results", "failures", *(["unchanged"] if unchanged else []), "input tokens", "output tokens")
    table = Table("analysis", *(_right(name) for name in names))
    table.add_column("cost", justify="right")
    for name, one in summary.analyses.items():
        same = [summary.unchanged.get(name, 0)] if unchanged else []
        counts = (one.results, one.failures, *same, one.input_tokens, one.output_tokens)
        table.add_row(name, *(f"{count:,}" for count in counts), usd(one.cost_usd))
    ends = (summary.results, summary.failures, *([unchanged] if unchanged else []))
    total = (*ends, summary.input_tokens, summary.output_tokens)
    table.add_row("in all", *(f"{count:,}" for count in total), usd(summary.cost_usd), style="bold")
    return table


def _summary_lines(summary: RunSummary) -> Iterator[str]:
    unchanged = sum(summary.unchanged.values())
    if unchanged or summary.known:
        parts = (f"{unchanged:,} unchanged since an earlier run", f"{summary.known:,} answered by an earlier run")
        yield f"Not paid   {', '.join(part for part in parts if not part.startswith('0 '))}"
    if summary.deleted:
        what = "documents are" if summary.deleted > 1 else "document is"
        yield f"Deleted    {summary.deleted:,} {what} gone from the source; the rows are kept, and marked as deleted"
    if summary.reasons:
        reasons = ", ".join(f"{count} {reason}" for reason, count in summary.reasons.items())
        yield f"Failures   {reasons} (see the table `failures`: what to do is in its column `advice`)"
    if summary.model:
        yield f"Answered   by {summary.model}, priced as {summary.priced_as}"
    yield from _cost_lines(summary)
    if summary.seed is not None:
        yield f"Sample     {summary.left_out:,} new or changed documents were left out (seed {summary.seed})"
    if summary.whole_usd is not None:
        expected, low, high = summary.whole_usd
        yield f"All of it  would cost {usd(expected)}: {usd(low)} to {usd(high)}, 95 times in 100"


def _cost_lines(summary: RunSummary) -> Iterator[str]:
    if summary.billed_minutes is not None:
        units = f"{summary.units or 'an unknown number of'} units"
        cost = usd(summary.time_cost_usd)
        yield f"Billed     {summary.billed_minutes / 60:.2f} hours x {units} ({summary.billing}): {cost}; not by tokens"
    elif summary.requests:
        forecast, cost = usd(summary.forecast_usd), usd(summary.cost_usd)
        later = ", later rounds included" if summary.rounds > 1 else ""
        most = "unknown" if summary.forecast_usd is None else f"at most {forecast} for the first round"
        yield f"Forecast   {most}; actual cost {cost}{later}"
    budgets = (summary.budget_usd, summary.budget_day_usd, summary.budget_month_usd)
    if summary.over_budget:
        yield f"Budget     {summary.over_budget}"
    elif summary.requests and summary.forecast_usd is None and any(one is not None for one in budgets):
        yield "Budget     not checked: the price is unknown"
    if summary.unused and summary.unused.requests:
        what = counted(summary.unused.requests, "answer")
        yield f"Unused     {usd_of(summary.unused)} of it, for {what} that no result rests on"
    for number, (way, amount) in enumerate(summary.savings.items()):
        yield f"{'' if number else 'Saved':<10} {_saved(Way(way), amount)}"


def _saved(way: Way, amount: Amount) -> str:
    if way is Way.CAPS:
        limit = "a limit on the length of each of"
        return f"up to {usd_of(amount)} by {limit} {counted(amount.requests, 'answer')}, against the model's own"
    counts = {
        Way.BATCH: f"by batch, against {way.against}",
        Way.KNOWN: f"by {counted(amount.requests, 'known answer')}, against {way.against}",
        Way.DUPLICATES: f"by {counted(amount.requests, 'duplicate')}, against {way.against}",
        Way.FUSED: f"by {counted(amount.requests, 'fused request')}, against {way.against}",
        Way.UNCHANGED: f"by {counted(amount.requests, 'unchanged result')}, against {way.against}",
    }
    return f"{usd_of(amount)} {counts[way]}"


def print_forecast(rows: Sequence[Mapping[str, Any]], stream: TextIO) -> None:
    """What each analysis would send and cost."""
    table = Table("analysis", *(_right(name) for name in ("requests", "input tokens", "output tokens")))
    table.add_column("cost", justify="right")
    table.add_column("at most", justify="right")
    for row in rows:
        numbers = (with_margin(row["requests"]), with_margin(row["input_tokens"]), f"{row['output_tokens']:,}")
        table.add_row(row["analysis"], *numbers, usd(row["cost_usd"]), usd(row["cost_at_most_usd"]))
    console_on(stream).print(table)


def print_models(rows: Sequence[Mapping[str, Any]], stream: TextIO) -> None:
    """What the same requests would cost on each model, and each way; with its end of life, and why not, by number."""
    table = Table("the same on", _right("batch"), _right("on-demand"), "", box=box.SIMPLE_HEAD)
    notes = list(dict.fromkeys(why for row in rows for why in row["why"]))
    for row in rows:
        end = f" (until {row['end_of_life']})" if row["end_of_life"] else ""
        why = " ".join(f"({notes.index(one) + 1})" for one in row["why"])
        table.add_row(row["model"] + end, usd(row["batch_usd"]), usd(row["on-demand_usd"]), why)
    console = console_on(stream)
    console.print(table)
    for number, note in enumerate(notes, start=1):
        console.print(f"({number}) {note}")


def with_margin(numbers: Mapping[str, int]) -> str:
    """`1,200 ± 31`, or the number alone where it is exact."""
    margin = max(numbers["high"] - numbers["expected"], numbers["expected"] - numbers["low"])
    return f"{numbers['expected']:,}" + (f" ± {margin:,}" if margin else "")


def print_table(table: pa.Table, form: str, stream: TextIO, whose: str = "") -> None:
    """A published table as text for people, which says whose rows they are, CSV, or one JSON object a line."""
    rows = table.to_pylist()
    if form == "json":
        stream.writelines(to_json(row) + "\n" for row in rows)
    elif form == "csv":
        write_csv(stream, table.column_names, (tuple(row.values()) for row in rows))
    else:
        _print_rows(table.column_names, rows, console_on(stream), whose)


def _print_rows(names: Sequence[str], rows: Sequence[Mapping[str, Any]], console: Console, whose: str) -> None:
    """Columns that say the same in every row are said once, above; the rest stands in the table."""
    same = {name for name in names if len(rows) > 1 and all(row[name] == rows[0][name] for row in rows)}
    said = f" ({whose})" if whose else ""
    console.print(f"{counted(len(rows), 'row')}{said}", markup=False, soft_wrap=True)
    if same:
        said = ", ".join(f"{name} {_cell(rows[0][name]) or 'null'}" for name in names if name in same)
        console.print(f"the same in all: {said}", markup=False, soft_wrap=True)
    shown = Table(*(name for name in names if name not in same))
    for row in rows:
        shown.add_row(*(_cell(value) for name, value in row.items() if name not in same))
    console.print(shown)


def _as_text(value: Any) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)  # a Decimal zero would be 0E-10


def usd(value: Decimal | None) -> str:
    """Dollars with the digits that small runs need."""
    return "unknown" if value is None else f"${value:,.6f}" if value < 1 else f"${value:,.2f}"


def usd_of(amount: Amount) -> str:
    """The sum; where a part of it is unknown, what is known of it as the least that it is."""
    if amount.unknown == amount.requests and amount.requests:
        return "unknown"
    return f"at least {usd(amount.known_usd)}" if amount.unknown else usd(amount.known_usd)


def shown_place(uri: str) -> str:
    """A file: uri as the path that people type, wherever it stands in a text of sources; any other uri as it is."""
    return _FILE_URI.sub(_typed, uri)


def shown_name(uri: str) -> str:
    """The same for reading alone: no character of a name acts on the text around it."""
    return _ACTING.sub("\ufffd", shown_place(uri))


def _typed(found: re.Match[str]) -> str:
    """What cannot be read, or would act on a terminal or a page, stays encoded; every command takes that as well."""
    path = unquote(found[1])
    return found[0] if _ACTING.search(path) else path


def _cell(value: Any) -> str:
    text = "" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)
    flat = " ".join(_CONTROL.sub(" ", text).split())
    return flat if len(flat) <= SHOWN_CHARACTERS else flat[: SHOWN_CHARACTERS - 1] + "…"


def _right(name: str) -> Any:
    return Column(name, justify="right")


def console_on(stream: TextIO) -> Console:
    """Terminal width for people, any width for files and pipes; `[…]` and `:…:` are text, as in file names."""
    wide = None if stream.isatty() else UNBOUNDED_COLUMNS
    return Console(file=stream, width=wide, highlight=False, markup=False, emoji=False, soft_wrap=False)


def to_json(value: Any) -> str:
    """JSON for programs; sums of money as strings, which lose no digit."""
    return orjson.dumps(value, default=_as_text).decode()

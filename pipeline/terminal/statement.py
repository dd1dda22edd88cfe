"""Accounts of costs, and what was compared with AWS, as people and programs read them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from decimal import Decimal
from enum import StrEnum
from typing import Any, TextIO

from rich import box
from rich.table import Column, Table
from rich.text import Text

from pipeline.money.costs import Amount
from pipeline.money.reconciling import Check, Figure
from pipeline.money.spending import By, Line, Spent, total
from pipeline.schemas import money
from pipeline.terminal.console import console_on, to_json

SUMS = ("requests", "input_tokens", "output_tokens", "cost_usd", "unused_usd", "unknown_cost_requests")
SHOWN_SUMS = ("requests", "input tokens", "output tokens", "cost, USD", "for nothing", "cost unknown")
UNKNOWN = "unknown"
PIPE_COLUMNS = 80  # of a chart that goes to a file; on a terminal, its own width
LONGEST_LABEL = 32
_EIGHTHS = " ▏▎▍▌▋▊▉"


class AccountForm(StrEnum):
    """How an account is printed."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    BARS = "bars"


def print_account(by: Sequence[By], lines: Sequence[Line], form: AccountForm, stream: TextIO) -> None:
    """The lines, with what they add up to where people read them."""
    if form is AccountForm.CSV:
        _write_csv(by, lines, stream)
    elif form is AccountForm.JSON:
        shown = {"lines": [_as_mapping(by, one) for one in lines], "total": _sums(total(lines))}
        print(to_json(shown), file=stream)
    elif not lines:
        console_on(stream).print("Nothing was sent by any published run of these days.")
    elif form is AccountForm.BARS:
        _print_bars(lines, stream)
    else:
        console_on(stream).print(_table(by, lines))


def known_usd(amount: Amount) -> Decimal | None:
    """What is known of a sum; None where nothing of it is."""
    return None if amount.unknown and amount.unknown == amount.requests else amount.known_usd


def _as_mapping(by: Sequence[By], line: Line) -> dict[str, Any]:
    return {one.value: value for one, value in zip(by, line.values, strict=True)} | _sums(line.spent)


def _sums(spent: Spent) -> dict[str, Any]:
    """`cost_usd` is of the requests whose cost is known, and `unknown_cost_requests` counts the others."""
    paid, unused = money(known_usd(spent.paid)), money(spent.unused.usd)
    values = (spent.requests, spent.input_tokens, spent.output_tokens, paid, unused, spent.paid.unknown)
    return dict(zip(SUMS, values, strict=True))


def _write_csv(by: Sequence[By], lines: Iterable[Line], stream: TextIO) -> None:
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*by, *SUMS])
    for line in lines:
        sums = _sums(line.spent).values()
        writer.writerow([*line.values, *(f"{one:f}" if isinstance(one, Decimal) else one for one in sums)])


def _table(by: Sequence[By], lines: Sequence[Line]) -> Table:
    """Money with as many places as any line needs, so that the column adds up to its total as it is printed."""
    whole = total(lines)
    places = _places([line.spent for line in lines])
    names = SHOWN_SUMS if whole.paid.unknown else SHOWN_SUMS[:-1]
    table = Table(*by, *(Column(name, justify="right") for name in names), box=box.SIMPLE_HEAD)
    for line in lines:
        cells = _cells(line.spent, places)[: len(names)]
        table.add_row(*(value or UNKNOWN for value in line.values), *cells)
    table.add_row("in all", *[""] * (len(by) - 1), *_cells(whole, places)[: len(names)], style="bold")
    return table


def _cells(spent: Spent, places: int) -> list[str]:
    counts = (spent.requests, spent.input_tokens, spent.output_tokens)
    sums = (_amount(spent.paid, places), _amount(spent.unused, places))
    return [*(f"{count:,}" for count in counts), *sums, f"{spent.paid.unknown:,}"]


def _amount(amount: Amount, places: int) -> str:
    """The sum; as the least that it is where a part is unknown."""
    known = known_usd(amount)
    return UNKNOWN if known is None else f"{'≥ ' if amount.unknown else ''}{known:,.{places}f}"


def _places(spent: Iterable[Spent]) -> int:
    """The decimal places that show every sum whole; two at least."""
    sums = [amount.known_usd for one in spent for amount in (one.paid, one.unused)]
    return max(2, *(len(f"{one:f}".partition(".")[2].rstrip("0")) for one in sums))


def _print_bars(lines: Sequence[Line], stream: TextIO) -> None:
    """A bar a line, the longest for what cost most; what was paid for nothing is its light end."""
    console = console_on(stream)
    columns = console.width if stream.isatty() else PIPE_COLUMNS
    places = _places([line.spent for line in lines])
    labels = [_label(line) for line in lines]
    sums = [_amount(line.spent.paid, places) for line in lines]
    wide = max(map(len, labels))
    room = max(columns - wide - max(map(len, sums)) - 3, 8)
    most = max(line.spent.paid.known_usd for line in lines)
    for line, label, told in zip(lines, labels, sums, strict=True):
        dark, light = _bar(line.spent, most, room)
        gap = " " * (room - len(dark) - len(light))
        end = f" {told:>{max(map(len, sums))}}"
        text = Text.assemble(f"{label:<{wide}} ", (dark, "cyan"), (light, "dim"), gap + end)
        console.print(text, soft_wrap=True)
    whole = total(lines)
    console.print(f"in all {_amount(whole.paid, places)} USD, for nothing {_amount(whole.unused, places)} (░)")


def _label(line: Line) -> str:
    """The values; of a long one the end, which tells sources and runs apart."""
    text = " ".join(value or UNKNOWN for value in line.values)
    return text if len(text) <= LONGEST_LABEL else "…" + text[1 - LONGEST_LABEL :]


def _bar(spent: Spent, most: Decimal, room: int) -> tuple[str, str]:
    """The bar and its light end, in whole cells but for the last eighth."""
    if not most:
        return "", ""
    eighths = int(spent.paid.known_usd * room * 8 / most)
    light = int(spent.unused.known_usd * room / most)
    full, rest = divmod(eighths, 8)
    dark = max(full - light, 0)
    return "█" * dark + (_EIGHTHS[rest].strip() if not light else ""), "░" * min(light, full)


def print_checks(checks: Sequence[Check], stream: TextIO, *, as_json: bool) -> None:
    """What differs and by how much, what could not be compared, and how much agrees."""
    if as_json:
        print(to_json([_check_mapping(check) for check in checks]), file=stream)
        return
    console = console_on(stream)
    for check in checks:
        if check.not_compared:
            console.print(f"Not compared  {check.about}: {check.not_compared}", soft_wrap=True)
        if check.differences:
            console.print(f"Differs       {check.about}", style="bold", soft_wrap=True)
        for one in check.differences:
            console.print(f"              {one.name}: {_told(one)}", soft_wrap=True)
    agree = sum(1 for check in checks if check.figures and not check.differences)
    differ = sum(1 for check in checks if check.differences)
    console.print(f"{agree:,} agree, {differ:,} differ, {len(checks) - agree - differ:,} could not be compared")


def _told(figure: Figure) -> str:
    surplus = "" if figure.surplus is None else f" ({Decimal(figure.surplus):+,f})"
    return f"the ledger has {_number(figure.ours)}, AWS {_number(figure.theirs)}{surplus}"


def _number(value: Decimal | int | None) -> str:
    return UNKNOWN if value is None else f"{Decimal(value):,f}"


def _check_mapping(check: Check) -> dict[str, Any]:
    figures = [
        {"name": one.name, "ledger": one.ours, "aws": one.theirs, "differs": one.differs} for one in check.figures
    ]
    return {"about": check.about, "not_compared": check.not_compared, "figures": figures}

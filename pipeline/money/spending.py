"""What the published runs cost, summed from their ledger by run, day, month, analysis, model, source or mode."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from pipeline.catalog.reading import open_views
from pipeline.money.costs import NONE, Amount

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from pipeline.catalog import Catalog

MEMORY = "300MB"  # DuckDB keeps to this and spills to disk beyond it
THREADS = 2


class By(StrEnum):
    """What a line of the account is about. Days are the dates of runs, which decide the prices."""

    RUN = "run"
    DAY = "day"
    MONTH = "month"
    ANALYSIS = "analysis"
    MODEL = "model"
    SOURCE = "source"
    MODE = "mode"


_VALUE = {
    By.RUN: "ledger.run_key",
    By.DAY: "strftime(ledger.run_date, '%Y-%m-%d')",
    By.MONTH: "strftime(ledger.run_date, '%Y-%m')",
    By.ANALYSIS: "ledger.analysis",
    By.MODEL: "ledger.priced_as",
    By.SOURCE: "runs.source_uri",
    By.MODE: "ledger.mode",
}
# Tokens count as paid for nothing where the ledger says so; one of an older version does not say.
_SUMS = """
    count(*), coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
    coalesce(sum(ledger.cost_usd), 0), count(*) - count(ledger.cost_usd),
    count(*) FILTER (WHERE used IS DISTINCT FROM true),
    coalesce(sum(ledger.cost_usd) FILTER (WHERE used = false), 0),
    count(*) FILTER (WHERE used IS NULL OR (used = false AND ledger.cost_usd IS NULL))
"""


@dataclass(frozen=True, slots=True)
class Spent:
    """The sums of some rows of the ledger. `unused` is the part of `paid` that no result rests on."""

    input_tokens: int
    output_tokens: int
    paid: Amount
    unused: Amount

    @property
    def requests(self) -> int:
        return self.paid.requests

    def __add__(self, other: Spent) -> Spent:
        tokens = (self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)
        return Spent(*tokens, self.paid + other.paid, self.unused + other.unused)


NOTHING_SPENT = Spent(0, 0, NONE, NONE)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an account: the value of each dimension (None where it is not known), and the sums."""

    values: tuple[str | None, ...]
    spent: Spent


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of the ledger. Both days are included; `depth` takes, in place of the source of the run, so many
    folders of each document's own uri."""

    by: tuple[By, ...]
    since: dt.date | None = None
    until: dt.date | None = None
    depth: int | None = None


def account(catalog: Catalog, question: Question) -> list[Line]:
    """A line for every combination of values, in their order; no line when nothing was published or sent.

    The sums are exact, and those of the lines add up to those of the whole ledger.
    """
    with open_views(catalog) as views:
        if not {"ledger", "runs"} <= {str(row[0]) for row in views.execute("show tables").fetchall()}:
            return []
        views.execute(f"SET memory_limit = '{MEMORY}'; SET threads = {THREADS}; SET preserve_insertion_order = false")
        return [_line(row, len(question.by)) for row in _rows(views, question)]


def total(lines: Iterable[Line]) -> Spent:
    """The sum of the lines."""
    return sum((line.spent for line in lines), NOTHING_SPENT)


def _rows(views: DuckDBPyConnection, question: Question) -> list[tuple[Any, ...]]:
    deep = question.depth is not None and By.SOURCE in question.by
    values = [_folders(question.depth or 0) if deep and one is By.SOURCE else _VALUE[one] for one in question.by]
    names = ", ".join(f"{value} AS v{place}" for place, value in enumerate(values))
    order = ", ".join(f"v{place}" for place in range(len(values)))
    joins = "JOIN (SELECT run_key, source_uri FROM runs) AS runs USING (run_key)"
    if deep:  # a document has one row in each run
        joins += (
            " LEFT JOIN (SELECT run_key, document_id, uri FROM documents) AS documents USING (run_key, document_id)"
        )
    query = f"""
        SELECT {names}, {_SUMS} FROM ({_ledger(views)}) AS ledger {joins}
        WHERE ledger.run_date BETWEEN $since::DATE AND $until::DATE
        GROUP BY {order} ORDER BY {order}
    """  # noqa: S608 - every part is ours
    days = {"since": question.since or dt.date.min, "until": question.until or dt.date.max}
    return views.execute(query, days).fetchall()


def _ledger(views: DuckDBPyConnection) -> str:
    """The ledger with the column `used`, which that of an older version does not have."""
    columns = {str(row[0]) for row in views.execute("describe ledger").fetchall()}
    used = "used" if "used" in columns else "NULL::BOOLEAN AS used"
    needed = "run_key, run_date, document_id, analysis, mode, priced_as, input_tokens, output_tokens, cost_usd"
    return f"SELECT {needed}, {used} FROM ledger"  # noqa: S608 - every part is ours


def _folders(depth: int) -> str:
    """The first folders of a document's uri; its name is none of them."""
    return f"regexp_extract(documents.uri, '^([a-z0-9]+://[^/]*(?:/[^/]*){{0,{int(depth)}}})/', 1)"


def _line(row: Sequence[Any], dimensions: int) -> Line:
    values, sums = tuple(row[:dimensions]), row[dimensions:]
    requests, tokens_in, tokens_out, paid_usd, unknown, unused, unused_usd, unused_unknown = sums
    paid = Amount(requests, Decimal(paid_usd), unknown)
    return Line(
        values, Spent(int(tokens_in), int(tokens_out), paid, Amount(unused, Decimal(unused_usd), unused_unknown))
    )

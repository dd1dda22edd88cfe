"""What the ledger of the published runs holds of each job and each day, to be compared with what AWS says."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipeline.catalog.reading import open_views
from pipeline.domain import Mode, Usage
from pipeline.ledger import PER_MILLION

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

# Rows whose tokens nobody reported count as answered: the model wrote something. USD are per million tokens.
_JOBS = """
    SELECT run_key, job_arn, coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
        count(DISTINCT record_id) FILTER (WHERE input_tokens IS NULL OR input_tokens + output_tokens > 0),
        CASE WHEN count(*) = count(cost_usd) THEN sum(cost_usd) END,
        any_value(input_usd_per_million), any_value(output_usd_per_million)
    FROM ledger WHERE job_arn IS NOT NULL AND ($run IS NULL OR run_key = $run)
    GROUP BY run_key, job_arn ORDER BY run_key, job_arn
"""
_DAYS = """
    SELECT run_key, strftime(run_date, '%Y-%m-%d') AS day, priced_as, mode,
        coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0),
        CASE WHEN count(*) = count(cost_usd)
            THEN sum(input_tokens::DECIMAL(18,0) * input_usd_per_million) END,
        CASE WHEN count(*) = count(cost_usd)
            THEN sum(output_tokens::DECIMAL(18,0) * output_usd_per_million) END
    FROM ledger WHERE ($run IS NULL OR run_key = $run)
    GROUP BY run_key, day, priced_as, mode ORDER BY day, run_key, priced_as, mode
"""
_SPANS = "SELECT run_key, started, ended FROM runs WHERE ($run IS NULL OR run_key = $run) ORDER BY ended, run_key"


@dataclass(frozen=True, slots=True)
class BookedJob:
    """One job in the ledger. `answered` counts its records that came back with an answer, good or not."""

    run_key: str
    arn: str
    usage: Usage
    answered: int
    cost_usd: Decimal | None
    input_usd: Decimal | None
    output_usd: Decimal | None

    @property
    def about(self) -> str:
        return f"run {self.run_key}, job {self.arn.rpartition('/')[2]}"

    def cost_of(self, usage: Usage) -> Decimal | None:
        """What tokens cost at the price of this job."""
        if self.input_usd is None or self.output_usd is None:
            return None
        return (usage.input_tokens * self.input_usd + usage.output_tokens * self.output_usd) / PER_MILLION


@dataclass(frozen=True, slots=True)
class BookedDay:
    """What one run used of one model in one mode on its day; USD are None where a part is unknown."""

    run_key: str
    day: str
    model: str
    mode: Mode
    usage: Usage
    input_usd: Decimal | None
    output_usd: Decimal | None

    def tokens(self, direction: str) -> int:
        return self.usage.input_tokens if direction == "input" else self.usage.output_tokens

    def usd(self, direction: str) -> Decimal | None:
        return self.input_usd if direction == "input" else self.output_usd


@dataclass(frozen=True, slots=True)
class Span:
    """When a run began and when its tables were complete."""

    run_key: str
    started: dt.datetime
    ended: dt.datetime


def booked_jobs(catalog: Catalog, run_key: str | None) -> list[BookedJob]:
    """The jobs of one published run, or of all."""
    return [
        BookedJob(run, arn, Usage(int(tokens_in), int(tokens_out)), answered, cost, price_in, price_out)
        for run, arn, tokens_in, tokens_out, answered, cost, price_in, price_out in _rows(catalog, _JOBS, run_key)
    ]


def booked_days(catalog: Catalog, run_key: str | None) -> list[BookedDay]:
    """What one published run used, or each of them."""
    return [
        BookedDay(run, day, model, Mode(mode), Usage(int(tokens_in), int(tokens_out)), _usd(cost_in), _usd(cost_out))
        for run, day, model, mode, tokens_in, tokens_out, cost_in, cost_out in _rows(catalog, _DAYS, run_key)
    ]


def spans(catalog: Catalog, run_key: str | None) -> list[Span]:
    """One published run, or all, in the order in which they ended."""
    return [Span(*row) for row in _rows(catalog, _SPANS, run_key)]


def _rows(catalog: Catalog, query: str, run_key: str | None) -> list[tuple[Any, ...]]:
    with open_views(catalog) as views:
        return views.execute(query, {"run": run_key}).fetchall()


def _usd(millionfold: Decimal | None) -> Decimal | None:
    return None if millionfold is None else millionfold / PER_MILLION

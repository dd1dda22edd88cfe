"""The figures that a report shows of a run and of all runs: frozen values, already counted and cut to size."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pipeline.money.costs import NONE, Amount

TREND_PAGE = "index.html"
BASELINE = "baseline"  # what the embedded engine calls itself


@dataclass(frozen=True, slots=True)
class Ends:
    """How the listed documents ended in one analysis; the three add up to all documents that were listed."""

    analysis: str
    results: int
    failures: int
    unchanged: int
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Arrivals:
    """The listed documents by what they were to the run; the four add up to all of them.

    `again` were as before and read all the same, `unread` were as before and not read.
    """

    new: int
    changed: int
    again: int
    unread: int


@dataclass(frozen=True, slots=True)
class Stream:
    """How many of the documents that came in one way ended in one way in an analysis; the ways are names of fields."""

    arrival: str  # of Arrivals
    analysis: str
    end: str  # of Ends
    documents: int


@dataclass(frozen=True, slots=True)
class Spread:
    """Input tokens of documents of one size class, all analyses together: the documents, and three quantiles."""

    above_bytes: int
    documents: int
    low_tokens: int
    median_tokens: int
    high_tokens: int


@dataclass(frozen=True, slots=True)
class Share:
    """What one analysis cost for the documents of one language; None for a language that is not known."""

    analysis: str
    language: str | None
    documents: int
    paid: Amount


@dataclass(frozen=True, slots=True)
class Named:
    """A document that stands out: its size, its tokens over all analyses, and what it cost (None: not known)."""

    document_id: str
    uri: str
    size_bytes: int | None
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class Example:
    """One failure of a kind."""

    document_id: str
    uri: str
    detail: str | None


@dataclass(frozen=True, slots=True)
class FailureKind:
    """All failures of a run for one reason."""

    reason: str
    failures: int
    documents: int
    analyses: tuple[str, ...]
    advice: str | None
    examples: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Labels:
    """How often a column of an analysis has each of its few values, by run: the run itself, then earlier ones."""

    analysis: str
    column: str
    counts: Mapping[str, Mapping[str, int]]  # run_key -> label -> rows; labels in the same order in each

    def drift(self, run_key: str, earlier: str) -> float | None:
        """The share of rows that would have to change their label for both to be alike, 0 to 1; None without rows."""
        return drift(self.counts.get(run_key, {}), self.counts.get(earlier, {}))


@dataclass(frozen=True, slots=True)
class SentRound:
    """What a round sent in one mode, a row of the ledger each."""

    number: int
    mode: str
    requests: int
    answered: int
    unused: int
    input_tokens: int
    output_tokens: int
    paid: Amount


@dataclass(frozen=True, slots=True)
class Sample:
    """One result to read. Values are texts that are cut where they are long."""

    analysis: str
    uri: str
    answer: tuple[tuple[str, str], ...]
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class RunFigures:
    """Everything that the page of a run shows. `row` is its row of `runs`, `earlier` the runs before, newest first."""

    row: Mapping[str, Any]
    earlier: tuple[str, ...]
    arrivals: Arrivals
    ends: tuple[Ends, ...]
    streams: tuple[Stream, ...]
    rounds: tuple[SentRound, ...]
    shares: tuple[Share, ...]
    spreads: tuple[Spread, ...]
    labels: tuple[Labels, ...]
    longest: tuple[Named, ...]
    dearest: tuple[Named, ...]
    failures: tuple[FailureKind, ...]
    samples: tuple[Sample, ...]

    @property
    def run_key(self) -> str:
        return str(self.row["run_key"])

    def paid_by_analysis(self) -> dict[str, Amount]:
        return _summed((one.analysis, one.paid) for one in self.shares)

    def paid_by_language(self) -> dict[str | None, Amount]:
        return _summed((one.language, one.paid) for one in self.shares)


@dataclass(frozen=True, slots=True)
class RunPoint:
    """One run of the trend; `drifts` are against the run before it, by analysis and column.

    `departures` say why its `quality` is suspect; None where nobody could tell.
    """

    run_key: str
    run_date: dt.date
    ended: dt.datetime
    documents: int
    results: int
    failures: int
    unchanged: int
    cost_usd: Decimal | None
    drifts: Mapping[str, float]
    quality: str | None = None
    departures: tuple[str, ...] = ()

    @property
    def is_suspect(self) -> bool:
        return self.quality == "suspect"


@dataclass(frozen=True, slots=True)
class DayPoint:
    """All runs of one day. A cost is None where that of a run is; drift is the largest of the day's runs."""

    day: dt.date
    runs: int
    asked: int
    failures: int
    cost_usd: Decimal | None
    drifts: Mapping[str, float]
    suspects: int = 0

    @property
    def failure_share(self) -> float | None:
        """Of documents and analyses that ended in the day's runs; None where none did."""
        return self.failures / self.asked if self.asked else None


def answered_by(row: Mapping[str, Any]) -> str:
    """Who answered a run, and whose price was taken; of an engine that is no model, that it is none."""
    models = str(row["model"] or "nobody")
    told = f"Answered by {models}, priced as {row['priced_as']}"
    if BASELINE not in models.split(", "):
        return told
    return f"{told}. {BASELINE} is not Llama: it is a small engine that stands in for the model"


def page_name(run_key: str) -> str:
    """The file of a run's page; no run_key has a dot, so that none takes the place of the trend."""
    return "index.run.html" if run_key == "index" else f"{run_key}.html"


def drift(now: Mapping[str, int], before: Mapping[str, int]) -> float | None:
    """Half the sum of the differences of the shares, the total variation distance; None where a side has no rows."""
    ours, theirs = sum(now.values()), sum(before.values())
    if not ours or not theirs:
        return None
    labels = {*now, *before}
    return sum(abs(now.get(one, 0) / ours - before.get(one, 0) / theirs) for one in sorted(labels)) / 2


def by_day(points: tuple[RunPoint, ...]) -> tuple[DayPoint, ...]:
    """The runs, in the order in which they ended, summed by the date of the run."""
    days: dict[dt.date, list[RunPoint]] = {}
    for one in points:
        days.setdefault(one.run_date, []).append(one)
    return tuple(_day(day, days[day]) for day in sorted(days))


def _day(day: dt.date, runs: list[RunPoint]) -> DayPoint:
    costs = [one.cost_usd for one in runs]
    known = [one for one in costs if one is not None]
    names = sorted({name for one in runs for name in one.drifts})
    drifts = {name: max(one.drifts[name] for one in runs if name in one.drifts) for name in names}
    failures = sum(one.failures for one in runs)
    asked = failures + sum(one.results for one in runs)
    suspects = sum(one.is_suspect for one in runs)
    return DayPoint(day, len(runs), asked, failures, sum(known) if len(known) == len(costs) else None, drifts, suspects)  # type: ignore[arg-type] # runs is not empty


def _summed(pairs: Any) -> dict[Any, Amount]:
    found: dict[Any, Amount] = {}
    for key, amount in pairs:
        found[key] = found.get(key, NONE) + amount
    return found

"""Pages as bytes: figures and charts in Jinja templates that escape every text of documents and models."""

from __future__ import annotations

import datetime as dt
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from pipeline.loop import counted
from pipeline.reports.charts import pictures_of
from pipeline.reports.daily import trend
from pipeline.reports.figures import (
    TREND_PAGE,
    Named,
    RunFigures,
    RunPoint,
    Sample,
    SentRound,
    answered_by,
    by_day,
    page_name,
)
from pipeline.reports.repeating import again_says, commands
from pipeline.terminal.console import shown_name, to_json, usd, usd_of

SHOWN_SUSPECTS = 5  # of those that are told before the charts; the list of runs marks all
SHOWN_RUNS = 30  # of the page over all runs; the others are folded away
HIDDEN = {"analyses", "savings"}  # columns of `runs` that the page shows as charts and tables
_NUMBER = re.compile(r"(at least )?[$\d−-][\d.,]*( %|%| bytes| KB| MB)?|unknown|")


def run_page(figures: RunFigures) -> bytes:
    """The page of a run. The same figures give the same bytes."""
    row = figures.row
    shown = pictures_of(figures)
    return _rendered(
        "run.html.jinja",
        figures=figures,
        trend=TREND_PAGE,
        sections=_sections(figures, shown),
        pictures_shown=shown,
        numbers_shown=_numbers(row),
        warnings=_warnings(row),
        sent=_sent(row),
        rounds=[(str(one.number), one.mode, *map(_count, _counts(one)), usd_of(one.paid)) for one in figures.rounds],
        savings=[
            (one["way"], one["against"], _count(one["requests"]), usd(one["usd"])) for one in row.get("savings") or ()
        ],
        longest=[_named(one) for one in figures.longest],
        dearest=[_named(one) for one in figures.dearest],
        samples=_by_document(figures.samples),
        again_says=again_says(row),
        commands=commands(row),
        facts=[(name, _fact(value)) for name, value in row.items() if name not in HIDDEN],
    )


def _counts(sent: SentRound) -> tuple[int, ...]:
    return (sent.requests, sent.answered, sent.unused, sent.input_tokens, sent.output_tokens)


def trend_page(points: tuple[RunPoint, ...], drawn: Collection[str], output_uri: str = "") -> bytes:
    """The page over all runs of an output; those that are `drawn` have links to theirs."""
    days = by_day(points)
    costs = [one.cost_usd for one in points]
    known = sum((one for one in costs if one is not None), Decimal(0))
    least = "at least " if None in costs else ""
    ended = sum(one.results + one.failures for one in points)
    failed = sum(one.failures for one in points)
    numbers = [
        ("runs", _count(len(points))),
        ("results", _count(ended - failed)),
        ("failures", _count(failed) + (f" ({failed / ended:.1%})" if ended else "")),
        ("cost", f"{least}{usd(known)}" if any(one is not None for one in costs) else usd(None)),
    ]
    suspects = [one for one in points[::-1] if one.is_suspect]
    numbers += [("suspect runs", _count(len(suspects)))] if suspects else []
    pictures = trend(days) if days else []
    return _rendered(
        "trend.html.jinja",
        points=points,
        newest=points[::-1][:SHOWN_RUNS],
        older=points[::-1][SHOWN_RUNS:],
        suspects=suspects[:SHOWN_SUSPECTS],
        more_suspects=len(suspects[SHOWN_SUSPECTS:]),
        days=days,
        drawn=drawn,
        output_uri=output_uri,
        numbers_shown=numbers,
        pictures_shown=pictures,
    )


def _sections(figures: RunFigures, shown: Mapping[str, Sequence[Any]]) -> list[tuple[str, str]]:
    there = [
        ("flow", "In and out", True),
        ("cost", "Cost", True),
        ("tokens", "Tokens", bool(shown["tokens"])),
        ("labels", "Labels", bool(shown["labels"])),
        ("documents", "Documents", bool(figures.longest)),
        ("failures", "Failures", True),
        ("samples", "Results", bool(figures.samples)),
        ("again", "To do it again", True),
    ]
    return [(anchor, name) for anchor, name, wanted in there if wanted]


def _numbers(row: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [
        ("documents", _count(row["documents"])),
        ("results", _count(row["results"])),
        ("failures", _count(row["failures"])),
        ("unchanged", _count(row["unchanged"])),
        ("input tokens", _count(row["input_tokens"])),
        ("output tokens", _count(row["output_tokens"])),
        ("cost, of all rounds", usd(row["cost_usd"])),
        ("forecast of the first round alone, at most", usd(row.get("forecast_usd"))),
    ]


def _warnings(row: Mapping[str, Any]) -> list[str]:
    """What a reader must not miss."""
    found = [f"Suspect: {one}" for one in row.get("departures") or ()]
    found += [f"The last round was not sent: {row['over_budget']}"] if row.get("over_budget") else []
    if row["model"] and row["model"] != row["priced_as"]:
        found.append(f"{answered_by(row)}.")
    if row.get("billed_minutes") is not None:
        cost = usd(row.get("time_cost_usd"))
        found.append(
            f"Billed by time ({row['billing']}): {row['billed_minutes'] / 60:.2f} hours, {cost}; not by tokens."
        )
    return [*found, *(f"The ledger and a job disagree: {one}" for one in row.get("disagreements") or ())]


def _sent(row: Mapping[str, Any]) -> str:
    parts = [
        counted(row["requests"], "request") + " sent",
        f"{_count(row.get('known') or 0)} answered by earlier runs",
        counted(row.get("duplicates") or 0, "document") + " with a text that another had",
        counted(row.get("deleted") or 0, "document") + " gone from the source",
        counted(row.get("left_out") or 0, "document") + " left out of the sample",
    ]
    return "; ".join(one for one in parts if not one.startswith("0 ")) + "." if row["requests"] else parts[0] + "."


def _named(one: Named) -> tuple[str, ...]:
    counts = (_count(one.input_tokens), _count(one.output_tokens), usd(one.cost_usd))
    return (shown_name(one.uri), _size(one.size_bytes), *counts)


def _by_document(samples: Sequence[Sample]) -> list[tuple[str, list[Sample]]]:
    """The samples of all analyses, by document, in the order in which they were drawn."""
    order = {uri: place for place, uri in enumerate(dict.fromkeys(one.uri for one in samples))}
    ordered = sorted(samples, key=lambda one: order[one.uri])
    return [(uri, list(found)) for uri, found in groupby(ordered, key=lambda one: one.uri)]


def _fact(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return to_json(value) if isinstance(value, list | dict) else str(value)


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _size(size_bytes: int | None) -> str:
    if size_bytes is None:
        return "unknown"
    for unit, factor in (("MB", 1_000_000), ("KB", 1_000)):
        if size_bytes >= factor:
            return f"{size_bytes / factor:,.1f} {unit}"
    return f"{size_bytes:,} bytes"


def _time(value: dt.datetime) -> str:
    return f"{value:%Y-%m-%d %H:%M}"


def _is_numeric(rows: Sequence[Sequence[str]], column: int) -> bool:
    return all(_NUMBER.fullmatch(str(row[column])) for row in rows)


def _drawing(svg: str) -> Markup:
    """A chart of `drawing`, whose texts Vega has escaped."""
    return Markup(svg)  # noqa: S704 - the one place; tests look for markup in it


def _rendered(template: str, **values: Any) -> bytes:
    text = environment().get_template(template).render(**values)
    return text.encode("utf-8", "replace")


@cache
def environment() -> Environment:
    """Of every page: all texts are escaped, and what is missing is an error."""
    loader = FileSystemLoader(Path(__file__).parent / "templates", encoding="utf-8")
    made = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True,
        keep_trailing_newline=True,
    )  # fmt: skip
    made.filters |= {
        "count": _count,
        "counted": counted,
        "usd": usd,
        "time": _time,
        "place": shown_name,
        "numeric": _is_numeric,
        "drawing": _drawing,
        "page": page_name,
        "quoted": shlex.quote,
    }
    return made

"""Published nights of any size, written without a pipeline: rows that add up, and texts that want to be markup."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from pipeline.analyses import load_analyses
from pipeline.declared import shipped_prompts
from pipeline.domain import short_hash
from pipeline.reports.counting import run_figures
from pipeline.reports.figures import RunFigures
from pipeline.schemas import result_columns
from tests.published import START, TABLES, Output

ANALYSES = load_analyses(shipped_prompts(), (), output_language="English")
COLUMNS = TABLES | {name: result_columns(analysis) for name, analysis in ANALYSES.items()}
LANGUAGES = ("de", "en", "fr", None)
CATEGORIES = ("contract", "news", "review")
MOODS = ("positive", "negative", "mixed")
FAILS = 11  # every so manyth document
UNREAD = 7  # of the documents that were listed, as before and not read
GONE = 3  # documents of earlier runs that were not listed any more, with rows of their own

HOSTILE = (
    "<script>window.ran = true</script>",
    "</script></svg></style><img src=x onerror='window.ran = true'>",
    'javascript:window.ran=true//"><b onmouseover=window.ran=true>',
    "{{ 7 * 7 }}{% raw %}&lt;b&gt;",
    "\u202egnp.exe\u0007\x1b[31m",
)


@dataclass(frozen=True)
class Night:
    """One run of so many documents. Every uri, answer, detail and label may hold one of `hostile` texts."""

    run_key: str
    documents: int
    day: int = 0
    priced: bool = True
    hostile: tuple[str, ...] = ()
    with_ledger: bool = True
    replaced: dict[str, Any] = field(default_factory=dict)  # columns of its row of `runs`

    @property
    def about(self) -> dict[str, Any]:
        return {"run_date": (START + dt.timedelta(days=self.day)).date()}

    def uri(self, number: int) -> str:
        return f"s3://bucket/docs/{self.odd(number)}{number:06d}.txt"

    def odd(self, number: int) -> str:
        return self.hostile[number % len(self.hostile)] if self.hostile else ""

    def document_rows(self) -> Iterator[dict[str, Any]]:
        for number in range(self.documents):
            size = 200 + (number * 7919) % 40_000
            read = {"size_bytes": size, "language": LANGUAGES[number % 4], "characters": size}
            yield self._named(number) | read | {"change": ("new", "changed", "unchanged")[number % 3]} | self.about
        for number in range(GONE):
            gone = f"gone {number}"
            yield {"document_id": short_hash(gone), "uri": gone, "change": "deleted"} | self.about

    def result_rows(self, analysis: str) -> Iterator[dict[str, Any]]:
        for number in range(self.documents):
            if number % FAILS:
                yield self._named(number) | self.answer(analysis, number) | self.spent(number) | self.about

    def answer(self, analysis: str, number: int) -> dict[str, Any]:
        odd = self.odd(number)
        label = (number + self.day) % 5 % 3
        answers: dict[str, dict[str, Any]] = {
            "classification": {"category": odd[:40] or CATEGORIES[label]},
            "sentiment": {"sentiment": MOODS[label], "score": 0.25},
            "summarization": {"summary": f"{odd} A summary of {number}. " * 8, "key_points": [odd or "A point."] * 5},
        }
        return answers[analysis]

    def failure_rows(self) -> Iterator[dict[str, Any]]:
        for number in range(0, self.documents, FAILS):
            for analysis in ANALYSES:
                reason = ("empty", "malformed")[number % 2]
                told = {
                    "analysis": analysis,
                    "stage": "map",
                    "reason": reason,
                    "advice": f"Look at it. {self.odd(number)}",
                }
                yield self._named(number) | told | {"detail": self.odd(number)} | self.spent(number) | self.about

    def ledger_rows(self) -> Iterator[dict[str, Any]]:
        for number in range(self.documents):
            for analysis in ANALYSES:
                sent = {"document_id": self._id(number), "analysis": analysis, "round": number % 2, "mode": "batch"}
                yield sent | {"status": "answered", "used": number % FAILS > 0} | self.spent(number) | self.about

    def spent(self, number: int) -> dict[str, Any]:
        tokens = 100 + (number * 31) % 5_000
        cost = Decimal(tokens) * Decimal("0.00000011") if self.priced else None
        return {"input_tokens": tokens, "output_tokens": 10, "cost_usd": cost}

    def run_row(self) -> dict[str, Any]:
        """As publishing sums them."""
        failed = len(range(0, self.documents, FAILS))
        spent = [self.spent(number) for number in range(self.documents)]
        cost = sum((one["cost_usd"] for one in spent), Decimal(0)) if self.priced else None
        analyses = [
            {"analysis": name, "prompt_fingerprint": "f" * 64, "results": self.documents - failed, "failures": failed}
            | {"unchanged": UNREAD, "cost_usd": cost, "labels": self.labels(name)}
            for name in sorted(ANALYSES)
        ]
        counts = {
            "documents": self.documents + UNREAD,
            "results": 3 * (self.documents - failed),
            "failures": 3 * failed,
        }
        tokens = {"input_tokens": 3 * sum(one["input_tokens"] for one in spent), "output_tokens": 30 * self.documents}
        whole = 3 * cost if cost is not None else None
        ended = START + dt.timedelta(days=self.day, hours=2)
        places = {"source_uri": "s3://bucket/docs", "output_uri": "file:///out", "docbatch_version": "0.1.0"}
        asked = {"model": "baseline", "priced_as": "llama", "output_language": "English", "billing": "tokens"}
        money = {"cost_usd": whole, "forecast_usd": whole, "unused_requests": 3 * failed, "unused_usd": None}
        rest = {"unchanged": 3 * UNREAD, "requests": 3 * self.documents, "known": 0, "deleted": GONE, "duplicates": 0}
        times = {"started": ended - dt.timedelta(hours=1), "ended": ended, "left_out": 0, "rounds": 2}
        return (
            {"analyses": analyses}
            | counts
            | tokens
            | places
            | asked
            | money
            | rest
            | times
            | self.about
            | self.replaced
        )

    def labels(self, analysis: str) -> list[dict[str, Any]]:
        column = {"classification": "category", "sentiment": "sentiment"}.get(analysis)
        found: dict[str, int] = {}
        for number in range(self.documents):
            if column and number % FAILS:
                label = self.answer(analysis, number)[column]
                found[label] = found.get(label, 0) + 1
        return [{"label": label, "results": count} for label, count in sorted(found.items())]

    def publish(self, output: Output) -> None:
        tables = {"documents": self.document_rows(), "failures": self.failure_rows()}
        tables |= {"ledger": self.ledger_rows()} if self.with_ledger else {}
        tables |= {name: self.result_rows(name) for name in ANALYSES}
        for table, rows in (*tables.items(), ("runs", iter([self.run_row()]))):
            output.commit(table, self.run_key, list(rows), COLUMNS[table])

    def _named(self, number: int) -> dict[str, Any]:
        return {"document_id": self._id(number), "uri": self.uri(number)}

    def _id(self, number: int) -> str:
        return short_hash(str(number))


def figures_of(folder: Path, *nights: Night, samples: int = 3) -> RunFigures:
    """Those of the last of these nights, published one after the other."""
    output = Output(folder)
    for night in nights:
        night.publish(output)
    with output.catalog() as catalog:
        return run_figures(catalog, nights[-1].run_key, samples)

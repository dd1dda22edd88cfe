"""The rows of one shard for every table, staged beside the run until it is published."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import attrgetter
from typing import Any

from pipeline.analyses import Analysis
from pipeline.domain import Change, Failure, Fate, Outcome, Request, Usage
from pipeline.ledger import add_costs, cost_of
from pipeline.manifest import staged_counts_key, staged_key
from pipeline.money.costs import amount_of, answered_for_nothing, standing, was_charged
from pipeline.parquet import write_rows
from pipeline.prices import Price
from pipeline.quality import shape_of
from pipeline.records import DocumentRecord, OutcomeRecord
from pipeline.schemas import FIXED, arrow_schema, money, result_columns
from pipeline.settling import Settled
from pipeline.steps.counts import COUNTS, AnalysisCounts, ShardCounts, read_counts
from pipeline.steps.rounds import over_budget, planned_rounds
from pipeline.steps.run import Run, Services
from pipeline.steps.savings import saved
from pipeline.steps.state import Key, ShardState, load_state, read_document_records, usage_of
from pipeline.steps.tombstones import read_tombstone

Row = Sequence[Any]
FREE = Usage(0, 0)
SHOWN = 10  # of what does not add up


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens and USD of one document and analysis over all its requests; None where a part is unknown."""

    usage: Usage | None
    cost_usd: Decimal | None
    model: str | None


_NOT_SENT = Spent(FREE, Decimal(0), None)
# What the columns before the run's are called in the records of documents: `format` would hide a function of Python's.
_DOCUMENT_VALUES = attrgetter(*("form" if name == "format" else name for name, _, _ in FIXED["documents"][1][:-2]))


def fold(services: Services, run_uri: str, shard: int) -> ShardCounts:
    """Stage the rows of a shard in every table. The same outcomes give the same bytes.

    Of a published run whose working files are deleted, the counts of then.
    Raises StorageError, RunError.
    """
    run = Run(services, run_uri)
    if read_tombstone(run.store) is not None:
        return read_counts(run, shard)
    documents = list(read_document_records(run, shard))
    state = load_state(run, shard, planned_rounds(run))
    folded = _Fold(run, documents, state)
    tables = {
        "documents": (FIXED["documents"], folded.document_rows()),
        "ledger": (FIXED["ledger"], folded.ledger_rows()),
        "failures": (FIXED["failures"], folded.failure_rows()),
    }
    for name, analysis in run.analyses.items():
        about = (f"{analysis.declaration.description}, one row per document", result_columns(analysis))
        tables[name] = (about, folded.result_rows(analysis))
    for table, ((description, columns), rows) in tables.items():
        with tempfile.TemporaryFile() as file:
            write_rows(arrow_schema(table, description, columns), rows, file, looked_up=_looked_up(run, table))
            file.seek(0)
            run.store.write(staged_key(table, shard), file)
    counts = folded.counts()
    run.store.write(staged_counts_key(shard), COUNTS.dump_json(counts))
    return counts


class _Fold:
    """One shard's documents, requests and outcomes, seen as the rows of each table."""

    def __init__(self, run: Run, documents: list[DocumentRecord], state: ShardState) -> None:
        self._run = run
        self._documents = documents
        self._state = state
        self._provenance = (run.manifest.run_key, run.manifest.run_date)
        self._requests: dict[tuple[str, str], Request] = {}
        for request in (one for asked in state.requests.values() for one in asked.values()):
            # of copies of one text, the first asked and paid
            self._requests.setdefault((request.record_id, request.question_id), request)
        self._settled: dict[Key, Settled] = dict(state.ends(run, over_budget(run)))
        self._paid = [record for record in state.records if record.paid_by is None]
        self._standing = {
            (record_id, key[1])
            for key, asked in state.requests.items()
            if (end := self._settled.get(key)) and end.answer is not None
            for record_id in standing(asked.values(), state.outcomes[key[1]])
        }
        self._spent = self._sum_spent()

    def document_rows(self) -> Iterator[Row]:
        for one in self._documents:
            yield (*_DOCUMENT_VALUES(one), *self._provenance)

    def result_rows(self, analysis: Analysis) -> Iterator[Row]:
        names = list(analysis.schema["properties"])
        for one, settled, spent in self._ends(analysis.name):
            if settled is None or settled.answer is None:
                continue
            yield (
                *(one.document_id, one.uri),
                *(settled.answer.get(name) for name in names),
                *(settled.truncated, one.extra),
                *self._provenance,
                spent.model,
                analysis.fingerprint,
                self._run.manifest.methods[analysis.name],
                one.content_hash,
                settled.chunks,
                *_tokens(spent.usage),
                money(spent.cost_usd),
            )

    def failure_rows(self) -> Iterator[Row]:
        for name in self._run.analyses:
            for one, settled, spent in self._ends(name):
                found = _failure_of(one, settled)
                if found is None:
                    continue
                stage, failure = found
                raw = settled.raw if settled else None
                about = (name, stage, failure.reason, failure.detail, failure.reason.advice, raw)
                cost = (*_tokens(spent.usage), money(spent.cost_usd))
                yield (one.document_id, one.uri, *about, one.extra, *self._provenance, *cost)

    def ledger_rows(self) -> Iterator[Row]:
        for record in sorted(self._paid, key=self._ledger_order):
            request, price = self._request(record), self._run.price(record.mode)
            usage = usage_of(record)
            yield (
                request.document_id,
                request.analysis,
                request.stage,
                request.level,
                request.position,
                record.round_number,
                request.attempt,
                record.fate,
                self._is_used(record),
                record.mode,
                record.model,
                self._run.manifest.priced_as,
                record.job_arn,
                record.record_id,
                *self._provenance,
                *_tokens(usage),
                *_price(price),
                money(cost_of(usage, price)),
            )

    def counts(self) -> ShardCounts:
        reasons: Counter[str] = Counter()
        without_end: list[str] = []
        analyses = {}
        for name in self._run.analyses:
            answers, failures, again = list[dict[str, Any]](), 0, 0
            for one, settled, _ in self._ends(name):
                if found := _failure_of(one, settled):
                    failures += 1
                    again += one.change is Change.UNCHANGED
                    reasons[found[1].reason] += 1
                elif settled is not None:
                    answers.append(settled.answer or {})
                else:
                    without_end.append(f"{name} of {one.uri}")
            shape = shape_of(answers, self._run.analyses[name].declaration.label_property)
            analyses[name] = AnalysisCounts(len(answers), failures, *self._used(name), again, *shape)
        listed = [one for one in self._documents if one.change is not Change.DELETED]
        return ShardCounts(
            len(listed),
            sum(one.duplicate_of is not None for one in listed),
            len({(one.record_id, one.round_number) for one in self._paid}),
            analyses,
            dict(sorted(reasons.items())),
            sorted({record.model for record in self._state.records if record.model}),
            without_end[:SHOWN],
            answered_for_nothing(self._paid)[:SHOWN],
            amount_of(self._cost(one) for one in self._paid if was_charged(usage_of(one)) and not self._is_used(one)),
            saved(self._run, self._state),
        )

    def _request(self, record: OutcomeRecord) -> Request:
        return self._requests[record.record_id, record.question_id]

    def _is_used(self, record: OutcomeRecord) -> bool:
        place = (record.record_id, self._request(record).analysis)
        return record.fate is Fate.ANSWERED and place in self._standing

    def _used(self, analysis: str) -> tuple[int, int, Decimal | None]:
        """Tokens and USD of an analysis. Every token that was reported, also where another request reported none."""
        asked = [record for record in self._paid if self._request(record).analysis == analysis]
        usage = sum((usage for usage in map(usage_of, asked) if usage is not None), FREE)
        return usage.input_tokens, usage.output_tokens, add_costs(self._cost(record) for record in asked)

    def _ends(self, analysis: str) -> Iterator[tuple[DocumentRecord, Settled | None, Spent]]:
        """Every listed document with its end in an analysis, but those whose published result still holds."""
        for one in self._documents:
            key = (one.document_id, analysis)
            if one.change is not Change.DELETED and analysis not in one.held.split(","):
                yield one, self._settled.get(key), self._spent.get(key, _NOT_SENT)

    def _sum_spent(self) -> dict[Key, Spent]:
        paid: dict[Key, list[OutcomeRecord]] = defaultdict(list)
        for record in self._paid:
            request = self._request(record)
            paid[request.document_id, request.analysis].append(record)
        return {
            key: self._spent_on(paid[key], asked, self._state.outcomes[key[1]])
            for key, asked in self._state.requests.items()
        }

    def _spent_on(self, paid: list[OutcomeRecord], asked: Iterable[str], found: Mapping[str, Outcome]) -> Spent:
        """What one document and analysis paid; answers that others paid for are known by their model alone."""
        usages = [usage_of(record) for record in paid]
        known = [usage for usage in usages if usage is not None]
        outcomes = [found[record_id] for record_id in asked if record_id in found]
        models = sorted({outcome.model for outcome in outcomes if outcome.model})
        usage = sum(known, FREE) if len(known) == len(usages) else None
        return Spent(usage, add_costs(map(self._cost, paid)), ", ".join(models) or None)

    def _cost(self, record: OutcomeRecord) -> Decimal | None:
        return cost_of(usage_of(record), self._run.price(record.mode))

    def _ledger_order(self, record: OutcomeRecord) -> tuple[Any, ...]:
        request = self._request(record)
        return (request.document_id, request.analysis, request.level, request.position, record.round_number)


def _looked_up(run: Run, table: str) -> list[str]:
    """The columns that people look for one value in: the document, and an analysis' label."""
    label = run.analyses[table].declaration.label_property if table in run.analyses else None
    return ["document_id", *([label] if label else [])]


def _failure_of(one: DocumentRecord, settled: Settled | None) -> tuple[str, Failure] | None:
    """The stage and reason of a document without a result; None when it has one."""
    if one.failure is not None:
        return "read", Failure(one.failure, one.detail or "")
    if settled is not None and settled.failure is not None:
        return settled.stage, settled.failure
    return None


def _tokens(usage: Usage | None) -> tuple[int | None, int | None]:
    return (None, None) if usage is None else (usage.input_tokens, usage.output_tokens)


def _price(price: Price | None) -> tuple[Any, Any, Any]:
    return (None, None, None) if price is None else (price.input_usd, price.output_usd, price.since)

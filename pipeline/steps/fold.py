"""The rows of one shard for every table, staged beside the run until it is published."""

from __future__ import annotations

import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter

from pipeline.analyses import Analysis
from pipeline.domain import Failure, Request, Usage
from pipeline.ledger import add_costs, cost_of
from pipeline.manifest import staged_counts_key, staged_key
from pipeline.models import Price
from pipeline.records import DocumentRecord, OutcomeRecord
from pipeline.settling import Settled
from pipeline.steps.rounds import planned_rounds
from pipeline.steps.run import Run, Services
from pipeline.steps.state import Key, ShardState, load_state, read_document_records, usage_of
from pipeline.tables import FIXED, arrow_schema, money, result_columns, write_rows

Row = Sequence[Any]
FREE = Usage(0, 0)


@dataclass(frozen=True, slots=True)
class AnalysisCounts:
    """What one analysis came to."""

    results: int
    failures: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class ShardCounts:
    """What one shard came to."""

    documents: int
    duplicates: int
    requests: int
    analyses: dict[str, AnalysisCounts]
    reasons: dict[str, int]
    models: list[str]


@dataclass(frozen=True, slots=True)
class Spent:
    """Tokens and USD of one document and analysis over all its requests; None where a part is unknown."""

    usage: Usage | None
    cost_usd: Decimal | None
    model: str | None


_COUNTS = TypeAdapter(ShardCounts)
_NOT_SENT = Spent(FREE, Decimal(0), None)


def fold(services: Services, run_uri: str, shard: int) -> ShardCounts:
    """Stage the rows of a shard in every table. The same outcomes give the same bytes.

    Raises StorageError, RunError.
    """
    run = Run(services, run_uri)
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
            write_rows(arrow_schema(table, description, columns), rows, file)
            file.seek(0)
            run.store.write(staged_key(table, shard), file)
    counts = folded.counts()
    run.store.write(staged_counts_key(shard), _COUNTS.dump_json(counts))
    return counts


def read_counts(run: Run, shard: int) -> ShardCounts:
    return _COUNTS.validate_json(run.store.read(staged_counts_key(shard)))


class _Fold:
    """One shard's documents, requests and outcomes, seen as the rows of each table."""

    def __init__(self, run: Run, documents: list[DocumentRecord], state: ShardState) -> None:
        self._run = run
        self._documents = documents
        self._state = state
        self._provenance = (run.manifest.run_key, run.manifest.run_date)
        self._requests = {id_: one for asked in state.requests.values() for id_, one in asked.items()}
        self._settled: dict[Key, Settled] = dict(state.ends(run))
        self._paid = [record for record in state.records if record.paid_by is None]
        self._spent = self._sum_spent()

    def document_rows(self) -> Iterator[Row]:
        for one in self._documents:
            yield (
                one.document_id,
                one.uri,
                one.size_bytes,
                one.last_modified,
                one.etag,
                one.form,
                one.encoding,
                one.characters,
                one.content_hash,
                one.duplicate_of,
                one.failure,
                *self._provenance,
            )

    def result_rows(self, analysis: Analysis) -> Iterator[Row]:
        names = list(analysis.schema["properties"])
        for one, settled, spent in self._ends(analysis.name):
            if settled is None or settled.answer is None:
                continue
            yield (
                one.document_id,
                one.uri,
                *(settled.answer.get(name) for name in names),
                settled.truncated,
                *self._provenance,
                spent.model,
                analysis.fingerprint,
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
                yield (one.document_id, one.uri, *about, *self._provenance, *cost)

    def ledger_rows(self) -> Iterator[Row]:
        for record in sorted(self._paid, key=self._ledger_order):
            request, price = self._requests[record.record_id], self._run.price(record.mode)
            usage = usage_of(record)
            yield (
                record.record_id,
                request.document_id,
                request.analysis,
                request.stage,
                request.level,
                request.position,
                record.round_number,
                record.mode,
                record.job_arn,
                record.fate,
                record.model,
                self._run.manifest.priced_as,
                *_tokens(usage),
                *_price(price),
                money(cost_of(usage, price)),
                *self._provenance,
            )

    def counts(self) -> ShardCounts:
        reasons: Counter[str] = Counter()
        analyses = {}
        for name in self._run.analyses:
            failures = 0
            for one, settled, _ in self._ends(name):
                if found := _failure_of(one, settled):
                    failures += 1
                    reasons[found[1].reason] += 1
            spent = [spent for (_, analysis), spent in self._spent.items() if analysis == name]
            usage = self._known_usage(name)
            cost = add_costs(one.cost_usd for one in spent)
            results = sum(1 for _, settled, _ in self._ends(name) if settled and settled.answer is not None)
            analyses[name] = AnalysisCounts(results, failures, usage.input_tokens, usage.output_tokens, cost)
        duplicates = sum(one.duplicate_of is not None for one in self._documents)
        models = sorted({record.model for record in self._state.records if record.model})
        reason_counts = dict(sorted(reasons.items()))
        return ShardCounts(len(self._documents), duplicates, len(self._paid), analyses, reason_counts, models)

    def _known_usage(self, analysis: str) -> Usage:
        """Every token that was reported, also where another request of the same document reported none."""
        asked = (record for record in self._paid if self._requests[record.record_id].analysis == analysis)
        return sum((usage for usage in map(usage_of, asked) if usage is not None), FREE)

    def _ends(self, analysis: str) -> Iterator[tuple[DocumentRecord, Settled | None, Spent]]:
        """Every document of the shard with its end in an analysis; a duplicate has its owner's end at no cost."""
        for one in self._documents:
            key = (one.duplicate_of or one.document_id, analysis)
            spent = self._spent.get(key, _NOT_SENT)
            if one.duplicate_of is not None:
                spent = Spent(FREE, Decimal(0), spent.model)
            yield one, self._settled.get(key), spent

    def _sum_spent(self) -> dict[Key, Spent]:
        grouped: dict[Key, list[OutcomeRecord]] = defaultdict(list)
        for record in self._state.records:
            request = self._requests[record.record_id]
            grouped[request.document_id, request.analysis].append(record)
        return {key: self._spent_on(records) for key, records in grouped.items()}

    def _spent_on(self, records: list[OutcomeRecord]) -> Spent:
        """Answers of an earlier run are known by their model alone: that run paid for them."""
        paid = [record for record in records if record.paid_by is None]
        usages = [usage_of(record) for record in paid]
        known = [usage for usage in usages if usage is not None]
        cost = add_costs(cost_of(usage_of(record), self._run.price(record.mode)) for record in paid)
        models = sorted({record.model for record in records if record.model})
        usage = sum(known, FREE) if len(known) == len(usages) else None
        return Spent(usage, cost, ", ".join(models) or None)

    def _ledger_order(self, record: OutcomeRecord) -> tuple[Any, ...]:
        request: Request = self._requests[record.record_id]
        return (request.document_id, request.analysis, request.level, request.position, record.round_number)


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

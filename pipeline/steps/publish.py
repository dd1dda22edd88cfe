"""Check that a run adds up, and put its tables where the analyst reads them."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from pydantic import TypeAdapter

from pipeline.domain import Usage
from pipeline.errors import AccountingError, ObjectExists
from pipeline.ledger import add_costs
from pipeline.manifest import PUBLISHED, RunManifest, open_key, staged_key
from pipeline.steps.collect import Collected, read_collected
from pipeline.steps.extrapolating import extrapolated
from pipeline.steps.fold import AnalysisCounts, ShardCounts, read_counts
from pipeline.steps.rounds import RoundPlan, planned_rounds, read_plan
from pipeline.steps.run import Run, Services
from pipeline.storage import ObjectStore
from pipeline.sweeping import sweep
from pipeline.tables import FIXED, count_rows, money, published_key, table_schemas, write_rows

if TYPE_CHECKING:
    from pipeline.catalog import Catalog


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run came to; the row of `runs`, and what the command line prints.

    `whole_usd` is what a sampled run says of all documents that it was drawn from: expected, low and high.
    """

    run_key: str
    run_date: dt.date
    source_uri: str
    output_uri: str
    model: str | None
    priced_as: str
    output_language: str
    docbatch_version: str
    rounds: int
    documents: int
    duplicates: int
    results: int
    failures: int
    analyses: dict[str, AnalysisCounts]
    unchanged: dict[str, int]
    deleted: int
    reasons: dict[str, int]
    requests: int
    known: int
    input_tokens: int
    output_tokens: int
    forecast_usd: Decimal | None
    cost_usd: Decimal | None
    budget_usd: Decimal | None
    disagreements: list[str]
    started: dt.datetime
    ended: dt.datetime
    expected_usd: Decimal | None = None
    left_out: int = 0
    seed: int | None = None
    whole_usd: tuple[Decimal, Decimal, Decimal] | None = None

    @property
    def tables_uri(self) -> str:
        return f"{self.output_uri}/tables"


SUMMARY = TypeAdapter(RunSummary)


def publish(services: Services, run_uri: str) -> RunSummary:
    """Check the counts, copy the staged tables to the output, and commit them to its catalog, `runs` last.

    Whoever reads through the catalog sees nothing of the run before, all of it after. Repeating it completes what was
    broken off, and changes nothing of a published run. Raises AccountingError, with nothing published, when the run
    does not add up.
    """
    run = Run(services, run_uri)
    shards = [read_counts(run, shard) for shard in range(run.manifest.shards)]
    plans = [read_plan(run, number) for number in range(planned_rounds(run))]
    collected = list(_collected(run, plans))
    check(run.manifest, shards, collected)
    summary = _first_published(run, _summarise(run, shards, plans, collected, services.clock()))
    output = services.open(run.manifest.output_uri, make=True)
    with services.catalog(run.manifest.output_uri, make=True) as catalog:
        if not _is_published(summary, catalog):
            _publish_tables(run, summary, output, catalog)
        sweep(catalog, output, services.clock() - dt.timedelta(hours=services.settings.sweep_hours))
    run.work.delete(open_key(run.manifest.run_key))
    return summary


def _publish_tables(run: Run, summary: RunSummary, output: ObjectStore, catalog: Catalog) -> None:
    """Every file first, then a commit a table; a reader takes a run for published when `runs` has it.

    Another run that was published under the same key, from a work store that is gone, is withdrawn before.
    """
    schemas, run_key = table_schemas(run.analyses), run.manifest.run_key
    if _published_times(summary.run_key, catalog):
        for table in ("runs", *catalog.tables()):
            catalog.withdraw(table, run_key)
    tables = {table: list(_copied(run, table, output)) for table in schemas if table != "runs"}
    for table, keys in tables.items():
        catalog.commit(table, schemas[table], run_key, keys)
    with tempfile.TemporaryFile() as file:
        write_rows(schemas["runs"], [_row(run, summary)], file)
        file.seek(0)
        output.write(key := published_key("runs", run_key, 0), file)
    catalog.commit("runs", schemas["runs"], run_key, [key])


def _is_published(summary: RunSummary, catalog: Catalog) -> bool:
    return _published_times(summary.run_key, catalog) == [(summary.started, summary.ended)]


def _published_times(run_key: str, catalog: Catalog) -> list[tuple[dt.datetime, dt.datetime]]:
    """When the published run of this key began and ended; nothing when there is none."""
    if "runs" not in catalog.tables():
        return []
    rows = catalog.dataset("runs", [run_key]).to_table(columns=["started", "ended"]).to_pylist()
    return [(row["started"], row["ended"]) for row in rows]


def _copied(run: Run, table: str, output: ObjectStore) -> Iterator[str]:
    """The staged parts of a table that have rows, copied; their keys."""
    for shard in range(run.manifest.shards):
        with tempfile.TemporaryFile() as file:
            for piece in run.store.stream(staged_key(table, shard)):
                file.write(piece)
            file.seek(0)
            if count_rows(file):
                output.write(key := published_key(table, run.manifest.run_key, shard), file)
                yield key


def check(manifest: RunManifest, shards: list[ShardCounts], collected: list[Collected]) -> None:
    """Every document ended once in every analysis, every request has one outcome, every token is in the ledger.

    Raises AccountingError saying what does not add up, and which documents or records it is about.
    """
    problems = [f"{one} has neither result nor failure" for shard in shards for one in shard.without_end]
    problems += [f"record {one} has an answer and no tokens" for shard in shards for one in shard.without_tokens]
    for name, counts in _by_analysis(shards).items():
        if counts.results + counts.failures + manifest.unchanged[name] != manifest.documents:
            ends = f"{counts.results} results + {counts.failures} failures + {manifest.unchanged[name]} unchanged"
            problems.append(f"{name}: {ends} for {manifest.documents} documents")
    requests, sent = sum(shard.requests for shard in shards), sum(one.sent for one in collected)
    if requests != sent:
        problems.append(f"{sent} requests were sent, {requests} are in the ledger")
    ledger = _used(shards)
    reported = sum((Usage(one.input_tokens, one.output_tokens) for one in collected), Usage(0, 0))
    if ledger != reported:
        problems.append(f"the ledger holds {ledger}, the collected batches {reported}")
    if problems:
        raise AccountingError("the run does not add up, nothing was published: " + "; ".join(problems))


def _collected(run: Run, plans: list[RoundPlan]) -> Iterator[Collected]:
    for number, plan in enumerate(plans):
        for batch in plan.batches:
            yield read_collected(run, number, batch.batch_key)


def _first_published(run: Run, summary: RunSummary) -> RunSummary:
    """The summary of whoever published first: publishing again says the same, to the byte."""
    try:
        run.store.write(PUBLISHED, SUMMARY.dump_json(summary, indent=2), create=True)
    except ObjectExists:
        return read_summary(run.store)
    return summary


def read_summary(store: ObjectStore) -> RunSummary:
    """What a run came to, from its work store. Raises ObjectMissing when it was not published yet."""
    return SUMMARY.validate_json(store.read(PUBLISHED))


def _by_analysis(shards: list[ShardCounts]) -> dict[str, AnalysisCounts]:
    names = sorted({name for shard in shards for name in shard.analyses})
    parts = {name: [shard.analyses[name] for shard in shards] for name in names}
    return {
        name: AnalysisCounts(
            sum(part.results for part in found),
            sum(part.failures for part in found),
            sum(part.input_tokens for part in found),
            sum(part.output_tokens for part in found),
            add_costs(part.cost_usd for part in found),
        )
        for name, found in parts.items()
    }


def _used(shards: list[ShardCounts]) -> Usage:
    counts = _by_analysis(shards).values()
    return Usage(sum(one.input_tokens for one in counts), sum(one.output_tokens for one in counts))


def _summarise(
    run: Run, shards: list[ShardCounts], plans: list[RoundPlan], collected: list[Collected], ended: dt.datetime
) -> RunSummary:
    manifest, analyses, used = run.manifest, _by_analysis(shards), _used(shards)
    reasons = sum((Counter(shard.reasons) for shard in shards), Counter[str]())
    return RunSummary(
        run_key=manifest.run_key,
        run_date=manifest.run_date,
        source_uri=manifest.source_uri,
        output_uri=manifest.output_uri,
        model=", ".join(sorted({model for shard in shards for model in shard.models})) or None,
        priced_as=manifest.priced_as,
        output_language=manifest.output_language,
        docbatch_version=manifest.docbatch_version,
        rounds=sum(plan.requests > 0 for plan in plans),
        documents=manifest.documents,
        duplicates=sum(shard.duplicates for shard in shards),
        results=sum(one.results for one in analyses.values()),
        failures=sum(one.failures for one in analyses.values()),
        analyses=analyses,
        unchanged=manifest.unchanged,
        deleted=manifest.deleted,
        reasons=dict(sorted(reasons.items())),
        requests=sum(one.sent for one in collected),
        known=sum(plan.known for plan in plans),
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        forecast_usd=plans[0].forecast_usd,
        cost_usd=add_costs(one.cost_usd for one in analyses.values()),
        budget_usd=manifest.budget_usd,
        disagreements=[one.disagreement for one in collected if one.disagreement],
        started=manifest.started,
        ended=ended,
        expected_usd=plans[0].expected_usd,
        left_out=manifest.left_out,
        seed=manifest.seed,
        whole_usd=extrapolated(run),
    )


def _row(run: Run, summary: RunSummary) -> list[object]:
    """The summary in the order of the columns of `runs`."""
    analyses = [
        {
            "analysis": name,
            "prompt_fingerprint": run.manifest.analyses[name],
            "results": counts.results,
            "failures": counts.failures,
            "unchanged": summary.unchanged[name],
            "cost_usd": money(counts.cost_usd),
        }
        for name, counts in summary.analyses.items()
    ]
    replaced = {
        "analyses": analyses,
        "unchanged": sum(summary.unchanged.values()),
        **{name: money(getattr(summary, name)) for name in ("forecast_usd", "cost_usd", "budget_usd")},
    }
    return [replaced.get(name, getattr(summary, name)) for name, _, _ in FIXED["runs"][1]]

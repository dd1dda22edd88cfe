"""Check that a run adds up, and put its tables where the analyst reads them."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.catalog.sweeping import sweep
from pipeline.domain import Usage
from pipeline.errors import AccountingError, ObjectExists
from pipeline.manifest import PUBLISHED, RunManifest, open_key, staged_key
from pipeline.parquet import count_rows, published_key, write_rows
from pipeline.schemas import GOLD_TABLE, table_schemas
from pipeline.steps.counts import ShardCounts, read_counts
from pipeline.steps.judging import judged
from pipeline.steps.rounds import Collected, RoundPlan, planned_rounds, read_collected, read_plan
from pipeline.steps.run import Run, Services
from pipeline.steps.summary import SUMMARY, RunSummary, by_analysis, read_summary, row_of, summarise, used_by
from pipeline.steps.tombstones import read_tombstone, refuse_tidied
from pipeline.steps.withdrawing import alone, forget_withdrawal, put_back, refuse_withdrawn, withdrawn_since
from pipeline.storage.objects import ObjectStore

if TYPE_CHECKING:
    from pipeline.catalog import Catalog


def publish(services: Services, run_uri: str) -> RunSummary:
    """Check the counts, copy the staged tables to the output, and commit them to its catalog, `runs` last.

    Whoever reads through the catalog sees nothing of the run before, all of it after. Repeating it completes what was
    broken off, changes nothing of a published run, and brings back a withdrawn one. Raises AccountingError, with
    nothing published, when the run does not add up.
    """
    run = Run(services, run_uri)
    if withdrawn_since(run.work, run.manifest.run_key) is None:
        return _publish(run)
    with alone(run):
        summary = read_summary(run.store) if put_back(run) else _publish(run, withdrawn=True)
        forget_withdrawal(run)
        return summary


def _publish(run: Run, *, withdrawn: bool = False) -> RunSummary:
    services = run.services
    if read_tombstone(run.store) is not None:
        return _as_published(run)
    shards = [read_counts(run, shard) for shard in range(run.manifest.shards)]
    plans = [read_plan(run, number) for number in range(planned_rounds(run))]
    collected = list(_collected(run, plans))
    check(run.manifest, shards, collected)
    output = services.open(run.manifest.output_uri, make=True)
    with services.catalog(run.manifest.output_uri, make=True) as catalog:
        verdict = judged(run, shards, catalog)
        summary = _first_published(run, summarise(run, shards, plans, collected, verdict, services.clock()))
        if not _is_published(summary, catalog):
            _publish_tables(run, summary, output, catalog, withdrawn=withdrawn)
        old = services.clock() - dt.timedelta(hours=services.settings.sweep_hours)
        for table in catalog.tables():
            catalog.thin(table, old)
        sweep(catalog, output, old)
    run.work.delete(open_key(run.manifest.run_key))
    return summary


def _as_published(run: Run) -> RunSummary:
    """What a run came to whose staged tables are deleted. Raises RunError when the catalog has lost it since."""
    summary = read_summary(run.store)
    with run.services.catalog(run.manifest.output_uri, make=True) as catalog:
        if not _is_published(summary, catalog):
            refuse_tidied(run)
    return summary


def _publish_tables(run: Run, summary: RunSummary, output: ObjectStore, catalog: Catalog, *, withdrawn: bool) -> None:
    """Every file first, then a commit a table; a reader takes a run for published when `runs` has it.

    Another run that was published under the same key, from a work store that is gone, is withdrawn before.
    """
    schemas, run_key = table_schemas(run.analyses), run.manifest.run_key
    if _published_times(summary.run_key, catalog):
        for table in ("runs", *(one for one in catalog.tables() if one != GOLD_TABLE)):
            catalog.withdraw(table, run_key)
    tables = {table: list(_copied(run, table, output)) for table in schemas if table != "runs"}
    for table, keys in tables.items():
        catalog.commit(table, schemas[table], run_key, keys)
    if not withdrawn:
        refuse_withdrawn(run)
    with tempfile.TemporaryFile() as file:
        write_rows(schemas["runs"], [row_of(run, summary)], file)
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
    for name, counts in by_analysis(shards).items():
        if counts.results + counts.failures + manifest.unchanged[name] != manifest.documents:
            ends = f"{counts.results} results + {counts.failures} failures + {manifest.unchanged[name]} unchanged"
            problems.append(f"{name}: {ends} for {manifest.documents} documents")
    requests, sent = sum(shard.requests for shard in shards), sum(one.sent for one in collected)
    if requests != sent:
        problems.append(f"{sent} requests were sent, {requests} are in the ledger")
    ledger = used_by(shards)
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

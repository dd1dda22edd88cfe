"""What each task of the DAG does: call one step, log one line, return keys and counts.

Imports of the pipeline stand inside the functions, so that parsing the DAG loads none of it.
"""

from __future__ import annotations

import logging
from typing import Any

from pipeline.airflow.connecting import open_run
from pipeline.airflow.connecting import services as services

log = logging.getLogger(__name__)


def begin(context: Any) -> str:
    """List the source and fix what the run intends; the run's uri. Skipped in a dry run, also when it is cleared."""
    from airflow.sdk.exceptions import AirflowSkipException

    from pipeline.airflow.orders import read_params
    from pipeline.steps import start
    from pipeline.steps.run import Run

    asked = read_params(context["params"], context["dag_run"])
    if asked.dry_run:
        raise AirflowSkipException("a dry run ends after its forecast; trigger another run without dry_run")
    reached = services(asked.settings)
    run = Run(reached, start(reached, asked.order))
    manifest = run.manifest
    log.info("Run %s: %d documents in %s", manifest.run_key, manifest.documents, manifest.source_uri)
    if unchanged := sum(manifest.unchanged.values()):
        log.info("%d results of earlier runs still hold and are not asked again", unchanged)
    if manifest.deleted:
        log.info("%d documents are gone from the source; their rows are kept, and marked as deleted", manifest.deleted)
    return run.store.uri()


def shards_of(run_uri: str) -> list[int]:
    """The shards that the run's documents were listed into."""
    return list(range(open_run(run_uri).manifest.shards))


def prepare_shard(run_uri: str, round_number: int, shard: int) -> int:
    """Write the requests of one shard for a round; how many there are."""
    from pipeline.steps import prepare

    requests = prepare(open_run(run_uri).services, run_uri, round_number, shard)
    if requests:
        log.info("Shard %d, round %d: %d requests", shard, round_number, requests)
    return requests


def plan_round(run_uri: str, round_number: int) -> list[str]:
    """Form the batches of a round, and find those of other runs to wait for; their keys, none where nothing is open."""
    from pipeline.steps import plan

    planned = plan(open_run(run_uri).services, run_uri, round_number)
    batches = f" ({len(planned.batches)} batches)" if len(planned.batches) > 1 else ""
    log.info("Round %d: %s%s", round_number, planned.summary, batches)
    return [batch.batch_key for batch in planned.batches]


def submit_batch(run_uri: str, round_number: int, batch_key: str) -> str:
    """Start the batch's job, or ask its records on demand; the job's ARN, empty when there is no job to wait for.

    Raises NoFreeSlot.
    """
    from pipeline.steps import submit

    arn = submit(open_run(run_uri).services, run_uri, round_number, batch_key)
    log.info("Batch %s: %s", batch_key, arn or "no job to wait for")
    return arn or ""


def collect_batch(run_uri: str, round_number: int, batch_key: str) -> dict[str, Any]:
    """Turn the batch's output into outcomes; the counts."""
    from pipeline.steps import collect

    found = collect(open_run(run_uri).services, run_uri, round_number, batch_key)
    log.info("Batch %s: %d answered, %d failed, %d missing", batch_key, found.answered, found.failed, found.missing)
    return {"answered": found.answered, "failed": found.failed, "missing": found.missing}


def fold_shard(run_uri: str, shard: int) -> int:
    """Stage the rows of one shard; how many documents it holds."""
    from pipeline.steps import fold

    return fold(open_run(run_uri).services, run_uri, shard).documents


def publish_run(run_uri: str, context: Any) -> dict[str, Any]:
    """Check that the run adds up, publish its tables, give them events; the summary that `runs` holds."""
    from pipeline.airflow.assets import announce
    from pipeline.airflow.notices import cut_short
    from pipeline.airflow.notifying import tell
    from pipeline.steps import publish
    from pipeline.steps.summary import SUMMARY

    run = open_run(run_uri)
    summary = publish(run.services, run_uri)
    log.info(
        "Run %s: %d results, %d failures, %d unchanged, cost %s USD, tables in %s",
        summary.run_key,
        summary.results,
        summary.failures,
        sum(summary.unchanged.values()),
        summary.cost_usd,
        summary.tables_uri,
    )
    announce(context, run, summary)
    if summary.over_budget:
        tell(cut_short(summary.run_key, summary.over_budget, summary.cost_usd, summary.failures), context)
    found: dict[str, Any] = SUMMARY.dump_python(summary, mode="json")
    return found

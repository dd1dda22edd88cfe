"""What each task of the DAG does: call one step, log one line, return keys and counts.

Imports of the pipeline stand inside the functions, so that parsing the DAG loads none of it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.steps import Services

log = logging.getLogger(__name__)


def begin(context: Any) -> str:
    """List the source and fix what the run intends; the run's uri."""
    from pipeline.errors import SettingsError
    from pipeline.manifest import derive_run_key
    from pipeline.settings import load_settings, read_aws_environment
    from pipeline.steps import RunOrder, connect, start, work_uri_for
    from pipeline.steps.run import Run
    from pipeline.storage.objects import absolute_uri

    params, dag_run = context["params"], context["dag_run"]
    given = ("analyses", "budget_usd", "budget_day_usd", "budget_month_usd", "allow_unknown_price")
    overrides = {name: params.get(name) for name in given if params.get(name) not in (None, [])}
    overrides["fuse"] = params.get("fuse")
    settings = load_settings(overrides)
    source, output = params.get("source") or settings.source, params.get("output") or settings.output
    if not source:
        raise SettingsError("source: is missing. Give it in the trigger form, or set DOCBATCH_SOURCE for nightly runs.")
    output_uri = absolute_uri(output)
    services = connect(settings, read_aws_environment())
    order = RunOrder(
        run_key=derive_run_key(params.get("run_key") or dag_run.run_id),
        run_date=dag_run.run_after.date(),
        source_uri=absolute_uri(source),
        output_uri=output_uri,
        work_uri=work_uri_for(settings, output_uri),
        force=bool(params.get("force")),
        sample=params.get("sample"),
    )
    run = Run(services, start(services, order))
    manifest = run.manifest
    if warning := services.find_model(settings.model)[0].lifecycle_warning(order.run_date):
        log.warning("%s", warning)
    log.info("Run %s: %d documents in %s", manifest.run_key, manifest.documents, manifest.source_uri)
    if unchanged := sum(manifest.unchanged.values()):
        log.info("%d results of earlier runs still hold and are not asked again", unchanged)
    if manifest.deleted:
        log.info("%d documents are gone from the source; their rows are kept, and marked as deleted", manifest.deleted)
    return run.store.uri()


def shards_of(run_uri: str) -> list[int]:
    """The shards that the run's documents were listed into."""
    from pipeline.steps.run import Run

    return list(range(Run(services(), run_uri).manifest.shards))


def prepare_shard(run_uri: str, round_number: int, shard: int) -> int:
    """Write the requests of one shard for a round; how many there are."""
    from pipeline.steps import prepare

    requests = prepare(services(), run_uri, round_number, shard)
    if requests:
        log.info("Shard %d, round %d: %d requests", shard, round_number, requests)
    return requests


def plan_round(run_uri: str, round_number: int) -> list[str]:
    """Form the batches of a round, and find those of other runs to wait for; their keys, none where nothing is open."""
    from airflow.sdk import get_current_context

    from pipeline.steps import plan
    from pipeline.steps.telling import told_lines, told_mapping

    planned = plan(services(), run_uri, round_number)
    batches = f" ({len(planned.batches)} batches)" if len(planned.batches) > 1 else ""
    log.info("Round %d: %s%s", round_number, planned.summary, batches)
    for line in told_lines(told := told_mapping(services(), run_uri, planned)):
        log.info("%s", line)
    get_current_context()["ti"].xcom_push("forecast", told)
    return [batch.batch_key for batch in planned.batches]


def submit_batch(run_uri: str, round_number: int, batch_key: str) -> str:
    """Start the batch's job, or ask its records on demand; the job's ARN, empty when there is no job to wait for.

    Raises NoFreeSlot.
    """
    from pipeline.steps import submit

    arn = submit(services(), run_uri, round_number, batch_key)
    log.info("Batch %s: %s", batch_key, arn or "no job to wait for")
    return arn or ""


def collect_batch(run_uri: str, round_number: int, batch_key: str) -> dict[str, Any]:
    """Turn the batch's output into outcomes; the counts."""
    from pipeline.steps import collect

    found = collect(services(), run_uri, round_number, batch_key)
    log.info("Batch %s: %d answered, %d failed, %d missing", batch_key, found.answered, found.failed, found.missing)
    return {"answered": found.answered, "failed": found.failed, "missing": found.missing}


def fold_shard(run_uri: str, shard: int) -> int:
    """Stage the rows of one shard; how many documents it holds."""
    from pipeline.steps import fold

    return fold(services(), run_uri, shard).documents


def publish_run(run_uri: str) -> dict[str, Any]:
    """Check that the run adds up, publish its tables; the summary that `runs` holds."""
    from pipeline.steps import publish
    from pipeline.steps.summary import SUMMARY

    summary = publish(services(), run_uri)
    log.info(
        "Run %s: %d results, %d failures, %d unchanged, cost %s USD, tables in %s",
        summary.run_key,
        summary.results,
        summary.failures,
        sum(summary.unchanged.values()),
        summary.cost_usd,
        summary.tables_uri,
    )
    found: dict[str, Any] = SUMMARY.dump_python(summary, mode="json")
    return found


def services() -> Services:
    from pipeline.settings import load_settings, read_aws_environment
    from pipeline.steps import connect

    return connect(load_settings(), read_aws_environment())

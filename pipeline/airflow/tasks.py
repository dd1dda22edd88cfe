"""What each task of the DAG does: call one step, log one line, return keys and counts.

Imports of the pipeline stand inside the functions, so that parsing the DAG loads none of it.
"""

from __future__ import annotations

import logging
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from pipeline.airflow.connecting import open_run, services

if TYPE_CHECKING:
    from pipeline.domain import Batch
    from pipeline.steps.run import Run

log = logging.getLogger(__name__)


def begin(context: Any) -> str:
    """List the source and fix what the run intends; the run's uri. Skipped in a dry run, also when it is cleared."""
    from airflow.sdk.exceptions import AirflowSkipException

    from pipeline.airflow.orders import read_params
    from pipeline.steps import start
    from pipeline.steps.run import Run
    from pipeline.terminal.console import shown_place

    asked = read_params(context["params"], context["dag_run"])
    if asked.dry_run:
        raise AirflowSkipException("a dry run ends after its forecast; trigger another run without dry_run")
    reached = services(asked.settings)
    run = Run(reached, start(reached, asked.order))
    manifest = run.manifest
    source = shown_place(manifest.source_uri)
    level = logging.INFO if manifest.documents else logging.WARNING  # whoever was to deliver has perhaps not
    log.log(level, "Run %s: %d documents in %s", manifest.run_key, manifest.documents, source)
    if unchanged := sum(manifest.unchanged.values()):
        log.info("%d results of earlier runs still hold and are not asked again", unchanged)
    if manifest.deleted:
        log.info("%d documents are gone from the source; their rows are kept, and marked as deleted", manifest.deleted)
    return run.store.uri()


def shards_of(run_uri: str) -> list[int]:
    """The shards that the run's documents were listed into."""
    from pipeline.loop import counted

    shards = open_run(run_uri).manifest.shards
    log.info("%s", counted(shards, "shard"))
    return list(range(shards))


def prepare_shard(run_uri: str, round_number: int, shard: int) -> int:
    """Write the requests of one shard for a round; how many there are."""
    from pipeline.loop import counted
    from pipeline.steps import prepare
    from pipeline.steps.progress import Meter, unseen

    report = Meter(unseen)
    requests = prepare(open_run(run_uri).services, run_uri, round_number, shard, report)
    read = report.progress
    figures = f"; {read.told_at_end()}" if read.done.documents else ""  # later rounds and repetitions read none
    log.info("Shard %d, round %d: %s%s", shard, round_number, counted(requests, "request"), figures)
    return requests


def plan_round(run_uri: str, round_number: int, context: Any) -> list[str]:
    """Form the batches of a round, and find those of other runs to wait for; their keys, none where nothing is open.

    The XCom `forecast` says what they may cost. Raises RunError for more batches than Airflow maps tasks over.
    """
    from pipeline.steps import plan
    from pipeline.steps.telling import told_lines, told_mapping

    services = open_run(run_uri).services
    planned = plan(services, run_uri, round_number)
    batches = f" ({len(planned.batches)} batches)" if len(planned.batches) > 1 else ""
    log.info("Round %d: %s%s", round_number, planned.summary, batches)
    told = told_mapping(services, run_uri, planned)
    for line in told_lines(told, other_models=round_number == 0):
        log.info("%s", line)
    context["ti"].xcom_push(key="forecast", value=told)
    refuse_too_many(len(planned.batches))
    return [batch.batch_key for batch in planned.batches]


def refuse_too_many(batches: int) -> None:
    """Raises RunError, saying what to set, where Airflow would only say that a list is too long."""
    from airflow.sdk.configuration import conf

    from pipeline.errors import RunError

    most = conf.getint("core", "max_map_length", fallback=1024)
    if batches > most:
        raise RunError(
            f"{batches} batches are more than the {most} tasks that Airflow maps over; none of them was sent. Set "
            f"AIRFLOW__CORE__MAX_MAP_LENGTH to {batches} and clear this task, or begin another run with a larger "
            "DOCBATCH_BATCH_RECORDS"
        )


def submit_batch(run_uri: str, round_number: int, batch_key: str) -> str:
    """Start the batch's job, or ask its records on demand; the job's ARN, empty when there is no job to wait for.

    Raises NoFreeSlot.
    """
    from pipeline.airflow.links import jobs_page
    from pipeline.steps import submit
    from pipeline.steps.rounds import read_batch

    run = open_run(run_uri)
    batch, arn = read_batch(run, round_number, batch_key), submit(run.services, run_uri, round_number, batch_key)
    log.info(
        "Batch %s of %d records: %s %s", batch_key, batch.records, arn or _without_job(batch), jobs_page(arn or "")
    )
    return arn or ""


def _without_job(batch: Batch) -> str:
    """Why there is no job to wait for."""
    from pipeline.domain import Mode

    if batch.mode is Mode.ON_DEMAND:
        return "asked on demand, since Bedrock takes no job so small or the run is to have none"
    return "another run has taken it over"


def collect_batch(run_uri: str, round_number: int, batch_key: str) -> dict[str, Any]:
    """Turn the batch's output into outcomes; the counts, tokens and cost."""
    from pipeline.domain import Usage
    from pipeline.ledger import cost_of
    from pipeline.steps import collect
    from pipeline.steps.rounds import read_batch

    run = open_run(run_uri)
    found = collect(run.services, run_uri, round_number, batch_key)
    mode = read_batch(run, round_number, batch_key).mode
    cost = cost_of(Usage(found.input_tokens, found.output_tokens), run.price(mode))
    counts = f"{found.answered} answered, {found.failed} failed, {found.missing} missing"
    log.info("Batch %s: %s; %s", batch_key, counts, _spent(found.input_tokens, found.output_tokens, cost))
    return {
        "answered": found.answered,
        "failed": found.failed,
        "missing": found.missing,
        "input_tokens": found.input_tokens,
        "output_tokens": found.output_tokens,
        "cost_usd": None if cost is None else f"{cost:f}",
    }


def fold_shard(run_uri: str, shard: int) -> int:
    """Stage the rows of one shard; how many documents it holds."""
    from pipeline.steps import fold

    found = fold(open_run(run_uri).services, run_uri, shard)
    results = sum(one.results for one in found.analyses.values())
    failures = sum(one.failures for one in found.analyses.values())
    log.info("Shard %d: %d documents, %d results, %d failures", shard, found.documents, results, failures)
    return found.documents


def publish_run(run_uri: str, context: Any) -> dict[str, Any]:
    """Check that the run adds up, publish its tables, give them events; the summary that `runs` holds.

    Beside it where the S3 console shows the tables and the report; None for a local folder, and without AWS.
    """
    from pipeline.airflow.assets import announce
    from pipeline.airflow.notices import cut_short, suspect
    from pipeline.airflow.notifying import tell
    from pipeline.reports.writing import draw_reports
    from pipeline.steps import publish
    from pipeline.steps.summary import SUMMARY
    from pipeline.terminal.console import shown_place

    run = open_run(run_uri)
    summary = publish(run.services, run_uri)
    unchanged = sum(summary.unchanged.values())
    ends = f"{summary.results} results, {summary.failures} failures, {unchanged} unchanged"
    spent = _spent(summary.input_tokens, summary.output_tokens, summary.cost_usd)
    log.info("Run %s: %s; %s; tables in %s", summary.run_key, ends, spent, shown_place(summary.tables_uri))
    announce(context, run, summary)
    if summary.quality == "suspect":
        tell(suspect(summary.run_key, summary.departures), context)
    if summary.over_budget:
        tell(cut_short(summary.run_key, summary.over_budget, summary.cost_usd, summary.failures), context)
    report = draw_reports(run.services, summary)
    if report:
        log.info("Report: %s", shown_place(report))
    found: dict[str, Any] = SUMMARY.dump_python(summary, mode="json")
    return found | _pages(run, summary.tables_uri, report)


def _pages(run: Run, tables_uri: str, report_uri: str | None) -> dict[str, str | None]:
    from pipeline.airflow.links import object_page, place_page

    on_aws, region = not run.services.s3.url, run.services.region
    return {
        "tables_page": place_page(tables_uri, region) or None if on_aws else None,
        "report_page": object_page(report_uri, region) or None if on_aws and report_uri else None,
    }


def _spent(input_tokens: int, output_tokens: int, cost_usd: Decimal | None) -> str:
    from pipeline.terminal.console import usd

    return f"{input_tokens:,} tokens in, {output_tokens:,} out, {usd(cost_usd)}"

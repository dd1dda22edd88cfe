"""Nightly document analysis: wiring only; what the tasks do stands in pipeline/airflow/tasks.py."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import Param, dag, get_current_context, task, task_group

from pipeline.airflow import tasks
from pipeline.airflow.retrying import DEFAULT_ARGS
from pipeline.airflow.waiting import BatchSubmit, JobSensor
from pipeline.settings import load_settings

SETTINGS = load_settings()
USD = {"type": ["null", "number"], "minimum": 0}

PARAMS = {
    "source": Param(SETTINGS.source, type=["null", "string"], description="Folder or s3:// prefix with the documents"),
    "output": Param(SETTINGS.output, type="string", description="Folder or s3:// prefix for the tables"),
    "run_key": Param(None, type=["null", "string"], description="Name of the run; default: Airflow's run id"),
    "analyses": Param([], type="array", items={"type": "string"}, description="Analyses to run; none means all"),
    "budget_usd": Param(
        None if SETTINGS.budget_usd is None else float(SETTINGS.budget_usd),
        description="Nothing is submitted when the forecast is above this",
        **USD,
    ),
    "budget_day_usd": Param(None, description="The same for all runs of a day (UTC)", **USD),
    "budget_month_usd": Param(None, description="The same for a month (UTC)", **USD),
    "allow_unknown_price": Param(SETTINGS.allow_unknown_price, type="boolean", description="Send what has no price"),
    "fuse": Param(SETTINGS.fuse, type="boolean", description="All analyses of a document in one request"),
    "sample": Param(None, type=["null", "integer"], minimum=1, description="So many documents; none means all"),
    "force": Param(False, type="boolean", description="Ask again what an earlier run has answered, and pay for it"),
}


@task
def start() -> str:
    return tasks.begin(get_current_context())


@task
def shards(run_uri: str) -> list[int]:
    return tasks.shards_of(run_uri)


@task(trigger_rule="none_failed")
def prepare(run_uri: str, round_number: int, shard: int) -> int:
    return tasks.prepare_shard(run_uri, round_number, shard)


@task
def plan(run_uri: str, round_number: int) -> list[str]:
    return tasks.plan_round(run_uri, round_number)


@task
def collect(run_uri: str, round_number: int, batch_key: str) -> dict:
    return tasks.collect_batch(run_uri, round_number, batch_key)


@task(trigger_rule="none_failed")
def fold(run_uri: str, shard: int) -> int:
    return tasks.fold_shard(run_uri, shard)


@task
def publish(run_uri: str) -> dict:
    return tasks.publish_run(run_uri)


@task_group
def batch(run_uri: str, round_number: int, batch_key: str) -> None:
    submit = BatchSubmit(task_id="submit", run_uri=run_uri, round_number=round_number, batch_key=batch_key)
    JobSensor(task_id="wait", arn=submit.output) >> collect(run_uri, round_number, batch_key)


@dag(
    schedule=SETTINGS.schedule,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    default_args=DEFAULT_ARGS,
    tags=["docbatch", "bedrock"],
    doc_md=__doc__,
)
def document_analysis() -> None:
    run_uri = start()
    all_shards = earlier = shards(run_uri)
    for number in range(SETTINGS.max_rounds):
        with_number = {"run_uri": run_uri, "round_number": number}

        @task_group(group_id=f"round_{number}")
        def one_round(with_number: dict = with_number) -> None:
            planned = plan(**with_number)
            prepare.partial(**with_number).expand(shard=all_shards) >> planned
            batch.partial(**with_number).expand(batch_key=planned)

        done = one_round()
        earlier >> done
        earlier = done
    earlier >> fold.partial(run_uri=run_uri).expand(shard=all_shards) >> publish(run_uri)


document_analysis()

"""Nightly document analysis: wiring only; what the tasks do stands in pipeline/airflow/."""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import dag, get_current_context, task, task_group

from pipeline.airflow import forecasting, links, tasks, texts
from pipeline.airflow.approval import RunApproval
from pipeline.airflow.assets import tables_of
from pipeline.airflow.form import make_params
from pipeline.airflow.notifying import EndTold, FailureTold
from pipeline.airflow.retrying import DEFAULT_ARGS, JOBS, LONG
from pipeline.airflow.scheduling import deadline_of, schedule_of
from pipeline.airflow.waiting import BatchSubmit, JobSensor
from pipeline.settings import load_settings

SETTINGS = load_settings()
RUN_URI = (
    "{{ ti.xcom_pull(task_ids='start', map_indexes=-1) }}"  # as an argument it would draw arrows all over the graph
)


@task(doc_md=texts.FORECAST)
def forecast() -> dict:
    return forecasting.forecast(get_current_context())


@task(doc_md=texts.START)
def start() -> str:
    return tasks.begin(get_current_context())


@task(doc_md=texts.SHARDS)
def shards(run_uri: str) -> list[int]:
    return tasks.shards_of(run_uri)


@task(doc_md=texts.PREPARE, trigger_rule="none_failed")
def prepare(run_uri: str, round_number: int, shard: int) -> int:
    return tasks.prepare_shard(run_uri, round_number, shard)


@task(doc_md=texts.PLAN)
def plan(run_uri: str, round_number: int) -> list[str]:
    return tasks.plan_round(run_uri, round_number, get_current_context())


@task(doc_md=texts.COLLECT)
def collect(run_uri: str, round_number: int, batch_key: str) -> dict:
    return tasks.collect_batch(run_uri, round_number, batch_key)


@task(doc_md=texts.FOLD, trigger_rule="none_failed")
def fold(run_uri: str, shard: int) -> int:
    return tasks.fold_shard(run_uri, shard)


@task(doc_md=texts.PUBLISH, outlets=tables_of(SETTINGS))
def publish(run_uri: str) -> dict:
    return tasks.publish_run(run_uri, get_current_context())


@task_group(tooltip=texts.BATCH)
def batch(run_uri: str, round_number: int, batch_key: str) -> None:
    of_batch = {"run_uri": run_uri, "round_number": round_number, "batch_key": batch_key}
    submit = BatchSubmit(task_id="submit", doc_md=texts.SUBMIT, **of_batch, **JOBS, **LONG)
    wait = JobSensor(task_id="wait", doc_md=texts.WAIT, arn=submit.output, **JOBS)
    wait >> collect(**of_batch)
    links.add_link(submit, links.JobsLink())
    links.add_link(wait, links.JobsLink())


@dag(
    schedule=schedule_of(SETTINGS),
    deadline=deadline_of(SETTINGS),
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=make_params(SETTINGS),
    default_args=DEFAULT_ARGS | {"on_failure_callback": FailureTold()},
    on_failure_callback=EndTold(),
    tags=["docbatch", "bedrock"],
    doc_md=texts.DAG,
)
def document_analysis() -> None:
    approved = RunApproval(task_id="approve", doc_md=texts.APPROVE, forecast=forecast())
    all_shards = earlier = shards(RUN_URI)
    approved >> start() >> all_shards
    for number in range(SETTINGS.max_rounds):
        with_number = {"run_uri": RUN_URI, "round_number": number}

        @task_group(group_id=f"round_{number}", tooltip=texts.ROUND)
        def one_round(with_number: dict = with_number) -> None:
            planned = plan(**with_number)
            prepare.partial(**with_number).expand(shard=all_shards) >> planned
            batch.partial(**with_number).expand(batch_key=planned)

        done = one_round()
        earlier >> done
        earlier = done
    published = publish(RUN_URI)
    earlier >> fold.partial(run_uri=RUN_URI).expand(shard=all_shards) >> published
    links.add_link(published, links.TablesLink())
    links.add_link(published, links.ReportLink())


document_analysis()

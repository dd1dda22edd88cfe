"""Maintenance of work store and tables: wiring only; what the tasks do stands in pipeline/airflow/maintenance.py."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from airflow.sdk import Param, dag, get_current_context, task

from pipeline.airflow import maintenance
from pipeline.airflow.notifying import UntidiedTold
from pipeline.airflow.retrying import DEFAULT_ARGS
from pipeline.settings import load_settings

SETTINGS = load_settings()
DOCS = f"""### Keeps work store and tables small

Published tables, answers and the ledger stay as they are. Clearing a task repeats it and does no harm; a run that is
open, stopped, or awaited by another is never touched. `docbatch tidy` does the same from a terminal.

| task | what goes | after |
|---|---|---|
| `orphans` | jobs that no run waits for: adopted, or {"stopped" if SETTINGS.stop_orphans else "reported"} | at once |
| `work_files` | texts, prompts and job outputs of published runs | {SETTINGS.keep_work_days} days |
| `snapshots` | old versions of tables, and the files that only they need | {SETTINGS.keep_snapshot_days} days |

Before, `snapshots` writes the rows of small runs together, where a table has {SETTINGS.compact_runs} such (0: never).

With the Param `dry_run`, the tasks only say what they would do.
"""
PARAMS = {
    "dry_run": Param(False, type="boolean", description="Only say in the logs what would be done"),
    "output": Param(SETTINGS.output, type="string", description="Folder or s3:// prefix of the tables"),
}


@task(doc_md="Jobs that a run has begun and not written down are **adopted**: it goes on with them. Others cost money.")
def orphans() -> dict:
    return maintenance.see_to_orphans(get_current_context()["params"])


@task(
    doc_md="Deletes **working files** of runs that were published long ago. What `status` and `reconcile` read stays."
)
def work_files() -> dict:
    return maintenance.delete_work_files(get_current_context()["params"])


@task(doc_md="**Compacts** small runs, expires **snapshots** that were replaced long ago. Rows of all runs stay.")
def snapshots() -> dict:
    return maintenance.expire_old_snapshots(get_current_context()["params"])


@dag(
    schedule=SETTINGS.maintenance_schedule,
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    max_active_runs=1,
    params=PARAMS,
    default_args=DEFAULT_ARGS | {"execution_timeout": timedelta(hours=6), "on_failure_callback": UntidiedTold()},
    tags=["docbatch", "maintenance"],
    doc_md=DOCS,
)
def document_maintenance() -> None:
    orphans() >> work_files()
    snapshots()


document_maintenance()

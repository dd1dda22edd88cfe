"""The DAG file: what is in it, that it is thin, light to parse, and survives being serialized."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

from pipeline.airflow.links import JobsLink, ReportLink, TablesLink
from pipeline.airflow.retrying import POOL
from tests.airflow.nights import DAG_FILE, ROOT

ROUNDS = range(2)
OF_ROUND = ("prepare", "plan", "batch.submit", "batch.wait", "batch.collect")
TASKS = {"forecast", "approve", "start", "shards", "fold", "publish"} | {
    f"round_{number}.{name}" for number in ROUNDS for name in OF_ROUND
}
LIMIT_CPU_SECONDS = 0.5
HEAVY = {"pyarrow", "obstore", "tiktoken", "boto3", "botocore", "selectolax", "jsonschema", "duckdb", "rich"}


def test_the_folder_holds_exactly_our_dags(airflow_database: object) -> None:
    """A DagBag without an error has these DAGs and no other."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(ROOT / "dags", bundle_name="dags-folder", bundle_path=ROOT / "dags")
    assert bag.import_errors == {}
    assert set(bag.dags) == {"document_analysis", "document_digest", "document_maintenance"}


def test_the_dag_has_the_flow_of_the_design(dag: Any) -> None:
    """A forecast, then rounds that are unrolled groups of prepare, plan and a mapped group of submit, wait, collect."""
    assert set(dag.task_ids) == TASKS
    assert "round_0.batch.wait" in dag.get_task("round_0.batch.collect").upstream_task_ids
    assert "round_0.batch.collect" in dag.get_task("round_1.prepare").get_flat_relative_ids(upstream=True)
    assert "round_1.batch.collect" in dag.get_task("publish").get_flat_relative_ids(upstream=True)
    assert dag.get_task("forecast").get_flat_relative_ids(upstream=False) == TASKS - {"forecast"}
    assert dag.max_active_runs == 1
    assert set(dag.tags) == {"docbatch", "bedrock"}


def test_the_dag_and_every_task_are_documented(dag: Any) -> None:
    """Each has a text of its own in Markdown, an owner and a time that it may take at most."""
    assert "docbatch_jobs" in dag.doc_md
    texts = {task.task_id.removeprefix("round_0.").removeprefix("round_1."): task.doc_md for task in dag.tasks}
    assert all(text and text.strip() for text in texts.values()), texts
    assert len(set(texts.values())) == len(texts)
    for task in dag.tasks:
        assert task.owner == "docbatch"
        assert task.execution_timeout is not None, task.task_id


def test_jobs_wait_in_their_pool(dag: Any) -> None:
    """Starting a job and waiting for it count in the pool of jobs; nothing else does."""
    pooled = {task.task_id for task in dag.tasks if task.pool == POOL}
    assert pooled == {f"round_{number}.batch.{name}" for number in ROUNDS for name in ("submit", "wait")}


def test_what_is_serialized_is_what_was_written(dag: Any) -> None:
    """Flow, documentation, Params, pool, links and retry policy survive a round trip, which gives the same bytes."""
    from airflow.serialization.serialized_objects import DagSerialization

    stored = DagSerialization.to_dict(dag)
    restored = DagSerialization.from_dict(stored)
    assert set(restored.task_ids) == TASKS
    assert restored.doc_md == dag.doc_md
    assert restored.params.dump() == dag.params.dump()
    assert restored.get_task("publish").extra_links == [TablesLink.name, ReportLink.name]
    for name in ("submit", "wait"):
        task = restored.get_task(f"round_0.batch.{name}")
        assert (task.pool, task.extra_links) == (POOL, [JobsLink.name])
    assert restored.get_task("round_0.prepare").doc_md == dag.get_task("round_0.prepare").doc_md
    assert DagSerialization.to_dict(dag) == stored


def test_the_dag_file_is_thin() -> None:
    """At most about 100 lines, and nothing but wiring."""
    assert len(DAG_FILE.read_text("utf-8").splitlines()) <= 110


def test_parsing_is_light() -> None:
    """Parsing takes less than half a CPU second above Airflow's own import, and loads nothing that tasks need."""
    code = (
        "import time, sys, airflow.sdk, airflow.triggers.base; before, began = set(sys.modules), time.process_time();"
        f"import runpy; runpy.run_path({str(DAG_FILE)!r}); took = time.process_time() - began;"
        "new = {name.split('.')[0] for name in set(sys.modules) - before};"
        f"print(sorted({HEAVY!r} & new), 'pipeline.steps' in sys.modules, 'pipeline.settings' in sys.modules, took)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    *found, took = done.stdout.splitlines()[-1].rsplit(" ", 3)
    assert found == ["[]", "False", "True"]
    assert float(took) < LIMIT_CPU_SECONDS

"""The DAG: it loads, it is thin, and it takes documents to published tables through Airflow itself."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.airflow.tasks import services
from pipeline.local import stack
from pipeline.steps import RunOrder, plan, prepare, start, submit
from pipeline.storage.objects import absolute_uri
from tests.airflow.conftest import ROOT
from tests.local.embedded_clients import make_client
from tests.local.test_control import Control

DAG_FILE = ROOT / "dags" / "document_analysis.py"
TASKS = {"start", "shards", "fold", "publish"} | {
    f"round_{number}.{name}"
    for number in range(2)
    for name in ("prepare", "plan", "batch.submit", "batch.wait", "batch.collect")
}


@pytest.fixture
def dag(airflow_database: Path) -> Any:
    """The DAG as Airflow loads it; afresh for each test, because `dag.test()` leaves its conf in the Params."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(ROOT / "dags", bundle_name="dags-folder", bundle_path=ROOT / "dags")
    assert bag.import_errors == {}
    assert set(bag.dags) == {"document_analysis"}
    return bag.dags["document_analysis"]


def test_the_dag_has_the_flow_of_the_design(dag: Any) -> None:
    """Rounds are unrolled groups of prepare, plan and a mapped group of submit, wait, collect."""
    assert set(dag.task_ids) == TASKS
    assert "round_0.batch.wait" in dag.get_task("round_0.batch.collect").upstream_task_ids
    assert "round_0.batch.collect" in dag.get_task("round_1.prepare").get_flat_relative_ids(upstream=True)
    assert "round_1.batch.collect" in dag.get_task("publish").get_flat_relative_ids(upstream=True)
    assert dag.max_active_runs == 1


def test_the_dag_file_is_thin_and_parses_light() -> None:
    """At most about 100 lines, and parsing loads none of the libraries that the tasks need."""
    assert len(DAG_FILE.read_text("utf-8").splitlines()) <= 105
    code = (
        "import sys, airflow.sdk, airflow.triggers.base; before = set(sys.modules); import runpy;"
        f"runpy.run_path({str(DAG_FILE)!r});"
        "heavy = {'pyarrow', 'obstore', 'tiktoken', 'boto3', 'botocore', 'selectolax', 'jsonschema', 'pipeline.steps'};"
        "print(sorted(heavy & (set(sys.modules) - before)), 'pipeline.settings' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "[] True"


def _documents(folder: Path, count: int) -> Path:
    """Texts of the test's own: what another test has asked would be known."""
    folder.mkdir()
    for number in range(count):
        text = f"The kettle number {number} of {folder.parent.name} works well. It boils quickly; I am very happy."
        (folder / f"review {number:02d}.txt").write_text(text, "utf-8")
    (folder / "empty.txt").write_text("", "utf-8")
    return folder


def _states(run: Any) -> dict[str, str]:
    return {f"{ti.task_id}[{ti.map_index}]": str(ti.state) for ti in run.get_task_instances()}


def test_a_run_ends_in_published_tables(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """A batch job is submitted, waited for by deferring, collected; nothing owed skips the next round's group."""
    source = _documents(tmp_path / "the documents", 40)
    run = dag.test(run_conf={"source": str(source), "output": str(tmp_path / "out"), "run_key": "nightly-1"})
    assert str(run.state) == "success", _states(run)
    states = _states(run)
    assert states["round_0.batch.wait[0]"] == "success"
    assert states["round_1.batch.collect[-1]"] == "skipped"
    runs = pq.read_table(tmp_path / "out" / "tables" / "runs" / "nightly-1").to_pylist()
    assert [(row["documents"], row["results"], row["failures"]) for row in runs] == [(41, 120, 3)]
    modes = pq.read_table(tmp_path / "out" / "tables" / "ledger" / "nightly-1", columns=["mode"])["mode"]
    assert set(modes.to_pylist()) == {"batch"}
    (told,) = [
        ti.xcom_pull(task_ids="round_0.plan", key="forecast", map_indexes=-1)
        for ti in run.get_task_instances()
        if ti.task_id == "publish"
    ]
    assert told["in_all"]["requests"] == sum(one["requests"] for one in told["analyses"].values()) == 120


def _row_of_run(output: Path, key: str) -> dict[str, Any]:
    (row,) = pq.read_table(output / "tables" / "runs" / key).to_pylist()
    return row


def test_the_next_night_asks_nothing_and_a_forced_one_asks_again(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """Unchanged documents are skipped; the Param `force` pays for them once more."""
    source, output = _documents(tmp_path / "the documents", 3), tmp_path / "out"
    conf = {"source": str(source), "output": str(output), "analyses": ["sentiment"]}
    for key, more in (("monday", {}), ("tuesday", {}), ("forced", {"force": True})):
        run = dag.test(run_conf=conf | {"run_key": key} | more)
        assert str(run.state) == "success", _states(run)
    found = [_row_of_run(output, key) for key in ("monday", "tuesday", "forced")]
    assert [(row["requests"], row["results"], row["unchanged"]) for row in found] == [(3, 3, 0), (0, 0, 3), (3, 3, 0)]


def test_a_job_of_another_run_is_waited_for(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """What a run that goes on elsewhere has sent is not sent again: its answers are taken when its job has ended."""
    source, output = absolute_uri(str(_documents(tmp_path / "the documents", 40))), tmp_path / "out"
    others = services()
    order = RunOrder("elsewhere", dt.date(2026, 11, 23), source, absolute_uri(str(output)), others.settings.work_uri)
    run_uri = start(others, order)
    prepare(others, run_uri, 0, 0)
    (batch,) = plan(others, run_uri, 0).batches
    submit(others, run_uri, 0, batch.batch_key)
    run = dag.test(run_conf={"source": source, "output": str(output), "run_key": "here"})
    assert str(run.state) == "success", _states(run)
    row = _row_of_run(output, "here")
    assert (row["requests"], row["results"], row["cost_usd"]) == (0, 120, 0)


@pytest.fixture
def slow_jobs(running_stack: stack.Stack) -> Iterator[None]:
    """A job stays in flight for some seconds after it was created."""
    control = Control(running_stack)
    control.plan(jobs=[{"kind": "stuck", "seconds": 3}])
    yield
    control.ask("DELETE", "faults")


@pytest.mark.usefixtures("slow_jobs")
def test_batches_wait_for_a_free_slot(
    dag: Any, wired: stack.Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one slot and two batches, the second submit defers until the first job has ended; both are collected."""
    monkeypatch.setenv("DOCBATCH_MAX_JOBS_IN_FLIGHT", "1")
    monkeypatch.setenv("DOCBATCH_BATCH_RECORDS", "130")
    source = _documents(tmp_path / "the documents", 80)
    run = dag.test(run_conf={"source": str(source), "output": str(tmp_path / "out"), "run_key": "slots-1"})
    assert str(run.state) == "success", _states(run)
    ledger = pq.read_table(tmp_path / "out" / "tables" / "ledger" / "slots-1", columns=["job_arn"])
    bedrock = make_client(wired, "bedrock")
    arns = set(ledger["job_arn"].to_pylist())
    jobs = [bedrock.get_model_invocation_job(jobIdentifier=arn) for arn in arns]
    first, second = sorted(jobs, key=lambda job: job["submitTime"])
    assert first["endTime"] <= second["submitTime"]


def test_chosen_analyses_of_few_documents_go_on_demand(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """Params decide what runs; below the minimum of a job nothing is waited for."""
    source = _documents(tmp_path / "documents", 3)
    conf = {"source": str(source), "output": str(tmp_path / "out"), "analyses": ["sentiment"]}
    run = dag.test(run_conf=conf)
    assert str(run.state) == "success", _states(run)
    tables = tmp_path / "out" / "tables"
    assert {path.name for path in tables.iterdir()} == {"documents", "failures", "ledger", "runs", "sentiment"}
    (run_folder,) = (tables / "sentiment").iterdir()
    assert run_folder.name.startswith("manual-")
    assert len(pq.read_table(run_folder)) == 3


def test_fused_analyses_are_one_request(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """The Param `fuse` asks for all analyses of a document at once; later tasks know it from the run."""
    source = _documents(tmp_path / "documents", 3)
    conf = {"source": str(source), "output": str(tmp_path / "out"), "fuse": True, "run_key": "fused"}
    run = dag.test(run_conf=conf)
    assert str(run.state) == "success", _states(run)
    row = _row_of_run(tmp_path / "out", "fused")
    assert (row["requests"], row["results"], row["failures"]) == (3, 9, 3)


def test_a_run_above_its_budget_submits_nothing(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """The plan fails, and no batch is sent."""
    source = _documents(tmp_path / "documents", 3)
    conf = {"source": str(source), "output": str(tmp_path / "out"), "budget_usd": 0.000001}
    run = dag.test(run_conf=conf)
    assert str(run.state) == "failed"
    states = _states(run)
    assert states["round_0.plan[-1]"] == "failed"  # at once: no retry can make it cheaper
    assert not any(state == "success" for name, state in states.items() if ".batch." in name)
    assert not (tmp_path / "out" / "tables").exists()

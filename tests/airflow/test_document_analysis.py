"""The DAG takes documents to published tables through Airflow itself."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.airflow.connecting import services
from pipeline.airflow.tasks import refuse_too_many
from pipeline.errors import RunError
from pipeline.local import stack
from pipeline.steps import RunOrder, plan, prepare, start, submit
from pipeline.storage.objects import absolute_uri
from tests.airflow.nights import documents, row_of_run, states, xcom
from tests.local.embedded_clients import make_client
from tests.local.test_control import Control


def test_a_run_ends_in_published_tables(
    dag: Any, wired: stack.Stack, tmp_path: Path, task_log: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """A batch job is submitted, waited for by deferring, collected; nothing owed skips the next round's group.

    Every step says in a line what it did, and none says what stands in a document.
    """
    source = documents(tmp_path / "the documents", 40)
    run = dag.test(run_conf={"source": str(source), "output": str(tmp_path / "out"), "run_key": "nightly-1"})
    assert str(run.state) == "success", states(run)
    assert states(run)["round_0.batch.wait[0]"] == "success"
    assert states(run)["round_1.batch.collect[-1]"] == "skipped"
    runs = pq.read_table(tmp_path / "out" / "tables" / "runs" / "nightly-1").to_pylist()
    assert [(row["documents"], row["results"], row["failures"]) for row in runs] == [(41, 120, 3)]
    modes = pq.read_table(tmp_path / "out" / "tables" / "ledger" / "nightly-1", columns=["mode"])["mode"]
    assert set(modes.to_pylist()) == {"batch"}
    said = "\n".join(task_log)
    for line in (
        r"Run nightly-1 of \d{4}-\d\d-\d\d: /",
        r"Run nightly-1: 41 documents in /",
        r"\n1 shard\n",
        r"Shard 0, round 0: 120 requests; 41 documents, 0\.0 MB in \d+\.\d s, [\d.,]+ documents/s, \d+\.\d MB/s",
        r"Round 0: 120 requests, batch, at most \$0.0",
        r"Batch r00-b0000 of 120 records: arn:aws:bedrock:us-west-2:\d+:model-invocation-job/",
        r"Batch r00-b0000: 120 answered, 0 failed, 0 missing; [\d,]+ tokens in, [\d,]+ out, \$0.0",
        r"Shard 0: 41 documents, 120 results, 3 failures",
        r"Run nightly-1: 120 results, 3 failures, 0 unchanged; [\d,]+ tokens in, [\d,]+ out, \$0.0",
    ):
        assert re.search(line, said), line
    assert "boils quickly" not in "".join([said, *capfd.readouterr()])
    told = xcom(run, "round_0.batch.collect")
    assert (told["answered"], told["failed"], told["missing"]) == (120, 0, 0)
    assert Decimal(told["cost_usd"]) == runs[0]["cost_usd"]
    planned = xcom(run, "round_0.plan", "forecast")
    assert planned["in_all"]["requests"] == sum(one["requests"] for one in planned["analyses"].values()) == 120


def test_more_batches_than_airflow_maps_over_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a sentence that says what to set, before anything is sent."""
    refuse_too_many(1024)
    monkeypatch.setenv("AIRFLOW__CORE__MAX_MAP_LENGTH", "3")
    refuse_too_many(3)
    with pytest.raises(
        RunError, match=r"4 batches are more than the 3 tasks .* Set AIRFLOW__CORE__MAX_MAP_LENGTH to 4"
    ):
        refuse_too_many(4)


def test_the_next_night_asks_nothing_and_a_forced_one_asks_again(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """Unchanged documents are skipped; the Param `force` pays for them once more."""
    source, output = documents(tmp_path / "the documents", 3), tmp_path / "out"
    conf = {"source": str(source), "output": str(output), "analyses": ["sentiment"]}
    for key, more in (("monday", {}), ("tuesday", {}), ("forced", {"force": True})):
        run = dag.test(run_conf=conf | {"run_key": key} | more)
        assert str(run.state) == "success", states(run)
    found = [row_of_run(output, key) for key in ("monday", "tuesday", "forced")]
    assert [(row["requests"], row["results"], row["unchanged"]) for row in found] == [(3, 3, 0), (0, 0, 3), (3, 3, 0)]


def test_a_job_of_another_run_is_waited_for(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """What a run that goes on elsewhere has sent is not sent again: its answers are taken when its job has ended."""
    source, output = absolute_uri(str(documents(tmp_path / "the documents", 40))), tmp_path / "out"
    others = services()
    order = RunOrder("elsewhere", dt.date(2026, 11, 23), source, absolute_uri(str(output)), others.settings.work_uri)
    run_uri = start(others, order)
    prepare(others, run_uri, 0, 0)
    (batch,) = plan(others, run_uri, 0).batches
    submit(others, run_uri, 0, batch.batch_key)
    run = dag.test(run_conf={"source": source, "output": str(output), "run_key": "here"})
    assert str(run.state) == "success", states(run)
    row = row_of_run(output, "here")
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
    source = documents(tmp_path / "the documents", 80)
    run = dag.test(run_conf={"source": str(source), "output": str(tmp_path / "out"), "run_key": "slots-1"})
    assert str(run.state) == "success", states(run)
    ledger = pq.read_table(tmp_path / "out" / "tables" / "ledger" / "slots-1", columns=["job_arn"])
    bedrock = make_client(wired, "bedrock")
    arns = set(ledger["job_arn"].to_pylist())
    jobs = [bedrock.get_model_invocation_job(jobIdentifier=arn) for arn in arns]
    first, second = sorted(jobs, key=lambda job: job["submitTime"])
    assert first["endTime"] <= second["submitTime"]


def test_chosen_analyses_of_few_documents_go_on_demand(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """Params decide what runs; below the minimum of a job nothing is waited for."""
    source = documents(tmp_path / "documents", 3)
    conf = {"source": str(source), "output": str(tmp_path / "out"), "analyses": ["sentiment"]}
    run = dag.test(run_conf=conf)
    assert str(run.state) == "success", states(run)
    tables = tmp_path / "out" / "tables"
    assert {path.name for path in tables.iterdir()} == {"documents", "failures", "ledger", "runs", "sentiment"}
    (run_folder,) = (tables / "sentiment").iterdir()
    assert run_folder.name.startswith("manual-")
    assert len(pq.read_table(run_folder)) == 3


def test_fused_analyses_are_one_request(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """The Param `fuse` asks for all analyses of a document at once; later tasks know it from the run."""
    source = documents(tmp_path / "documents", 3)
    conf = {"source": str(source), "output": str(tmp_path / "out"), "fuse": True, "run_key": "fused"}
    run = dag.test(run_conf=conf)
    assert str(run.state) == "success", states(run)
    row = row_of_run(tmp_path / "out", "fused")
    assert (row["requests"], row["results"], row["failures"]) == (3, 9, 3)


def test_a_run_above_its_budget_submits_nothing(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """The plan fails, and no batch is sent."""
    source = documents(tmp_path / "documents", 3)
    conf = {"source": str(source), "output": str(tmp_path / "out"), "budget_usd": 0.000001}
    run = dag.test(run_conf=conf)
    assert str(run.state) == "failed"
    found = states(run)
    assert found["round_0.plan[-1]"] == "failed"  # at once: no retry can make it cheaper
    assert not any(state == "success" for name, state in found.items() if ".batch." in name)
    assert not (tmp_path / "out" / "tables").exists()

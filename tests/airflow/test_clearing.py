"""Any task of a run may be cleared alone, in any order, as often as somebody likes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pipeline.local import stack
from tests.airflow.nights import documents, row_of_run, run_cleared, states, tries
from tests.local.embedded_clients import make_client

ROUND = ("batch.collect", "batch.wait", "batch.submit", "plan", "prepare")
BACKWARDS = ("publish", "fold", *(f"round_0.{name}" for name in ROUND), "shards", "start", "forecast")


def _files(output: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted((output / "tables").rglob("*.parquet"))}


def test_each_task_cleared_alone_changes_nothing(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """No job is started twice, no byte of a table changes, and no row is there twice."""
    source, output = documents(tmp_path / "the documents", 40), tmp_path / "out"
    run = dag.test(run_conf={"source": str(source), "output": str(output), "run_key": "cleared-1"})
    assert str(run.state) == "success", states(run)
    before, bedrock = _files(output), make_client(wired, "bedrock")
    jobs = len(bedrock.list_model_invocation_jobs(maxResults=1000)["invocationJobSummaries"])
    round_0 = ("prepare", "plan", "batch.submit", "batch.wait", "batch.collect")
    for task_id in (
        "publish",
        "fold",
        *(f"round_0.{name}" for name in reversed(round_0)),
        "shards",
        "start",
        "forecast",
    ):
        after = run_cleared(dag, run, [task_id])
        assert set(tries(run, task_id)) == {2}, task_id
        assert set(after.values()) == {"success", "skipped"}, task_id
        assert _files(output) == before, task_id
    assert len(bedrock.list_model_invocation_jobs(maxResults=1000)["invocationJobSummaries"]) == jobs
    assert row_of_run(output, "cleared-1")["results"] == 120

"""Nights on which there is nothing to do, nothing can be read, or a shard fails for good."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from pipeline.airflow.connecting import services
from pipeline.local import stack
from pipeline.steps import RunOrder, start
from pipeline.steps.run import Run
from pipeline.storage.objects import absolute_uri
from tests.airflow.nights import documents, row_of_run, run_cleared, states
from tests.local.embedded_clients import make_client


@pytest.mark.parametrize(("count", "failures"), [(0, 0), (3, 3)], ids=["empty", "all failed"])
def test_a_source_without_a_text_is_published_as_such(
    count: int, failures: int, dag: Any, wired: stack.Stack, tmp_path: Path
) -> None:
    """A night without documents, or with empty ones only, succeeds and says so; nothing is sent or paid."""
    (source := tmp_path / "documents").mkdir()
    for number in range(count):
        (source / f"{number}.txt").write_text("", "utf-8")
    conf = {"source": str(source), "output": str(tmp_path / "out"), "run_key": f"{count}-texts"}
    run = dag.test(run_conf=conf | {"analyses": ["sentiment"]})
    assert str(run.state) == "success", states(run)
    assert states(run)["round_0.batch.submit[-1]"] == "skipped"
    row = row_of_run(tmp_path / "out", f"{count}-texts")
    found = (row["documents"], row["results"], row["failures"], row["requests"], row["cost_usd"])
    assert found == (count, 0, failures, 0, 0)


def test_one_failed_shard_holds_back_the_run_and_nothing_is_lost(
    dag: Any, wired: stack.Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other shards go on, nothing is sent, and the run goes on when the shard is cleared and its trouble gone."""
    monkeypatch.setenv("DOCBATCH_SHARD_DOCUMENTS", "20")
    source, output = documents(tmp_path / "the documents", 40), tmp_path / "out"
    reached = services()
    places = (absolute_uri(str(source)), absolute_uri(str(output)), str(reached.settings.work_uri))
    state = Run(reached, start(reached, RunOrder("broken", dt.date(2026, 11, 23), *places)))
    assert state.manifest.shards == 4
    key = state.manifest.listing[2]
    listing = state.store.read(key)
    state.store.delete(key)
    dag.get_task("round_0.prepare").partial_kwargs["retries"] = 0  # each would wait for a minute

    run = dag.test(run_conf={"source": str(source), "output": str(output), "run_key": "broken"})
    assert str(run.state) == "failed"
    found = states(run)
    assert [found[f"round_0.prepare[{shard}]"] for shard in range(4)] == ["success", "success", "failed", "success"]
    assert found["round_0.plan[-1]"] == "upstream_failed"
    jobs = make_client(wired, "bedrock").list_model_invocation_jobs(maxResults=1000)["invocationJobSummaries"]
    assert not any("broken" in job["jobName"] for job in jobs)
    assert not (output / "tables").exists()

    state.store.write(key, listing)
    held_back = {name.partition("[")[0] for name, state in found.items() if state == "upstream_failed"}
    after = run_cleared(dag, run, [("round_0.prepare", 2), *sorted(held_back)])
    assert set(after.values()) == {"success", "skipped"}, after
    row = row_of_run(output, "broken")
    assert (row["documents"], row["results"], row["failures"]) == (41, 120, 3)

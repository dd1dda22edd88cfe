"""The maintenance DAG: it loads, it is thin, and it deletes through Airflow what is old, on the real stack."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.airflow.connecting import services
from pipeline.local import stack
from pipeline.loop import Looped, run_to_the_end
from pipeline.steps import RunOrder
from pipeline.storage.objects import absolute_uri
from tests.airflow.conftest import ROOT
from tests.world import Unseen

DAG_FILE = ROOT / "dags" / "document_maintenance.py"
PACE = Looped(0.1)


@pytest.fixture
def dag(airflow_database: Path) -> Any:
    """The DAG as Airflow loads it, afresh for each test."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(ROOT / "dags", bundle_name="dags-folder", bundle_path=ROOT / "dags")
    assert bag.import_errors == {}
    return bag.dags["document_maintenance"]


def test_the_dag_says_what_it_does(dag: Any) -> None:
    """Three tasks, each with its documentation and retries; orphans before the runs are looked at."""
    assert set(dag.task_ids) == {"orphans", "work_files", "snapshots"}
    assert dag.get_task("work_files").upstream_task_ids == {"orphans"}
    assert "| `work_files` |" in dag.doc_md
    assert all(one.doc_md and one.retries == 2 and one.retry_policy for one in dag.tasks)
    assert dag.max_active_runs == 1
    assert not dag.catchup
    assert set(dag.params) == {"dry_run", "output"}
    assert len(DAG_FILE.read_text("utf-8").splitlines()) <= 100


def test_old_runs_are_tidied_through_airflow(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """A dry run says what the next one does; after it, the next night of the same documents asks nothing."""
    source = tmp_path / "documents"
    source.mkdir()
    for number in range(40):
        (source / f"{number}.txt").write_text(f"Teapot number {number} of a test leaks a little.", "utf-8")
    month_ago = replace(services(), clock=lambda: dt.datetime.now(dt.UTC) - dt.timedelta(days=40))
    places = (absolute_uri(str(source)), absolute_uri(str(tmp_path / "out")), month_ago.settings.work_uri)
    run_to_the_end(month_ago, RunOrder("long-ago", dt.date(2026, 11, 23), *places), Unseen(), PACE)
    conf = {"output": str(tmp_path / "out")}
    found = [_ended(dag, conf | {"dry_run": dry_run}) for dry_run in (True, False, False)]
    assert found[0] == found[1]
    assert (found[1]["runs"], found[1]["files"] > 5, found[1]["kept_runs"]) == (1, True, 0)
    assert found[2] == {"runs": 0, "files": 0, "bytes": 0, "kept_runs": 0, "texts": 0}
    again = run_to_the_end(services(), RunOrder("tonight", dt.date(2026, 11, 24), *places), Unseen(), PACE)
    assert (again.requests, sum(again.unchanged.values())) == (0, 120)


def test_a_misspelt_param_does_nothing(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """`dryrun` might have been meant to be a dry run: every task refuses it."""
    run = dag.test(run_conf={"output": str(tmp_path / "out"), "dryrun": True})
    assert str(run.state) == "failed"
    states = {one.task_id: str(one.state) for one in run.get_task_instances()}
    assert states == {"orphans": "failed", "work_files": "upstream_failed", "snapshots": "failed"}


def _ended(dag: Any, conf: dict[str, Any]) -> dict[str, int]:
    """What the task `work_files` of a run that ended well returns."""
    run = dag.test(run_conf=conf)
    assert str(run.state) == "success"
    returned = {one.task_id: one.xcom_pull(task_ids=one.task_id) for one in run.get_task_instances()}
    assert set(returned["orphans"].values()) == {0}
    assert returned["snapshots"]["files"] == 0
    counts: dict[str, int] = returned["work_files"]
    return counts

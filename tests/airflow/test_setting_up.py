"""The set-up step gives Airflow the pool of the jobs, again and again."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from pipeline.airflow.retrying import POOL
from pipeline.airflow.setting_up import set_up


def pool() -> tuple[int, bool]:
    from airflow.models.pool import Pool

    found = Pool.get_pool(POOL)
    assert found is not None
    return found.slots, found.include_deferred


def test_the_pool_counts_deferred_tasks(airflow_database: Path) -> None:
    """A job holds its slot while its task waits deferred; repeated, the step changes the slots."""
    assert set_up(7) == "pool docbatch_jobs: 7 slots, deferred tasks included"
    assert pool() == (7, True)
    set_up(100)
    assert pool() == (100, True)


def test_a_missing_pool_is_told_on_the_page_of_the_dag(airflow_database: Path, dag: Any) -> None:
    """Airflow warns of a pool that a DAG names and nobody made."""
    from airflow.dag_processing.dagbag import DagBag

    from tests.airflow.nights import ROOT

    assert "docbatch_jobs" in {task.pool for task in dag.tasks}
    bag = DagBag(ROOT / "dags", bundle_name="dags-folder", bundle_path=ROOT / "dags", known_pools={"default_pool"})
    (warning,) = bag.dag_warnings
    assert warning.message == "Dag 'document_analysis' references non-existent pools: ['docbatch_jobs']"


def test_an_airflow_without_a_database_is_told(tmp_path: Path) -> None:
    """The command says what is missing, and ends with the code of a wrong setting."""
    environment = os.environ | {"AIRFLOW_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "pipeline.airflow.setting_up"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 2
    assert "docbatch: Airflow's database cannot be used (no such table: slot_pool)" in done.stderr
    assert "airflow db migrate" in done.stderr

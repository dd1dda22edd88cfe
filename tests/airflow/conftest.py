"""An Airflow of the tests' own; its variables must be set before anything imports airflow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.local import stack
from pipeline.local.embedded import shell_variables

ROOT = Path(__file__).resolve().parents[2]
HOME = Path(tempfile.mkdtemp(prefix="docbatch-airflow-"))

os.environ |= {
    "AIRFLOW_HOME": str(HOME),
    "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(HOME / "logs"),
    # Every round that finds nothing owed costs `dag.test()` three seconds of sleep.
    "DOCBATCH_MAX_ROUNDS": "2",
}


@pytest.fixture(scope="session")
def airflow_database() -> Iterator[Path]:
    """A migrated metadata database that knows our DAGs; the folder is deleted afterwards."""
    for arguments in (["db", "migrate"], ["dags", "reserialize"]):
        command = [sys.executable, "-m", "airflow", *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=230)
    yield HOME
    shutil.rmtree(HOME, ignore_errors=True)


@pytest.fixture(scope="session")
def running_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stack.Stack]:
    """A real S3 and Bedrock endpoint on loopback."""
    home = tmp_path_factory.mktemp("state folder")
    yield stack.up(home)
    stack.down(home)


@pytest.fixture
def wired(running_stack: stack.Stack, monkeypatch: pytest.MonkeyPatch) -> stack.Stack:
    """The environment as `docbatch local env` prints it."""
    for name, value in shell_variables(running_stack).items():
        monkeypatch.setenv(name, value)
    return running_stack


@pytest.fixture
def dag(airflow_database: Path) -> Any:
    """The DAG as Airflow loads it; afresh for each test, because `dag.test()` leaves its conf in the Params."""
    from tests.airflow.nights import load_dag

    return load_dag()

"""An Airflow of the tests' own; its variables must be set before anything imports airflow."""

from __future__ import annotations

import logging
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
OUTPUT = HOME / "output"  # an asset has one place, which all DAGs of a database must agree on

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
    environment = os.environ | {"DOCBATCH_OUTPUT": OUTPUT.as_uri()}
    for arguments in (["db", "migrate"], ["dags", "reserialize"]):
        command = [sys.executable, "-m", "airflow", *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=230, env=environment)
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
    """The environment as `docbatch local env` prints it, and the output whose tables are the assets."""
    for name, value in {**shell_variables(running_stack), "DOCBATCH_OUTPUT": OUTPUT.as_uri()}.items():
        monkeypatch.setenv(name, value)
    return running_stack


class _Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def task_log() -> Iterator[list[str]]:
    """What our tasks say, line by line, wherever Airflow puts it."""
    kept, logger = _Kept(), logging.getLogger("pipeline.airflow")
    before = logger.level
    logger.addHandler(kept)
    logger.setLevel(logging.INFO)
    yield kept.lines
    logger.setLevel(before)
    logger.removeHandler(kept)


@pytest.fixture
def dag(airflow_database: Path) -> Any:
    """The DAG as Airflow loads it; afresh for each test, because `dag.test()` leaves its conf in the Params."""
    from tests.airflow.nights import load_dag

    return load_dag()

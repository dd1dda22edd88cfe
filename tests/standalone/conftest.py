"""One Airflow for all tests of this folder, which is why they stand in one file: two of them would be two Airflows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.local import stack
from pipeline.local.main_job import ROOT
from tests.cluster.servers import make_database, postgres
from tests.local.test_control import Control
from tests.standalone.server import Server


def make_documents(folder: Path, count: int) -> str:
    """Texts of the folder's own: what another run has asked would be known. 34 and more make a batch job."""
    folder.mkdir(parents=True)
    for number in range(count):
        text = f"The kettle number {number} of {folder.name} works well. It boils quickly; I am very happy."
        (folder / f"review {number:02d}.txt").write_text(text, "utf-8")
    return str(folder)


# Another team's DAG, which delivers documents.
UPSTREAM = """
from airflow.sdk import Asset, dag, task

@dag(schedule=None)
def lake():
    @task(outlets=[Asset("lake_documents", uri="s3://lake/documents")])
    def deliver():
        return "delivered"
    deliver()

lake()
"""


@pytest.fixture(scope="module")
def standalone_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[stack.Stack]:
    """A real S3 and Bedrock endpoint on loopback."""
    home = tmp_path_factory.mktemp("state")
    yield stack.up(home)
    stack.down(home)


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """For Airflow. In SQLite one of its programs at a time may write, and a busy machine makes another fail."""
    with postgres() as url:
        yield make_database(url, "airflow")


@pytest.fixture(scope="module")
def server(database: str, standalone_stack: stack.Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Airflow, with two documents for the nightly run."""
    home = tmp_path_factory.mktemp("airflow")
    dags = Path(shutil.copytree(ROOT / "dags", home / "dags", ignore=shutil.ignore_patterns("__pycache__")))
    (dags / "lake.py").write_text(UPSTREAM, "utf-8")
    settings = {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": database,
        "AIRFLOW__CORE__DAGS_FOLDER": str(dags),
        "DOCBATCH_SOURCE_ASSET": "lake_documents",
        "DOCBATCH_SOURCE": make_documents(home / "nightly", 2),
        "DOCBATCH_OUTPUT": str(home / "output"),
        "DOCBATCH_MAX_ROUNDS": "1",
    }
    started = Server(home, standalone_stack, **settings)
    try:
        started.begin()
        yield started
    finally:
        started.end()


@pytest.fixture
def control(standalone_stack: stack.Stack) -> Iterator[Control]:
    """The fault plan that a test puts ends with the test."""
    routes = Control(standalone_stack)
    yield routes
    routes.ask("DELETE", "faults").raise_for_status()

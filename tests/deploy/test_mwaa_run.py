"""What `make mwaa` builds, installed over MWAA's versions on Python 3.12, and a run of the DAG there."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.local.embedded import shell_variables
from pipeline.local.launch import own_environment
from pipeline.local.main_job import DAG, SET_UP
from pipeline.local.stack import Stack
from tests.deploy.test_mwaa import ROOT, build

CONSTRAINTS = ROOT / "deploy" / "mwaa" / "constraints.txt"
IMAGE = ("apache-airflow==3.3.1", "apache-airflow-providers-amazon[aiobotocore]==9.34.0", "pandas")
DOCUMENTS = 36  # by three analyses: enough for a job


@dataclass(frozen=True)
class Image:
    """A Python with MWAA's versions in it, and then what requirements.txt says."""

    folder: Path
    constraints: Path = CONSTRAINTS

    @property
    def python(self) -> str:
        return str(self.folder / "venv" / "bin" / "python")

    def install(self, *what: str) -> None:
        options = ("--python", self.python, "--quiet", "--constraint", str(self.constraints))
        _uv("pip", "install", *options, *what)

    def versions(self) -> dict[str, str]:
        listed = json.loads(_uv("pip", "list", "--python", self.python, "--format", "json"))
        return {one["name"]: one["version"] for one in listed}

    def run(self, environment: dict[str, str], module: str, *arguments: str) -> str:
        command = [self.python, "-m", module, *arguments]
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=400, check=False
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]
        return done.stdout + done.stderr


def _uv(*arguments: str) -> str:
    """The one place where tests reach further than loopback: packages are installed as on any machine."""
    environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    environment |= json.loads(environment.pop("TESTS_PROXIES"))
    command = [str(Path(sys.executable).parent / "uv"), *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


def _python_312() -> str:
    """On the PATH, or where pyenv keeps it; its shims run only versions that are switched on."""
    candidates = [shutil.which("python3.12"), *Path.home().glob(".pyenv/versions/3.12*/bin/python3.12")]
    for found in filter(None, candidates):
        if subprocess.run([found, "-c", "import venv"], capture_output=True).returncode == 0:
            return str(found)
    pytest.skip("there is no Python 3.12, which MWAA's image for Airflow 3.3.1 has")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Image:
    """MWAA's versions, in an environment of their own, and all of them as constraints.

    Airflow's constraints know of every extra; the image need not have it.
    """
    made = Image(tmp_path_factory.mktemp("mwaa"))
    _uv("venv", "--quiet", "--python", _python_312(), str(made.folder / "venv"))
    made.install(*IMAGE)
    constraints = made.folder / "constraints.txt"
    constraints.write_text("".join(f"{name}=={version}\n" for name, version in made.versions().items()), "utf-8")
    _uv("pip", "uninstall", "--quiet", "--python", made.python, "aiobotocore")
    return replace(made, constraints=constraints)


def _environment(folder: Path, stack: Stack) -> dict[str, str]:
    """As MWAA would set it, with the embedded stack in place of AWS."""
    inherited = {name: value for name, value in own_environment().items() if not name.startswith("AIRFLOW_")}
    return {
        **inherited,
        **shell_variables(stack),
        "AIRFLOW_HOME": str(folder / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "mwaa" / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "DOCBATCH_MAX_ROUNDS": "1",
    }


@pytest.mark.timeout(900)
def test_a_run_on_the_versions_of_mwaa(
    image: Image, stack: Stack, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    """requirements.txt installs without touching what the image has, and the DAG takes documents to tables there."""
    began = time.monotonic()
    before = image.versions()
    built = build(tmp_path / "mwaa")
    plugins = tmp_path / "plugins"
    with zipfile.ZipFile(tmp_path / "mwaa" / "plugins.zip") as archive:
        archive.extractall(plugins)
    wanted = built["requirements.txt"].decode().splitlines()[1:]  # without the constraints of the network
    image.install(*(line.replace("/usr/local/airflow/plugins", str(plugins)) for line in wanted))
    after = image.versions()
    assert {name: after[name] for name in before} == before
    assert "aiobotocore" in after.keys() - before.keys()
    installed = time.monotonic() - began

    source = tmp_path / "documents"
    source.mkdir()
    for number in range(DOCUMENTS):
        (source / f"{number}.txt").write_text(f"On MWAA, kettle {number} works well. I am happy.", "utf-8")
    conf = {"source": str(source), "output": str(tmp_path / "output"), "run_key": "on-mwaa"}
    environment = _environment(tmp_path, stack)
    image.run(environment, "airflow", "db", "migrate")
    image.run(environment, SET_UP)
    image.run(environment, "airflow", "dags", "test", DAG, "--conf", json.dumps(conf))
    (run,) = pq.read_table(tmp_path / "output" / "tables" / "runs" / "on-mwaa").to_pylist()
    assert (run["documents"], run["results"], run["failures"]) == (DOCUMENTS, 3 * DOCUMENTS, 0)
    seconds = time.monotonic() - began
    figures(
        f"MWAA: {len(after) - len(before)} packages over {len(before)}; {installed:.0f} s, with a run {seconds:.0f} s"
    )

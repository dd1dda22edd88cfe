"""The image and the pod of one task: as linters and Airflow's executor want them. No engine builds the image here."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
ROOT = DEPLOY.parent
DOCKERFILE = DEPLOY / "Dockerfile"
HADOLINT = Path(sys.executable).parent / "hadolint"


def _lint(path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(HADOLINT), str(path)], capture_output=True, text=True, timeout=60)


def test_the_dockerfile_is_what_the_linter_wants() -> None:
    """hadolint, with the shell of every RUN checked by shellcheck, has nothing to say."""
    linted = _lint(DOCKERFILE)
    assert (linted.returncode, linted.stdout) == (0, "")


@pytest.mark.parametrize(
    ("good", "bad", "rule"),
    [
        ("apache/airflow:3.3.2-python3.12\n", "apache/airflow:latest\n", "DL3007"),
        ("USER 50000", "USER root", "DL3002"),
        ("COPY --chown=airflow:0 dags", "ADD dags", "DL3020"),
    ],
)
def test_the_linter_can_fail(tmp_path: Path, good: str, bad: str, rule: str) -> None:
    """A base that moves, root and ADD are found."""
    spoilt = tmp_path / "Dockerfile"
    text = DOCKERFILE.read_text("utf-8")
    assert good in text
    spoilt.write_text(text.replace(good, bad), "utf-8")
    assert rule in _lint(spoilt).stdout


def test_the_image_has_the_airflow_that_is_locked() -> None:
    """The base is the version that the tests run on, in both stages, and the image ends as nobody who may do all."""
    text = DOCKERFILE.read_text("utf-8")
    (locked,) = re.findall(r"^apache-airflow==(\S+)", (ROOT / "requirements.lock").read_text("utf-8"), re.MULTILINE)
    assert re.findall(r"^FROM apache/airflow:(\S+)-python3\.12", text, re.MULTILINE) == [locked, locked]
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE)[-1] == "50000"


def test_what_is_copied_is_there_and_not_ignored() -> None:
    """Each source of a COPY exists and is let through to the build; so is all that the wheel is made of."""
    lines = re.findall(r"^COPY --chown=airflow:0 (.+) \S+$", DOCKERFILE.read_text("utf-8"), re.MULTILINE)
    copied = {name for line in lines for name in line.split()}
    ignored = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert copied == {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert all((ROOT / name).exists() for name in copied)
    assert copied >= {"pyproject.toml", "README.md", "pipeline", "prompts", "dags"}


@pytest.fixture
def pod() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes" / "pod-template.yaml").read_text("utf-8"))
    return found


def test_the_pod_is_what_the_kubernetes_executor_wants(pod: dict[str, Any]) -> None:
    """One pod, its first container named `base` with an image and no command of its own, never started again."""
    assert (pod["apiVersion"], pod["kind"]) == ("v1", "Pod")
    first = pod["spec"]["containers"][0]
    assert first["name"] == "base"
    assert first["image"]
    assert not {"command", "args"} & first.keys()
    assert pod["spec"]["restartPolicy"] == "Never"


def test_the_pod_needs_no_root_no_secret_and_no_shared_volume(pod: dict[str, Any]) -> None:
    """Its role comes with its service account; what it writes locally ends with it."""
    spec = pod["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["serviceAccountName"]
    assert all(set(volume) == {"name", "emptyDir"} for volume in spec["volumes"])
    assert not [one for one in spec["containers"][0].get("env", []) if "SECRET" in one["name"]]
    mounted = {one["name"] for one in spec["containers"][0]["volumeMounts"]}
    assert mounted == {volume["name"] for volume in spec["volumes"]}

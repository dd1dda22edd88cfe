"""What `make mwaa` builds: the same bytes every time, and requirements as MWAA reads them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def build(target: Path, **environment: str) -> dict[str, bytes]:
    """Every file by its name, made anew."""
    command = [sys.executable, str(ROOT / "deploy" / "mwaa" / "build.py"), str(target)]
    subprocess.run(command, check=True, capture_output=True, timeout=120, env=os.environ | environment)
    return {str(path.relative_to(target)): path.read_bytes() for path in target.rglob("*") if path.is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """As it is built on any machine."""
    return build(tmp_path_factory.mktemp("first"))


def test_the_same_source_gives_the_same_bytes(built: dict[str, bytes], tmp_path: Path) -> None:
    """Nothing of the machine or the moment is in them; another SOURCE_DATE_EPOCH is another archive."""
    later = build(tmp_path / "later", SOURCE_DATE_EPOCH="1800000000")
    assert later["plugins.zip"] != built["plugins.zip"]
    assert build(tmp_path / "again") == built
    dags = {f"dags/{path.name}" for path in (ROOT / "dags").glob("*.py")}
    assert set(built) == {"plugins.zip", "requirements.txt", "startup.sh"} | dags


def test_requirements_are_as_mwaa_reads_them(built: dict[str, bytes]) -> None:
    """Constraints first, then the wheel where plugins.zip puts it; what constraints do not name is pinned."""
    first, wheel, *others = built["requirements.txt"].decode().splitlines()
    assert re.fullmatch(r'--constraint "https://[^"]*/constraints-3\.3\.1/constraints-3\.12\.txt"', first)
    assert re.fullmatch(r"/usr/local/airflow/plugins/docbatch-[0-9.]+-py3-none-any\.whl\[airflow\]", wheel)
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9.]+(\.post[0-9]+)?", line) for line in others)
    assert {"obstore", "tiktoken"} <= {line.split("==")[0] for line in others}

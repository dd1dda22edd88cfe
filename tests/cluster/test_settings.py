"""docs/where-it-runs.md tells the settings of a cluster as Airflow has them and as the test sets them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.fleet import SETTINGS

PAGE = Path(__file__).resolve().parents[2] / "docs" / "where-it-runs.md"
ROW = re.compile(r"^\| `\[(\w+)\] (\w+)` \| (\S+)(?: s)? \| (\S+)(?: s)? \| ", re.MULTILINE)
ROWS = ROW.findall(PAGE.read_text("utf-8"))


def test_the_page_has_a_table_of_settings() -> None:
    """The pattern finds its rows, and every one that the test shortens is among them."""
    told = {f"{section}__{option}".upper() for section, option, *_ in ROWS}
    assert {name for name in SETTINGS if "TIMEOUT" in name or "HEARTBEAT" in name} <= told | {
        "CELERY__OPERATION_TIMEOUT"
    }


@pytest.fixture(scope="module")
def defaults(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What Airflow says of each setting where nobody has set anything; visibility_timeout is in the provider's code."""
    code = "from airflow.configuration import conf\n" + "\n".join(
        f"print({section!r}, {option!r}, conf.get({section!r}, {option!r}, fallback='86400'))"
        for section, option, *_ in ROWS
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment = kept | {"AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow"))}
    command = [sys.executable, "-c", "from airflow.providers_manager import ProvidersManager\n" + code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=True)
    rows = [line.split() for line in done.stdout.splitlines()]
    return {f"{row[0]} {row[1]}": row[2] for row in rows if len(row) == 3}


@pytest.mark.parametrize(("section", "option", "default", "here"), ROWS)
def test_a_setting_is_as_the_page_says(
    defaults: dict[str, str], section: str, option: str, default: str, here: str
) -> None:
    """Its default is Airflow's own, and what the test sets is what the page says of it."""
    assert float(_number(defaults[f"{section} {option}"])) == float(_number(default))
    assert float(_number(SETTINGS.get(f"{section}__{option}".upper(), default))) == float(_number(here))


def _number(text: str) -> str:
    return {"True": "1"}.get(text, text)

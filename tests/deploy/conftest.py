"""The embedded stack and figures, as other tests have them; the long test is taken only where it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.conftest import figures
from tests.local.conftest import home_of_stack, stack

__all__ = ["figures", "home_of_stack", "stack"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`make mwaa-test` takes the run on MWAA's versions, which it installs first."""
    return True if collection_path.name == "test_mwaa_run.py" and not config.getoption("--mwaa") else None

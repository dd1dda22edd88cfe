"""What the cluster's tests share; the long one is taken only where it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.conftest import figures

__all__ = ["figures"]


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """`make cluster-test` takes the night on Celery, `make test` has no time for it."""
    return True if collection_path.name == "test_lost_worker.py" and not config.getoption("--cluster") else None

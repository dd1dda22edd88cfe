"""The stack that the chaos suite runs on: one for the session, with the faults of the scene in force."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.local.stack import Stack
from tests.chaos.arena import Arena
from tests.local.conftest import home_of_stack, stack

__all__ = ["home_of_stack", "stack"]


@pytest.fixture(scope="module")
def arena(stack: Stack, home_of_stack: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    """An arena with the documents in place, whose processes end with the module."""
    with Arena.opened(stack, home_of_stack, tmp_path_factory.mktemp("arena")) as made:
        yield made


@pytest.fixture
def figures(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Says a figure at the end of the session, from whatever worker."""
    return lambda text: record_property("figures", text)


@pytest.fixture
def chaos(request: pytest.FixtureRequest) -> bool:
    """Whether every call and every seed is to be taken, not a few of them."""
    return bool(request.config.getoption("--chaos"))

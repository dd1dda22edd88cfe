"""What all tests share: the option that renews golden files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

hypothesis.settings.register_profile("docbatch", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("docbatch")
GOLDEN = Path(__file__).parent / "golden"
Golden = Callable[[str, str], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-goldens", action="store_true", help="write tests/golden/ anew from what the code gives")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Compare a text with a file of tests/golden/, or write the file with --update-goldens."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if request.config.getoption("--update-goldens"):
            path.write_text(text, "utf-8", newline="")
        known = path.read_bytes().decode() if path.exists() else None
        assert text == known, f"{path} differs; if the change is meant: pytest {request.path} --update-goldens"

    return compare

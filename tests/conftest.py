"""What all tests share: no AWS account, no network but loopback, golden files, and no skips in CI."""

from __future__ import annotations

import ipaddress
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

# Tests cannot spend money: no account, no settings of the user's own, and proxies that nobody answers.
for _name in [name for name in os.environ if name.startswith(("AWS_", "DOCBATCH_"))]:
    del os.environ[_name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "NO_PROXY", "no_proxy")
# Kept for the one test that installs packages; workers inherit it from the process that started them.
os.environ.setdefault("TESTS_PROXIES", json.dumps({name: os.environ[name] for name in _PROXIES if name in os.environ}))
os.environ |= {"NO_PROXY": "127.0.0.1,localhost", "no_proxy": "127.0.0.1,localhost"}
os.environ |= dict.fromkeys(_PROXIES[:4], "http://127.0.0.1:9")


def _loopback_only(event: str, arguments: tuple[object, ...]) -> None:
    """Refuse to connect to, or look up, anything else. An audit hook sees what any library does in this process."""
    if event == "socket.connect" and isinstance(arguments[1], tuple):
        host = str(arguments[1][0])
    elif event == "socket.getaddrinfo":
        host = str(arguments[0] or "localhost")
    else:
        return
    if host != "localhost" and not _is_loopback(host):
        raise ConnectionRefusedError(f"tests reach loopback only, not {host}")


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback or ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return host == os.uname().nodename  # Airflow looks up its own machine


sys.addaudithook(_loopback_only)

hypothesis.settings.register_profile("docbatch", deadline=None)  # a busy machine is no failure
hypothesis.settings.load_profile("docbatch")
GOLDEN = Path(__file__).parent / "golden"
Golden = Callable[[str, str], None]


# Files that take a minute or more go first, the longest first: no worker waits long for the last one of another.
LONG = [
    "standalone/test_standalone",
    "chaos/test_random_plans",
    "steps/test_properties",
    "airflow/test_document_analysis",
    "tidying/test_compacting",
    "local/test_racing",
    "cli/test_mixed_folder",
    "steps/test_publishing",
    "money/test_month",
    "chaos/",
    "steps/test_withdrawing",
    "airflow/",
    "cli/",
]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order in which workers take files; pytest-xdist's own takes files with few tests last."""

    def place(item: pytest.Item) -> int:
        return next((number for number, part in enumerate(LONG) if f"/tests/{part}" in item.path.as_posix()), len(LONG))

    items.sort(key=place)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos", action="store_true", help="let the chaos suite take every call and every seed")
    parser.addoption("--cluster", action="store_true", help="take the night on Celery workers")
    parser.addoption("--mwaa", action="store_true", help="take the run on MWAA's versions")
    parser.addoption("--update-goldens", action="store_true", help="write tests/golden/ anew from what the code gives")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures that tests found. In CI everything that tests may want is there, so that a skip is a hole."""
    for report in terminalreporter.stats.get("passed", []):
        for text in (value for name, value in report.user_properties if name == "figures" and report.when == "call"):
            terminalreporter.write_line(text)
    skipped = terminalreporter.stats.get("skipped", [])
    if os.environ.get("CI") and skipped:
        terminalreporter.write_line(f"CI allows no skips, and there were {len(skipped)}", red=True)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """The exit code says so, too."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if os.environ.get("CI") and reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


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

"""Ctrl-C before a run has begun: whatever docbatch is at, the exit code is 130 and one line says what there is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.shell import PATIENCE_SECONDS, own_environment, put_documents

# Interrupts itself, once, at the first event of Python's own auditing that names a word.
PROGRAM = """
import os, signal, sys
event, word = sys.argv[1:3]
del sys.argv[1:3]
fired = []
def watch(name, about):
    if name == event and word in str(about) and not fired:
        fired.append(name)
        os.kill(os.getpid(), signal.SIGINT)
sys.addaudithook(watch)
from pipeline.__main__ import main
main()
"""
NOTHING = "Interrupted before a run was begun: this command sent nothing."


@pytest.mark.parametrize(
    ("event", "word", "line"),
    [
        ("import", "pipeline.cli.commands", "docbatch: interrupted before anything was begun"),
        ("subprocess.Popen", "", NOTHING),
        ("os.scandir", "my documents", NOTHING),
    ],
    ids=["loading", "starting the stack", "listing"],
)
def test_an_early_interruption_is_told(tmp_path: Path, event: str, word: str, line: str) -> None:
    """The last line says that no run was begun; there is no traceback, and the stack that was started is gone."""
    put_documents(tmp_path, "Delivery")
    ended = subprocess.run(
        [sys.executable, "-c", PROGRAM, event, word, "run", "my documents", "--run-key", "early"],
        cwd=tmp_path,
        env=own_environment() | {"DOCBATCH_HOME": str(tmp_path / "home")},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )
    assert ended.returncode == 130, ended.stderr
    assert ended.stdout == ""
    assert ended.stderr.splitlines()[-1] == line
    assert "Traceback" not in ended.stderr
    assert list((tmp_path / "home").glob("run/*.pid")) == []

"""Borrowing the stack: it lives as long as its users, or until it is given up."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pipeline.local import stack
from pipeline.local.borrowing import borrowed, give_up, keep

_BORROW = (
    "import sys, pathlib; from pipeline.local.borrowing import borrowed\n"
    "with borrowed(pathlib.Path(sys.argv[1]), 'baseline') as s:\n"
    "    print(s.s3_url, flush=True); sys.stdin.read()\n"
)


def test_the_last_of_several_users_stops_it(tmp_path: Path) -> None:
    """A user who leaves early takes nothing from one who stays."""
    with borrowed(tmp_path, "baseline") as running:
        command = [sys.executable, "-c", _BORROW, str(tmp_path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline().strip() == running.s3_url
            other.communicate("")
        assert stack.status(tmp_path) == running
    assert stack.status(tmp_path) is None


def test_a_stack_that_was_kept_outlives_its_users(tmp_path: Path) -> None:
    """`docbatch local up` holds until `docbatch local down`."""
    kept = keep(tmp_path, "baseline")
    with borrowed(tmp_path, "baseline") as running:
        assert running == kept
    assert stack.status(tmp_path) == kept
    assert give_up(tmp_path)
    assert stack.status(tmp_path) is None

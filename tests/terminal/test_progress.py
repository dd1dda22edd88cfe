"""What people see while a run goes on: a bar with figures, lines now and then, or nothing."""

from __future__ import annotations

import io
import re

import pytest

from pipeline.steps.progress import Progress, Volume
from pipeline.terminal.progress import LINE_SECONDS, watch_for

HALF = Progress(Volume(500, 10_000_000), Volume(1_000, 20_000_000), 50.0)


def test_steps_are_plain_lines_where_nobody_looks_on() -> None:
    """In a file, each step is one line without any control character, with its note and its time."""
    stream = io.StringIO()
    watch = watch_for(stream, quiet=False)
    with watch.step("list") as step:
        step.advance(1, 2)
        step.note("2 documents in file:///x")
    with watch.step("publish") as step:
        step.note("6 results")
    lines = stream.getvalue().splitlines()
    assert [re.sub(r"\d+\.\d s", "0.0 s", line) for line in lines] == [
        "list               2 documents in file:///x (0.0 s)",
        "publish            6 results (0.0 s)",
    ]


def test_a_step_that_fails_is_not_said_to_be_done() -> None:
    """No line claims an end that was not reached."""
    stream = io.StringIO()
    with pytest.raises(ValueError, match="x"), watch_for(stream, quiet=False).step("list"):
        raise ValueError("x")
    assert stream.getvalue() == ""


def test_a_quiet_watch_says_nothing() -> None:
    """For programs there is no progress at all."""
    stream = io.StringIO()
    with watch_for(stream, quiet=True).step("list") as step:
        step.advance(1, 1)
        step.note("done")
    assert stream.getvalue() == ""


class Terminal(io.StringIO):
    """A stream that says that a person reads it."""

    def isatty(self) -> bool:
        return True


def test_a_person_sees_a_bar_and_keeps_the_note(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal the bar goes away and the step's line stays, its brackets untouched."""
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with watch_for(stream, quiet=False).step("list") as step:
        step.advance(1, 2)
        step.note("2 documents in /a [b]")
    assert "2 documents in /a [b]" in stream.getvalue()
    assert stream.getvalue().rstrip().endswith("s)")


def test_a_person_sees_how_far_the_reading_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents, megabytes, both rates and the time left stand beside the bar."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    stream = Terminal()
    with watch_for(stream, quiet=False).step("round 0: prepare") as step:
        step.read(HALF)
    seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", stream.getvalue())
    assert "500 of 1,000 documents, 10.0 of 20.0 MB, 10 documents/s, 0.2 MB/s, 0:50 left" in seen


@pytest.mark.parametrize("columns", [40, 80])
def test_the_figures_fit_any_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """In a narrow one they wrap or give way; nothing breaks, and the line at the end stays."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    with watch_for(stream, quiet=False).step("round 0: prepare") as step:
        step.read(HALF)
        step.note("213 requests")
    assert "213 requests" in stream.getvalue()


def test_a_file_gets_a_line_now_and_then() -> None:
    """Every LINE_SECONDS one with the same figures, not one for every document."""
    now = [0.0]
    stream = io.StringIO()
    with watch_for(stream, quiet=False, clock=lambda: now[0]).step("round 0: prepare") as step:
        for second in range(1, int(3 * LINE_SECONDS)):
            now[0] = float(second)
            step.read(HALF)
        step.note("213 requests")
    told = "round 0: prepare   500 of 1,000 documents, 10.0 of 20.0 MB, 10 documents/s, 0.2 MB/s, 0:50 left"
    assert stream.getvalue().splitlines() == [told, told, "round 0: prepare   213 requests (29.0 s)"]


def test_a_program_hears_nothing_of_the_reading() -> None:
    """A quiet watch takes the figures and says none of them."""
    stream = io.StringIO()
    with watch_for(stream, quiet=True).step("plan") as step:
        step.read(HALF)
    assert stream.getvalue() == ""

"""`docbatch withdraw` as a user types it: what it says, what every other command says then, and how it is undone."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import shlex
import subprocess
import termios
import time
from collections.abc import Iterator

import pytest

from tests.loaded_shell import LoadedShell
from tests.shell import DOCBATCH, PATIENCE_SECONDS, User, new_user, own_environment

CTRL_C, END_OF_INPUT = "\x03", "\x04"
AGAIN_SECONDS = 3


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose embedded stack runs, and who has published one run."""
    shell = LoadedShell(own_environment())
    user = new_user(tmp_path_factory.mktemp("user"), shell)
    assert user.types("local up").returncode == 0
    assert user.types('run "my documents" --run-key night --analyses sentiment').returncode == 0
    yield user
    user.types("local down")
    shell.close()


def reports(user: User) -> dict[str, str]:
    """The pages beside the tables, by name."""
    return {path.name: path.read_text("utf-8") for path in (user.folder / "output" / "reports").iterdir()}


def test_a_run_is_withdrawn_and_brought_back(user: User) -> None:
    """Its rows are gone for `show` and `costs`, its name is not; `resume` makes all as it was."""
    commands = ("show", "show sentiment --format csv", "costs --format json", "show runs --as-of night --format json")
    before = [user.types(one).stdout for one in commands]
    pages = reports(user)
    assert set(pages) == {"night.html", "index.html"}
    told = user.types("withdraw night")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("Run night: withdrawn; no table has rows of it. ")
    assert "Bring back docbatch resume night" in told.stdout
    assert user.types("show").stdout == ""
    assert "published runs are none" in user.types("show runs --as-of night").stderr
    for command in ("show night", "report night"):
        refused = user.types(f"{command} --output output")
        assert refused.returncode == 1
        assert (
            " called night: it was withdrawn; to bring it back: docbatch resume night --output output."
            in refused.stderr
        )
        assert refused.stderr.endswith("Else no run is published\n")
    left = reports(user)
    assert set(left) == {"index.html"}
    assert "night" not in left["index.html"]
    status = user.types("status night").stdout
    assert "Run night: withdrawn" in status
    assert "Bring them back with: docbatch resume night" in status
    assert "left the tables" in user.types("status").stdout
    assert "withdrawn on" in user.types("stop night").stdout
    assert json.loads(user.types("withdraw night --json").stdout)["run_key"] == "night"
    assert "had been withdrawn, and its rows are back" in user.types("resume night").stdout
    assert [user.types(one).stdout for one in commands] == before
    assert reports(user) == pages
    assert "nothing is left to do" in user.types("resume night").stdout


def test_an_unknown_run_is_named(user: User) -> None:
    """The message says which runs there are; nothing happens."""
    told = user.types("withdraw nosuch")
    assert (told.returncode, told.stdout) == (2, "")
    assert "run nosuch: there is no such run" in told.stderr
    assert "night" in told.stderr


@pytest.mark.parametrize(
    ("keys", "code"),
    [("y\n", 0), ("n\n", 1), ("\n", 1), ("what?\nn\n", 1), (END_OF_INPUT, 1), (CTRL_C, 130)],
    ids=["yes", "no", "enter", "unclear", "end of input", "ctrl-c"],
)
def test_it_asks_at_a_terminal(user: User, keys: str, code: int) -> None:
    """Only a yes takes the run out; whatever else is typed leaves every file and the run's phase as they were."""
    before = user.listing()
    ended, said = at_terminal(user, "withdraw night", "out of all tables? [y/N]", keys)
    assert ended == code, said
    assert "36 results and 0 failures of 36 documents" in said
    assert "Traceback" not in said
    status = user.types("status night").stdout
    if code == 0:
        assert "Run night: withdrawn; no table has rows of it." in said
        assert "Run night: withdrawn" in status
        assert "its rows are back" in user.types("resume night").stdout
    else:
        assert "Run night: published" in status
        assert "withdrawn;" not in said
        assert ("Nothing was changed: run night stays in the tables." in said) == (code == 1)
        assert user.listing() == before


def at_terminal(user: User, line: str, question: str, keys: str) -> tuple[int, str]:
    """Types a command at a terminal of its own, and keys when it has asked; the exit code and all that was shown."""
    ours, theirs = pty.openpty()
    command = [str(DOCBATCH), *shlex.split(line)]
    program = subprocess.Popen(
        command,
        cwd=user.folder,
        env=user.environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # so that Ctrl-C is a signal, as at a terminal
    )
    os.close(theirs)
    try:
        said = read_terminal(ours, question)
        os.write(ours, keys.encode())
        said += read_terminal(ours, None, again=keys if keys == CTRL_C else "")
        return program.wait(PATIENCE_SECONDS), said.replace("\r\n", "\n")
    finally:
        program.kill()
        program.wait()
        os.close(ours)


def read_terminal(ours: int, until: str | None, again: str = "") -> str:
    """What is shown up to these words, or to the end, within the time that a command may take.

    `again` is pressed until then, as people do: a signal in the moment before Python waits for a line is seen at the
    next one only.
    """
    said, end = "", time.monotonic() + PATIENCE_SECONDS
    while until is None or until not in said:
        left = max(0.0, end - time.monotonic())
        ready, _, _ = select.select([ours], [], [], min(left, AGAIN_SECONDS) if again else left)
        assert ready or (again and left), f"never said {until!r}:\n{said}"
        if not ready:
            os.write(ours, again.encode())
            continue
        try:
            piece = os.read(ours, 4_096)
        except OSError:  # Linux tells so that nobody holds the other side any more
            piece = b""
        if not piece:
            assert until is None, f"ended before it said {until!r}:\n{said}"
            return said
        said += piece.decode("utf-8", "replace")
    return said

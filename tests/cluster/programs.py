"""Programs of a test: each in a folder of its own, ended with all that it started, and never older than a bound."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from pipeline.local.launch import last_lines

LONGEST_SECONDS = 1800  # after which a program ends, even where the test that started it was killed
PATIENCE_SECONDS = 20.0
NOBODY = ("postgres", "nobody")  # who runs a server that refuses root


@dataclass(frozen=True)
class Program:
    """A program that runs. All that it starts is its tree, in whatever process group."""

    name: str
    child: subprocess.Popen[bytes]
    log: Path

    def tree(self) -> list[psutil.Process]:
        """The program and all below it; none where it has gone."""
        try:
            own = psutil.Process(self.child.pid)
            return [own, *own.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def check(self) -> None:
        """Say how it ended where it has."""
        assert self.child.poll() is None, f"{self.name} ended with {self.child.returncode}:\n{last_lines(self.log)}"

    def memory_bytes(self) -> int:
        """What the tree holds now; pages that its processes share are counted once."""
        return sum(_own_bytes(one) for one in self.tree())

    def cpu_seconds(self) -> float:
        """What the tree has used so far, with those of it that have ended."""
        return sum(sum(_cpu_times(one)) for one in self.tree())

    def freeze(self) -> None:
        """Stop the tree where it stands, with what it starts meanwhile."""
        for _ in range(2):
            for one in self.tree():
                _send(one, "suspend")

    def go_on(self) -> None:
        for one in reversed(self.tree()):
            _send(one, "resume")

    def kill(self) -> None:
        """What a machine that loses its power does to the tree."""
        self.freeze()
        for one in self.tree():
            _send(one, "kill")
        self.child.wait()

    def end(self) -> None:
        """By Ctrl-C, and where that is not enough by force."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        tree = self.tree()
        if tree:
            _send(tree[0], "terminate" if self.name == "redis" else "interrupt")
        while self.child.poll() is None and time.monotonic() < deadline:
            time.sleep(0.1)  # between two looks at another program
        for one in {*tree, *self.tree()}:
            _send(one, "kill")
        self.child.wait()


def started(
    name: str, command: list[str], folder: Path, environment: dict[str, str], *, user: str | None = None
) -> Program:
    """Start in a folder of its own, as that user where there is one."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / f"{name}.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            ["timeout", "--signal=INT", "--kill-after=15", str(LONGEST_SECONDS), *command],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            user=user,
        )
    return Program(name, child, log)


@contextmanager
def running(
    name: str, command: list[str], folder: Path, environment: dict[str, str], *, user: str | None = None
) -> Iterator[Program]:
    """A program for as long as the context lasts."""
    program = started(name, command, folder, environment, user=user)
    try:
        yield program
    finally:
        program.end()


def unprivileged() -> str | None:
    """Whom root runs servers as; None for anybody else, who runs them as himself."""
    if os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in NOBODY if name in known)


def _own_bytes(process: psutil.Process) -> int:
    try:
        return int(process.memory_full_info().pss)
    except psutil.NoSuchProcess:
        return 0


def _cpu_times(process: psutil.Process) -> tuple[float, ...]:
    try:
        times = process.cpu_times()
    except psutil.NoSuchProcess:
        return ()
    return times.user, times.system, times.children_user, times.children_system


def _send(process: psutil.Process, what: str) -> None:
    try:
        if what == "interrupt":
            process.send_signal(2)
        else:
            getattr(process, what)()
    except psutil.NoSuchProcess:
        return

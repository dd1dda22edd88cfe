"""A process that has loaded docbatch, and forks a child for each command: the libraries take two seconds to load.

    python -m tests.loaded_shell FD       orders come on the socket FD, each with the pipes of the command to be run

A child begins as a command of its own would: its folder, its variables, its arguments, its signals.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import orjson

ROOT = Path(__file__).parent.parent
MOST_BYTES = 100_000  # of an order
# Libraries that start a thread as soon as they are imported: a forked child would not have it.
NO_THREADS = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "OPENBLAS_NUM_THREADS": "1",
}


@dataclass
class Forked:
    """A command that runs: what of subprocess.Popen a test asks for."""

    pid: int
    stdout: TextIO
    stderr: TextIO
    ended: TextIO
    returncode: int | None = None  # minus the signal that ended it

    @property
    def args(self) -> str:
        return f"docbatch, forked as {self.pid}"

    def communicate(self, timeout: float) -> tuple[str, str]:
        """All that is still said; the exit code is known afterwards."""
        with ThreadPoolExecutor(2) as pool:
            out, err = pool.submit(self.stdout.read), pool.submit(self.stderr.read)
            if wait([out, err], timeout).not_done:
                self.send_signal(signal.SIGKILL)
                raise TimeoutError(f"{self.args}: still ran after {timeout} s")
            self.returncode = int(self.ended.readline())
        for pipe in (self.stdout, self.stderr, self.ended):
            pipe.close()
        return out.result(), err.result()

    def send_signal(self, number: int) -> None:
        os.kill(self.pid, number)


class LoadedShell:
    """The one process of this kind, as the tests see it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [sys.executable, "-m", "tests.loaded_shell", str(theirs.fileno())]
        self._program = subprocess.Popen(
            command, cwd=ROOT, env=environment | NO_THREADS, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL
        )
        theirs.close()

    def start(self, arguments: Sequence[str], folder: Path, environment: dict[str, str]) -> Forked:
        """`docbatch` with these arguments."""
        pipes = [os.pipe() for _ in range(3)]
        order = orjson.dumps({"arguments": arguments, "folder": str(folder), "environment": environment})
        socket.send_fds(self._ours, [order], [written for _, written in pipes])
        for _, written in pipes:
            os.close(written)
        out, err, ended = (os.fdopen(read, "r", encoding="utf-8") for read, _ in pipes)
        return Forked(int(ended.readline()), out, err, ended)

    def close(self) -> None:
        self._ours.close()
        self._program.wait()


def main(orders: socket.socket) -> None:
    import pyiceberg.catalog.sql  # noqa: F401 - most commands need it

    import pipeline.cli.commands  # noqa: F401 - what is loaded here need not be loaded by the children

    while True:
        order, pipes, _, _ = socket.recv_fds(orders, MOST_BYTES, 3)
        if not order:
            return _reap(0)
        if os.fork() == 0:
            orders.close()
            _watch_over(orjson.loads(order), pipes)
        for pipe in pipes:
            os.close(pipe)
        _reap(os.WNOHANG)


def _reap(how: int) -> None:
    """Take leave of children that have ended; with 0, of all as soon as they have."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, how)[0]:
            pass


def _watch_over(order: dict[str, Any], pipes: list[int]) -> None:
    """Run a command in a child of its own, and tell its pid and, when it has ended, its exit code."""
    child = os.fork()
    if child == 0:
        os.close(pipes[2])
        _become(order, *pipes[:2])
    for pipe in pipes[:2]:
        os.close(pipe)
    os.write(pipes[2], f"{child}\n".encode())
    _, status = os.waitpid(child, 0)
    os.write(pipes[2], f"{os.waitstatus_to_exitcode(status)}\n".encode())
    os._exit(0)


def _become(order: dict[str, Any], out: int, err: int) -> None:
    from pipeline.__main__ import main as docbatch

    try:
        for pipe, number in ((out, 1), (err, 2)):
            os.dup2(pipe, number)
            os.close(pipe)
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        sys.argv = ["docbatch", *order["arguments"]]
        docbatch()  # it leaves by os._exit
    except BaseException as error:  # noqa: BLE001 - told as Python would, and the child ends here whatever it is
        sys.excepthook(type(error), error, error.__traceback__)
    os._exit(1)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the tests
    main(socket.socket(fileno=int(sys.argv[1])))

"""Documents read in processes that may be killed: one that hangs, crashes or swells costs its document, no more."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self

from pipeline.domain import Failure, Reason
from pipeline.extraction.reading import read_plain
from pipeline.extraction.values import Bounds, Text, from_json
from pipeline.extraction.worker import REPLY, REQUEST

# Parsers leak; a new process after so many documents costs nothing beside them.
MOST_DOCUMENTS = 1_000
ENDING_SECONDS = 0.2  # that a process which has closed its pipe may take to end by itself
_START = "import sys; sys.path[:] = {path!r}; from pipeline.extraction.worker import main; main(*{bounds!r})"
_FIELDS_BYTES = 100_000  # of a reply, beside the text

Keep = Callable[[bytes, str, "Text | Failure"], None]
"""Gets the bytes, the name and what reading them gave."""


class Extractor:
    """Reads plain text at once, and everything else in worker processes, which start when first needed.

    The workers are not multiprocessing's: those would import the main module of whoever runs, Airflow's for one. They
    get no environment of ours, and so no credentials. `keep` gets what they read.
    """

    def __init__(self, bounds: Bounds, workers: int | None = None, keep: Keep | None = None) -> None:
        self._bounds, self._keep = bounds, keep
        self._count = workers or os.cpu_count() or 1
        self._threads: ThreadPoolExecutor | None = None
        self._idle: queue.SimpleQueue[_Worker] = queue.SimpleQueue()
        self._workers: list[_Worker] = []

    @property
    def most_begun(self) -> int:
        """How many documents should be begun, so that no worker waits while the others' texts are taken."""
        return 2 * self._count

    def begin(self, content: bytes, name: str) -> Text | Failure | Future[Text | Failure]:
        """The text, or why there is none; a future of it for what is read elsewhere."""
        found = read_plain(content, name)
        if found is not None:
            return found
        if self._threads is None:
            self._workers = [_Worker(self._bounds) for _ in range(self._count)]
            for worker in self._workers:
                self._idle.put(worker)
            self._threads = ThreadPoolExecutor(self._count, "extract")
        return self._threads.submit(self._elsewhere, content, name)

    def _elsewhere(self, content: bytes, name: str) -> Text | Failure:
        worker = self._idle.get()
        try:
            found = worker.read(content, name)
        finally:
            self._idle.put(worker)
        if self._keep is not None:
            self._keep(content, name, found)
        return found

    def close(self) -> None:
        """Kill what is being read; nothing stays behind."""
        for worker in self._workers:
            worker.stop()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
        for worker in self._workers:
            worker.forget()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Worker:
    """One process at a time, and the next one where that ended. Used by one thread at a time, stopped from any."""

    def __init__(self, bounds: Bounds) -> None:
        self._bounds = bounds
        self._running: subprocess.Popen[bytes] | None = None
        self._documents = 0
        self._stopped = False
        self._turn = threading.Lock()  # of starting and closing

    def read(self, content: bytes, name: str) -> Text | Failure:
        running = self._started()
        if running is None:
            return Failure(Reason.CRASHED, "stopped while it was read")
        late = threading.Event()
        timer = threading.Timer(self._bounds.seconds, _kill, (running, late))
        timer.start()
        try:
            reply = self._ask(running, content, name)
        finally:
            timer.cancel()
        if reply is None:
            return self._ended(running, late.is_set())
        return from_json(reply)

    def stop(self) -> None:
        """Kill the process, also while a thread waits for its reply; none is started any more."""
        with self._turn:
            self._stopped = True
            if self._running is not None:
                self._running.kill()

    def forget(self) -> None:
        """Close what is left of the process, when no thread waits for it any more."""
        if self._running is not None:
            self._end(self._running)

    def _started(self) -> subprocess.Popen[bytes] | None:
        """The process, a new one where there is none or the last one has done enough; None after the end."""
        with self._turn:
            if self._stopped:
                return None
            if self._running is not None and self._documents == MOST_DOCUMENTS:
                self._end(self._running)
            if self._running is None:
                self._running, self._documents = _start(self._bounds), 0
            self._documents += 1
            return self._running

    def _ask(self, running: subprocess.Popen[bytes], content: bytes, name: str) -> bytes | None:
        """The reply; None where the process ended, was killed, or says more than it may."""
        assert running.stdin is not None
        assert running.stdout is not None
        encoded = name.encode("utf-8", "replace")
        with suppress(OSError):
            running.stdin.write(REQUEST.pack(len(encoded), len(content)) + encoded)
            running.stdin.write(content)
            running.stdin.flush()
            head = running.stdout.read(REPLY.size)
            if len(head) == REPLY.size:
                (size,) = REPLY.unpack(head)
                # JSON may take six bytes for one of the text.
                if size <= 6 * self._bounds.output_bytes + _FIELDS_BYTES:
                    reply = running.stdout.read(size)
                    return reply if len(reply) == size else None
        return None

    def _ended(self, running: subprocess.Popen[bytes], late: bool) -> Failure:
        with self._turn:
            code = self._end(running)
        bounds = self._bounds
        if late or code == -signal.SIGXCPU:
            return Failure(Reason.EXCEEDED, f"reading it takes more than {bounds.seconds:g} seconds")
        if code in (-signal.SIGABRT, -signal.SIGKILL):  # how native parsers, and Linux, end what gets no memory
            return Failure(Reason.EXCEEDED, f"reading it takes more than {bounds.memory_bytes} bytes of memory")
        return Failure(Reason.CRASHED, f"the parser ended: {_signal_name(code)}")

    def _end(self, running: subprocess.Popen[bytes]) -> int:
        """Kill it if it has not ended by itself; what it ended with."""
        assert running.stdin is not None
        assert running.stdout is not None
        with suppress(subprocess.TimeoutExpired):
            running.wait(ENDING_SECONDS)
        running.kill()
        code = running.wait()
        for pipe in (running.stdin, running.stdout):
            with suppress(OSError):
                pipe.close()
        self._running = None
        return code


def _kill(running: subprocess.Popen[bytes], late: threading.Event) -> None:
    late.set()
    running.kill()


def _start(bounds: Bounds) -> subprocess.Popen[bytes]:
    # The signal comes when the thread that starts a process ends: those of the extractor live as long as it does.
    told = (os.getpid(), bounds.seconds, bounds.memory_bytes, bounds.output_bytes, bounds.unpacked_bytes)
    source = _START.format(path=[path for path in sys.path if path], bounds=told)
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-I", "-B", "-c", source],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # parsers quote the document there
        env={"OMP_THREAD_LIMIT": "1"},  # there are as many workers as cores
        start_new_session=True,  # Ctrl-C is for the one who reads the texts
    )


def _signal_name(code: int) -> str:
    with suppress(ValueError):
        return signal.Signals(-code).name
    return f"code {code}"

"""What people see while a run goes on: bars on a terminal, plain lines elsewhere, nothing when a program reads."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from pipeline.loop import Step, Watch
from pipeline.steps.progress import Progress

LINE_SECONDS = 10.0  # between two lines about one step, where nobody watches a bar


def watch_for(stream: TextIO, *, quiet: bool, clock: Callable[[], float] = time.monotonic) -> Watch:
    """Bars where a person looks on, plain lines elsewhere, nothing when a program reads."""
    if quiet:
        return _Silent()
    return _Drawn(Console(file=stream), clock) if stream.isatty() else _Lines(stream, clock)


class _Noted:
    """A step that remembers its note, and shows nothing in between."""

    text = ""

    def advance(self, done: int, total: int) -> None:
        """Nothing to show."""

    def read(self, progress: Progress) -> None:
        """Nothing to show."""

    def note(self, text: str) -> None:
        self.text = text


class _Silent:
    @contextmanager
    def step(self, name: str) -> Iterator[Step]:  # noqa: ARG002 - nobody reads it
        yield _Noted()


class _Lined(_Noted):
    """A step that says in a line how far it is, every LINE_SECONDS."""

    def __init__(self, name: str, stream: TextIO, clock: Callable[[], float]) -> None:
        self._name, self._stream, self._clock = name, stream, clock
        self._said = clock()

    def read(self, progress: Progress) -> None:
        if self._clock() - self._said >= LINE_SECONDS:
            self._said = self._clock()
            print(f"{self._name:<18} {progress.told()}", file=self._stream, flush=True)


class _Lines:
    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream, self._clock = stream, clock

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        lined, began = _Lined(name, self._stream, self._clock), self._clock()
        yield lined
        print(_line(name, lined.text, self._clock() - began), file=self._stream, flush=True)


class _Bar(_Noted):
    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def advance(self, done: int, total: int) -> None:
        self._bars.update(self._task, completed=done, total=total, told=f"{done:,}/{total:,}")

    def read(self, progress: Progress) -> None:
        done, total = progress.done.documents, progress.total.documents
        self._bars.update(self._task, completed=done, total=total, told=progress.told())


class _Drawn:
    def __init__(self, console: Console, clock: Callable[[], float]) -> None:
        self._console, self._clock = console, clock

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        began = self._clock()
        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[told]}"))
        with Bars(*columns, TimeElapsedColumn(), console=self._console, transient=True) as bars:
            bar = _Bar(bars, bars.add_task(f"{name:<18}", total=None, told=""))
            yield bar
        line = _line(name, bar.text, self._clock() - began)
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


def _line(name: str, text: str, seconds: float) -> str:
    return f"{name:<18} {text} ({seconds:.1f} s)"

"""How runs stand, as people see it: a table of all runs, the rounds and batches of one, once or again and again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import TextIO

from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Column, Table
from rich.text import Text

from pipeline.console import console_on, shown_place, usd
from pipeline.steps.status import BatchStatus, Phase, RoundStatus, RunLine, RunStatus


@dataclass(frozen=True, slots=True)
class Frame:
    """What is to be seen at one moment: `view` on a terminal, `line` where each change is one line."""

    view: RenderableType
    line: str


def print_view(view: RenderableType, stream: TextIO) -> None:
    console_on(stream).print(view)


def follow(frames: Iterable[Frame], stream: TextIO) -> None:
    """Draw frame over frame on a terminal; elsewhere a line for every change."""
    if stream.isatty():
        with Live(console=console_on(stream), auto_refresh=False) as live:
            for frame in frames:
                live.update(frame.view, refresh=True)
        return
    last = ""
    for frame in frames:
        if frame.line != last:
            print(last := frame.line, file=stream, flush=True)


def runs_frame(runs: list[RunLine]) -> Frame:
    """All runs, a row each."""
    if not runs:
        return Frame(Text("There are no runs yet."), "There are no runs yet.")
    numbers = ("documents", "requests", "jobs open", "cost")
    table = Table("run", "phase", "started (UTC)", *map(_right, numbers), "came to", "source", box=box.SIMPLE_HEAD)
    for run in runs:
        counts = (f"{run.documents:,}", f"{run.requests:,}", f"{run.open_jobs:,}" if run.open_jobs else "")
        about = (run.run_key, _phase(run.phase), f"{run.started:%Y-%m-%d %H:%M}")
        table.add_row(*about, *counts, _cost(run.cost_usd), came_to(run), shown_place(run.source_uri))
    open_runs = [f"{run.run_key}: {came_to(run)}" for run in runs if run.phase is Phase.OPEN]
    return Frame(table, "; ".join(open_runs) or "no run is open")


def came_to(run: RunLine) -> str:
    """Results and failures of a published run; of another, what became of its requests so far."""
    if run.counts is None:
        ends = (f"{run.results:,} results", f"{run.failures:,} failures" if run.failures else "")
        return ", ".join(one for one in (*ends, f"{run.unchanged:,} unchanged" if run.unchanged else "") if one)
    counts = {"answered": run.counts.answered, "failed": run.counts.failed, "missing": run.counts.missing}
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing answered yet"


def run_frame(status: RunStatus) -> Frame:
    """One run: what it is about, a row for every batch of every round, and what it came to so far."""
    views = [Text(line) for line in _about(status)]
    tables = [view for one in status.rounds for view in _round(one)]
    end = Text(_so_far(status)) if status.rounds else Text("No round is planned yet.")
    return Frame(Group(*views, *tables, end), _line(status))


def _about(status: RunStatus) -> list[str]:
    source, output = shown_place(status.source_uri), shown_place(status.output_uri)
    unchanged = sum(status.unchanged.values())
    same = f" ({unchanged:,} results unchanged)" if unchanged else ""
    return [
        f"Run {status.run_key}: {status.phase}, started {status.started:%Y-%m-%d %H:%M} UTC",
        f"{status.documents:,} documents{same} in {source}, tables to {output}",
    ]


def _round(one: RoundStatus) -> list[RenderableType]:
    known = f", {one.known:,} known" if one.known else ""
    title = Text(f"Round {one.number}: {one.owed:,} owed{known}, {one.requests:,} sent")
    if not one.batches:
        return [title]
    numbers = ("records", "done", "answered", "failed", "missing", "cost")
    table = Table("batch", "mode", "state", *map(_right, numbers), "job", box=box.SIMPLE_HEAD)
    for batch in one.batches:
        table.add_row(batch.batch_key, batch.mode, batch.state, *_numbers(batch), batch.job_arn or "")
    told = [Text(f"  {text}", style="bold") for batch in one.batches for text in _problems(batch)]
    return [title, table, *told]


def _numbers(batch: BatchStatus) -> list[str]:
    found = batch.collected
    ends = (found.answered, found.failed, found.missing) if found else (None,) * 3
    counts = [f"{batch.records:,}", f"{batch.records_done:,}", *("" if one is None else f"{one:,}" for one in ends)]
    return [*counts, _cost(batch.cost_usd) if found else ""]


def _problems(batch: BatchStatus) -> list[str]:
    """What is wrong with a batch as a whole, in sentences."""
    found = batch.collected
    texts = (found.job_failure, found.disagreement) if found else (batch.job_message,)
    return [text if batch.batch_key in text else f"{batch.batch_key}: {text}" for text in texts if text]


def _so_far(status: RunStatus) -> str:
    counts = status.counts
    jobs = f", {status.open_jobs:,} jobs open" if status.open_jobs else ""
    ends = f"{counts.answered:,} answered, {counts.failed:,} failed, {counts.missing:,} missing"
    return f"{counts.requests:,} requests sent{jobs}; {ends}; {_cost(status.cost_usd)} paid"


def _line(status: RunStatus) -> str:
    """The run in a line: its newest round, how far the open batches are, and the counts so far."""
    newest = [f"round {one.number}" for one in status.rounds[-1:]]
    states = [_state(batch) for one in status.rounds[-1:] for batch in one.batches if batch.collected is None]
    return f"{status.run_key}: {', '.join([status.phase, *newest, *states])}; {_so_far(status)}"


def _state(batch: BatchStatus) -> str:
    return f"{batch.batch_key} {batch.state} {batch.records_done:,}/{batch.records:,}"


def _phase(phase: Phase) -> Text:
    return Text(phase, style="" if phase is Phase.PUBLISHED else "bold")


def _cost(value: Decimal | None) -> str:
    return usd(value)


def _right(name: str) -> Column:
    return Column(name, justify="right")

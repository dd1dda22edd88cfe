"""How runs stand, as people see it: a table of all runs, the rounds and batches of one, once or again and again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TextIO

from rich import box
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from pipeline.loop import counted
from pipeline.steps.status import BatchStatus, Phase, RoundStatus, RunLine, RunStatus
from pipeline.terminal.console import UNBOUNDED_COLUMNS, console_on, shown_place, usd


@dataclass(frozen=True, slots=True)
class Frame:
    """What is to be seen at one moment: `view` on a terminal, `line` where each change is one line."""

    view: RenderableType
    line: str


@dataclass(frozen=True, slots=True)
class _Fitting:
    """A wide view where there is room for it, else a narrow one."""

    wide: RenderableType
    narrow: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        wanted = Measurement.get(console, options.update(max_width=UNBOUNDED_COLUMNS), self.wide).maximum
        yield self.wide if wanted <= options.max_width else self.narrow


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


REFUSED = "It was above its budget, and sent nothing; to ask for less or to allow more, begin a run with another key."


def runs_frame(runs: list[RunLine]) -> Frame:
    """All runs, a row each."""
    if not runs:
        return Frame(Text("There are no runs yet."), "There are no runs yet.")
    open_runs = [f"{run.run_key}: {came_to(run)}" for run in runs if run.phase is Phase.OPEN]
    return Frame(_Fitting(_wide(runs), _narrow(runs)), "; ".join(open_runs) or "no run is open")


def _wide(runs: list[RunLine]) -> Table:
    numbers = ("documents", "requests", "jobs open", "cost")
    table = Table("run", "phase", "started (UTC)", *map(_right, numbers), "came to", "source", box=box.SIMPLE_HEAD)
    for run in runs:
        counts = (f"{run.documents:,}", f"{run.requests:,}", f"{run.open_jobs:,}", usd(run.cost_usd))
        table.add_row(run.run_key, _phase(run.phase), _time(run), *counts, came_to(run), shown_place(run.source_uri))
    return table


def _narrow(runs: list[RunLine]) -> Group:
    """Two lines a run, which may wrap."""
    return Group(*(line for run in runs for line in _two_lines(run)))


def _two_lines(run: RunLine) -> Iterator[RenderableType]:
    yield Text.assemble((f"{run.run_key}  ", "bold"), _phase(run.phase), f"  started {_time(run)} UTC")
    jobs = f", {counted(run.open_jobs, 'job')} open" if run.open_jobs else ""
    asked = f"{counted(run.requests, 'request')}{jobs}: {came_to(run)}; {usd(run.cost_usd)}"
    where = f"{counted(run.documents, 'document')} in {shown_place(run.source_uri)}"
    yield Padding(Text(f"{where}; {asked}"), (0, 0, 0, 4))


def _time(run: RunLine) -> str:
    return f"{run.started:%Y-%m-%d %H:%M}"


def came_to(run: RunLine) -> str:
    """Results and failures of a published run; of another, what became of its requests so far."""
    if run.counts is None:
        gone = "left the tables: " if run.phase is Phase.WITHDRAWN else ""
        ends = (f"{gone}{run.results:,} results", f"{run.failures:,} failures" if run.failures else "")
        return ", ".join(one for one in (*ends, f"{run.unchanged:,} unchanged" if run.unchanged else "") if one)
    found = run.counts
    counts = {"answered": found.answered, "failed": found.failed, "missing": found.missing}
    counts |= {"answered on demand and to be collected": found.uncollected}
    if run.phase is Phase.ABANDONED:
        return "never published; its work files are deleted"
    if run.phase is Phase.REFUSED:
        return "above its budget, nothing sent"
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "nothing answered yet"


def run_frame(status: RunStatus) -> Frame:
    """One run: what it is about, a row for every batch of every round, and what it came to so far."""
    views = [Text(line) for line in _about(status)]
    tables = [view for one in status.rounds for view in _round(one)]
    unplanned = REFUSED if status.phase is Phase.REFUSED else "No round is planned yet."
    end = Text(_so_far(status)) if status.rounds else Text(unplanned)
    return Frame(Group(*views, *tables, end), _line(status))


def _about(status: RunStatus) -> list[str]:
    source, output = shown_place(status.source_uri), shown_place(status.output_uri)
    unchanged = sum(status.unchanged.values())
    same = f" ({unchanged:,} results unchanged)" if unchanged else ""
    tidied = [f"Its work files were deleted on {status.tidied:%Y-%m-%d %H:%M} UTC."] if status.tidied else []
    left = f"Its rows left the tables on {status.withdrawn:%Y-%m-%d %H:%M} UTC" if status.withdrawn else ""
    back = f"Bring them back with: docbatch resume {status.run_key}"
    withdrawn = [f"{left}. {'They were erased, and its answers with them.' if status.erased else back}"] if left else []
    return [
        f"Run {status.run_key}: {status.phase}, started {status.started:%Y-%m-%d %H:%M} UTC",
        f"{status.documents:,} documents{same} in {source}, tables to {output}",
        *tidied,
        *withdrawn,
    ]


def _round(one: RoundStatus) -> list[RenderableType]:
    known = f", {one.known:,} known" if one.known else ""
    title = f"{one.owed:,} owed{known}, {one.requests:,} sent" if one.owed else "nothing is owed any more"
    if not one.batches:
        return [Text(f"Round {one.number}: {title}")]
    told = [Text(f"  {text}", style="bold") for batch in one.batches for text in _problems(batch)]
    return [Text(f"Round {one.number}: {title}"), _Fitting(_table(one.batches), _lines_of(one.batches)), *told]


def _table(batches: Sequence[BatchStatus]) -> Table:
    numbers = ("records", "done", "answered", "failed", "missing", "cost")
    table = Table("batch", "mode", "state", *map(_right, numbers), "job", box=box.SIMPLE_HEAD)
    for batch in batches:
        table.add_row(batch.batch_key, batch.mode, batch.state, *_numbers(batch), batch.job_arn or "")
    return table


def _lines_of(batches: Sequence[BatchStatus]) -> Group:
    """Two lines a batch, which may wrap."""
    return Group(*(Padding(Text(line), (0, 0, 0, 2)) for batch in batches for line in _two_lines_of(batch)))


def _two_lines_of(batch: BatchStatus) -> Iterator[str]:
    found = batch.collected
    ends = f": {found.answered:,} answered, {found.failed:,} failed, {found.missing:,} missing" if found else ""
    cost = f"; {usd(batch.cost_usd)}" if found else ""
    yield f"{batch.batch_key} {batch.mode}, {batch.state}, {batch.records_done:,} of {batch.records:,}{ends}{cost}"
    if batch.job_arn:
        yield f"  {batch.job_arn}"


def _numbers(batch: BatchStatus) -> list[str]:
    found = batch.collected
    ends = (found.answered, found.failed, found.missing) if found else (None,) * 3
    counts = [f"{batch.records:,}", f"{batch.records_done:,}", *("" if one is None else f"{one:,}" for one in ends)]
    return [*counts, usd(batch.cost_usd) if found else ""]


def _problems(batch: BatchStatus) -> list[str]:
    """What is wrong with a batch as a whole, in sentences."""
    found = batch.collected
    texts = (found.job_failure, found.disagreement) if found else (batch.job_message,)
    return [text if batch.batch_key in text else f"{batch.batch_key}: {text}" for text in texts if text]


def _so_far(status: RunStatus) -> str:
    """What became of the requests of all rounds; in a published run, nothing is missing any more."""
    counts = status.counts
    jobs = f", {counted(status.open_jobs, 'job')} open" if status.open_jobs else ""
    complete = status.phase in {Phase.PUBLISHED, Phase.WITHDRAWN}
    lacks = "" if complete else f", {counts.failed:,} failed, {counts.missing:,} missing"
    if counts.uncollected:
        lacks += f"; {counted(counts.uncollected, 'answer')} on demand kept so far, to be collected"
    return f"{counted(counts.requests, 'request')} sent{jobs}; {counts.answered:,} answered{lacks}; {_paid(status)}"


def _paid(status: RunStatus) -> str:
    """Nothing is known of the cost of what is not collected."""
    if not (status.open_jobs or status.counts.uncollected):
        return f"{usd(status.cost_usd)} paid"
    collected = any(batch.collected for one in status.rounds for batch in one.batches)
    return f"{usd(status.cost_usd)} paid for what is collected" if collected else "cost unknown until it is collected"


def _line(status: RunStatus) -> str:
    """The run in a line: its newest round, how far the open batches are, and the counts so far."""
    newest = [f"round {one.number}" for one in status.rounds[-1:]]
    states = [_state(batch) for one in status.rounds[-1:] for batch in one.batches if batch.collected is None]
    return f"{status.run_key}: {', '.join([status.phase, *newest, *states])}; {_so_far(status)}"


def _state(batch: BatchStatus) -> str:
    return f"{batch.batch_key} {batch.state} {batch.records_done:,}/{batch.records:,}"


def _phase(phase: Phase) -> Text:
    return Text(phase, style="" if phase is Phase.PUBLISHED else "bold")


def _right(name: str) -> Column:
    return Column(name, justify="right")

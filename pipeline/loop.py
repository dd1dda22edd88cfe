"""A run from its start to its tables, step after step: the loop that Airflow unrolls."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from typing import Protocol

from pipeline.domain import Batch, Job
from pipeline.errors import JobFailed, NoFreeSlot
from pipeline.manifest import prepared_key
from pipeline.steps import (
    RunOrder,
    RunSummary,
    Services,
    collect,
    describe,
    fold,
    is_collected,
    kept_answers,
    plan,
    prepare,
    publish,
    start,
    submit,
)
from pipeline.steps.progress import Meter, Progress, silent, volume_of
from pipeline.steps.rounds import Collected, RoundPlan, most_rounds
from pipeline.steps.run import Run
from pipeline.steps.stopping import Begun, Stopped, stop


class Step(Protocol):
    """One step while it goes on."""

    def advance(self, done: int, total: int) -> None:
        """So many of so many are done."""

    def read(self, progress: Progress) -> None:
        """So much of the documents is read."""

    def note(self, text: str) -> None:
        """What came out, in a few words."""


class Watch(Protocol):
    """Whoever looks on while a run goes on: a progress bar, plain lines, nobody."""

    def step(self, name: str) -> AbstractContextManager[Step]:
        """A step begins; it ends with the context."""


@dataclass(frozen=True, slots=True)
class Looped:
    """How the loop waits: `poll_seconds` between two looks, with `sleep`."""

    poll_seconds: float
    sleep: Callable[[float], None] = time.sleep


def run_to_the_end(services: Services, order: RunOrder, watch: Watch, pace: Looped) -> RunSummary:
    """Everything from listing to published tables. With the key of a run that was broken off, it continues that run.

    Raises any DocbatchError; what was paid for stays in the work store.
    """
    with watch.step("list") as step:
        run_uri = start(services, order)
        run = Run(services, run_uri)
        step.note(f"{run.manifest.documents} documents in {order.source_uri}{_not_selected(run)}")
    number = lost = 0
    while number < most_rounds(run) + min(lost, run.manifest.max_rounds):
        planned = _prepare_round(services, run, number, watch)
        if planned.is_last:
            break
        lost += _run_round(services, run_uri, number, planned, watch, pace)
        number += 1
    with watch.step("publish") as step:
        for shard in range(run.manifest.shards):
            fold(services, run_uri, shard)
            step.advance(shard + 1, run.manifest.shards)
        summary = publish(services, run_uri)
        step.note(f"{summary.results} results and {summary.failures} failures in {summary.tables_uri}")
    return summary


def _not_selected(run: Run) -> str:
    count = run.manifest.not_selected
    return f"; {count} others are not selected" if count else ""


def stop_to_the_end(services: Services, run_uri: str, watch: Watch, pace: Looped) -> Stopped:
    """Stop a run, wait until its jobs have ended, and collect what they answered, so that every later run knows it.

    Raises ServiceError, StorageError; when it was broken off, repeating it goes on.
    """
    with watch.step("stop") as step:
        stopped = stop(services, run_uri)
        step.note(f"{counted(stopped.jobs, 'job')} stopped, {counted(stopped.held_back, 'batch', 'es')} held back")
    arns = [one.arn for one in stopped.begun if one.arn]
    if arns:
        with watch.step("wait for the jobs") as step:
            _wait(services, arns, step, pace)
            step.note(f"{counted(len(arns), 'job')} ended")
    if stopped.begun:
        with watch.step("collect") as step:
            counts = [found for one in stopped.begun if (found := _collect_stopped(services, run_uri, one))]
            step.note(_came_to(counts))
    return stopped


def _wait(services: Services, arns: Sequence[str], step: Step, pace: Looped) -> None:
    ended = sum(describe(services, arn).status.ended for arn in arns)
    while ended < len(arns):
        step.advance(ended, len(arns))
        pace.sleep(pace.poll_seconds)
        ended = sum(describe(services, arn).status.ended for arn in arns)


def _collect_stopped(services: Services, run_uri: str, begun: Begun) -> Collected | None:
    """None where the job came to nothing: whoever takes the run up again is told why."""
    with suppress(JobFailed):
        return collect(services, run_uri, begun.round_number, begun.batch_key)
    return None


def _prepare_round(services: Services, run: Run, number: int, watch: Watch) -> RoundPlan:
    with watch.step(f"round {number}: prepare") as step:
        shards = [one for one in range(run.manifest.shards) if not run.store.exists(prepared_key(number, one))]
        report = Meter(step.read, volume_of(run, shards)) if number == 0 else silent
        for shard in shards:
            prepare(services, run.store.uri(), number, shard, report)
        planned = plan(services, run.store.uri(), number)
        step.note(planned.summary)
    return planned


def _run_round(services: Services, run_uri: str, number: int, planned: RoundPlan, watch: Watch, pace: Looped) -> bool:
    """True when another run sent a part of it, so that the round is none of those that this run may have."""
    with watch.step(f"round {number}: {planned.mode}") as step:
        open_batches = [one for one in planned.batches if not is_collected(services, run_uri, number, one.batch_key)]
        before, jobs = kept_answers(services, run_uri, number, open_batches), _Jobs({}, {})
        for jobs in _jobs_of(services, run_uri, number, open_batches, pace):
            step.advance(*jobs.progress)
        calls = kept_answers(services, run_uri, number, open_batches) - before
        step.note(_ended(jobs, calls, before))
    with watch.step(f"round {number}: collect") as step:
        counts = []
        for batch in planned.batches:
            counts.append(collect(services, run_uri, number, batch.batch_key))
            step.advance(len(counts), len(planned.batches))
        step.note(_came_to(counts))
    return any(not one.sent for one in counts)


@dataclass(frozen=True, slots=True)
class _Jobs:
    """The jobs of a round as they were last seen, by ARN, and whether each is that of another run."""

    seen: dict[str, Job]
    others: dict[str, bool]

    @property
    def progress(self) -> tuple[int, int]:
        jobs = self.seen.values()
        return sum(job.records_done for job in jobs), sum(job.records_total for job in jobs)


def _ended(jobs: _Jobs, calls: int, before: int) -> str:
    """What a round sent has ended, what another run had sent, and what was answered before this took the round up."""
    others = sum(jobs.others.values())
    counts = {"job": len(jobs.others) - others, "call": calls}
    told = [counted(count, what) for what, count in counts.items() if count]
    told += [f"{counted(others, 'job')} of {'another run' if others == 1 else 'other runs'}"] if others else []
    earlier = f"; {counted(before, 'call')} had ended before" if before else ""
    return f"{' and '.join(told) or 'nothing'} ended{earlier}"


def _jobs_of(services: Services, run_uri: str, number: int, batches: Sequence[Batch], pace: Looped) -> Iterator[_Jobs]:
    """The jobs as they are, look after look, until every batch was sent and every job has ended."""
    waiting, open_arns = deque(batches), list[str]()
    seen, others = dict[str, Job](), dict[str, bool]()
    while waiting or open_arns:
        for batch, arn in _submit_what_fits(services, run_uri, number, waiting):
            others[arn] = batch.awaits is not None
            open_arns.append(arn)
        seen |= {arn: describe(services, arn) for arn in open_arns}
        open_arns = [arn for arn in open_arns if not seen[arn].status.ended]
        if seen:
            yield _Jobs(seen, others)
        if waiting or open_arns:
            pace.sleep(pace.poll_seconds)


def _submit_what_fits(
    services: Services, run_uri: str, number: int, waiting: deque[Batch]
) -> Iterator[tuple[Batch, str]]:
    """Send batches until there is no room for another job; those with jobs. What was sent leaves `waiting`."""
    while waiting:
        try:
            arn = submit(services, run_uri, number, waiting[0].batch_key)
        except NoFreeSlot:
            return
        batch = waiting.popleft()
        if arn:
            yield batch, arn


def _came_to(counts: Sequence[Collected]) -> str:
    answered, failed = sum(one.answered for one in counts), sum(one.failed for one in counts)
    return f"{answered} answered, {failed} failed, {sum(one.missing for one in counts)} missing"


def counted(count: int, what: str, plural: str = "s") -> str:
    """`1 job`, `2 jobs`."""
    return f"{count:,} {what}{plural * (count != 1)}"

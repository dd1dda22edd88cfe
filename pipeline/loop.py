"""A run from its start to its tables, step after step: the loop that Airflow unrolls."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from pipeline.domain import Job, Mode
from pipeline.errors import NoFreeSlot
from pipeline.steps import (
    RunOrder,
    RunSummary,
    Services,
    collect,
    describe,
    fold,
    is_collected,
    plan,
    prepare,
    publish,
    start,
    submit,
)
from pipeline.steps.rounds import RoundPlan
from pipeline.steps.run import Run


class Step(Protocol):
    """One step while it goes on."""

    def advance(self, done: int, total: int) -> None:
        """So many of so many are done."""

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
        step.note(f"{run.manifest.documents} documents in {order.source_uri}")
    for number in range(run.manifest.max_rounds):
        planned = _prepare_round(services, run, number, watch)
        if not planned.owed:
            break
        _run_round(services, run_uri, number, planned, watch, pace)
    with watch.step("publish") as step:
        for shard in range(run.manifest.shards):
            fold(services, run_uri, shard)
            step.advance(shard + 1, run.manifest.shards)
        summary = publish(services, run_uri)
        step.note(f"{summary.results} results and {summary.failures} failures in {summary.tables_uri}")
    return summary


def _prepare_round(services: Services, run: Run, number: int, watch: Watch) -> RoundPlan:
    with watch.step(f"round {number}: prepare") as step:
        for shard in range(run.manifest.shards):
            prepare(services, run.store.uri(), number, shard, step.advance)
        planned = plan(services, run.store.uri(), number)
        step.note(planned.summary)
    return planned


def _run_round(services: Services, run_uri: str, number: int, planned: RoundPlan, watch: Watch, pace: Looped) -> None:
    with watch.step(f"round {number}: {planned.mode}") as step:
        open_batches = [one for one in planned.batches if not is_collected(services, run_uri, number, one.batch_key)]
        jobs: dict[str, Job] = {}
        for jobs in _jobs_of(services, run_uri, number, [one.batch_key for one in open_batches], pace):
            step.advance(
                sum(job.records_done for job in jobs.values()), sum(job.records_total for job in jobs.values())
            )
        calls = sum(one.records for one in planned.batches if one.mode is Mode.ON_DEMAND and one.awaits is None)
        found = {"job": len(jobs), "call": calls}
        ended = [f"{count} {what}{'s' * (count != 1)}" for what, count in found.items() if count]
        step.note(f"{' and '.join(ended) or 'nothing'} ended")
    with watch.step(f"round {number}: collect") as step:
        counts = []
        for batch in planned.batches:
            counts.append(collect(services, run_uri, number, batch.batch_key))
            step.advance(len(counts), len(planned.batches))
        answered, failed = sum(one.answered for one in counts), sum(one.failed for one in counts)
        step.note(f"{answered} answered, {failed} failed, {sum(one.missing for one in counts)} missing")


def _jobs_of(
    services: Services, run_uri: str, number: int, batch_keys: Sequence[str], pace: Looped
) -> Iterator[dict[str, Job]]:
    """The jobs as they are, by ARN, look after look, until every batch was sent and every job has ended."""
    waiting, open_arns = deque(batch_keys), list[str]()
    jobs: dict[str, Job] = {}
    while waiting or open_arns:
        open_arns += _submit_what_fits(services, run_uri, number, waiting)
        jobs |= {arn: describe(services, arn) for arn in open_arns}
        open_arns = [arn for arn in open_arns if not jobs[arn].status.ended]
        if jobs:
            yield jobs
        if waiting or open_arns:
            pace.sleep(pace.poll_seconds)


def _submit_what_fits(services: Services, run_uri: str, number: int, waiting: deque[str]) -> Iterator[str]:
    """Send batches until there is no room for another job; the ARNs of the jobs. What was sent leaves `waiting`."""
    while waiting:
        try:
            arn = submit(services, run_uri, number, waiting[0])
        except NoFreeSlot:
            return
        waiting.popleft()
        if arn:
            yield arn

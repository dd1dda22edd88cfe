"""A run from its start to its tables, step after step: the loop that Airflow unrolls."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from pipeline.domain import Job, Mode
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
from pipeline.steps.plan import RoundPlan
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
        if not planned.batches:
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
        cost = "unknown" if planned.forecast_usd is None else f"at most ${planned.forecast_usd:.4f}"
        step.note(
            f"{planned.requests} requests, {planned.mode}, {cost}" if planned.requests else "nothing is owed any more"
        )
    return planned


def _run_round(services: Services, run_uri: str, number: int, planned: RoundPlan, watch: Watch, pace: Looped) -> None:
    with watch.step(f"round {number}: {planned.mode}") as step:
        open_batches = [one for one in planned.batches if not is_collected(services, run_uri, number, one.batch_key)]
        arns = [submit(services, run_uri, number, batch.batch_key) for batch in open_batches]
        jobs = [arn for arn in arns if arn]
        for found in _looks(services, jobs, pace):
            step.advance(sum(job.records_done for job in found), planned.requests)
        ended = "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"
        step.note(f"{ended} ended" if planned.mode is Mode.BATCH else f"{planned.requests} calls answered")
    with watch.step(f"round {number}: collect") as step:
        counts = []
        for batch in planned.batches:
            counts.append(collect(services, run_uri, number, batch.batch_key))
            step.advance(len(counts), len(planned.batches))
        answered, failed = sum(one.answered for one in counts), sum(one.failed for one in counts)
        step.note(f"{answered} answered, {failed} failed, {sum(one.missing for one in counts)} missing")


def _looks(services: Services, arns: Sequence[str], pace: Looped) -> Iterator[list[Job]]:
    """The jobs as they are, look after look, until all have ended."""
    jobs: dict[str, Job] = {}
    while any(arn not in jobs or not jobs[arn].status.ended for arn in arns):
        jobs |= {arn: describe(services, arn) for arn in arns if arn not in jobs or not jobs[arn].status.ended}
        yield list(jobs.values())
        if not all(job.status.ended for job in jobs.values()):
            pace.sleep(pace.poll_seconds)

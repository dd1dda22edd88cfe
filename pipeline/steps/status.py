"""How runs stand: what is published, what is open, and of one run its rounds, batches, jobs and counts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import StrEnum

from pipeline.domain import Batch, Job, Mode, Usage
from pipeline.errors import ObjectMissing
from pipeline.ledger import add_costs, cost_of
from pipeline.manifest import (
    OPEN_RUNS,
    PUBLISHED,
    RUNS,
    STOPPED,
    WITHDRAWN,
    collected_key,
    open_key,
    run_folder,
    withdrawn_key,
)
from pipeline.steps.intents import kept_arn, revoked_by
from pipeline.steps.on_demand import count_answers
from pipeline.steps.rounds import Collected, RoundPlan, planned_rounds, read_collected, read_plan
from pipeline.steps.run import Run, Services
from pipeline.steps.summary import RunSummary, read_summary
from pipeline.steps.tombstones import read_tombstone
from pipeline.steps.withdrawing import withdrawn_since
from pipeline.storage.objects import ObjectStore

READS_AT_ONCE = 16
BEGUN = "begun"  # the state of a job that nobody asked Bedrock about


class Phase(StrEnum):
    """How far a run has come. An open one is worked on, or was broken off: nobody can tell from here.

    A refused one was above its budget and has sent nothing. An abandoned one was never published, and its working
    files are deleted. A withdrawn one was published, and left the tables again.
    """

    OPEN = "open"
    REFUSED = "refused"
    STOPPED = "stopped"
    ABANDONED = "abandoned"
    PUBLISHED = "published"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """One batch. `state` is a job's status in Bedrock's words, or ours where there is no job; `job_arn` is None then.

    `collected` and `cost_usd` are None until the batch is collected; `cost_usd` also without a price.
    """

    batch_key: str
    mode: Mode
    records: int
    state: str
    records_done: int
    job_arn: str | None
    job_message: str | None
    collected: Collected | None
    cost_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class RoundStatus:
    """One planned round: the requests that it is about and sends, how many were known, and its batches."""

    number: int
    owed: int
    requests: int
    known: int
    forecast_usd: Decimal | None
    batches: tuple[BatchStatus, ...]


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of requests, summed over rounds: one that is asked again counts in each.

    `uncollected` answers were given on demand and are kept; whether they are good is seen when they are collected.
    """

    requests: int
    answered: int
    failed: int
    missing: int
    uncollected: int


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One run with everything that it has planned. `cost_usd` is what its collected batches cost; None when none is
    collected and something was sent, or without a price. `tidied` says when its working files were deleted,
    `withdrawn` when it left the tables, `erased` that it cannot be brought back."""

    run_key: str
    phase: Phase
    started: dt.datetime
    source_uri: str
    output_uri: str
    model: str
    documents: int
    unchanged: dict[str, int]
    deleted: int
    counts: Counts
    open_jobs: int
    cost_usd: Decimal | None
    rounds: tuple[RoundStatus, ...]
    tidied: dt.datetime | None = None
    withdrawn: dt.datetime | None = None
    erased: bool = False


@dataclass(frozen=True, slots=True)
class RunLine:
    """One run among all. `counts` of requests stand with runs that are not published, the results with those that are.

    `cost_usd` is that of what was collected so far (None while nothing is and something was sent), or of the
    published run.
    """

    run_key: str
    phase: Phase
    started: dt.datetime
    source_uri: str
    documents: int
    requests: int
    open_jobs: int
    cost_usd: Decimal | None
    counts: Counts | None
    results: int | None
    failures: int | None
    unchanged: int | None


def run_keys(work: ObjectStore) -> list[str]:
    """Every run of a work store, in the order of their keys."""
    return work.folders(RUNS)


def run_lines(services: Services, work_uri: str) -> list[RunLine]:
    """Every run of a work store, the newest first; Bedrock is not asked. A published run costs one request to S3."""
    work = services.open(work_uri)
    not_published = {entry.key.rpartition("/")[2] for entry in work.list(OPEN_RUNS)}
    withdrawn = {entry.key.rpartition("/")[2] for entry in work.list(WITHDRAWN)}

    def line(run_key: str) -> RunLine | None:
        store = services.open(f"{work_uri}/{run_folder(run_key)}")
        if run_key not in not_published:
            with suppress(ObjectMissing):
                phase = Phase.WITHDRAWN if run_key in withdrawn else Phase.PUBLISHED
                return _published_line(read_summary(store), phase)
        with suppress(ObjectMissing):
            return _open_line(read_status(services, store.uri(), ask_bedrock=False))
        return None  # its documents are being listed, or were when it was broken off: it has no manifest

    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        found = [one for one in pool.map(line, run_keys(work)) if one is not None]
    return sorted(found, key=lambda one: (one.started, one.run_key), reverse=True)


def read_status(services: Services, run_uri: str, *, ask_bedrock: bool = True) -> RunStatus:
    """How a run stands. Bedrock is asked about jobs that are not collected, if there are any.

    Raises ObjectMissing for a run that is not there, ServiceError.
    """
    run = Run(services, run_uri)
    plans = [read_plan(run, number) for number in range(planned_rounds(run))]
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        rounds = [
            _round(number, plan, pool.map(lambda batch, number=number: _stored(run, number, batch), plan.batches))
            for number, plan in enumerate(plans)
        ]
    if ask_bedrock:
        rounds = _asked(services, rounds)
    return _status(run, rounds)


def phase_of(run: Run) -> Phase:
    """A run whose publication was broken off is open: its tables may not be there."""
    if run.store.exists(PUBLISHED) and not run.work.exists(open_key(run.manifest.run_key)):
        gone = run.work.exists(withdrawn_key(run.manifest.run_key))
        return Phase.WITHDRAWN if gone else Phase.PUBLISHED
    if run.store.exists(STOPPED):
        return Phase.STOPPED
    if run.work.exists(open_key(run.manifest.run_key)):
        return Phase.OPEN
    return Phase.REFUSED if read_tombstone(run.store) is None else Phase.ABANDONED


def _round(number: int, plan: RoundPlan, batches: Iterable[BatchStatus]) -> RoundStatus:
    return RoundStatus(number, plan.owed, plan.requests, plan.known, plan.forecast_usd, tuple(batches))


def _status(run: Run, rounds: list[RoundStatus]) -> RunStatus:
    manifest, batches = run.manifest, [batch for one in rounds for batch in one.batches]
    found = [batch.collected for batch in batches if batch.collected]
    counts = Counts(
        sum(one.requests for one in rounds),
        sum(one.known for one in rounds) + sum(one.answered for one in found),
        sum(one.failed for one in found),
        sum(one.missing for one in found),
        sum(one.records_done for one in batches if one.mode is Mode.ON_DEMAND and one.collected is None),
    )
    open_jobs = sum(batch.job_arn is not None and batch.collected is None for batch in batches)
    unknown = not found and bool(open_jobs or counts.uncollected)
    tombstone = read_tombstone(run.store)
    return RunStatus(
        run_key=manifest.run_key,
        phase=phase_of(run),
        started=manifest.started,
        source_uri=manifest.source_uri,
        output_uri=manifest.output_uri,
        model=manifest.model,
        documents=manifest.documents,
        unchanged=manifest.unchanged,
        deleted=manifest.deleted,
        counts=counts,
        open_jobs=open_jobs,
        cost_usd=None if unknown else add_costs(batch.cost_usd for batch in batches if batch.collected),
        rounds=tuple(rounds),
        tidied=tombstone.tidied if tombstone else None,
        withdrawn=withdrawn_since(run.work, manifest.run_key),
        erased=tombstone is not None and tombstone.erased,
    )


def _stored(run: Run, number: int, batch: Batch) -> BatchStatus:
    """What the work store says of a batch."""
    key, arn = batch.batch_key, None if batch.awaits else kept_arn(run, number, batch)
    status = BatchStatus(key, batch.mode, batch.records, "planned", 0, arn, None, None, None)
    if run.store.exists(collected_key(number, key)):
        found = read_collected(run, number, key)
        cost = cost_of(Usage(found.input_tokens, found.output_tokens), run.price(batch.mode))
        done = found.answered + found.failed
        return replace(status, state="collected", records_done=done, collected=found, cost_usd=cost)
    if batch.awaits is not None:
        return replace(status, state=f"waits for run {batch.awaits.run_uri.rpartition('/')[2]}")
    if (taker := revoked_by(run, number, key)) is not None:
        held = taker == run.manifest.run_key
        return replace(status, state="held back" if held else f"taken over by run {taker}")
    if batch.mode is Mode.ON_DEMAND:
        answered = count_answers(run.store, number, batch)
        return replace(status, state="asking" if answered else "planned", records_done=answered)
    return replace(status, state=BEGUN) if arn else status


def _asked(services: Services, rounds: list[RoundStatus]) -> list[RoundStatus]:
    """The same with what Bedrock says of the jobs that are not collected."""
    arns = [batch.job_arn for one in rounds for batch in one.batches if batch.state == BEGUN and batch.job_arn]
    if not arns:
        return rounds
    client = services.batch_client()
    jobs = {arn: client.describe(arn) for arn in arns}
    return [replace(one, batches=tuple(_with_job(batch, jobs) for batch in one.batches)) for one in rounds]


def _with_job(batch: BatchStatus, jobs: dict[str, Job]) -> BatchStatus:
    job = jobs.get(batch.job_arn or "")
    if job is None:
        return batch
    return replace(batch, state=str(job.status), records_done=job.records_done, job_message=job.message)


def _published_line(summary: RunSummary, phase: Phase) -> RunLine:
    about = (summary.run_key, phase, summary.started, summary.source_uri, summary.documents)
    ended = (summary.results, summary.failures, sum(summary.unchanged.values()))
    return RunLine(*about, summary.requests, 0, summary.cost_usd, None, *ended)


def _open_line(status: RunStatus) -> RunLine:
    about = (status.run_key, status.phase, status.started, status.source_uri, status.documents)
    unchanged = sum(status.unchanged.values())
    jobs, cost = status.open_jobs, status.cost_usd
    return RunLine(*about, status.counts.requests, jobs, cost, status.counts, None, None, unchanged)

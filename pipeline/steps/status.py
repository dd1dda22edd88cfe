"""How runs stand: what is published, what is open, and of one run its rounds, batches, jobs and counts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from pipeline.domain import Batch, Job, Mode
from pipeline.manifest import MANIFEST, PUBLISHED, RUNS, STOPPED, collected_key, output_folder, run_folder
from pipeline.steps.collect import Collected, read_collected
from pipeline.steps.intents import kept_arn, revoked_by
from pipeline.steps.rounds import planned_rounds, read_plan
from pipeline.steps.run import Run, Services
from pipeline.storage import ObjectStore


class Phase(StrEnum):
    """How far a run has come."""

    OPEN = "open"
    STOPPED = "stopped"
    PUBLISHED = "published"


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """One batch. `job` is None where there is none or it is not started; `collected` None until it is."""

    batch_key: str
    mode: Mode
    records: int
    state: str
    records_done: int
    job_arn: str | None
    collected: Collected | None


@dataclass(frozen=True, slots=True)
class RoundStatus:
    """One planned round: its requests, how many were known, and its batches."""

    number: int
    requests: int
    known: int
    batches: tuple[BatchStatus, ...]


@dataclass(frozen=True, slots=True)
class RunStatus:
    """One run."""

    run_key: str
    phase: Phase
    started: dt.datetime
    source_uri: str
    output_uri: str
    documents: int
    rounds: tuple[RoundStatus, ...]


def run_keys(work: ObjectStore) -> list[str]:
    """Every run of a work store, in the order of their keys."""
    return sorted(folder for folder in work.folders(RUNS) if work.exists(f"{run_folder(folder)}/{MANIFEST}"))


def read_status(services: Services, run_uri: str) -> RunStatus:
    """How a run stands; jobs that are not collected are asked for. Raises ObjectMissing for a run that is not there."""
    run = Run(services, run_uri)
    manifest = run.manifest
    rounds = tuple(_round(run, number) for number in range(planned_rounds(run)))
    about = (manifest.started, manifest.source_uri, manifest.output_uri, manifest.documents)
    return RunStatus(manifest.run_key, phase_of(run.store), *about, rounds)


def phase_of(store: ObjectStore) -> Phase:
    if store.exists(PUBLISHED):
        return Phase.PUBLISHED
    return Phase.STOPPED if store.exists(STOPPED) else Phase.OPEN


def _round(run: Run, number: int) -> RoundStatus:
    plan = read_plan(run, number)
    return RoundStatus(number, plan.requests, plan.known, tuple(_batches(run, number, plan.batches)))


def _batches(run: Run, number: int, batches: tuple[Batch, ...]) -> Iterator[BatchStatus]:
    for batch in batches:
        key, about = batch.batch_key, (batch.mode, batch.records)
        arn = kept_arn(run, number, batch)
        if run.store.exists(collected_key(number, key)):
            found = read_collected(run, number, key)
            yield BatchStatus(key, *about, "collected", batch.records, arn, found)
        elif batch.awaits is not None:
            owner = batch.awaits.run_uri.rpartition("/")[2]
            yield BatchStatus(key, *about, f"waits for run {owner}", 0, None, None)
        elif (taker := revoked_by(run, number, key)) is not None:
            whose = "held back" if taker == run.manifest.run_key else f"taken over by run {taker}"
            yield BatchStatus(key, *about, whose, 0, None, None)
        elif batch.mode is Mode.ON_DEMAND:
            answered = sum(1 for _ in run.store.list(output_folder(number, key)))
            yield BatchStatus(key, *about, "asking" if answered else "planned", answered, None, None)
        else:
            job = run.services.batch_client().describe(arn) if arn else None
            yield BatchStatus(key, *about, *_state(job), arn, None)


def _state(job: Job | None) -> tuple[str, int]:
    return ("planned", 0) if job is None else (str(job.status), job.records_done)

"""Find the jobs of a work store that no run waits for: adopt those that a run has begun, stop or report the others."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from enum import StrEnum

from pipeline.bedrock.client import OpenJob
from pipeline.domain import Batch
from pipeline.errors import ObjectMissing, RunError
from pipeline.manifest import RUNS, lease_key, run_folder
from pipeline.steps.intents import keep_arn, kept_arn, read_intent
from pipeline.steps.rounds import read_plan
from pipeline.steps.run import Run, Services
from pipeline.steps.status import Phase, phase_of
from pipeline.steps.submit import TURN
from pipeline.storage.leases import Lease, holding
from pipeline.tidying.waiting import awaited_runs

OURS = "docbatch-"  # how the names of all our jobs begin
SETTLED = dt.timedelta(minutes=10)  # a younger job is not stopped: its run may have been begun a moment ago
_PLACE = re.compile(r"(?P<run>[^/]+)/rounds/(?P<round>\d+)/output/(?P<batch>[^/]+)/?")


class Done(StrEnum):
    """What became of an orphan."""

    ADOPTED = "adopted"
    STOPPED = "stopped"
    LEFT = "left"


@dataclass(frozen=True, slots=True)
class Orphan:
    """A job in flight that nobody waited for; `why` says how that is known."""

    arn: str
    name: str
    run_key: str
    why: str
    done: Done


@dataclass(frozen=True, slots=True)
class _Owner:
    """The batch whose answers a job writes."""

    run: Run
    round_number: int
    batch: Batch

    def begun(self, job: OpenJob) -> bool:
        """Whether whoever started the job died, or has not yet come, before its ARN was kept."""
        intent = read_intent(self.run, self.round_number, self.batch.batch_key)
        return intent is not None and intent.order is not None and intent.order.name == job.name

    def adopt(self, job: OpenJob) -> bool:
        """Keep the ARN where `submit` would, in its turn; False when somebody has kept one meanwhile."""
        lease = Lease(self.run.store, lease_key(self.round_number, TURN), self.run.services.settings.lease_seconds)
        with holding(lease):
            free = kept_arn(self.run, self.round_number, self.batch) is None and self.begun(job) and not lease.lost
            if free:
                keep_arn(self.run, self.round_number, self.batch, job.arn)
        return free


def settle_orphans(services: Services, work_uri: str, *, dry_run: bool = False) -> list[Orphan]:
    """Every orphan and what was done about it; what would be done, in a dry run.

    A job belongs to the work store below which it writes; others are never touched. The jobs are listed before the runs
    are looked at, and a run writes its intent before its job: one that is just about to keep its ARN is seen to.
    Raises StorageError, ServiceError.
    """
    jobs = [job for job in services.batch_client().unended(OURS) if job.name.startswith(OURS)]
    found = (_settled(services, work_uri, job, dry_run=dry_run) for job in sorted(jobs, key=lambda one: one.name))
    return [one for one in found if one is not None]


def _settled(services: Services, work_uri: str, job: OpenJob, *, dry_run: bool) -> Orphan | None:
    """None for a job that is another's, or that its run waits for."""
    below = f"{work_uri}/{RUNS}/"
    place = _PLACE.fullmatch(job.output_uri.removeprefix(below)) if job.output_uri.startswith(below) else None
    if place is None:
        return None
    try:
        owner = _owner(services, work_uri, place)
    except RunError:
        return None  # another version of docbatch began it, and knows what it waits for
    if owner is None:
        return _unwanted(services, job, place["run"], "no run of the work store has planned it", dry_run=dry_run)
    kept = kept_arn(owner.run, owner.round_number, owner.batch)
    if kept is None and owner.begun(job):
        if dry_run or owner.adopt(job):
            about = f"batch {owner.batch.batch_key} was begun, and its job not written down"
            return Orphan(job.arn, job.name, place["run"], about, Done.ADOPTED)
        kept = kept_arn(owner.run, owner.round_number, owner.batch)
    if kept != job.arn:
        why = f"its batch has another job, {kept}" if kept else "its batch was never sent, or given up"
        return _unwanted(services, job, place["run"], why, dry_run=dry_run)
    phase = phase_of(owner.run)
    if phase is Phase.OPEN or place["run"] in awaited_runs(services, owner.run.work):
        return None
    return _unwanted(services, job, place["run"], f"its run is {phase}", dry_run=dry_run)


def _owner(services: Services, work_uri: str, place: re.Match[str]) -> _Owner | None:
    """None when no run, or no plan of it, knows the batch."""
    try:
        run = Run(services, f"{work_uri}/{run_folder(place['run'])}")
        batches = read_plan(run, int(place["round"])).batches
    except ObjectMissing:
        return None
    found = (one for one in batches if one.batch_key == place["batch"])
    return next((_Owner(run, int(place["round"]), one) for one in found), None)


def _unwanted(services: Services, job: OpenJob, run_key: str, why: str, *, dry_run: bool) -> Orphan:
    """A job that nobody will collect: it costs money as long as it goes on."""
    old = job.submitted <= services.clock() - SETTLED
    if not (services.settings.stop_orphans and old):
        return Orphan(job.arn, job.name, run_key, why, Done.LEFT)
    if not dry_run:
        services.batch_client().stop(job.arn)
    return Orphan(job.arn, job.name, run_key, why, Done.STOPPED)

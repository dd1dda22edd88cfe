"""Delete the working files of runs that were published long ago; say which others are old, and why theirs stay."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

from pipeline.errors import ObjectMissing, RunError, StorageError
from pipeline.manifest import MANIFEST, OPEN_RUNS, PLANNING_LEASE, PUBLISHED, TIDYING_LEASE, open_key, run_folder
from pipeline.steps.intents import kept_arn, read_intent
from pipeline.steps.run import Run, Services
from pipeline.steps.status import READS_AT_ONCE, Phase, phase_of, run_keys
from pipeline.steps.stopping import open_batches
from pipeline.steps.summary import read_summary
from pipeline.steps.tombstones import Tombstone, read_tombstone, write_tombstone
from pipeline.storage.leases import Lease, holding
from pipeline.storage.objects import ObjectStore
from pipeline.tidying.remains import count_working, delete_working
from pipeline.tidying.waiting import awaited_runs


@dataclass(frozen=True, slots=True)
class Leftover:
    """The working files of an old run. `kept_because` says why they stay; None where they go.

    `since` is when it was published; of a run that never was, when it was last touched.
    """

    run_key: str
    published: bool
    since: dt.datetime
    files: int
    size_bytes: int
    kept_because: str | None = None


def tidy_runs(services: Services, work_uri: str, *, dry_run: bool = False) -> list[Leftover]:
    """Delete what is old, one tidier of a work store at a time; what was found, in the order of the runs' keys.

    Nothing is deleted of a run that is worked on, stopped, or awaited by another. Repeating it goes on where it was
    broken off. A dry run only looks. Raises StorageError, ServiceError.
    """
    if dry_run:
        return find_leftovers(services, work_uri)
    work = services.open(work_uri)
    lease = _lease(services, work, TIDYING_LEASE)
    with holding(lease):
        found = find_leftovers(services, work_uri)
        if any(one.kept_because is None for one in found):
            found = _mark(services, work, found)
        for one in found:
            if one.kept_because is None:
                _refuse_lost(work, lease)
                _delete(services.open(work.uri(run_folder(one.run_key))))
    return found


def delete_work_of(services: Services, work: ObjectStore, run_key: str) -> int:
    """Delete the working files of a published run now; how many. To be called while no run plans, and nobody tidies."""
    store = services.open(work.uri(run_folder(run_key)))
    files, size_bytes = count_working(store)
    _put_tombstone(services, work, Leftover(run_key, True, services.clock(), files, size_bytes))
    _delete(store)
    return files


def find_leftovers(services: Services, work_uri: str) -> list[Leftover]:
    """Every run that is old enough to be tidied, and was not."""
    work = services.open(work_uri)
    look = _Look(services, work)
    with ThreadPoolExecutor(READS_AT_ONCE) as pool:
        return [one for one in pool.map(look.at, run_keys(work)) if one is not None]


class _Look:
    """One look at the runs of a work store."""

    def __init__(self, services: Services, work: ObjectStore) -> None:
        self._services, self._work = services, work
        self._before = services.clock() - dt.timedelta(days=services.settings.keep_work_days)
        self._opened = {entry.key.rpartition("/")[2]: entry.last_modified for entry in work.list(OPEN_RUNS)}
        self._awaited = awaited_runs(services, work)

    def at(self, run_key: str) -> Leftover | None:
        """None for a run that is young, stopped, worked on, or tidied already."""
        store = self._services.open(self._work.uri(run_folder(run_key)))
        tombstone = read_tombstone(store)
        if tombstone is not None:
            size = (tombstone.files, tombstone.size_bytes)
            return None if tombstone.complete else Leftover(run_key, tombstone.published, tombstone.tidied, *size)
        ended = None if run_key in self._opened else _ended(store)
        found = self._unpublished(run_key, store) if ended is None else self._published(run_key, store, ended)
        return found and self.unless_awaited(found)

    def unless_awaited(self, found: Leftover) -> Leftover:
        waiting = self._awaited.get(found.run_key)
        return replace(found, kept_because=f"run {waiting} waits for its answers") if waiting else found

    def _published(self, run_key: str, store: ObjectStore, ended: dt.datetime) -> Leftover | None:
        return Leftover(run_key, True, ended, *count_working(store)) if ended < self._before else None

    def _unpublished(self, run_key: str, store: ObjectStore) -> Leftover | None:
        """A run that nobody has touched for long, and that has no job in flight."""
        touched = self._opened.get(run_key)
        for entry in store.list():
            touched = entry.last_modified if touched is None else max(touched, entry.last_modified)
            if touched >= self._before:
                return None
        if touched is None:
            return None
        found = Leftover(run_key, False, touched, *count_working(store))
        try:
            run = Run(self._services, store.uri())
        except ObjectMissing:  # its documents were being listed when it was broken off
            return replace(found, kept_because=self._unless_allowed())
        except RunError:
            return replace(found, kept_because="another version of docbatch began it; finish it with that version")
        if phase_of(run) is Phase.STOPPED or (begun := _begun(run)) is None:
            return None
        if run.store.exists(PUBLISHED):
            return replace(found, kept_because="its publication was broken off; resume it")
        if begun:
            return replace(found, kept_because=f"what its batches {', '.join(begun)} answered is paid; resume it")
        return replace(found, kept_because=self._unless_allowed())

    def _unless_allowed(self) -> str | None:
        allowed = self._services.settings.tidy_abandoned
        return None if allowed else "it was never published; resume it, or set DOCBATCH_TIDY_ABANDONED to delete it"


def _ended(store: ObjectStore) -> dt.datetime | None:
    try:
        return read_summary(store).ended
    except ObjectMissing:
        return None


def _begun(run: Run) -> list[str] | None:
    """The batches that were sent and are not collected; None when the job of one goes on."""
    found = []
    for number, batch in open_batches(run):
        arn = kept_arn(run, number, batch)
        if arn is not None and not run.services.batch_client().describe(arn).status.ended:
            return None
        if arn is not None or read_intent(run, number, batch.batch_key) is not None:
            found.append(batch.batch_key)
    return found


def _mark(services: Services, work: ObjectStore, found: list[Leftover]) -> list[Leftover]:
    """Put the tombstones of what goes, while no run plans: none can begin to wait for such a run any more.

    What was open is so no longer, before any of its files goes: planners read those of open runs.
    """
    lease = _lease(services, work, PLANNING_LEASE)
    with holding(lease):
        look = _Look(services, work)
        marked: list[Leftover] = []
        for one in found:
            if one.kept_because is None:
                _refuse_lost(work, lease)
                now = look.unless_awaited(one) if one.published else look.at(one.run_key)
                if now is None:
                    continue  # somebody has taken it up meanwhile
                if now.kept_because is None:
                    _put_tombstone(services, work, now)
                one = now
            marked.append(one)
    return marked


def _put_tombstone(services: Services, work: ObjectStore, one: Leftover) -> None:
    store = services.open(work.uri(run_folder(one.run_key)))
    if store.exists(MANIFEST) and read_tombstone(store) is None:
        write_tombstone(store, Tombstone(services.clock(), one.files, one.size_bytes, one.published))
    if not one.published:
        work.delete(open_key(one.run_key))


def _delete(store: ObjectStore) -> None:
    """Idempotent. The tombstone of a run that has its manifest says in the end that nothing is left to do."""
    delete_working(store)
    tombstone = read_tombstone(store)
    if tombstone is not None:
        write_tombstone(store, replace(tombstone, complete=True))


def _lease(services: Services, work: ObjectStore, key: str) -> Lease:
    return Lease(work, key, services.settings.lease_seconds)


def _refuse_lost(work: ObjectStore, lease: Lease) -> None:
    if lease.lost:
        raise StorageError(f"{work.uri()}: was too slow, and another process may be at it; repeat it to go on")

"""Delete for good, and at once, what a withdrawn run has left of its texts, prompts, answers and rows."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING

import orjson
import pyarrow.parquet as pq

from pipeline.catalog.files import RUNS_KEY
from pipeline.errors import ObjectMissing, RunError
from pipeline.manifest import ANSWERS, ERASING, PLANNING_LEASE, TEXTS, TIDYING_LEASE
from pipeline.parquet import COMPACTED
from pipeline.steps.run import Run, Services
from pipeline.steps.tombstones import read_tombstone, write_tombstone
from pipeline.steps.withdrawing import alone, delete_set_aside, fetched, withdrawn_since
from pipeline.storage.leases import Lease, holding
from pipeline.storage.objects import ObjectStore
from pipeline.tidying.remains import AT_ONCE
from pipeline.tidying.retention import delete_work_of
from pipeline.tidying.waiting import awaited_runs

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

_EVER = dt.datetime.max.replace(tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Erased:
    """How many files went: of rows and of what tables say of them, of the run's work, of answers, and of kept texts."""

    run_key: str
    tables: int
    work: int
    answers: int
    texts: int


def erase(services: Services, run_uri: str) -> Erased:
    """The run cannot be brought back, and its answers would be paid again; no other run's rows or answers go.

    Of tables, all snapshots but the newest are forgotten. Kept texts go of all runs: whoever needs one parses again.
    Repeating it completes what was broken off. Raises RunError for a run that was not withdrawn, or that another waits
    for, StorageError.
    """
    run = Run(services, run_uri)
    run_key, work = run.manifest.run_key, run.work
    with alone(run), holding(Lease(work, TIDYING_LEASE, services.settings.lease_seconds)):
        _refuse(services, run)
        output = services.open(run.manifest.output_uri)
        tables = delete_set_aside(output, run_key)
        with services.catalog(run.manifest.output_uri) as catalog:
            tables += _forget(catalog, output, run)
            tables += _delete_copies(catalog, output, run_key)
        with holding(Lease(work, PLANNING_LEASE, services.settings.lease_seconds)):
            _refuse(services, run)
            files = delete_work_of(services, work, run_key)
            _mark(run)
        answers, texts = _delete_below(work, f"{ANSWERS}/{run_key}"), _delete_below(work, TEXTS)
    return Erased(run_key, tables, files, answers, texts)


def _refuse(services: Services, run: Run) -> None:
    key = run.manifest.run_key
    if withdrawn_since(run.work, key) is None:
        raise RunError(f"run {key}: is not withdrawn; begin with docbatch withdraw {key}")
    if waiting := awaited_runs(services, run.work).get(key):
        raise RunError(f"run {key}: run {waiting} waits for its answers; erase it when that has ended, or was stopped")


def _mark(run: Run) -> None:
    """Whoever asks for the run hears that it is gone for good."""
    tombstone = read_tombstone(run.store)
    assert tombstone is not None  # its working files were just deleted
    write_tombstone(run.store, replace(tombstone, erased=True))


def _forget(catalog: Catalog, output: ObjectStore, run: Run) -> int:
    """Delete what only former snapshots need; whatever somebody is about to commit is not among it.

    What a snapshot took out, it describes with least and greatest values: so there is one more first. Which files there
    were is written down before any is forgotten: whoever repeats it could not know.
    """
    before = _written_down(run) | _references(catalog)
    for table in catalog.tables():
        catalog.renew(table)
    before |= _references(catalog)
    run.store.write(ERASING, orjson.dumps(sorted(before)))
    for table in catalog.tables():
        catalog.expire(table, _EVER)
    unneeded = before - _references(catalog)
    for key in sorted(unneeded):
        output.delete(key)
    run.store.delete(ERASING)
    return len(unneeded)


def _written_down(run: Run) -> set[str]:
    try:
        return set(orjson.loads(run.store.read(ERASING)))
    except ObjectMissing:
        return set()


def _references(catalog: Catalog) -> set[str]:
    return {key for table in catalog.tables() for key in catalog.references(table)}


def _delete_copies(catalog: Catalog, output: ObjectStore, run_key: str) -> int:
    """Copies that hold the run and that no snapshot names: whoever is about to commit one finds the table changed."""
    unneeded = []
    for table in catalog.tables():
        needed = catalog.references(table)
        found = [entry.key for entry in output.list(f"{COMPACTED}/{table}") if entry.key.endswith(".parquet")]
        unneeded += [key for key in found if key not in needed and run_key in _runs_of(output, key)]
    for key in unneeded:
        output.delete(key)
    return len(unneeded)


def _runs_of(output: ObjectStore, key: str) -> dict[str, object]:
    with fetched(output, key) as file:
        found: dict[str, object] = orjson.loads((pq.read_metadata(file).metadata or {}).get(RUNS_KEY, b"{}"))
    return found


def _delete_below(work: ObjectStore, folder: str) -> int:
    files, keys = 0, (entry.key for entry in work.list(folder))
    while some := list(islice(keys, AT_ONCE)):
        work.delete_all(some)
        files += len(some)
    return files

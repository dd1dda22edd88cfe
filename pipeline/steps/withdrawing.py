"""Take a published run out of all tables, and bring it back as it was."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import orjson
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from pipeline.errors import ObjectExists, ObjectMissing, RunError, StorageError
from pipeline.manifest import PUBLISHED, open_key, withdrawal_lease_key, withdrawn_key
from pipeline.parquet import set_aside_folder, set_aside_key, set_aside_list
from pipeline.schemas import GOLD_TABLE
from pipeline.steps.run import Run, Services
from pipeline.storage.leases import Lease, holding
from pipeline.storage.objects import ObjectStore

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

_TIME = TypeAdapter(dt.datetime)


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A run that left the tables: when that began, and the files of rows that are set aside, by table."""

    run_key: str
    withdrawn: dt.datetime
    set_aside: dict[str, list[str]]


def withdrawn_since(work: ObjectStore, run_key: str) -> dt.datetime | None:
    """When somebody withdrew a run; None for one that nobody did."""
    try:
        return _TIME.validate_python(orjson.loads(work.read(withdrawn_key(run_key)))["withdrawn"])
    except ObjectMissing:
        return None


def withdraw(services: Services, run_uri: str) -> Withdrawn:
    """Take the rows of a published run out of all tables, `runs` first: whoever reads by it sees all of them or none.

    Its files are set aside before, and leave the tables' folders after. Repeating it completes what was broken off.
    Raises RunError for a run that was never published, StorageError.
    """
    run = Run(services, run_uri)
    run_key, output_uri = run.manifest.run_key, run.manifest.output_uri
    with alone(run):
        _refuse_unpublished(run)
        with suppress(ObjectExists):
            run.work.write(withdrawn_key(run_key), orjson.dumps({"withdrawn": services.clock()}), create=True)
        output = services.open(output_uri)
        with services.catalog(output_uri) as catalog:
            tables = ["runs", *(table for table in catalog.tables() if table not in ("runs", GOLD_TABLE))]
            kept = _set_aside(output, catalog, tables, run_key)
            for table in tables:
                catalog.withdraw(table, run_key)
        for table in tables:
            for entry in list(output.list(f"tables/{table}/{run_key}")):
                output.delete(entry.key)
    since = withdrawn_since(run.work, run_key)
    assert since is not None
    return Withdrawn(run_key, since, kept)


def alone(run: Run) -> AbstractContextManager[bool]:
    """While the context lasts, nobody else withdraws the run or brings it back."""
    return holding(Lease(run.work, withdrawal_lease_key(run.manifest.run_key), run.services.settings.lease_seconds))


def refuse_withdrawn(run: Run) -> None:
    """Raises StorageError when somebody withdrew the run: its rows are about to leave the tables."""
    if withdrawn_since(run.work, run.manifest.run_key):
        key = run.manifest.run_key
        raise StorageError(
            f"run {key}: was withdrawn while it was being published; repeat docbatch withdraw {key}, or bring it back "
            f"with docbatch resume {key}"
        )


def put_back(run: Run) -> bool:
    """Bring the rows of a withdrawn run back from the files that were set aside, `runs` last; False without such files.

    To be called `alone`. The schemas are those of the files: no prompt and no working file is needed.
    """
    run_key, output = run.manifest.run_key, run.services.open(run.manifest.output_uri, make=True)
    with run.services.catalog(run.manifest.output_uri, make=True) as catalog:
        if "runs" in catalog.tables() and catalog.files("runs", run_key):
            return True  # it was broken off before anything had left
        kept = _read_list(output, run_key) or {}
        for table in sorted(kept, key=lambda table: table == "runs"):
            for key in kept[table]:
                _copy(output, set_aside_key(run_key, key), key)
            with fetched(output, kept[table][0]) as file:
                schema = pq.read_schema(file)
            catalog.commit(table, schema, run_key, kept[table])
    return bool(kept)


def forget_withdrawal(run: Run) -> None:
    """The run is published as any other; what was set aside goes."""
    run_key, output = run.manifest.run_key, run.services.open(run.manifest.output_uri, make=True)
    run.work.delete(withdrawn_key(run_key))
    delete_set_aside(output, run_key)


def delete_set_aside(output: ObjectStore, run_key: str) -> int:
    """Delete the files of a withdrawn run for good, their list first: half of them would be no run. How many."""
    output.delete(set_aside_list(run_key))
    keys = [entry.key for entry in output.list(set_aside_folder(run_key))]
    for key in keys:
        output.delete(key)
    return len(keys)


def _refuse_unpublished(run: Run) -> None:
    if run.store.exists(PUBLISHED) and not run.work.exists(open_key(run.manifest.run_key)):
        return
    key = run.manifest.run_key
    raise RunError(f"run {key}: is not published, so that no table has rows of it; see docbatch status {key}")


def _set_aside(output: ObjectStore, catalog: Catalog, tables: list[str], run_key: str) -> dict[str, list[str]]:
    """Copy the run's files out of the tables' folders, unless that is done; the keys that they had, by table.

    Nothing leaves a table before its files are in the list, which is written when all of them are copied.
    """
    if not catalog.files("runs", run_key):
        return _read_list(output, run_key) or {}
    kept = {table: keys for table in tables if (keys := catalog.files(table, run_key))}
    for keys in kept.values():
        for key in keys:
            _copy(output, key, set_aside_key(run_key, key))
    output.write(set_aside_list(run_key), orjson.dumps(kept))
    return kept


def _read_list(output: ObjectStore, run_key: str) -> dict[str, list[str]] | None:
    """What was set aside, whole; None when it is not, or was deleted."""
    try:
        found: dict[str, list[str]] = orjson.loads(output.read(set_aside_list(run_key)))
    except ObjectMissing:
        return None
    return found


def _copy(output: ObjectStore, source: str, target: str) -> None:
    with fetched(output, source) as file:
        output.write(target, file)


@contextmanager
def fetched(output: ObjectStore, key: str) -> Iterator[BinaryIO]:
    """An object as a file, never whole in memory."""
    with tempfile.TemporaryFile() as file:
        for piece in output.stream(key):
            file.write(piece)
        file.seek(0)
        yield file

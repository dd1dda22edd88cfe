"""The tables of an output: which files of which runs each consists of, changed in one commit a table."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Collection, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
from pyiceberg.exceptions import (
    CommitFailedException,
    NoSuchIcebergTableError,
    NoSuchNamespaceError,
    NoSuchTableError,
    TableAlreadyExistsError,
)
from pyiceberg.io.pyarrow import PyArrowFileIO, parquet_file_to_data_file
from pyiceberg.schema import Schema
from pyiceberg.table import CreateTableTransaction, StagedTable, Table
from pyiceberg.table.update import AddSchemaUpdate, AssertCurrentSchemaId, SetCurrentSchemaUpdate
from pyiceberg.utils.concurrent import ExecutorFactory
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from pipeline.catalog.fields import iceberg_schema, in_place, union
from pipeline.catalog.files import Footers, Look, held, least_values, look_at
from pipeline.catalog.making import CREATED, new_table
from pipeline.catalog.place import Place
from pipeline.catalog.snapshots import forget, referred, superseded
from pipeline.catalog.translation import LOST_RACE, MADE_MEANWHILE, misplaced, translated
from pipeline.errors import ObjectMissing

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog as Vendor

# A commit copies what is told of every snapshot a dozen times: with 380 of them it took 0.5 s of CPU instead of 0.04.
MOST_SNAPSHOTS = 100
ATTEMPTS = 12  # of one commit; each lost race means that another publisher got on


@dataclass(frozen=True)
class Catalog:
    """The tables of one output, in one namespace of a catalog of pyiceberg's.

    Every call raises StorageError or ServiceError for what the catalog, its database or the storage says.
    """

    vendor: Vendor
    namespace: str
    place: Place
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    sleep: Callable[[float], None] = time.sleep
    footers: Footers = field(default_factory=dict, repr=False, compare=False)

    def prepare(self, schemas: Mapping[str, pa.Schema]) -> None:
        """Make the tables that are missing, and see that the others can take rows of these schemas. No row changes.

        To be called before anything is paid. Raises DeclarationError naming the table and column whose type differs.
        """
        for table, schema in schemas.items():
            with self._about(table):
                union(self._made(table, schema).schema().as_struct(), iceberg_schema(schema).as_struct(), table)

    def commit(self, table: str, schema: pa.Schema, run_key: str, keys: Collection[str]) -> bool:
        """Make the table's rows of a run those of exactly these files; False when they are already.

        A race that is lost is run again, looking afresh each time, so that two publishers add no file twice.
        """
        wanted = {self.place.location(key) for key in keys}
        with self._about(table):
            return self._repeated(self._commit_once, table, schema, run_key, wanted)

    def add(self, table: str, schema: pa.Schema, key: str) -> bool:
        """Add the rows of one more file, whatever others add at the same time; False when they are there already.

        They must all be of one run.
        """
        with self._about(table):
            return self._repeated(self._add_once, table, schema, self.place.location(key))

    def withdraw(self, table: str, run_key: str) -> bool:
        """Take the rows of a run out of the table, not out of its storage; False when there are none."""
        with self._about(table):
            return self._repeated(lambda: self._swap(self._loaded(table), run_key, set()))

    def compact(self, look: Look, table: str, locations: Collection[str], key: str) -> bool:
        """Let one file take the place of those of several runs, whose rows it holds; where those lie, they stay.

        False when the table has changed since it was looked at. Nobody sees any other rows than before.
        """
        with self._about(table):
            return self._repeated(self._compact_once, look.version, table, set(locations), self.place.location(key))

    def look(self, table: str) -> Look:
        """The files of the table's newest snapshot. Raises ObjectMissing when there is no such table."""
        with self._about(table):
            return self._look(table)

    def files(self, table: str, run_key: str) -> list[str]:
        """The keys of a run's own files in the table's newest snapshot, in order; they may be compacted as well."""
        with self._about(table):
            own = self._look(table, run_key).sizes(run_key)
            return sorted(key for location in own if (key := self.place.key(location)) is not None)

    def superseded(self, table: str, before: dt.datetime) -> list[int]:
        """The snapshots that were replaced by another before then, the oldest first; none that a branch or tag holds.

        When it was made does not count: a snapshot that was the newest until a moment ago has readers.
        """
        with self._about(table):
            return superseded(self._loaded(table).metadata, before)

    def expire(self, table: str, before: dt.datetime) -> int:
        """Forget those snapshots; how many. Their files stay where they are until they are swept."""
        with self._about(table):
            return self._repeated(lambda: forget(self._loaded(table), before, kept=1))

    def renew(self, table: str) -> None:
        """One more snapshot with the same rows, which no longer describes the files that the last one took out."""
        with self._about(table):
            self._repeated(self._renew_once, table)

    def thin(self, table: str, before: dt.datetime) -> int:
        """Forget those snapshots but the newest, where there are so many that commits and sweeps get slow; how many."""
        with self._about(table):
            found = self._loaded(table)
            if len(found.metadata.snapshots) <= MOST_SNAPSHOTS:
                return 0
            return self._repeated(lambda: forget(self._loaded(table), before, kept=MOST_SNAPSHOTS // 2))

    def tables(self) -> list[str]:
        """The names of the output's tables, in order; none when nothing was ever published."""
        with self._about("the list of tables"):
            try:
                return sorted(name for *_, name in self.vendor.list_tables(self.namespace))
            except NoSuchNamespaceError:
                return []

    def dataset(self, table: str, run_keys: Collection[str] | None = None) -> ds.Dataset:
        """The rows of a table as its newest snapshot has them, of these runs or of all, by run and file; read lazily.

        A column that a file lacks is null. Raises ObjectMissing when there is no such table.
        """
        with self._about(table):
            return self._look(table).rows(run_keys)

    def run_keys(self, table: str) -> set[str]:
        """The runs that have rows in the table's newest snapshot."""
        with self._about(table):
            return {run_key for one in self._look(table).files for run_key in one.runs}

    def version(self, table: str) -> int | None:
        """The id of the table's newest snapshot, which every change of its rows makes anew; None without rows."""
        with self._about(table):
            found = self._loaded(table).current_snapshot()
            return None if found is None else found.snapshot_id

    def least(self, table: str, column: str) -> list[tuple[str, Any]] | None:
        """Runs, each with the least value of a column in one of its files; only compacted files are opened for it.

        Times are microseconds since 1970. None where the catalog does not know it of every file.
        """
        with self._about(table):
            return least_values(self._look(table), column)

    def created(self, table: str) -> dt.datetime:
        """When the table was made: files that are older are not this catalog's to judge."""
        with self._about(table):
            return dt.datetime.fromisoformat(self._loaded(table).properties[CREATED])

    def references(self, table: str) -> set[str]:
        """The key of every file, of rows or of metadata, that any snapshot of the table needs.

        So are the runs' own files of a compacted one: readers of the folder and of one run need them, and `withdraw`.
        """
        with self._about(table):
            found = self._loaded(table)
            files = referred(found, lambda file: chain(*held(found, self.place, self.footers, file).runs.values()))
            return {key for one in files if (key := self.place.key(one)) is not None}

    @property
    def _repeated(self) -> Retrying:
        return Retrying(
            retry=retry_if_exception_type(LOST_RACE),
            stop=stop_after_attempt(ATTEMPTS),
            wait=wait_random_exponential(multiplier=0.05, max=3),
            sleep=self.sleep,
            reraise=True,
        )

    def close(self) -> None:
        """Let go of the database."""
        self.vendor.close()

    def _about(self, table: str) -> AbstractContextManager[None]:
        return translated(f"catalog of {self.place.uri}, {table}")

    def _commit_once(self, table: str, schema: pa.Schema, run_key: str, wanted: set[str]) -> bool:
        return self._swap(self._widened(self._made(table, schema), schema, table), run_key, wanted)

    def _add_once(self, table: str, schema: pa.Schema, location: str) -> bool:
        found = self._widened(self._made(table, schema), schema, table)
        if any(task.file.file_path == location for task in found.scan().plan_files()):
            return False
        with found.transaction() as change, change.update_snapshot().merge_append() as snapshot:
            snapshot.append_data_file(parquet_file_to_data_file(found.io, found.metadata, location))
        return True

    def _swap(self, found: Table, run_key: str, wanted: set[str]) -> bool:
        """Of a compacted file that held the run, the other runs' own files take the place again."""
        look = look_at(found, self.place, self.footers, run_key)
        if look.sizes(run_key) == {location: len(found.io.new_input(location)) for location in wanted}:
            return False
        others = [own for one in look.files for run, own in one.runs.items() if run != run_key]
        added = sorted(wanted.union(*others))
        with found.transaction() as change:
            update = change.update_snapshot(snapshot_properties={"docbatch.run-key": run_key})
            with update.overwrite() if look.files else update.merge_append() as snapshot:
                for one in look.files:
                    snapshot.delete_data_file(one.file)
                described = partial(parquet_file_to_data_file, found.io, found.metadata)
                for file in ExecutorFactory.get_or_create().map(described, added):
                    snapshot.append_data_file(file)
        return True

    def _compact_once(self, version: int | None, table: str, locations: set[str], location: str) -> bool:
        """The table is divided by run; for the one snapshot that adds a file of several runs, it is not."""
        look = self._look(table)
        if look.version != version:
            return False
        with look.found.transaction() as change:
            with change.update_spec() as spec:
                spec.remove_field("run_key")
            with change.update_snapshot(snapshot_properties={"docbatch.compacted": location}).overwrite() as snapshot:
                for one in look.files:
                    if one.file.file_path in locations:
                        snapshot.delete_data_file(one.file)
                snapshot.append_data_file(parquet_file_to_data_file(look.found.io, change.table_metadata, location))
            with change.update_spec() as spec:
                spec.add_identity("run_key")
        return True

    def _renew_once(self, table: str) -> None:
        with self._loaded(table).transaction() as change, change.update_snapshot().fast_append():
            pass

    def _look(self, table: str, run_key: str | None = None) -> Look:
        return look_at(self._loaded(table), self.place, self.footers, run_key)

    def _loaded(self, table: str) -> Table:
        """The table as it is now. Raises ObjectMissing, and SettingsError for the table of another output."""
        try:
            found = self.vendor.load_table((self.namespace, table))
        except NoSuchIcebergTableError:
            raise  # somebody else's table of that name, which `translated` tells
        except NoSuchTableError:
            raise ObjectMissing(f"{self.place.uri}/tables/{table}: nothing is published there") from None
        if found.location() != self.place.location(f"tables/{table}"):
            raise misplaced(self.vendor, self.namespace, table, found.location(), self.place)
        return found

    def _made(self, table: str, schema: pa.Schema) -> Table:
        """The table, made where it is missing; whoever else makes it at the same moment makes the same."""
        with suppress(ObjectMissing):
            return self._loaded(table)
        with suppress(*MADE_MEANWHILE):
            self.vendor.create_namespace_if_not_exists(self.namespace)
        with suppress(TableAlreadyExistsError, CommitFailedException):
            metadata = new_table(table, schema, self.place, self.clock())
            nowhere = f"{metadata.location}/unwritten"  # commit_transaction writes to a place of its own
            io = PyArrowFileIO(self.vendor.properties)
            staged = StagedTable((self.namespace, table), metadata, nowhere, io, self.vendor)
            CreateTableTransaction(staged).commit_transaction()
        return self._loaded(table)

    def _widened(self, found: Table, schema: pa.Schema, table: str) -> Table:
        """The table with the columns of the schema that it had not, in the order of reading: files are read by ids."""
        before = found.schema()
        new = iceberg_schema(schema).as_struct()
        fields = in_place(union(before.as_struct(), new, table), new)
        if fields == before.as_struct():
            return found
        number = max(one.schema_id for one in found.metadata.schemas) + 1
        wider = (
            AddSchemaUpdate(schema_=Schema(*fields.fields, schema_id=number)),
            SetCurrentSchemaUpdate(schema_id=-1),
        )
        unchanged = AssertCurrentSchemaId(current_schema_id=before.schema_id)
        self.vendor.commit_table(found, (unchanged,), wider)
        return self._loaded(table)

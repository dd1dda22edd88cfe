"""The files of which a table consists: whose rows each of them holds, and how rows are read from them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyiceberg.conversions import from_bytes
from pyiceberg.expressions import EqualTo
from pyiceberg.io.pyarrow import PyArrowFileIO
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.types import NestedField, PrimitiveType

from pipeline.catalog.fields import read_schema
from pipeline.catalog.place import Place
from pipeline.errors import StorageError

RUNS_KEY = b"docbatch.runs"  # of a compacted file's own metadata: run key -> key of a file -> its size in bytes

Sizes = Mapping[str, int]
"""Where files lie, each with its size in bytes."""
Footers = MutableMapping[str, Mapping[str, Sizes]]
"""What compacted files say of themselves; they never change, so that each is looked into once."""


@dataclass(frozen=True, slots=True)
class Held:
    """A file that the newest snapshot names, and the runs whose rows it holds, each with the files of its own.

    A file of one run is that run's own. A compacted one holds copies of rows whose own files stay in their folders.
    """

    file: DataFile
    runs: Mapping[str, Sizes]
    compacted: bool


@dataclass(frozen=True)
class Look:
    """What a table's newest snapshot consisted of when it was looked at, by run and file."""

    found: Table
    files: Sequence[Held]

    @property
    def version(self) -> int | None:
        """The id of the snapshot, which every change of rows makes anew; None without rows."""
        snapshot = self.found.current_snapshot()
        return None if snapshot is None else snapshot.snapshot_id

    def sizes(self, run_key: str) -> dict[str, int]:
        """The files of a run's own, wherever its rows are read from."""
        return {location: size for one in self.files for location, size in one.runs.get(run_key, {}).items()}

    def rows(self, run_keys: Iterable[str] | None = None) -> ds.Dataset:
        """The rows of these runs or of all, read lazily: of a compacted file only some of whose runs are wanted, those
        runs' own files are read instead.
        """
        wanted = None if run_keys is None else set(run_keys)
        return opened(self.found, [location for one in self.files for location in _locations(one, wanted)])


def look_at(found: Table, place: Place, footers: Footers, run_key: str | None = None) -> Look:
    """The files of the newest snapshot, or those that hold rows of one run."""
    scan = found.scan() if run_key is None else found.scan(EqualTo(term="run_key", value=run_key))
    files = [held(found, place, footers, task.file) for task in scan.plan_files()]
    files = [one for one in files if run_key is None or run_key in one.runs]
    return Look(found, sorted(files, key=lambda one: (min(one.runs), one.file.file_path)))


def held(found: Table, place: Place, footers: Footers, file: DataFile) -> Held:
    """Whose rows a file holds. One that is not divided by run is a compacted one, and says so itself."""
    location = file.file_path
    if found.specs()[file.spec_id].fields:
        return Held(file, {str(file.partition[0]): {location: file.file_size_in_bytes}}, compacted=False)
    if location not in footers:
        said = (footer(found, location).metadata or {}).get(RUNS_KEY)
        if said is None:
            raise StorageError(f"{location}: does not say which runs it holds; docbatch has not written it")
        runs: dict[str, dict[str, int]] = orjson.loads(said)
        footers[location] = {
            run_key: {place.location(key): size for key, size in own.items()} for run_key, own in runs.items()
        }
    return Held(file, footers[location], compacted=True)


def footer(found: Table, location: str) -> pq.FileMetaData:
    """What a file says of itself."""
    with found.io.new_input(location).open() as stream:
        assert isinstance(stream, pa.NativeFile)  # as PyArrowFileIO opens all files
        return pq.read_metadata(stream)


def runs_said(runs: Mapping[str, Sizes], place: Place) -> bytes:
    """What a compacted file says of itself: that is how `held` knows."""
    return orjson.dumps(
        {run_key: {place.key(location): size for location, size in own.items()} for run_key, own in runs.items()},
        option=orjson.OPT_SORT_KEYS,
    )


def _locations(one: Held, wanted: set[str] | None) -> Iterator[str]:
    if wanted is None or one.runs.keys() <= wanted:
        yield one.file.file_path
    else:
        yield from (location for run_key in sorted(one.runs.keys() & wanted) for location in sorted(one.runs[run_key]))


def opened(found: Table, locations: list[str]) -> ds.Dataset:
    """The files as one dataset with the table's columns: a field's id follows from its name, so names are enough."""
    schema = read_schema(found.schema())
    if not locations:
        return ds.dataset(schema.empty_table())
    assert isinstance(found.io, PyArrowFileIO)
    scheme, netloc, _ = PyArrowFileIO.parse_location(locations[0])
    paths = [PyArrowFileIO.parse_location(one)[2] for one in locations]
    return ds.dataset(paths, schema=schema, format="parquet", filesystem=found.io.fs_by_scheme(scheme, netloc))


def least_values(look: Look, column: str) -> list[tuple[str, Any]] | None:
    """Each run with the least value of a column in each of its files; None where the catalog does not know it of all.

    Only compacted files are opened. Times are microseconds since 1970.
    """
    field = look.found.schema().find_field(column)
    values: list[tuple[str, Any]] = []
    for one in look.files:
        if one.compacted:
            values += _least_by_run(look.found, one.file.file_path, column)
        elif (bound := (one.file.lower_bounds or {}).get(field.field_id)) is None:
            return None
        else:
            values += [(run_key, _value(field, bound)) for run_key in one.runs]
    return values


def _value(field: NestedField, bound: bytes) -> Any:
    assert isinstance(field.field_type, PrimitiveType)
    return from_bytes(field.field_type, bound)


def _least_by_run(found: Table, location: str, column: str) -> list[tuple[str, Any]]:
    rows = opened(found, [location]).to_table(columns=["run_key", column])
    values = rows[column]
    if pa.types.is_timestamp(values.type):
        rows = rows.set_column(1, column, pc.cast(values, pa.timestamp("us", values.type.tz)).cast(pa.int64()))
    least = rows.group_by("run_key", use_threads=False).aggregate([(column, "min")])
    return [(str(row["run_key"]), row[f"{column}_min"]) for row in least.to_pylist()]

"""Copy the rows of many small runs into one file, which the newest snapshot names in place of theirs."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import pyarrow as pa

from pipeline.catalog.fields import file_schema
from pipeline.catalog.files import RUNS_KEY, Look, footer, runs_said
from pipeline.catalog.reading import runs_as_of
from pipeline.errors import ObjectMissing
from pipeline.parquet import compacted_key, copy_rows, looked_up_in
from pipeline.schemas import GOLD_TABLE
from pipeline.storage.objects import ObjectStore

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

# A run with more bytes than that in a table is read quick enough from its own files.
SMALL_BYTES = 16_000_000
# Of the small files that become one. It is smaller than they were, and needs as much room in the temporary folder.
MOST_BYTES = 128_000_000
ATTEMPTS = 3  # of one file, whose rows are written before it is known whether the table has changed meanwhile


def compact(
    catalog: Catalog, output: ObjectStore, before: dt.datetime, least: int, *, dry_run: bool = False
) -> dict[str, int]:
    """How many runs of each table were written together: those that are small, published, and had ended before then.

    Of a table that has at least `least` such runs; 0 is never. Their own files stay where they are. Repeating it does
    nothing more; readers and publishers go on meanwhile, and who changes a table first is right.
    """
    found: dict[str, int] = {}
    for table in catalog.tables() if least else []:
        if table == GOLD_TABLE:  # its files are labels, which are added one by one and known by their keys
            continue
        old = set(runs_as_of(catalog, before))
        if dry_run:
            runs = len(small_runs(catalog.look(table), old))
            count = runs if runs >= least else 0
        else:
            count = _compact_table(catalog, output, table, old, least)
        found |= {table: count} if count else {}
    return found


def small_runs(look: Look, old: set[str]) -> dict[str, Mapping[str, int]]:
    """Those of the runs whose rows of a table lie in small files of their own, in the order of their keys."""
    own: dict[str, dict[str, int]] = {}
    for one in look.files:
        for run_key, sizes in one.runs.items():
            if not one.compacted and run_key in old:
                own.setdefault(run_key, {}).update(sizes)
    return {run_key: sizes for run_key, sizes in sorted(own.items()) if sum(sizes.values()) < SMALL_BYTES}


def _compact_table(catalog: Catalog, output: ObjectStore, table: str, old: set[str], least: int) -> int:
    """A file after the other, each visible in a commit of its own, until too few small runs are left."""
    done = lost = 0
    while lost < ATTEMPTS:
        look = catalog.look(table)
        runs = small_runs(look, old)
        if len(runs) < least:
            break
        some = _first(runs)
        if _compact_runs(catalog, output, table, look, some):
            done, lost = done + len(some), 0
        else:
            lost += 1  # somebody changed the table: what is small is looked up afresh
    return done


def _first(runs: Mapping[str, Mapping[str, int]]) -> dict[str, Mapping[str, int]]:
    """As many runs as one file takes."""
    taken: dict[str, Mapping[str, int]] = {}
    whole = 0
    for run_key, sizes in runs.items():
        whole += sum(sizes.values())
        if taken and whole > MOST_BYTES:
            break
        taken[run_key] = sizes
    return taken


def _compact_runs(
    catalog: Catalog, output: ObjectStore, table: str, look: Look, runs: Mapping[str, Mapping[str, int]]
) -> bool:
    """False when the table changed meanwhile: what was written is swept when it is old."""
    assert look.version is not None  # it has files
    key = compacted_key(table, look.version, catalog.clock())
    schema = file_schema(look.found.schema()).with_metadata({RUNS_KEY: runs_said(runs, catalog.place)})
    try:
        with tempfile.TemporaryFile() as file:
            copy_rows(schema, _rows(look, runs), file, looked_up=_looked_up(look, runs))
            file.seek(0)
            output.write(key, file)
    except (FileNotFoundError, ObjectMissing):
        if catalog.version(table) == look.version:
            raise
        return False  # somebody withdrew one of the runs
    return catalog.compact(look, table, [location for sizes in runs.values() for location in sizes], key)


def _looked_up(look: Look, runs: Mapping[str, Mapping[str, int]]) -> list[str]:
    """The columns that the largest file is looked up by: only whoever wrote it knew which is an answer's label."""
    sizes = [(size, location) for own in runs.values() for location, size in own.items()]
    return looked_up_in(footer(look.found, max(sizes)[1]))


def _rows(look: Look, runs: Mapping[str, Mapping[str, int]]) -> Iterator[pa.RecordBatch]:
    """File by file in the order of runs, not many ahead of what is written."""
    yield from look.rows(runs).to_batches(batch_readahead=1, fragment_readahead=2)

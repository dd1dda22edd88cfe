"""Write the rows of small runs together, forget the old snapshots of tables, delete the files that only they needed."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

from pipeline.catalog.compacting import compact
from pipeline.catalog.sweeping import sweep
from pipeline.errors import ObjectMissing
from pipeline.parquet import SET_ASIDE, set_aside_list
from pipeline.steps.run import Services
from pipeline.steps.withdrawing import delete_set_aside
from pipeline.storage.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Expired:
    """How many snapshots of each table went (or would), and how many files; files are not known of a dry run.

    `compacted` is how many runs of a table were written together, by table; those with none are left out.
    """

    snapshots: dict[str, int]
    files: int | None
    compacted: dict[str, int] = field(default_factory=dict)


def expire_snapshots(services: Services, output_uri: str, *, dry_run: bool = False) -> Expired:
    """Snapshots that were replaced `keep_snapshot_days` ago go. The newest of a table stays, and with it every row.

    So do the files that were set aside of runs that were withdrawn as long ago: those can be brought back until then.
    Before, the rows of small runs are written together where there are `compact_runs` of them in a table.
    Whoever reads a younger snapshot goes on reading it. Raises StorageError, ServiceError.
    """
    now, settings = services.clock(), services.settings
    before = now - dt.timedelta(days=settings.keep_snapshot_days)
    try:
        output = services.open(output_uri)
        with services.catalog(output_uri) as catalog:
            old = now - dt.timedelta(hours=settings.sweep_hours)
            runs = compact(catalog, output, old, settings.compact_runs, dry_run=dry_run)
            if dry_run:
                return Expired({name: len(catalog.superseded(name, before)) for name in catalog.tables()}, None, runs)
            found = {name: catalog.expire(name, before) for name in catalog.tables()}
            files = sweep(catalog, output, old)
            files += sum(delete_set_aside(output, key) for key in long_withdrawn(output, before))
            return Expired(found, files, runs)
    except ObjectMissing:  # nothing was ever published there
        return Expired({}, None if dry_run else 0)


def long_withdrawn(output: ObjectStore, before: dt.datetime) -> list[str]:
    """The runs whose files were all set aside before then."""
    keys = output.folders(SET_ASIDE)
    dated = {entry.key: entry.last_modified for key in keys for entry in output.list(f"{SET_ASIDE}/{key}")}
    return [key for key in keys if dated.get(set_aside_list(key), before) < before]

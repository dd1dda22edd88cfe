"""Delete what broken-off publishes left: old files of tables and of the catalog that no snapshot refers to."""

from __future__ import annotations

import datetime as dt
import logging
import re
from typing import TYPE_CHECKING

from pipeline.errors import StorageError
from pipeline.storage.objects import ObjectStore

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

log = logging.getLogger(__name__)

# The files that publishing makes, and no others: parts, copies, Iceberg's metadata, and what a killed write left half.
_PARTS = re.compile(r"tables/[^/]+/[^/]+/(part-\d{4,}\.parquet|\.docbatch-[^/]+)")
_COMPACTED = re.compile(r"compacted/[^/]+/([^/]+\.parquet|\.docbatch-[^/]+)")
_METADATA = re.compile(r"catalog/[^/]+/[^/]+\.(metadata\.json|avro)")


def sweep(catalog: Catalog, output: ObjectStore, before: dt.datetime) -> int:
    """Delete the files that were last changed before then and that no snapshot needs; how many.

    Only files younger than their table: what a former catalog published is not known here, and stays. A sweep that
    the storage refuses is told to the log, since the run is published all the same.
    """
    deleted = 0
    for table in catalog.tables():
        try:
            deleted += _sweep_table(catalog, output, table, before)
        except StorageError as error:
            log.warning("Not swept: %s", error)
    return deleted


def _sweep_table(catalog: Catalog, output: ObjectStore, table: str, before: dt.datetime) -> int:
    since = catalog.created(table)
    kinds = {"tables": _PARTS, "compacted": _COMPACTED, "catalog": _METADATA}
    folders = [(f"{folder}/{table}", ours) for folder, ours in kinds.items()]
    listed = [entry for folder, ours in folders for entry in output.list(folder) if ours.fullmatch(entry.key)]
    old = {entry.key for entry in listed if since <= entry.last_modified < before}
    unneeded = old - catalog.references(table) if old else set()  # looked up last: a commit in between is seen
    for key in sorted(unneeded):
        output.delete(key)
    return len(unneeded)

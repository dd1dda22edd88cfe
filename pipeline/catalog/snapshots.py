"""What the snapshots of a table need, and which of them were replaced."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from itertools import pairwise

from pyiceberg.exceptions import CommitFailedException
from pyiceberg.manifest import DataFile, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.metadata import TableMetadata


def superseded(metadata: TableMetadata, before: dt.datetime) -> list[int]:
    """The ids of snapshots that are no branch's or tag's, and whose successor was made before then."""
    held = {ref.snapshot_id for ref in metadata.refs.values()}
    in_order = sorted(metadata.snapshots, key=lambda one: one.sequence_number or 0)
    limit = before.timestamp() * 1_000
    return [
        one.snapshot_id
        for one, successor in pairwise(in_order)
        if successor.timestamp_ms < limit and one.snapshot_id not in held
    ]


def forget(found: Table, before: dt.datetime, *, kept: int) -> int:
    """Forget the snapshots that were superseded before then, but so many; how many. Nothing to forget is no commit."""
    most = max(0, len(found.metadata.snapshots) - kept)
    old = superseded(found.metadata, before)[:most]
    if old:
        try:
            found.maintenance.expire_snapshots().by_ids(old).commit()
        except ValueError as error:  # one of them is gone: by somebody else, meanwhile
            raise CommitFailedException(str(error)) from error
    return len(old)


def referred(found: Table, beside: Callable[[DataFile], Iterable[str]]) -> Iterator[str]:
    """Where every file lies, of rows or metadata, that a snapshot of the table needs, and what is needed `beside`."""
    metadata = found.metadata
    yield found.metadata_location
    yield from (entry.metadata_file for entry in metadata.metadata_log)
    yield from (one.statistics_path for one in metadata.statistics)
    manifests: dict[str, ManifestFile] = {}
    for snapshot in metadata.snapshots:
        yield snapshot.manifest_list
        manifests |= {one.manifest_path: one for one in snapshot.manifests(found.io)}
    for path, manifest in manifests.items():
        yield path
        for entry in manifest.fetch_manifest_entry(found.io):
            yield entry.data_file.file_path
            yield from beside(entry.data_file)

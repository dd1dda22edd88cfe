"""What stands in a run's folder once its working files are deleted, so that whoever needs them is told so."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from pydantic import TypeAdapter

from pipeline.errors import ObjectMissing, RunError
from pipeline.manifest import TIDIED, withdrawn_key
from pipeline.steps.run import Run
from pipeline.storage.objects import ObjectStore


@dataclass(frozen=True, slots=True)
class Tombstone:
    """When the deletion of so many files began; it may have been broken off unless it is `complete`.

    `published` says whether the run had been: of another, nothing but its plans and counts is left. An `erased` one has
    no answers either, and no rows that could be brought back.
    """

    tidied: dt.datetime
    files: int
    size_bytes: int
    published: bool
    complete: bool = False
    erased: bool = False


_TOMBSTONE = TypeAdapter(Tombstone)


def read_tombstone(store: ObjectStore) -> Tombstone | None:
    """That of a run's store; None while the run has all its files."""
    try:
        return _TOMBSTONE.validate_json(store.read(TIDIED))
    except ObjectMissing:
        return None


def write_tombstone(store: ObjectStore, tombstone: Tombstone) -> None:
    store.write(TIDIED, _TOMBSTONE.dump_json(tombstone))


def refuse_tidied(run: Run) -> None:
    """Raises RunError when the files are gone that a step would read."""
    found = read_tombstone(run.store)
    if found is None:
        return
    if found.erased:
        raise RunError(
            f"run {run.manifest.run_key}: was erased (docbatch tidy --erase) on {found.tidied:%Y-%m-%d}, and cannot be "
            "brought back. Begin a run with another key; what this one had paid for is asked, and paid, again"
        )
    kept = "its tables stay as they were published" if found.published else "it was never published"
    if run.work.exists(withdrawn_key(run.manifest.run_key)):
        kept = "it was withdrawn, and the files that were set aside of its tables are deleted as well"
    raise RunError(
        f"run {run.manifest.run_key}: its work files were deleted on {found.tidied:%Y-%m-%d} "
        f"(DOCBATCH_KEEP_WORK_DAYS); {kept}. Begin a run with another key: answers that are kept are not paid again"
    )

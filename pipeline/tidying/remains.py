"""Which files of a run go when it is tidied, and which stay, by their keys alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice

from pipeline.storage.objects import Listed, ObjectStore

AT_ONCE = 1_000  # objects that S3 deletes with one request

# Lists and texts of documents, prompts, and what models wrote: the large files, and those that nobody needs once the
# tables are published. What stays are intentions, ARNs, counts, and the jobs' own totals: `status`, `reconcile`, the
# budgets and whoever repeats a step read them. Answers are kept beside the runs, and are not here.
_WORKING = re.compile(
    r"(listing|documents|rows)/.+"
    r"|staged/(?!counts/).+"
    r"|rounds/\d+/(requests|kept|shared|awaited|input|outcomes)/.+"
    r"|rounds/\d+/output/(?!.*/manifest\.json\.out$).+"
)


def is_working(key: str) -> bool:
    """Whether a file of a run, by its key in the run's folder, is needed only until the run is published."""
    return _WORKING.fullmatch(key) is not None


def working_files(store: ObjectStore) -> Iterator[Listed]:
    """Those of a run, page by page."""
    return (entry for entry in store.list() if is_working(entry.key))


def count_working(store: ObjectStore) -> tuple[int, int]:
    """How many files would go, and how many bytes; holds a page of the listing at a time."""
    files = size_bytes = 0
    for entry in working_files(store):
        files, size_bytes = files + 1, size_bytes + entry.size_bytes
    return files, size_bytes


def delete_working(store: ObjectStore) -> None:
    """Delete them, many with one request. Repeating it goes on where it was broken off."""
    keys = (entry.key for entry in working_files(store))
    while some := list(islice(keys, AT_ONCE)):
        store.delete_all(some)

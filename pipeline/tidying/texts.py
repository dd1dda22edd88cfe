"""Delete the kept texts of documents that were written long ago: who needs one of them parses its document again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from pipeline.manifest import TEXTS
from pipeline.steps.run import Services
from pipeline.storage.objects import Listed, ObjectStore
from pipeline.tidying.remains import AT_ONCE


@dataclass(frozen=True, slots=True)
class OldTexts:
    """How many texts went, and their bytes as they were kept."""

    files: int
    size_bytes: int


def tidy_texts(services: Services, work_uri: str, *, dry_run: bool = False) -> OldTexts:
    """Two tidiers at once do no harm: what is gone is gone. Raises StorageError."""
    work = services.open(work_uri)
    old = _old(work, services.clock() - dt.timedelta(days=services.settings.keep_text_days))
    files = size_bytes = 0
    while some := list(islice(old, AT_ONCE)):
        files, size_bytes = files + len(some), size_bytes + sum(one.size_bytes for one in some)
        if not dry_run:
            work.delete_all([one.key for one in some])
    return OldTexts(files, size_bytes)


def _old(work: ObjectStore, before: dt.datetime) -> Iterator[Listed]:
    return (entry for entry in work.list(TEXTS) if entry.last_modified < before)

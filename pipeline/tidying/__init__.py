"""What keeps a work store and its tables small: old working files, texts and snapshots, and jobs that nobody waits for.

Orphans come first: a job that is adopted is one that its run goes on with.
"""

from pipeline.tidying.erasing import Erased, erase
from pipeline.tidying.orphans import Orphan, settle_orphans
from pipeline.tidying.retention import Leftover, tidy_runs
from pipeline.tidying.snapshots import Expired, expire_snapshots
from pipeline.tidying.texts import OldTexts, tidy_texts

__all__ = [
    "Erased",
    "Expired",
    "Leftover",
    "OldTexts",
    "Orphan",
    "erase",
    "expire_snapshots",
    "settle_orphans",
    "tidy_runs",
    "tidy_texts",
]

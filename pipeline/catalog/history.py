"""What earlier runs came to, by analysis, out of `runs` alone."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from pipeline.quality import Seen

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

COLUMNS = ["run_key", "ended", "model", "analyses"]


def earlier_runs(catalog: Catalog, run_key: str) -> dict[str, list[Seen]]:
    """By analysis, what the published runs but this one came to, oldest first.

    Runs of versions that counted neither labels nor empty answers are left out.
    """
    if "runs" not in catalog.tables():
        return {}
    rows = catalog.dataset("runs").to_table(columns=COLUMNS).to_pylist()
    found: dict[str, list[Seen]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["ended"], row["run_key"])):
        for one in row["analyses"] or () if row["run_key"] != run_key else ():
            if one.get("labels") is not None:
                labels = {label["label"]: label["results"] for label in one["labels"]}
                method = (one["prompt_fingerprint"], row["model"] or "")
                fresh = one["failures"] - one["failures_again"]
                found[one["analysis"]].append(Seen(method, one["results"], fresh, one["empty"], labels))
    return dict(found)

"""The figures of all runs: what each came to, and how far its labels are from those of the run before."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from pipeline.catalog.reading import committed_runs, open_views
from pipeline.reports.counting import label_counts, prepare
from pipeline.reports.figures import Labels, RunPoint

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from pipeline.catalog import Catalog

MOST_RUNS = 1_000  # the newest; a row of `runs` each
DRIFT_RUNS = 100  # the newest of these, whose labels are counted


def run_points(catalog: Catalog) -> tuple[RunPoint, ...]:
    """The newest runs, in the order in which they ended; nothing before the first."""
    keys = committed_runs(catalog)[-MOST_RUNS:]
    if not keys:
        return ()
    with open_views(catalog, run_keys=keys[-DRIFT_RUNS:]) as views:
        prepare(views)
        drifts = _drifts(views, keys[-DRIFT_RUNS:])
    columns = ["run_key", "run_date", "ended", "documents", "results", "failures", "unchanged", "cost_usd"]
    rows = catalog.dataset("runs", keys).to_table(columns=columns).to_pylist()
    rows.sort(key=lambda row: (row["ended"], row["run_key"]))
    return tuple(RunPoint(**row, drifts=drifts.get(row["run_key"], {})) for row in rows)


def _drifts(views: DuckDBPyConnection, keys: Sequence[str]) -> dict[str, dict[str, float]]:
    tables = {str(row[0]) for row in views.execute("show tables").fetchall()}
    analyses = sorted(name for name in tables if f"{name}_current" in tables)
    found: dict[str, dict[str, float]] = {}
    for labels in (one for name in analyses for one in label_counts(views, name, keys)):
        for run_key, value in _of_labels(labels):
            found.setdefault(run_key, {})[f"{labels.column} ({labels.analysis})"] = value
    return found


def _of_labels(labels: Labels) -> list[tuple[str, float]]:
    """Each run that has labels, against the one before that has."""
    drifts = [(run_key, labels.drift(run_key, earlier)) for earlier, run_key in pairwise(labels.counts)]
    return [(run_key, value) for run_key, value in drifts if value is not None]

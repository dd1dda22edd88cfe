"""The figures of all runs: what each came to, and how far its labels are from those of the run before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from pipeline.catalog.reading import committed_runs
from pipeline.reports.figures import RunPoint, drift

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

MOST_RUNS = 1_000  # the newest; a row of `runs` each, and nothing else is read
_COUNTS = ("run_key", "run_date", "ended", "documents", "results", "failures", "unchanged", "cost_usd")

_JUDGED = ("quality", "departures")


def run_points(catalog: Catalog) -> tuple[RunPoint, ...]:
    """The newest runs, in the order in which they ended; nothing before the first."""
    keys = committed_runs(catalog)[-MOST_RUNS:]
    if not keys:
        return ()
    runs = catalog.dataset("runs", keys)
    judged = [name for name in _JUDGED if name in runs.schema.names]  # older versions did not judge
    return points_of(runs.to_table(columns=[*_COUNTS, "analyses", *judged]).to_pylist())


def points_of(rows: Iterable[Mapping[str, Any]]) -> tuple[RunPoint, ...]:
    """Rows of `runs` as points. Labels are compared with those of the newest run before that has any."""
    before: dict[str, dict[str, int]] = {}
    points = []
    for row in sorted(rows, key=lambda row: (row["ended"], row["run_key"])):
        labels = {one["analysis"]: _labels(one) for one in row["analyses"] or ()}
        moved = {name: drift(counts, before.get(name, {})) for name, counts in labels.items()}
        drifts = {name: value for name, value in moved.items() if value is not None}
        before |= {name: counts for name, counts in labels.items() if counts}
        counts = {name: row[name] for name in _COUNTS}
        departures = tuple(row.get("departures") or ())
        points.append(RunPoint(**counts, drifts=drifts, quality=row.get("quality"), departures=departures))
    return tuple(points)


def _labels(one: Mapping[str, Any]) -> dict[str, int]:
    """Of the results of an analysis; none where it has no labels, or a version did not count them."""
    return {label["label"]: label["results"] for label in one.get("labels") or () if label["label"] is not None}

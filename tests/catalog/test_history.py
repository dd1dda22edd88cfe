"""What earlier runs came to, as `runs` has it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.catalog.history import earlier_runs
from pipeline.quality import Seen
from pipeline.schemas import FIXED, Column
from tests.published import START, Output

UNCOUNTED = ("failures_again", "empty", "labels")
RUNS = FIXED["runs"][1]


def before(column: Column) -> Column:
    """The column `analyses` as versions had it that counted neither labels nor empty answers."""
    name, kind, description = column
    if name != "analyses":
        return column
    return name, pa.list_(pa.struct([part for part in kind.value_type if part.name not in UNCOUNTED])), description


def row(run_key: str, day: int, **counts: Any) -> dict[str, Any]:
    of_mood = {"analysis": "mood", "prompt_fingerprint": "p", "results": 10, "failures": 3, "unchanged": 0} | counts
    return {"run_key": run_key, "ended": START + dt.timedelta(days=day), "model": "llama", "analyses": [of_mood]}


def test_what_earlier_runs_came_to(tmp_path: Path) -> None:
    """In the order in which they ended, without this run and without those that did not count."""
    output = Output(tmp_path)
    with output.catalog() as catalog:
        assert earlier_runs(catalog, "late") == {}
    output.commit("runs", "old", [row("old", 0)], [before(column) for column in RUNS])
    for run_key, day in (("late", 3), ("second", 2), ("first", 1)):
        counts = {"failures_again": 2, "empty": day, "labels": [{"label": "good", "results": 9}]}
        output.commit("runs", run_key, [row(run_key, day, **counts)])
    with output.catalog() as catalog:
        found = earlier_runs(catalog, "late")
    assert found == {"mood": [Seen(("p", "llama"), 10, 1, day, {"good": 9}) for day in (1, 2)]}

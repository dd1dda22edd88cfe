"""A backfill over past dates: a run for each, with its own key and the prices of its day."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest

from pipeline.local import stack
from tests.airflow.nights import documents, go_on, row_of_run, xcom


@pytest.fixture
def backfilled(dag: Any, wired: stack.Stack, tmp_path: Path) -> list[Any]:
    """The runs that `airflow backfill create` makes for three nights, the oldest first."""
    from airflow.models.backfill import ReprocessBehavior, _create_backfill
    from airflow.models.dagrun import DagRun
    from airflow.utils.session import create_session
    from sqlalchemy import select

    source = documents(tmp_path / "the documents", 3)
    _create_backfill(
        dag_id="document_analysis",
        from_date=dt.datetime(2026, 11, 1, tzinfo=dt.UTC),
        to_date=dt.datetime(2026, 11, 4, tzinfo=dt.UTC),
        max_active_runs=1,
        reverse=False,
        dag_run_conf={"source": str(source), "output": str(tmp_path / "out"), "analyses": ["sentiment"]},
        triggering_user_name="somebody",
        reprocess_behavior=ReprocessBehavior.NONE,
    )
    with create_session() as session:
        query = select(DagRun).where(DagRun.run_type == "backfill").order_by(DagRun.logical_date)
        return list(session.scalars(query))


def test_a_backfill_runs_each_night_by_its_own_date(dag: Any, backfilled: list[Any], tmp_path: Path) -> None:
    """The first night is asked; the later ones find it unchanged, and each is a run of its own in the tables."""
    assert [str(run.logical_date.date()) for run in backfilled] == ["2026-11-01", "2026-11-02", "2026-11-03"]
    rows = []
    for run in backfilled:
        after = go_on(dag, run)
        assert set(after.values()) <= {"success", "skipped"}, after
        rows.append(row_of_run(tmp_path / "out", xcom(run, "forecast")["run_key"]))
    assert [str(row["run_date"]) for row in rows] == ["2026-11-01", "2026-11-02", "2026-11-03"]
    assert len({row["run_key"] for row in rows}) == 3
    assert all(row["run_key"].startswith("backfill-2026-11-0") for row in rows)
    assert [row["requests"] for row in rows] == [3, 0, 0]

"""When the DAG runs and by when its results are due, as Airflow stores it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import AssetOrTimeSchedule, CronTriggerTimetable
from airflow.sdk.definitions.asset import AssetNameRef, AssetUriRef

from pipeline.airflow.scheduling import deadline_of, schedule_of
from pipeline.errors import SettingsError
from pipeline.settings import Settings
from tests.airflow.nights import load_dag


@pytest.mark.parametrize(
    ("schedule", "deadline", "hours"),
    [
        ("0 2 * * *", "07:00", 5),
        ("30 22 * * 1-5", "07:00", 8.5),
        ("0 7 * * *", "07:00", 24),
        ("0 2 * * *", None, None),
    ],
)
def test_results_are_due_at_the_next_time_of_day(schedule: str, deadline: str | None, hours: float | None) -> None:
    """The interval leads from the time of the schedule to the next deadline, over midnight too."""
    found = deadline_of(Settings.model_validate({"schedule": schedule, "deadline": deadline}))
    assert (None if found is None else found.interval) == (None if hours is None else dt.timedelta(hours=hours))


@pytest.mark.parametrize("schedule", ["0 */6 * * *", "0 2,14 * * *", "@daily", None])
def test_a_deadline_needs_one_time_of_day(schedule: str | None) -> None:
    """What begins at several times, or at none, has no such deadline; the message names both settings."""
    with pytest.raises(SettingsError, match=r"DOCBATCH_DEADLINE = 07:00.*DOCBATCH_SCHEDULE is"):
        deadline_of(Settings.model_validate({"schedule": schedule, "deadline": "07:00"}))


def test_an_asset_starts_a_run_besides_the_schedule() -> None:
    """By uri or by name; alone where there is no schedule; without an asset the cron expression is all there is."""
    uri = {"source_asset": "s3://bucket/documents/"}
    both: Any = schedule_of(Settings.model_validate(uri))
    assert isinstance(both, AssetOrTimeSchedule)
    assert both.timetable == CronTriggerTimetable("0 2 * * *", timezone="UTC")
    assert schedule_of(Settings.model_validate(uri | {"schedule": None})) == [AssetUriRef("s3://bucket/documents")]
    assert schedule_of(Settings(source_asset="documents", schedule=None)) == [AssetNameRef("documents")]
    assert schedule_of(Settings()) == "0 2 * * *"


def test_schedule_and_deadline_are_stored_with_the_dag(airflow_database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both DAGs pass Airflow's serialisation and back; the deadline's callback is one that a triggerer can import."""
    from airflow.serialization.serialized_objects import DagSerialization
    from airflow.timetables.assets import AssetOrTimeSchedule as Stored

    monkeypatch.setenv("DOCBATCH_DEADLINE", "07:00")
    monkeypatch.setenv("DOCBATCH_SOURCE_ASSET", "s3://bucket/documents")
    encoded = DagSerialization.to_dict(load_dag("document_analysis"))
    (alert,) = encoded["dag"]["deadline"]
    assert alert["name"] == "results by 07:00 UTC"
    assert "pipeline.airflow.notifying.tell_late" in str(alert["callback"])
    assert "DagRunLogicalDateDeadline" in str(alert["reference"])
    back = DagSerialization.from_dict(encoded)
    assert isinstance(back.timetable, Stored)
    assert "documents" in str(back.timetable.asset_condition)
    assert DagSerialization.from_dict(DagSerialization.to_dict(load_dag("document_digest"))).dag_id == "document_digest"

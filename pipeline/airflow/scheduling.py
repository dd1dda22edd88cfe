"""When the nightly DAG runs, and by when its results are due."""

from __future__ import annotations

import datetime as dt
import re
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset, AssetOrTimeSchedule, CronTriggerTimetable
from airflow.sdk.configuration import conf
from airflow.sdk.definitions.callback import AsyncCallback
from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

from pipeline.airflow.notifying import tell_late
from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from pipeline.settings import Settings

ONCE_A_DAY = re.compile(r"(\d{1,2}) +(\d{1,2})( +\S+){3}")  # minute and hour are numbers, the days may be anything
DAY = dt.timedelta(days=1)


def schedule_of(settings: Settings) -> Any:
    """The cron expression, the events of the source's asset, or whichever comes first."""
    if settings.source_asset is None:
        return settings.schedule
    kind = "uri" if "://" in settings.source_asset else "name"
    place = {kind: settings.source_asset.rstrip("/")}  # as Airflow writes uris
    source: Any = Asset.ref(**place)  # by reference: the DAG that writes it says what it is
    if settings.schedule is None:
        return [source]
    return AssetOrTimeSchedule(timetable=CronTriggerTimetable(settings.schedule, timezone="UTC"), assets=[source])


def deadline_of(settings: Settings) -> DeadlineAlert | None:
    """An alert for scheduled runs that are not done at the next DOCBATCH_DEADLINE after their logical date.

    Runs without a logical date have none. Raises SettingsError for a schedule without one time of day.
    """
    if settings.deadline is None:
        return None
    found = ONCE_A_DAY.fullmatch((settings.schedule or "").strip())
    if found is None:
        raise SettingsError(
            f"DOCBATCH_DEADLINE = {settings.deadline:%H:%M} needs runs that begin at one time of day, and "
            f"DOCBATCH_SCHEDULE is {settings.schedule!r}; allowed is for example `0 2 * * *`"
        )
    minute, hour = int(found[1]), int(found[2])
    due = dt.timedelta(hours=settings.deadline.hour - hour, minutes=settings.deadline.minute - minute) % DAY or DAY
    if settings.source_asset is None and conf.getboolean("scheduler", "create_cron_data_intervals"):
        due += DAY  # such a run begins a day after its logical date
    return DeadlineAlert(
        name=f"results by {settings.deadline:%H:%M} UTC",
        reference=DeadlineReference.DAGRUN_LOGICAL_DATE,
        interval=due,
        callback=AsyncCallback(tell_late),
    )

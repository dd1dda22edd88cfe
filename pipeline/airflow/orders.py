"""What a DAG run is to do: its Params over the settings, its key and its date."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from pipeline.errors import SettingsError
from pipeline.settings import Settings, load_settings

if TYPE_CHECKING:
    from pipeline.steps import RunOrder

# Params that are settings of the same name; one that is empty leaves the setting as it is.
OF_SETTINGS = (
    "analyses",
    "model",
    "output_language",
    "fuse",
    "budget_usd",
    "budget_day_usd",
    "budget_month_usd",
    "allow_unknown_price",
    "include",
    "exclude",
    "min_bytes",
    "max_bytes",
    "modified_since",
)
OF_ORDERS = ("source", "output", "run_key", "run_date", "sample", "force", "dry_run")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


class DagRun(Protocol):
    """What is needed of Airflow's DAG run. Asset-triggered runs, and manual ones, may have no logical date."""

    @property
    def run_id(self) -> str: ...
    @property
    def run_type(self) -> str: ...
    @property
    def logical_date(self) -> dt.datetime | None: ...
    @property
    def run_after(self) -> dt.datetime: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """The settings and the order of one DAG run; `dry_run` when it is to end after its forecast."""

    settings: Settings
    order: RunOrder
    dry_run: bool

    @property
    def needs_forecast(self) -> bool:
        """Whether documents are read before anything is begun: somebody is to see what the run would cost."""
        return self.dry_run or self.settings.approval_above_usd is not None


def read_params(params: Mapping[str, Any], dag_run: DagRun) -> Asked:
    """What the Params of a DAG run ask for. Raises SettingsError naming the Param and what is allowed."""
    from pipeline.manifest import derive_run_key
    from pipeline.sources.spelling import absolute_sources
    from pipeline.steps import RunOrder, work_uri_for
    from pipeline.storage.objects import absolute_uri

    if unknown := sorted(params.keys() - {*OF_SETTINGS, *OF_ORDERS}):
        allowed = ", ".join(sorted((*OF_SETTINGS, *OF_ORDERS)))
        raise SettingsError(f"Param {unknown[0]}: there is no such Param; allowed are {allowed}")
    chosen = load_settings({name: params.get(name) for name in OF_SETTINGS if params.get(name) not in (None, [], "")})
    source, output = params.get("source") or chosen.source, params.get("output") or chosen.output
    if not source:
        raise SettingsError(
            "source: is missing. Give a folder or an s3:// prefix in the trigger form, or set DOCBATCH_SOURCE for "
            "nightly runs"
        )
    if params.get("run_key") and dag_run.run_type == "backfill":
        raise SettingsError("run_key: names one run, and a backfill makes one for each date; leave it out")
    output_uri = absolute_uri(output)
    order = RunOrder(
        run_key=derive_run_key(params.get("run_key") or dag_run.run_id),
        run_date=_day(params.get("run_date")) or date_of(dag_run),
        source_uri=absolute_sources(*([source] if isinstance(source, str) else source)),
        output_uri=output_uri,
        work_uri=work_uri_for(chosen, output_uri),
        force=bool(params.get("force")),
        sample=params.get("sample"),
    )
    return Asked(chosen, order, bool(params.get("dry_run")))


def date_of(dag_run: DagRun) -> dt.date:
    """The day of the data interval (Airflow's `ds`); of a run that has none, the day from which on it might run."""
    return (dag_run.logical_date or dag_run.run_after).astimezone(dt.UTC).date()


def _day(text: str | None) -> dt.date | None:
    if not text:
        return None
    try:
        if _DAY.fullmatch(text):
            return dt.date.fromisoformat(text)
    except ValueError:
        pass
    raise SettingsError(f"run_date = {text!r}: is no day of the calendar written as YYYY-MM-DD, like 2026-11-23")

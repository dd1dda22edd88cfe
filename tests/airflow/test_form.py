"""The trigger form offers what there is, and what a DAG run asks for is read from it or refused in one sentence."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.definitions.param import ParamsDict
from airflow.sdk.exceptions import ParamValidationError

from pipeline.airflow.form import make_params
from pipeline.airflow.orders import OF_ORDERS, OF_SETTINGS, Asked, read_params
from pipeline.errors import SettingsError
from pipeline.settings import Settings

NIGHT = dt.datetime(2026, 11, 23, 2, 0, tzinfo=dt.UTC)
DEFAULTS = {name: param.value for name, param in make_params(Settings()).items()}


@dataclass(frozen=True)
class Night:
    """A DAG run as a task sees it."""

    run_id: str = "scheduled__2026-11-23T02:00:00+00:00"
    run_type: str = "scheduled"
    logical_date: dt.datetime | None = NIGHT
    run_after: dt.datetime = NIGHT


@pytest.fixture(autouse=True)
def placed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCBATCH_WORK_URI", "s3://bucket/work")


def read(changed: dict[str, Any] | None = None, night: Night | None = None) -> Asked:
    return read_params(DEFAULTS | {"source": "s3://bucket/documents"} | (changed or {}), night or Night())


def test_every_param_is_read() -> None:
    """The form has the Params that tasks know, no more and no fewer, each with a description."""
    params = make_params(Settings())
    assert set(params) == {*OF_SETTINGS, *OF_ORDERS}
    assert all(param.description for param in params.values())


def test_the_form_offers_what_is_declared(tmp_path: Path) -> None:
    """Analyses are chosen among the folders of prompts: `examples` makes a multi-select of an array."""
    (tmp_path / "urgency").mkdir()
    (tmp_path / "urgency" / "analysis.toml").write_text("anything: parsing does not read it", "utf-8")
    (tmp_path / "_shared").mkdir()
    schema = make_params(Settings(prompts=tmp_path))["analyses"].schema
    assert (schema["type"], schema["examples"]) == (["null", "array"], ["urgency"])
    assert schema["items"] == {"type": "string", "enum": ["urgency"]}


def test_airflow_shows_examples_of_an_array_as_a_multi_select() -> None:
    """Airflow's own form, as it is installed, decides by type and `examples` (or `enum`), the first type but null."""
    import airflow

    assets = Path(airflow.__file__).parent / "ui" / "dist" / "assets"
    script = max(assets.glob("index-*.js"), key=lambda path: path.stat().st_size).read_text("utf-8")
    assert "`array`&&(Array.isArray(" in script.replace(" ", "")
    assert ".find(e=>e!==`null`)" in script.replace(" ", "")


OWN = """
[[model]]
id = "my-own-model"
family = "llama3"
window_tokens = 128_000
max_output_tokens = 2_048
batch = false
"""


def test_the_form_offers_models_that_take_jobs(tmp_path: Path) -> None:
    """Models that batch jobs take, of the user's own file, too; all where there are to be calls on demand only."""
    (own := tmp_path / "models.toml").write_text(OWN, "utf-8")
    jobs, calls = (
        make_params(Settings(mode=mode, models=own))["model"].schema["enum"] for mode in ("auto", "on-demand")
    )
    assert "meta.llama3-1-8b-instruct-v1:0" in jobs
    assert "us.meta.llama3-1-8b-instruct-v1:0" in jobs
    assert set(calls) - set(jobs) == {"my-own-model"}
    assert make_params(Settings(model="arn:of:mine"))["model"].schema["enum"][0] == "arn:of:mine"


def test_the_form_begins_with_the_settings() -> None:
    """What a nightly run takes stands in the form, and may be changed there."""
    settings = Settings(source="s3://b/d", analyses=("sentiment",), budget_day_usd=Decimal("2.5"), fuse=True)
    found = {name: param.value for name, param in make_params(settings).items()}
    assert found["source"] == "s3://b/d"
    assert found["analyses"] == ["sentiment"]
    assert found["budget_day_usd"] == 2.5
    assert found["fuse"] is True
    assert found["dry_run"] is False
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("analyses", ["sentimental"], "'sentimental' is not one of ['classification', 'sentiment', 'summarization']"),
        ("analyses", ["sentiment", "sentiment"], "has non-unique elements"),
        ("model", "gpt", "'gpt' is not one of ['meta.llama3-1-8b-instruct-v1:0'"),
        ("sample", 0, "0 is less than the minimum of 1"),
        ("budget_usd", -1, "-1 is less than the minimum of 0"),
        ("run_date", "yesterday", "'yesterday' is not a 'date'"),
        ("output_language", "", "'' does not match"),
        ("dry_run", "yes", "'yes' is not of type 'boolean'"),
        ("source", "", "'' should be non-empty"),
    ],
)
def test_the_form_refuses(name: str, value: Any, told: str) -> None:
    """Airflow itself refuses what the schema does not allow, and names the Param."""
    with pytest.raises(ParamValidationError, match=f"Invalid input for param {name}") as refused:
        ParamsDict(make_params(Settings()))[name] = value
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"budget": 1}, "Param budget: there is no such Param; allowed are allow_unknown_price, analyses, budget_day"),
        ({"source": None}, "source: is missing. Give a folder or an s3:// prefix in the trigger form"),
        ({"source": "http://b/d"}, "'http://b/d': neither a folder nor an s3:// prefix"),
        ({"run_date": "2026-02-30"}, "run_date = '2026-02-30': is no day of the calendar written as YYYY-MM-DD"),
        ({"run_date": "20260228"}, "run_date = '20260228': is no day of the calendar written as YYYY-MM-DD"),
        ({"output_language": "De\nutsch"}, "output_language = 'De\\nutsch': string should match pattern"),
        ({"budget_usd": "much"}, "budget_usd = 'much': input should be a valid decimal"),
    ],
)
def test_the_first_task_refuses(changed: dict[str, Any], told: str) -> None:
    """What no schema can know is refused in one sentence that says what is allowed."""
    with pytest.raises(SettingsError) as refused:
        read(changed)
    assert str(refused.value).startswith(told)


def test_params_stand_above_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Param that is empty leaves the setting as it is; any other takes its place."""
    monkeypatch.setenv("DOCBATCH_BUDGET_DAY_USD", "5")
    monkeypatch.setenv("DOCBATCH_FUSE", "true")
    asked = read({"budget_usd": 0.1, "analyses": ["sentiment"], "fuse": False, "sample": 7, "force": True})
    assert (asked.settings.budget_usd, asked.settings.budget_day_usd) == (Decimal("0.1"), Decimal(5))
    assert (asked.settings.analyses, asked.settings.fuse) == (("sentiment",), False)
    assert (asked.order.sample, asked.order.force, asked.dry_run) == (7, True, False)


LATER = dt.datetime(2026, 11, 24, 23, 30, tzinfo=dt.timezone(dt.timedelta(hours=-3)))


@pytest.mark.parametrize(
    ("changed", "night", "day"),
    [
        ({}, Night(), "2026-11-23"),
        ({}, Night(run_after=LATER), "2026-11-23"),  # a backfill: the day of the interval, not that of the run
        ({}, Night(logical_date=None, run_after=LATER), "2026-11-25"),  # by an asset, or by hand; days are UTC
        ({"run_date": "2026-10-01"}, Night(), "2026-10-01"),
    ],
)
def test_a_run_has_the_date_of_its_interval(changed: dict[str, Any], night: Night, day: str) -> None:
    """The Param wins; then the data interval; a run that has none has the date from which on it might run."""
    assert read(changed, night).order.run_date.isoformat() == day


def test_a_run_has_the_key_of_its_run_id() -> None:
    """Each Airflow run has a key of its own, unless somebody names one."""
    keys = {read(night=Night(run_id=f"backfill__2026-11-0{day}")).order.run_key for day in range(1, 4)}
    assert len(keys) == 3
    assert read({"run_key": "mine"}).order.run_key == "mine"


def test_a_backfill_has_many_keys() -> None:
    """One name for the runs of several dates would make one run of them."""
    with pytest.raises(SettingsError, match="run_key: names one run, and a backfill makes one for each date"):
        read({"run_key": "mine"}, Night(run_type="backfill"))

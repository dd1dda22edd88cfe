"""The ledger against what AWS says of the same jobs, days and runs: agreement, and every kind of difference."""

from __future__ import annotations

import dataclasses
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.bedrock.client import BedrockAccess
from pipeline.domain import Mode
from pipeline.money.booked import BookedDay, booked_days, booked_jobs, spans
from pipeline.money.cloudwatch import connect_metrics
from pipeline.money.reconciling import Check
from pipeline.steps.reconcile import bill_checks, job_checks, metric_checks
from pipeline.storage.objects import absolute_uri
from tests.cloudwatch_server import Answer, cloudwatch
from tests.money.test_billing import Line, make_report
from tests.world import WORK_URI, Canned, World

SPOILT = "Document number 1 of 5."
NAMES = {Mode.BATCH: "-batch", Mode.ON_DEMAND: ""}


@pytest.fixture
def two_nights(make_world: Any) -> World:
    """Two published runs, with answers that were paid for nothing, and a call on demand for the correction."""
    world: World = make_world(
        engine=Canned(lambda prompt, before: "rubbish" if SPOILT in prompt and not before else None)
    )
    world.put_many(5)
    world.run("monday")
    world.put("new.txt", "Another document.")
    world.put("newer.txt", "And another.")
    world.run("tuesday")
    return world


def checks_of_jobs(world: World, run_key: str | None = None) -> list[Check]:
    with world.services.catalog(absolute_uri(str(world.output))) as catalog:
        keys = [one.run_key for one in spans(catalog, run_key)]
        return job_checks(world.services, WORK_URI, keys, booked_jobs(catalog, run_key))


def days_of(world: World) -> list[BookedDay]:
    with world.services.catalog(absolute_uri(str(world.output))) as catalog:
        return booked_days(catalog, None)


def differing(checks: list[Check]) -> dict[str, Any]:
    return {one.name: one.surplus for check in checks for one in check.differences}


def rewrite_totals(world: World, **added: int) -> None:
    for entry in [one["path"] for page in world.bucket.list("work/runs/monday") for one in page]:
        if entry.endswith("manifest.json.out"):
            totals = orjson.loads(bytes(world.bucket.get(entry).bytes()))
            world.bucket.put(entry, orjson.dumps({name: n + added.get(name, 0) for name, n in totals.items()}))


def test_jobs_that_agree(two_nights: World) -> None:
    """Every job of every run agrees in tokens, records and dollars."""
    checks = checks_of_jobs(two_nights)
    assert len(checks) == two_nights.wire.created == 2
    assert differing(checks) == {}
    assert all(check.figures and check.not_compared is None for check in checks)
    assert len(checks_of_jobs(two_nights, "tuesday")) == 1


@pytest.mark.parametrize(
    ("total", "name", "usd"),
    [
        ("inputTokenCount", "input tokens", "0.0000011"),
        ("outputTokenCount", "output tokens", "0.0000011"),
        ("successRecordCount", "answered records", None),
    ],
)
def test_a_job_that_differs_is_told_by_how_much(two_nights: World, total: str, name: str, usd: str | None) -> None:
    """Ten tokens more in Bedrock's own totals are ten tokens and their price."""
    rewrite_totals(two_nights, **{total: 10})
    found = differing(checks_of_jobs(two_nights))
    assert found == {name: 10} | ({"USD": Decimal(usd)} if usd else {})


def test_what_is_gone_is_told(two_nights: World) -> None:
    """Without the job's totals, and without the run's working files, nothing is compared and nothing differs."""
    for key in ("work/runs/monday", "work/runs/tuesday"):
        for path in [one["path"] for page in two_nights.bucket.list(key) for one in page]:
            if key.endswith("tuesday") or path.endswith("manifest.json.out"):
                two_nights.bucket.delete(path)
    told = [check.not_compared or "" for check in checks_of_jobs(two_nights)]
    assert ["manifest.json.out is gone" in told[0], "working files are gone" in told[1]] == [True, True]


def bill_of(days: list[BookedDay], *, tagged: bool = True) -> list[Line]:
    """The bill that AWS would write for the ledger."""
    return [
        (
            one.day,
            f"USW2-Llama3-1-8B-{way}-tokens{NAMES[one.mode]}",
            str(Decimal(one.tokens(way)) / 1000),
            f"{one.usd(way):f}",
            "Usage",
            "AmazonBedrock",
            one.run_key if tagged and one.mode is Mode.BATCH else "",
        )
        for one in days
        for way in ("input", "output")
    ]


@pytest.mark.parametrize("name", ["legacy.csv", "cur2.csv.gz", "cur2.parquet"])
def test_a_bill_that_agrees(two_nights: World, tmp_path: Path, name: str) -> None:
    """In every layout the ledger of the day and the lines of each run agree with it, to the last digit."""
    days = days_of(two_nights)
    checks = bill_checks(make_report(tmp_path / name, bill_of(days)), days, None)
    assert [check.about.split(",")[0] for check in checks] == ["2026-11-23", "run monday", "run tuesday"]
    assert {mode for check in checks for mode in Mode if any(str(mode) in one.name for one in check.figures)} == set(
        Mode
    )
    assert differing(checks) == {}
    assert Counter(check.not_compared for check in checks) == {None: 3}


def test_a_bill_that_differs(two_nights: World, tmp_path: Path) -> None:
    """A thousand tokens more on the bill are told in tokens and dollars, of the day and of the run."""
    days = days_of(two_nights)
    lines = bill_of(days)
    more: Line = (lines[0][0], "USW2-Llama3-1-8B-input-tokens-batch", "1", "0.00011", *lines[0][4:6], "monday")
    checks = bill_checks(make_report(tmp_path / "cur2.parquet", [*lines, more]), days, "monday")
    assert [check.about.split(",")[0] for check in checks if check.differences] == ["2026-11-23", "run monday"]
    assert differing(checks) == {"batch input tokens": 1000, "batch input USD": Decimal("0.00011")}


def test_days_beyond_the_bill_are_not_compared(two_nights: World, tmp_path: Path) -> None:
    """A report of another month says nothing about these runs."""
    days = days_of(two_nights)
    other = [
        (line[0].replace("11-23", "10-23"), "USW2-TimedStorage-ByteHrs", *line[2:5], "AmazonS3", "")
        for line in bill_of(days)
    ]
    (check,) = bill_checks(make_report(tmp_path / "legacy.csv", other), days, None)
    assert check.differences == ()
    assert "covers 2026-10-23 to 2026-10-23" in (check.not_compared or "")


def counted(world: World, answer: Answer | None) -> list[Check]:
    with world.services.catalog(absolute_uri(str(world.output))) as catalog:
        found = (booked_days(catalog, None), spans(catalog, None))
    if answer is None:
        return metric_checks(world.services, *found)
    access = BedrockAccess("us-west-2", access_key_id="key", secret_access_key="secret")
    with cloudwatch(answer) as url:
        services = dataclasses.replace(world.services, metrics_client=lambda: connect_metrics(access, url, 0.0))
        return metric_checks(services, *found)


def test_cloudwatch_is_compared_run_by_run(two_nights: World) -> None:
    """What it counted beside the ledger, by run and mode; what it has nothing of is not compared."""
    days = days_of(two_nights)
    monday = next(one for one in days if (one.run_key, one.mode) == ("monday", Mode.BATCH))

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        metric = request["MetricDataQueries"][0]["MetricStat"]["Metric"]
        way = "input" if "Input" in metric["MetricName"] else "output"
        values = [float(monday.tokens(way))] if metric["Namespace"].endswith("Batch") else []
        return {"MetricDataResults": [{"Id": "m0", "Values": values}]}

    checks = counted(two_nights, answer)
    by_name = {check.about: check for check in checks}
    assert by_name["run monday, batch, in CloudWatch"].differences == ()
    assert by_name["run monday, batch, in CloudWatch"].figures
    assert by_name["run tuesday, batch, in CloudWatch"].differences
    assert "holds nothing" in (by_name["run monday, on-demand, in CloudWatch"].not_compared or "")


@pytest.mark.parametrize(
    ("answer", "told"), [(None, "the embedded stack has none"), (lambda _: "AccessDeniedException", "GetMetricData")]
)
def test_an_account_without_cloudwatch_goes_on(two_nights: World, answer: Answer | None, told: str) -> None:
    """Where it may not be asked, one line says so, and nothing differs."""
    (check,) = counted(two_nights, answer)
    assert check.differences == ()
    assert told in (check.not_compared or "")

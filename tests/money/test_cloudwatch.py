"""CloudWatch's counts, from a server that speaks its protocol: sums, pages, periods and refusals."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from pipeline.bedrock.client import BedrockAccess
from pipeline.domain import Mode
from pipeline.errors import ServiceRejected
from pipeline.money.cloudwatch import METRICS, Period, connect_metrics
from tests.cloudwatch_server import cloudwatch

ACCESS = BedrockAccess("us-west-2", access_key_id="key", secret_access_key="secret")
NOW = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)
SPAN = Period(NOW - dt.timedelta(minutes=90), NOW - dt.timedelta(minutes=30), NOW)


def values(*numbers: float, more: str | None = None) -> dict[str, Any]:
    page = {"MetricDataResults": [{"Id": "m0", "Values": list(numbers)}]}
    return page | ({"NextToken": more} if more else {})


@pytest.mark.parametrize("mode", list(Mode))
def test_tokens_are_summed_over_models_and_pages(mode: Mode) -> None:
    """Every page is read, and every model asked for under its own dimension, in the metric of its mode."""
    asked: list[dict[str, Any]] = []

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        asked.append(request)
        return values(5.0) if "NextToken" in request else values(1.0, 2.0, more="next")

    with cloudwatch(answer) as url:
        client = connect_metrics(ACCESS, url, 0.0)
        assert client.tokens(mode, "input", ("one", "two"), SPAN) == 8
    assert [request.get("NextToken") for request in asked] == [None, "next"]
    stats = [query["MetricStat"] for query in asked[0]["MetricDataQueries"]]
    assert {(one["Metric"]["Namespace"], one["Metric"]["MetricName"]) for one in stats} == {METRICS[mode, "input"]}
    assert [one["Metric"]["Dimensions"] for one in stats] == [
        [{"Name": "ModelId", "Value": "one"}],
        [{"Name": "ModelId", "Value": "two"}],
    ]
    assert {(one["Period"], one["Stat"]) for one in stats} == {(60, "Sum")}
    assert (asked[0]["StartTime"], asked[0]["EndTime"]) == (SPAN.start.timestamp(), SPAN.end.timestamp())


def test_no_points_are_no_count() -> None:
    """Where CloudWatch holds nothing, the count is unknown and not zero."""
    with cloudwatch(lambda _: values()) as url:
        assert connect_metrics(ACCESS, url, 0.0).tokens(Mode.BATCH, "output", ("one",), SPAN) is None


def test_an_account_may_forbid_it() -> None:
    """A refusal is an error of ours that names the operation."""
    with cloudwatch(lambda _: "AccessDeniedException") as url, pytest.raises(ServiceRejected, match="GetMetricData"):
        connect_metrics(ACCESS, url, 0.0).tokens(Mode.BATCH, "output", ("one",), SPAN)


@pytest.mark.parametrize(("days", "seconds"), [(0, 60), (14, 60), (16, 300), (62, 300), (64, 3_600), (400, 3_600)])
def test_the_period_is_the_finest_that_is_kept(days: int, seconds: int) -> None:
    """The older a run, the coarser the points; both ends lie on whole steps around it."""
    started = NOW - dt.timedelta(days=days, seconds=7)
    period = Period(started, started + dt.timedelta(seconds=10), NOW)
    assert period.seconds == seconds
    assert period.start <= started < started + dt.timedelta(seconds=10) <= period.end
    assert (period.end - period.start).total_seconds() % seconds == period.start.timestamp() % seconds == 0

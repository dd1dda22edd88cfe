"""What CloudWatch counted: the tokens of a model over a time, as the account's own metrics have them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from botocore.config import Config

from pipeline.bedrock.client import BedrockAccess, new_session
from pipeline.bedrock.retries import mapped_errors, repeat
from pipeline.domain import Mode

# Namespace and metric by mode and direction (Bedrock user guide, runtime metrics; AWS blog of 2025-09-18, batch
# metrics). Those of batches are published once a minute as what was processed in it, so they add up to the tokens.
METRICS = {
    (Mode.ON_DEMAND, "input"): ("AWS/Bedrock", "InputTokenCount"),
    (Mode.ON_DEMAND, "output"): ("AWS/Bedrock", "OutputTokenCount"),
    (Mode.BATCH, "input"): ("AWS/Bedrock/Batch", "NumberOfInputTokensProcessedPerMinute"),
    (Mode.BATCH, "output"): ("AWS/Bedrock/Batch", "NumberOfOutputTokensProcessedPerMinute"),
}
# How long CloudWatch keeps points of a period, in seconds (GetMetricData): days kept -> period.
_KEPT = ((15, 60), (63, 300))
_LONGEST_PERIOD = 3_600


class MetricsClient(Protocol):
    """What the pipeline needs of CloudWatch."""

    def tokens(self, mode: Mode, direction: str, model_ids: Sequence[str], span: Period) -> int | None:
        """The tokens of the models over a time; None where CloudWatch holds nothing. Raises ServiceError."""


class Period:
    """A time in whole steps of the finest that CloudWatch still keeps at `now`; both ends are rounded outwards."""

    def __init__(self, started: dt.datetime, ended: dt.datetime, now: dt.datetime) -> None:
        age = now - started
        self.seconds = next((step for days, step in _KEPT if age < dt.timedelta(days=days)), _LONGEST_PERIOD)
        self.start = self._floor(started)
        self.end = self._floor(ended + dt.timedelta(seconds=self.seconds) - dt.timedelta(microseconds=1))
        if self.end <= self.start:
            self.end = self.start + dt.timedelta(seconds=self.seconds)

    def _floor(self, when: dt.datetime) -> dt.datetime:
        return dt.datetime.fromtimestamp(when.timestamp() // self.seconds * self.seconds, dt.UTC)


class BotoMetricsClient:
    """MetricsClient on a boto3 `cloudwatch` client; busy answers are repeated until `retry_seconds` are over."""

    def __init__(self, client: Any, retry_seconds: float) -> None:
        self._client = client
        self._retry_seconds = retry_seconds

    def tokens(self, mode: Mode, direction: str, model_ids: Sequence[str], span: Period) -> int | None:
        queries = [_query(place, *METRICS[mode, direction], one, span) for place, one in enumerate(model_ids)]
        values = [value for page in self._pages(queries, span) for one in page for value in one.get("Values", [])]
        return round(sum(values)) if values else None

    def _pages(self, queries: list[Any], span: Period) -> Iterator[Sequence[Any]]:
        more: dict[str, Any] = {}
        while True:
            page = repeat(
                lambda: self._client.get_metric_data(  # called at once
                    MetricDataQueries=queries,
                    StartTime=span.start,
                    EndTime=span.end,
                    **more,  # noqa: B023 - called at once
                ),
                self._retry_seconds,
            )
            yield page.get("MetricDataResults", [])
            if not page.get("NextToken"):
                return
            more = {"NextToken": page["NextToken"]}


def connect_metrics(access: BedrockAccess, url: str | None, retry_seconds: float) -> BotoMetricsClient:
    """A client. Raises ServiceRejected when there are no credentials or no region."""
    config = Config(retries={"mode": "standard", "max_attempts": 1}, connect_timeout=10, read_timeout=60)
    with mapped_errors():
        session: Any = new_session(access)
        client = session.client("cloudwatch", region_name=access.region, endpoint_url=url, config=config)
        return BotoMetricsClient(client, retry_seconds)


def _query(place: int, namespace: str, metric: str, model_id: str, span: Period) -> dict[str, Any]:
    dimensions = [{"Name": "ModelId", "Value": model_id}]
    about = {"Namespace": namespace, "MetricName": metric, "Dimensions": dimensions}
    return {"Id": f"m{place}", "MetricStat": {"Metric": about, "Period": span.seconds, "Stat": "Sum"}}

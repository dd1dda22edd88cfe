"""Waiting without holding a worker: for a free slot before a job is started, and for the end of a job."""

from __future__ import annotations

import random
import time
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator

from pipeline import errors
from pipeline.airflow.triggers import JobTrigger, PauseTrigger
from pipeline.errors import NoFreeSlot

# The trigger itself ends a wait first, and says why; Airflow's own limit is for when no triggerer runs.
LATE = timedelta(hours=1)


class BatchSubmit(BaseOperator):
    """Starts the batch's job, or asks its records on demand; the job's ARN, empty when there is none to wait for.

    While as many jobs are in flight as may be, it defers and tries again, the longer it has waited the more seldom.
    """

    template_fields = ("run_uri", "round_number", "batch_key")

    def __init__(self, *, run_uri: Any, round_number: int, batch_key: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_uri, self.round_number, self.batch_key = run_uri, round_number, batch_key

    def execute(self, context: Any) -> str:  # noqa: ARG002 - Airflow's signature
        return self._submit(time.time())

    def resume(self, context: Any, event: dict[str, Any]) -> str:  # noqa: ARG002 - Airflow's signature
        return self._submit(event["began"])

    def _submit(self, began: float) -> str:
        from pipeline.airflow.tasks import submit_batch

        try:
            return submit_batch(self.run_uri, self.round_number, self.batch_key)
        except NoFreeSlot as full:
            self.log.info("%s", full)
            self.defer(trigger=PauseTrigger(began=began, until=next_try(began)), method_name="resume")


def next_try(began: float) -> float:
    from pipeline.airflow.pausing import pausing_of
    from pipeline.settings import load_settings

    now = time.time()
    return now + pausing_of(load_settings()).pause_seconds(now - began, random.random())  # noqa: S311 - no secret


class JobSensor(BaseOperator):
    """Ends when the job has ended, however it ended: what it left is read by `collect`. Returns status and counts.

    Without an ARN (the batch was answered on demand) there is nothing to wait for. It only defers: the first look is
    the trigger's, and so a worker waits for nothing, not even for Bedrock when that is busy.
    """

    template_fields = ("arn",)

    def __init__(self, *, arn: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arn = arn

    def execute(self, context: Any) -> None:  # noqa: ARG002 - Airflow's signature
        if not self.arn:
            return
        from pipeline.settings import load_settings

        limit = timedelta(hours=load_settings().job_timeout_hours) + LATE
        trigger = JobTrigger(arn=self.arn, began=time.time(), limit_seconds=limit.total_seconds())
        self.defer(trigger=trigger, method_name="resume", timeout=limit + LATE)

    def resume(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """The job as the trigger saw it last. Raises the error that kept the trigger from seeing its end."""
        if event["trouble"]:
            kind, text = event["trouble"]
            raise getattr(errors, kind)(text)
        self.log.info(
            "Job %(arn)s: %(status)s after %(waited_seconds)d s, %(done)d of %(total)d records, %(failed)d failed",
            event,
        )
        if event["message"]:
            self.log.info("Bedrock says: %s", event["message"])
        return {name: value for name, value in event.items() if name != "trouble"}

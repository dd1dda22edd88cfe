"""Waiting without holding a worker: for a free slot before a job is started, and for the end of a job."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseOperator
from airflow.triggers.base import BaseTrigger, TriggerEvent


class BatchSubmit(BaseOperator):
    """Starts the batch's job, or asks its records on demand; the job's ARN, empty when there is none to wait for.

    While as many jobs are in flight as may be, it defers and tries again.
    """

    template_fields = ("run_uri", "round_number", "batch_key")

    def __init__(self, *, run_uri: Any, round_number: int, batch_key: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_uri, self.round_number, self.batch_key = run_uri, round_number, batch_key

    def execute(self, context: Any) -> str:  # noqa: ARG002 - Airflow's signature
        from pipeline.airflow.tasks import submit_batch
        from pipeline.errors import NoFreeSlot

        try:
            return submit_batch(self.run_uri, self.round_number, self.batch_key)
        except NoFreeSlot as full:
            self.log.info("%s", full)
            trigger = PauseTrigger()  # type: ignore[no-untyped-call] # Airflow's base is not typed
            self.defer(trigger=trigger, method_name="resume")

    def resume(self, context: Any, event: dict[str, Any]) -> str:  # noqa: ARG002 - Airflow's signature
        return self.execute(context)


class PauseTrigger(BaseTrigger):
    """Fires after a pause of one to two `poll_seconds`: tasks that wait for the same slot come back at other times."""

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "pipeline.airflow.waiting.PauseTrigger", {}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from pipeline.settings import load_settings

        await asyncio.sleep(load_settings().poll_seconds * random.uniform(1, 2))  # noqa: S311 - no secret
        yield TriggerEvent({})  # type: ignore[no-untyped-call] # Airflow's class is not typed


class JobSensor(BaseOperator):
    """Ends when the job has ended, however it ended: what it left is read by `collect`. Returns status and counts.

    Without an ARN (the batch was answered on demand) there is nothing to wait for.
    """

    template_fields = ("arn",)

    def __init__(self, *, arn: Any, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.arn = arn

    def execute(self, context: Any) -> dict[str, Any] | None:  # noqa: ARG002 - Airflow's signature
        if not self.arn:
            return None
        job = look(self.arn)
        if job["ended"]:
            return job
        self.defer(trigger=JobTrigger(arn=self.arn), method_name="resume")
        return None

    def resume(self, context: Any, event: dict[str, Any]) -> dict[str, Any]:  # noqa: ARG002 - Airflow's signature
        """The job as the trigger saw it last."""
        self.log.info("Job %s: %s, %d of %d records", event["arn"], event["status"], event["done"], event["total"])
        return event


class JobTrigger(BaseTrigger):
    """Looks at a job until it has ended. All it needs is the ARN, so it survives a restart of the triggerer."""

    def __init__(self, arn: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow's base is not typed
        self.arn = arn

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "pipeline.airflow.waiting.JobTrigger", {"arn": self.arn}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        from pipeline.settings import load_settings

        poll_seconds = load_settings().poll_seconds
        while True:
            job = await asyncio.to_thread(look, self.arn)
            if job["ended"]:
                yield TriggerEvent(job)  # type: ignore[no-untyped-call] # Airflow's class is not typed
                return
            await asyncio.sleep(poll_seconds * random.uniform(0.8, 1.2))  # noqa: S311 - spreads the load, no secret


def look(arn: str) -> dict[str, Any]:
    """The job as it is now, as plain values: arn, status, message, ended, done, total."""
    from pipeline.airflow.tasks import services
    from pipeline.steps import describe

    job = describe(services(), arn)
    return {
        "arn": arn,
        "status": str(job.status),
        "message": job.message,
        "ended": job.status.ended,
        "done": job.records_done,
        "total": job.records_total,
    }

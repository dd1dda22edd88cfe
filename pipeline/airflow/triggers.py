"""The triggers behind waiting: all that they need to go on elsewhere, or after a restart, is in what they serialise."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from pipeline.errors import DocbatchError, JobFailed

if TYPE_CHECKING:
    from pipeline.domain import Job

LATE_SECONDS = 600.0  # a triggerer that comes back after the limit looks all the same: the job may have ended meanwhile

# A task in one of these states will not come back to its job by itself.
ENDED_STATES = frozenset({"failed", "success", "skipped", "removed"})

_STOPPING: set[asyncio.Task[None]] = set()  # asyncio itself holds tasks weakly


class PauseTrigger(BaseTrigger):
    """Fires at `until`, and hands on since when the task has waited, both in seconds since the epoch."""

    def __init__(self, began: float, until: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow's base is not typed
        self.began, self.until = began, until

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "pipeline.airflow.triggers.PauseTrigger", {"began": self.began, "until": self.until}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(max(0.0, self.until - time.time()))
        yield TriggerEvent({"began": self.began})  # type: ignore[no-untyped-call] # Airflow's class is not typed


class JobTrigger(BaseTrigger):
    """Fires when the job has ended, when Bedrock refuses to tell, or `limit_seconds` after `began`.

    The event holds arn, status, message, the counts done, failed and total, waited_seconds, and `trouble`: None, or the
    kind and text of the error for which the end of the job was not seen. When a person ends the task, the job is
    stopped if the settings say so.
    """

    def __init__(self, arn: str, began: float, limit_seconds: float) -> None:
        super().__init__()  # type: ignore[no-untyped-call] # Airflow's base is not typed
        self.arn, self.began, self.limit_seconds = arn, began, limit_seconds
        self._seen: Job | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        kwargs = {"arn": self.arn, "began": self.began, "limit_seconds": self.limit_seconds}
        return "pipeline.airflow.triggers.JobTrigger", kwargs

    async def run(self) -> AsyncIterator[TriggerEvent]:
        trouble = None
        try:
            await self._follow()
        except DocbatchError as error:
            trouble = error
        yield TriggerEvent(self._event(trouble))  # type: ignore[no-untyped-call] # Airflow's class is not typed

    async def _follow(self) -> None:
        """See the job to its end. Raises DocbatchError."""
        from pipeline.airflow.sharing import shared_watch

        watch = await shared_watch()
        now = asyncio.get_running_loop().time()
        limit = now + self.began + self.limit_seconds - time.time()
        try:
            async with asyncio.timeout_at(max(limit, now + LATE_SECONDS)) as timeout:
                async with aclosing(watch.follow(self.arn, self.began)) as seen:
                    async for job in seen:
                        self._seen = job
                        self.log.info("Job %s: %s, %d of %d records", *_shown(job))
                        if not job.status.ended:
                            timeout.reschedule(limit)
        except TimeoutError:
            raise JobFailed(
                f"Job {self.arn}: has not ended {self.limit_seconds / 3600:.1f} hours after the wait began, though "
                "Bedrock ends a job after DOCBATCH_JOB_TIMEOUT_HOURS. Look at it in the AWS console and stop it there; "
                "then clear this task, which waits once more"
            ) from None

    def _event(self, trouble: DocbatchError | None) -> dict[str, Any]:
        job = self._seen
        return {
            "arn": self.arn,
            "status": str(job.status) if job else None,
            "message": job.message if job else None,
            "done": job.records_done if job else None,
            "failed": job.records_failed if job else None,
            "total": job.records_total if job else None,
            "waited_seconds": round(time.time() - self.began, 1),
            "trouble": [type(trouble).__name__, str(trouble)] if trouble else None,
        }

    async def on_kill(self) -> None:
        """Airflow calls this when a person acted on the task, and also when another triggerer has taken the trigger
        over; only the state of the task tells these apart. What is cleared will wait for the same job again.

        Airflow waits 30 seconds, and may itself take as long to tell the first state: the work goes on without it.
        """
        stopping = asyncio.create_task(self._stop_if_ended())
        _STOPPING.add(stopping)
        stopping.add_done_callback(_STOPPING.discard)
        await asyncio.shield(stopping)

    async def _stop_if_ended(self) -> None:
        from pipeline.airflow.sharing import shared_watch, task_state
        from pipeline.settings import load_settings

        if not (await asyncio.to_thread(load_settings)).stop_jobs_on_kill:
            self.log.info("Job %s goes on: DOCBATCH_STOP_JOBS_ON_KILL is not set", self.arn)
            return
        state = await task_state(self.task_instance)
        watch = await shared_watch()
        if state not in ENDED_STATES:
            self.log.info("Job %s goes on: the task is not at its end, it is %s", self.arn, state or "cleared")
        elif watch.is_awaited(self.arn):
            self.log.info("Job %s goes on: another task waits for it", self.arn)
        else:
            await watch.stop(self.arn)
            self.log.warning("Job %s was told to stop: the task that waited for it is %s", self.arn, state)


def _shown(job: Job) -> tuple[str, str, int, int]:
    return job.arn, str(job.status), job.records_done, job.records_total

"""One watch over all jobs that the tasks of a triggerer wait for: one client and few calls, however many they are."""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import AbstractAsyncContextManager, aclosing, suppress
from contextvars import Context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from pipeline.airflow.pausing import Pausing
from pipeline.bedrock.client import IN_FLIGHT
from pipeline.bedrock.retries import says
from pipeline.domain import Job, JobStatus
from pipeline.errors import DocbatchError, ServiceBusy, ServiceRejected

if TYPE_CHECKING:
    from pipeline.bedrock.async_client import Page

log = logging.getLogger(__name__)

# In a job's order: one that moves on between two calls is seen twice.
UNENDED = (*IN_FLIGHT, JobStatus.STOPPING)
ENDED = tuple(status for status in JobStatus if status.ended)
CALLS_AT_ONCE = 8
LOOKS_FOR_UNKNOWN = 3  # Bedrock may not know a job at once that it has just created
BUSY_SECONDS, LONGEST_BUSY_SECONDS = 1.0, 300.0
EXPIRED = "ExpiredTokenException"
STOP_PAUSES_SECONDS = (0.5, 1, 2, 4, 8)  # in all below the 30 s that Airflow gives `on_kill`


class Looker(Protocol):
    """What a watch asks of Bedrock. Every method raises ServiceRejected or ServiceBusy."""

    async def describe(self, arn: str) -> Job:
        """The job as it is now."""

    async def page(self, status: JobStatus, token: str | None) -> Page:
        """Jobs of the region with this status."""

    async def stop(self, arn: str) -> None:
        """Ask that the job ends early."""


Connect = Callable[[], AbstractAsyncContextManager[Looker]]


@dataclass(eq=False, slots=True)
class _Waiter:
    """Who waits for a job since `began`, in seconds since the epoch; to be looked at when the loop's time is `due`."""

    began: float
    due: float
    status: JobStatus | None = None
    unknown: int = 0
    told: asyncio.Queue[Job | DocbatchError] = field(default_factory=asyncio.Queue)


class Watch:
    """Looks at jobs until they end. A round takes whichever are fewer calls: a Get for every job whose turn it is, or a
    List of the unended jobs of the region and, where many have ended, of the newest that have: a look at every job.

    When Bedrock is busy, everybody waits longer and nobody fails; when it refuses, those fail whom it refused.
    A watch belongs to the event loop of its first use and ends with it. `chance` gives numbers from 0 up to 1.
    """

    def __init__(
        self,
        connect: Connect,
        pausing: Pausing,
        clock: Callable[[], float] = time.time,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._connect, self.pausing, self._clock, self._chance = connect, pausing, clock, chance
        self._waiters: dict[str, list[_Waiter]] = {}
        self._news = asyncio.Event()
        self._wakes_at = math.inf
        self._not_before = 0.0
        self._busy = 0
        self._calls_to_list = len(UNENDED)
        self._client: asyncio.Future[Looker] | None = None
        self._task: asyncio.Task[None] | None = None

    async def follow(self, arn: str, began: float) -> AsyncGenerator[Job, None]:
        """The job whenever it has another status; the last time, it has ended. Raises DocbatchError."""
        waiter = _Waiter(began, _now() + self.pausing.first_look_seconds(self._chance()))
        self._waiters.setdefault(arn, []).append(waiter)
        try:
            self._start()
            if waiter.due < self._wakes_at:
                self._news.set()
            while True:
                told = await waiter.told.get()
                if isinstance(told, DocbatchError):
                    raise type(told)(*told.args) from told  # one of its own: a thousand may be told the same
                yield told
                if told.status.ended:
                    return
        finally:
            self._leave(arn, waiter)

    def is_awaited(self, arn: str) -> bool:
        """Whether anybody follows the job."""
        return arn in self._waiters

    async def stop(self, arn: str) -> None:
        """Ask that the job ends early; while Bedrock is busy, some times more. Raises ServiceError."""
        client = await asyncio.shield(self._start())
        for pause_seconds in STOP_PAUSES_SECONDS:
            with suppress(ServiceBusy):
                return await client.stop(arn)
            await asyncio.sleep(pause_seconds * (0.5 + self._chance()))
        return await client.stop(arn)

    def _leave(self, arn: str, waiter: _Waiter) -> None:
        self._waiters[arn].remove(waiter)
        if not self._waiters[arn]:
            del self._waiters[arn]

    def _start(self) -> asyncio.Future[Looker]:
        """The client, once it is open. Runs the rounds if nobody has begun that, in no trigger's logging context."""
        if self._client is None or self._task is None or self._task.done():
            self._client = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._run(self._client), name="docbatch jobs", context=Context())
        return self._client

    async def _run(self, opened: asyncio.Future[Looker]) -> None:
        try:
            while True:
                async with self._connect() as client:
                    if opened.done():
                        opened = self._client = asyncio.get_running_loop().create_future()
                    opened.set_result(client)
                    await self._look_until_expired(client)
                log.info("The credentials for Bedrock have expired; they are read again")
        except Exception as error:  # whatever it is, those who wait must hear of it
            told = error if isinstance(error, DocbatchError) else ServiceBusy(f"The watch over jobs failed: {error!r}")
            self._tell(self._waiters, told)
            if not opened.done():
                opened.set_exception(told)
                opened.exception()  # asked for, so that asyncio does not miss a reader
            if told is not error:
                raise

    async def _look_until_expired(self, client: Looker) -> None:
        """Returns when credentials that were good are so no longer: there may be others by now."""
        were_good = False
        while True:
            await self._until_due()
            try:
                await self._look(client)
            except ServiceBusy as error:
                self._back_off(error)
            except ServiceRejected as error:
                if were_good and says(error, EXPIRED):
                    return
                self._tell(self._due(), error)
            else:
                were_good, self._busy = True, 0
                self._not_before = _now() + self.pausing.first_seconds / 4

    async def _until_due(self) -> None:
        while True:
            self._news.clear()
            first = min((one.due for some in self._waiters.values() for one in some), default=math.inf)
            self._wakes_at = max(first, self._not_before)
            if self._wakes_at <= _now():
                return
            with suppress(TimeoutError):
                async with asyncio.timeout_at(None if first == math.inf else self._wakes_at):
                    await self._news.wait()

    def _due(self) -> list[str]:
        now = _now()
        return [arn for arn, some in self._waiters.items() if any(one.due <= now for one in some)]

    async def _look(self, client: Looker) -> None:
        wanted = set(self._due())
        if len(wanted) > self._calls_to_list:
            wanted = set(self._waiters)
            self._calls_to_list = await self._find(client, UNENDED, wanted, len(wanted))
            await self._find(client, ENDED, wanted, len(wanted) // 10)
        to_ask = sorted(wanted)
        for start in range(0, len(to_ask), CALLS_AT_ONCE):
            asked = (self._ask(client, arn) for arn in to_ask[start : start + CALLS_AT_ONCE])
            answers = await asyncio.gather(*asked, return_exceptions=True)
            for error in answers:
                if error is not None:
                    raise error

    async def _find(self, client: Looker, statuses: Iterable[JobStatus], wanted: set[str], most_calls: int) -> int:
        """See the wanted jobs that have one of these statuses, and take them out; in how many calls.

        Leaves off when the rest takes no more calls by Get.
        """
        calls = 0
        async with aclosing(_pages(client, statuses)) as pages:
            while calls < min(most_calls, len(wanted)) and (page := await anext(pages, None)):
                calls += 1
                for job in page.jobs:
                    if job.arn in wanted:
                        wanted.remove(job.arn)
                        self._see(job)
        return calls

    async def _ask(self, client: Looker, arn: str) -> None:
        """See one job. What Bedrock says against this one alone is told to those who wait for it."""
        try:
            self._see(await client.describe(arn))
        except ServiceRejected as error:
            if says(error, EXPIRED):
                raise
            for waiter in self._waiters.get(arn, ()):
                waiter.unknown += 1
                waiter.due = self._next_look(waiter)
                if not says(error, "ResourceNotFoundException") or waiter.unknown >= LOOKS_FOR_UNKNOWN:
                    _tell_one(waiter, error)

    def _see(self, job: Job) -> None:
        for waiter in self._waiters.get(job.arn, ()):
            waiter.unknown, waiter.due = 0, self._next_look(waiter)
            if job.status is not waiter.status:
                waiter.status = job.status
                _tell_one(waiter, job)

    def _next_look(self, waiter: _Waiter) -> float:
        return _now() + self.pausing.pause_seconds(self._clock() - waiter.began, self._chance())

    def _tell(self, arns: Iterable[str], error: DocbatchError) -> None:
        for waiter in [one for arn in arns for one in self._waiters[arn]]:
            _tell_one(waiter, error)

    def _back_off(self, error: ServiceBusy) -> None:
        pause_seconds = min(LONGEST_BUSY_SECONDS, BUSY_SECONDS * 2.0**self._busy) * (0.5 + self._chance() / 2)
        self._busy = min(self._busy + 1, 30)
        self._not_before = _now() + pause_seconds
        log.warning(
            "%s. Everybody waits: %d jobs are looked at again in %.0f s", error, len(self._waiters), pause_seconds
        )


async def _pages(client: Looker, statuses: Iterable[JobStatus]) -> AsyncGenerator[Page, None]:
    """Jobs of the region by status, the newest of each status first."""
    for status in statuses:
        page = await client.page(status, None)
        yield page
        while page.more is not None:
            page = await client.page(status, page.more)
            yield page


def _tell_one(waiter: _Waiter, told: Job | DocbatchError) -> None:
    if isinstance(told, DocbatchError) or told.status.ended:
        waiter.due = math.inf
    waiter.told.put_nowait(told)


def _now() -> float:
    return asyncio.get_running_loop().time()

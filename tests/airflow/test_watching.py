"""The watch over all jobs, in virtual time, against a Bedrock of the tests' own."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from botocore.exceptions import ClientError

from pipeline.airflow.pausing import Pausing
from pipeline.airflow.watching import LOOKS_FOR_UNKNOWN, UNENDED, Watch
from pipeline.bedrock.async_client import Page
from pipeline.bedrock.retries import translate
from pipeline.domain import Job, JobStatus
from pipeline.errors import ServiceError, ServiceRejected
from tests.airflow.virtual_time import run_in_virtual_time

PAUSING = Pausing(30, 300)
PAGE = 100


@dataclass
class Bedrock:
    """Jobs that end at a time of the loop's clock. `refuses` maps times of that clock to what every call then meets."""

    ends: dict[str, float] = field(default_factory=dict)
    refuses: list[tuple[float, float, str]] = field(default_factory=list)
    missing: set[str] = field(default_factory=set)
    calls: Counter[str] = field(default_factory=Counter)
    opened: int = 0
    stopped: list[str] = field(default_factory=list)

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[Bedrock]:
        self.opened += 1
        yield self

    async def describe(self, arn: str) -> Job:
        self._meet("GetModelInvocationJob")
        if arn in self.missing or arn not in self.ends:
            raise _error("GetModelInvocationJob", "ResourceNotFoundException")
        return self._job(arn)

    async def page(self, status: JobStatus, token: str | None) -> Page:
        self._meet("ListModelInvocationJobs")
        found = [self._job(arn) for arn in reversed(self.ends) if self._job(arn).status is status]
        start = int(token or 0)
        more = str(start + PAGE) if len(found) > start + PAGE else None
        return Page(tuple(found[start : start + PAGE]), more)

    async def stop(self, arn: str) -> None:
        self._meet("StopModelInvocationJob")
        self.stopped.append(arn)

    def _meet(self, operation: str) -> None:
        self.calls[operation] += 1
        for start, end, code in self.refuses:
            if start <= _now() < end:
                raise _error(operation, code)

    def _job(self, arn: str) -> Job:
        status = JobStatus.COMPLETED if _now() >= self.ends[arn] else JobStatus.IN_PROGRESS
        return Job(arn, "a job", status, None, 120, 120 if status.ended else 7)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _error(operation: str, code: str) -> ServiceError:
    cause = ClientError({"Error": {"Code": code, "Message": "as the test says"}}, operation)
    found = translate(cause)
    found.__cause__ = cause
    return found


def watch_over(bedrock: Bedrock) -> Watch:
    return Watch(bedrock.connect, PAUSING, clock=_now)


async def followed(watch: Watch, arn: str, began: float | None = None) -> tuple[float, list[Job]]:
    """When the end was told, and all that was."""
    jobs = [job async for job in watch.follow(arn, _now() if began is None else began)]
    return _now(), jobs


def test_a_job_is_followed_to_its_end() -> None:
    """Told are the statuses that it has, each once, and the end is told soon after it came."""
    bedrock = Bedrock({"arn": 1_500})
    told_at, jobs = run_in_virtual_time(_of_one(bedrock))
    assert [job.status for job in jobs] == [JobStatus.IN_PROGRESS, JobStatus.COMPLETED]
    assert 1_500 <= told_at <= 1_500 + 36
    assert bedrock.calls["ListModelInvocationJobs"] == 0
    assert 13 <= bedrock.calls["GetModelInvocationJob"] <= 24


async def _of_one(bedrock: Bedrock, began: float | None = None) -> tuple[float, list[Job]]:
    return await followed(watch_over(bedrock), "arn", began)


def test_a_wait_goes_on_at_its_pace() -> None:
    """After a restart the start of the wait is what it was: looks come as seldom as before, but the first at once."""
    bedrock = Bedrock({"arn": 4_000})
    run_in_virtual_time(_of_one(bedrock, began=1_000 - 20_000))
    assert bedrock.calls["GetModelInvocationJob"] <= 1 + 3_000 / (300 * 0.8) + 1


def test_thousands_of_jobs_take_few_calls() -> None:
    """Two thousand jobs for an hour are seen by lists; every one is asked for by itself about once, at its end."""
    count = 2_000
    bedrock = Bedrock({f"arn{n}": 1_600 + 3_000 * n / count for n in range(count)})

    async def main() -> list[float]:
        watch = watch_over(bedrock)
        told = await asyncio.gather(*(followed(watch, arn) for arn in bedrock.ends))
        return [at - bedrock.ends[jobs[-1].arn] for at, jobs in told]

    delays = sorted(run_in_virtual_time(main()))
    assert delays[0] >= 0
    assert delays[-1] <= 300
    assert bedrock.opened == 1
    assert bedrock.calls["GetModelInvocationJob"] <= count * 1.2
    assert bedrock.calls["ListModelInvocationJobs"] <= 3_600 / (30 / 4) * (len(UNENDED) + count / PAGE)


def test_a_busy_bedrock_fails_nobody() -> None:
    """An hour of throttling is waited for with pauses that grow; then the end is told."""
    bedrock = Bedrock({"arn": 1_200}, refuses=[(1_100, 4_700, "ThrottlingException")])
    told_at, jobs = run_in_virtual_time(_of_one(bedrock))
    assert jobs[-1].status is JobStatus.COMPLETED
    assert 4_700 <= told_at <= 4_700 + 300
    assert bedrock.calls["GetModelInvocationJob"] < 40


@pytest.mark.parametrize("count", [1, 50])
def test_a_refusal_is_told_with_its_reason(count: int) -> None:
    """Whoever lacks a permission learns which call was refused, all who wait for it, by Get or by List."""
    bedrock = Bedrock(dict.fromkeys((f"arn{n}" for n in range(count)), 9_000.0))
    bedrock.refuses = [(0, 9_000, "AccessDeniedException")]

    async def main() -> list[BaseException | object]:
        watch = watch_over(bedrock)
        return await asyncio.gather(*(followed(watch, arn) for arn in bedrock.ends), return_exceptions=True)

    for error in run_in_virtual_time(main()):
        assert isinstance(error, ServiceRejected)
        assert "AccessDeniedException" in str(error)
        assert "lacks a permission" in str(error)


def test_a_job_that_is_nowhere_is_refused() -> None:
    """Not at the first look: Bedrock may know a new job a moment later. Others are not concerned."""
    bedrock = Bedrock({"arn": 1_200})

    async def main() -> tuple[object, object]:
        watch = watch_over(bedrock)
        both = await asyncio.gather(followed(watch, "gone"), followed(watch, "arn"), return_exceptions=True)
        return both[0], both[1]

    gone, there = run_in_virtual_time(main())
    assert isinstance(gone, ServiceRejected)
    assert "does not exist" in str(gone)
    assert isinstance(there, tuple)


def test_a_job_that_is_late_to_be_known_is_followed() -> None:
    """Fewer looks in vain than the limit do no harm."""
    bedrock = Bedrock({"arn": 1_200}, missing={"arn"})

    async def main() -> tuple[float, list[Job]]:
        following = asyncio.create_task(_of_one(bedrock))
        while bedrock.calls["GetModelInvocationJob"] < LOOKS_FOR_UNKNOWN - 1:
            await asyncio.sleep(1)
        bedrock.missing.clear()
        return await following

    assert run_in_virtual_time(main())[1][-1].status is JobStatus.COMPLETED


def test_expired_credentials_are_read_again() -> None:
    """Keys that were good and no longer are: the watch connects anew, and nobody notices."""
    bedrock = Bedrock({"arn": 2_000})

    @asynccontextmanager
    async def connect() -> AsyncIterator[Bedrock]:
        bedrock.refuses = [] if bedrock.opened else [(1_300, 9_000, "ExpiredTokenException")]
        async with bedrock.connect() as client:
            yield client

    async def main() -> tuple[float, list[Job]]:
        return await followed(Watch(connect, PAUSING, clock=_now), "arn")

    assert run_in_virtual_time(main())[1][-1].status is JobStatus.COMPLETED
    assert bedrock.opened == 2


def test_credentials_that_never_were_good_are_told() -> None:
    """Reading them again would not help."""
    bedrock = Bedrock({"arn": 2_000}, refuses=[(0, 9_000, "ExpiredTokenException")])
    with pytest.raises(ServiceRejected, match="sign in again"):
        run_in_virtual_time(_of_one(bedrock))
    assert bedrock.opened == 1


def test_without_a_connection_everybody_learns_why() -> None:
    """What keeps the watch from connecting is told to those who wait and to whoever wants to stop a job."""

    @asynccontextmanager
    async def connect() -> AsyncIterator[Bedrock]:
        raise ServiceRejected("there are no credentials")
        yield Bedrock()

    async def main() -> list[Any]:
        watch = Watch(connect, PAUSING, clock=_now)
        return await asyncio.gather(
            followed(watch, "one"), followed(watch, "two"), watch.stop("x"), return_exceptions=True
        )

    assert [str(error) for error in run_in_virtual_time(main())] == ["there are no credentials"] * 3


def test_stopping_is_repeated_while_bedrock_is_busy() -> None:
    """A few seconds of throttling do not keep a job running; the client is the one that looks."""
    bedrock = Bedrock({"arn": 5_000}, refuses=[(1_000, 1_003, "ThrottlingException")])

    async def main() -> None:
        watch = watch_over(bedrock)
        following = asyncio.create_task(followed(watch, "arn"))
        await asyncio.sleep(0)
        assert watch.is_awaited("arn")
        await watch.stop("arn")
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert not watch.is_awaited("arn")

    run_in_virtual_time(main())
    assert bedrock.stopped == ["arn"]
    assert bedrock.opened == 1


def test_two_may_follow_the_same_job() -> None:
    """Both are told the same; one that leaves does not disturb the other, and the job is asked for once a look."""
    bedrock = Bedrock({"arn": 1_500})

    async def main() -> tuple[float, list[Job]]:
        watch = watch_over(bedrock)
        first, second = (asyncio.create_task(followed(watch, "arn")) for _ in range(2))
        await asyncio.sleep(100)
        first.cancel()
        await asyncio.sleep(0)
        assert watch.is_awaited("arn")
        return await second

    assert run_in_virtual_time(main())[1][-1].status is JobStatus.COMPLETED
    assert bedrock.calls["GetModelInvocationJob"] < 30

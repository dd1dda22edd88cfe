"""The asynchronous client, against servers on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from benchmarks.job_server import serving
from pipeline.bedrock.async_client import AsyncBatchClient, connect_async
from pipeline.bedrock.client import LISTED_JOBS, BedrockAccess
from pipeline.domain import JobStatus
from pipeline.errors import ServiceBusy, ServiceRejected
from pipeline.local.ports import free_port


def ask(url: str, call: Callable[[AsyncBatchClient], Awaitable[Any]], key: str | None = "key") -> Any:
    async def main() -> Any:
        async with connect_async(BedrockAccess("us-west-2", url, None, key, key), 2) as client:
            return await call(client)

    return asyncio.run(main())


def test_a_job_is_the_same_by_get_and_by_list() -> None:
    """Both have its status and its counts."""
    with serving(1, 0, 0) as server:
        (arn,) = server.ends
        described = ask(server.url, lambda client: client.describe(arn))
        page = ask(server.url, lambda client: client.page(JobStatus.COMPLETED, None))
    assert page.jobs == (described,)
    assert (described.status, described.records_done, described.records_failed) == (JobStatus.COMPLETED, 25_000, 0)


def test_jobs_are_listed_page_by_page_the_newest_first() -> None:
    """As many on a page as Bedrock allows; the last has no token."""
    with serving(LISTED_JOBS + 1, 3_600, 3_600) as server:
        first = ask(server.url, lambda client: client.page(JobStatus.IN_PROGRESS, None))
        second = ask(server.url, lambda client: client.page(JobStatus.IN_PROGRESS, first.more))
        none = ask(server.url, lambda client: client.page(JobStatus.STOPPING, None))
    assert [job.arn for job in (*first.jobs, *second.jobs)] == list(server.ends)[::-1]
    assert (len(first.jobs), second.more, none.jobs) == (LISTED_JOBS, None, ())


def test_nobody_there_is_busy() -> None:
    """A service that cannot be reached may be reached later."""
    with pytest.raises(ServiceBusy, match="could not be reached"):
        ask(f"http://127.0.0.1:{free_port()}", lambda client: client.describe("arn"))


def test_without_credentials_nothing_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to set."""
    monkeypatch.setenv("HOME", "/nowhere")
    with pytest.raises(ServiceRejected, match="set AWS credentials"):
        ask("http://127.0.0.1:9", lambda client: client.describe("arn"), key=None)

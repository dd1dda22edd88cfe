"""Amazon Bedrock's jobs through aiobotocore: a look, a page of jobs, a stop; each a single call, never repeated."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiobotocore.config import AioConfig  # type: ignore[import-untyped] # it ships no types
from aiobotocore.session import AioSession  # type: ignore[import-untyped] # it ships no types

from pipeline.bedrock.client import LISTED_JOBS, BedrockAccess, job_of
from pipeline.bedrock.retries import mapped_errors
from pipeline.domain import Job, JobStatus
from pipeline.errors import ServiceBusy, ServiceRejected

_CONFIG = {"retries": {"total_max_attempts": 1}, "connect_timeout": 10, "read_timeout": 60}


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the jobs with a status; `more` is the token of the next page, None on the last."""

    jobs: tuple[Job, ...]
    more: str | None


class AsyncBatchClient:
    """What waiting needs of batch inference. Every method raises ServiceRejected or ServiceBusy."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def describe(self, arn: str) -> Job:
        """The job as it is now."""
        return job_of(await _mapped(self._client.get_model_invocation_job(jobIdentifier=arn)))

    async def page(self, status: JobStatus, token: str | None) -> Page:
        """Jobs of the region with this status, the newest first; the first page without a token."""
        asked = {"statusEquals": status.value, "maxResults": LISTED_JOBS}
        asked |= {"sortBy": "CreationTime", "sortOrder": "Descending"} | ({"nextToken": token} if token else {})
        found = await _mapped(self._client.list_model_invocation_jobs(**asked))
        return Page(tuple(job_of(one) for one in found.get("invocationJobSummaries", ())), found.get("nextToken"))

    async def stop(self, arn: str) -> None:
        """Ask that the job ends early; one that has ended stays as it is."""
        try:
            await _mapped(self._client.stop_model_invocation_job(jobIdentifier=arn))
        except ServiceRejected:
            if not (await self.describe(arn)).status.ended:
                raise


@asynccontextmanager
async def connect_async(access: BedrockAccess, calls_at_once: int) -> AsyncIterator[AsyncBatchClient]:
    """A client for so many calls at the same time, closed on leaving.

    Raises ServiceRejected when there are no credentials or no region.
    """
    session = AioSession()
    # Nobody reads a job's times here, and reading them is four fifths of the work on a page of a thousand jobs.
    session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
    key_id, secret, token = await asyncio.to_thread(_keys, access)
    with mapped_errors():
        opened = session.create_client(
            "bedrock",
            region_name=access.region,
            endpoint_url=access.url,
            config=AioConfig(max_pool_connections=calls_at_once, **_CONFIG),
            aws_access_key_id=key_id,
            aws_secret_access_key=secret,
            aws_session_token=token,
        )
        client = await opened.__aenter__()
    try:
        yield AsyncBatchClient(client)
    finally:
        await opened.__aexit__(None, None, None)


def _keys(access: BedrockAccess) -> tuple[str | None, str | None, str | None]:
    """Those of the access or of its session as they are now, which may take a call; none leave it to AWS's chain."""
    if access.session is None:
        return access.access_key_id, access.secret_access_key, None
    with mapped_errors():
        found = access.session.get_credentials()
        keys = found.get_frozen_credentials() if found else None
    return (keys.access_key, keys.secret_key, keys.token) if keys else (None, None, None)


async def _mapped(call: Awaitable[Any]) -> Any:
    """The call's answer; aiobotocore's errors as ours, those that it lets through from below included."""
    try:
        with mapped_errors():
            return await call
    except OSError as error:  # TimeoutError is one
        raise ServiceBusy(f"Bedrock could not be reached: {error or type(error).__name__}") from error

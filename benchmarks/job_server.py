"""A Bedrock on loopback that does nothing but tell of jobs: each ends at its time, and every call is counted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

ARN = "arn:aws:bedrock:us-west-2:000000000000:model-invocation-job/"


@dataclass(frozen=True)
class JobServer:
    """Where it is; `ends` is when each job ends, in seconds since the epoch, by ARN."""

    url: str
    ends: dict[str, float]
    _pipe: Connection

    def calls(self) -> int:
        """How many calls it has had so far."""
        self._pipe.send("calls")
        return int(self._pipe.recv())


@contextmanager
def serving(jobs: int, first_end_seconds: float, last_end_seconds: float) -> Iterator[JobServer]:
    """A server in a process of its own, whose jobs end one after another between these times from now."""
    now, step = time.time(), (last_end_seconds - first_end_seconds) / jobs
    ends = {f"{ARN}{number:012d}": now + first_end_seconds + step * number for number in range(jobs)}
    ours, theirs = get_context("spawn").Pipe()
    child = get_context("spawn").Process(target=_serve, args=(theirs, ends), daemon=True)
    child.start()
    try:
        yield JobServer(f"http://127.0.0.1:{ours.recv()}", ends, ours)
    finally:
        ours.send("end")
        child.join(10)


def _serve(pipe: Connection, ends: dict[str, float]) -> None:
    asyncio.run(_Answers(ends).serve(pipe))


class _Answers:
    def __init__(self, ends: dict[str, float]) -> None:
        self._ends, self._calls = ends, 0

    async def serve(self, pipe: Connection) -> None:
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=1_024)
        pipe.send(server.sockets[0].getsockname()[1])
        while await asyncio.to_thread(pipe.recv) != "end":
            pipe.send(self._calls)
        server.close()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                self._calls += 1
                body = json.dumps(self._answer(request.split(b" ", 2)[1].decode())).encode()
                head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    def _answer(self, target: str) -> dict[str, object]:
        place = urlsplit(target)
        if not place.path.startswith("/model-invocation-jobs"):
            return self._job(unquote(place.path).removeprefix("/model-invocation-job/"))
        asked = parse_qs(place.query)
        start, size = int(asked.get("nextToken", ["0"])[0]), int(asked["maxResults"][0])
        jobs = (self._job(arn) for arn in reversed(self._ends))
        found = [job for job in jobs if [job["status"]] == asked["statusEquals"]]
        page: dict[str, object] = {"invocationJobSummaries": found[start : start + size]}
        return page | ({"nextToken": str(start + size)} if start + size < len(found) else {})

    def _job(self, arn: str) -> dict[str, object]:
        ended = time.time() >= self._ends[arn]
        times = dict.fromkeys(("submitTime", "lastModifiedTime", "jobExpirationTime"), "2026-11-23T02:00:00.000Z")
        return times | {
            "jobArn": arn,
            "jobName": f"docbatch-{arn[-12:]}",
            "modelId": "meta.llama3-1-8b-instruct-v1:0",
            "clientRequestToken": f"{arn[-12:]}" * 4,
            "roleArn": "arn:aws:iam::000000000000:role/docbatch-batch",
            "status": "Completed" if ended else "InProgress",
            "inputDataConfig": {"s3InputDataConfig": {"s3InputFormat": "JSONL", "s3Uri": "s3://bucket/work/in.jsonl"}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": "s3://bucket/work/out/"}},
            "timeoutDurationInHours": 24,
            "totalRecordCount": 25_000,
            "processedRecordCount": 25_000 if ended else 0,
            "successRecordCount": 25_000 if ended else 0,
            "errorRecordCount": 0,
        }

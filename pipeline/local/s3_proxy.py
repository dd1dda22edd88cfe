"""An object store that refuses and hangs up: a proxy in front of an S3 server, for tests of its readers and writers."""

from __future__ import annotations

import threading
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from pipeline.errors import StackError
from pipeline.local.hanging_up import BrokenOff, ConnectedHttp, HungUp
from pipeline.local.ports import free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from starlette.requests import Request

    from pipeline.local.active_faults import ActiveFaults

_SLOW_DOWN = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"""
_METHODS = ["GET", "HEAD", "PUT", "POST", "DELETE"]
# These belong to one connection; httpx and uvicorn write their own.
_HOP = {b"connection", b"keep-alive", b"transfer-encoding", b"expect"}
_PATIENCE_SECONDS = 10.0
_POLL_SECONDS = 0.01


@contextmanager
def faulty_s3(s3_url: str, faults: ActiveFaults) -> Iterator[str]:
    """The URL of a proxy to the S3 server at `s3_url`, as long as the context lasts.

    Signatures stay valid: the server sees the path, the query and the Host header that the client signed.

    Raises:
        StackError: the proxy did not start.
    """
    port = free_port()
    # No log_config: the logging of this process is its owner's.
    config = uvicorn.Config(
        _application(s3_url, faults), host="127.0.0.1", port=port, http=ConnectedHttp, log_config=None, access_log=False
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        _wait_for(server, thread)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()


def _wait_for(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not server.started:
        if not thread.is_alive() or time.monotonic() > deadline:
            raise StackError("The S3 proxy did not start; a stranger may have taken its port. Try again.")
        time.sleep(_POLL_SECONDS)


def _application(s3_url: str, faults: ActiveFaults) -> Starlette:
    client = httpx.AsyncClient(base_url=s3_url, timeout=300.0, trust_env=False)

    async def pass_on(request: Request) -> Response:
        content = await request.body()  # before any refusal: who waits for "100 Continue" must see it
        fault = faults.of_object(request.method)
        if fault == "slow-down":
            return Response(_SLOW_DOWN, 503, media_type="application/xml")
        answer = await _forwarded(client, request, content)
        if fault is None:
            return answer
        return BrokenOff(answer) if request.method == "GET" else HungUp()

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with client:
            yield

    return Starlette(routes=[Route("/{key:path}", pass_on, methods=_METHODS)], lifespan=lifespan)


async def _forwarded(client: httpx.AsyncClient, request: Request, content: bytes) -> Response:
    """The server's answer, whole and as it was sent; whatever it is compressed with stays so."""
    path = request.scope["raw_path"] + (b"?" + request.scope["query_string"] if request.scope["query_string"] else b"")
    headers = [(name, value) for name, value in request.headers.raw if name not in _HOP]
    url = client.base_url.copy_with(raw_path=path)
    forwarded = client.build_request(request.method, url, headers=headers, content=content)
    received = await client.send(forwarded, stream=True)
    answer = Response(b"".join([piece async for piece in received.aiter_raw()]), received.status_code)
    answer.raw_headers = [(name.lower(), value) for name, value in received.headers.raw if name.lower() not in _HOP]
    await received.aclose()
    return answer

"""Responses that end the connection instead of answering, before a single byte or in the middle of the body."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from starlette.responses import Response
from uvicorn.protocols.http.auto import AutoHTTPProtocol

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send


class ConnectedHttp(AutoHTTPProtocol):  # type: ignore[misc, valid-type]  # uvicorn's choice between its two, at import
    """HTTP as uvicorn speaks it; the state of a request also holds its connection, which the responses here need."""

    app_state: dict[str, Any]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}


class HungUp(Response):
    """No answer at all: the connection is closed under the caller."""

    async def __call__(self, scope: Scope, receive: Receive, _send: Send) -> None:
        scope["state"]["transport"].abort()
        await _until_gone(receive)


class BrokenOff(Response):
    """Another response's head and the first half of its body; then the connection is closed."""

    def __init__(self, whole: Response) -> None:
        super().__init__(whole.body, whole.status_code)
        self.raw_headers = whole.raw_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": half, "more_body": True})
        scope["state"]["transport"].close()  # after what is written; abort() would lose it
        await _until_gone(receive)


async def _until_gone(receive: Receive) -> None:
    """uvicorn writes a 500 where an application returns without an answer while the caller is still there."""
    while (await receive())["type"] != "http.disconnect":
        pass

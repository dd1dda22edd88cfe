"""Who may ask: only a browser that was given the key, at this server's own name, from this server's own pages."""

from __future__ import annotations

import hmac
import ipaddress
import logging
import secrets
import traceback
from collections.abc import Collection
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

log = logging.getLogger(__name__)

POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers would send `Origin: null` with our own forms
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
METHODS = ("GET", "HEAD", "POST")


@dataclass(frozen=True)
class Access:
    """What a browser must know: the key that opens the pages, and the token of their forms.

    `names` are the host names that the server goes by beside its addresses; with `remote`, addresses of other
    machines' view of it are allowed too.
    """

    names: Collection[str] = ("localhost",)
    remote: bool = False
    key: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    def is_own(self, host: str) -> bool:
        """Whether a Host header names this server. A name that somebody else's DNS points here does not."""
        name = host.rpartition(":")[0] if host.rpartition(":")[2].isdecimal() else host
        name = name.strip("[]").lower()
        if name in self.names:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback or self.remote
        except ValueError:
            return False


class Guard:
    """Stands before the pages: refuses what is not theirs, and lets nothing of a document into the log."""

    def __init__(self, pages: ASGIApp, access: Access) -> None:
        self._pages, self._access = pages, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refused = self._refused(scope, headers) or self._opened(scope, headers)

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        try:
            await (refused or self._pages)(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - an error's message may hold text of a document, which no log may
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.error("%s in %s, line %d", type(error).__name__, place.filename, place.lineno or 0)

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        host = headers.get("host", "")
        if not self._access.is_own(host):
            return PlainTextResponse("This server has another name; open the address that docbatch printed.", 421)
        if scope["method"] not in METHODS:
            return PlainTextResponse("This is not something that pages do.", 405)
        foreign = headers.get("sec-fetch-site", "same-origin") != "same-origin"
        if scope["method"] == "POST" and (foreign or headers.get("origin") != f"http://{host}"):
            return PlainTextResponse("The form was not sent from a page of this server.", 403)
        return None

    def _opened(self, scope: Scope, headers: Headers) -> Response | None:
        """A browser that brings the key gets it as a cookie; one that has neither is refused."""
        given = parse_qs(scope["query_string"].decode("ascii", "replace")).get("key", [""])[0]
        name = f"docbatch-{scope['server'][1]}"  # cookies are shared between the ports of a machine
        if scope["path"] == "/" and scope["method"] == "GET" and self._is_key(given):
            response = Response(status_code=303, headers={"Location": "/"})
            response.set_cookie(name, self._access.key, httponly=True, samesite="lax", path="/")
            return response
        try:
            morsel = SimpleCookie(headers.get("cookie", "")).get(name)
        except CookieError:
            morsel = None
        if morsel is not None and self._is_key(morsel.value):
            return None
        return PlainTextResponse("Open the address that docbatch printed; it holds the key to these pages.", 403)

    def _is_key(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), self._access.key.encode())

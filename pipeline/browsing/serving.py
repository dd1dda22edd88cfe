"""Serve the pages on a port of this machine until somebody presses Ctrl-C."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlencode

import uvicorn
from starlette.types import ASGIApp

from pipeline.browsing.guarding import Access
from pipeline.errors import SettingsError

ENDING_SECONDS = 2  # that connections may take to end when the server does


def listen(host: str, port: int) -> socket.socket:
    """The socket at a port of a host; 0 takes a free one. Raises SettingsError where that is not possible."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise SettingsError(f"{host}, port {port}: cannot be listened on ({reason}); choose another") from None


def access_for(host: str, *, allow_remote: bool) -> Access:
    """Raises SettingsError for a host that other machines reach, unless that is allowed."""
    if is_here(host):
        return Access()
    if not allow_remote:
        raise SettingsError(
            f"host = {host}: other machines would reach the pages, and with them every document, without encryption; "
            "use ssh -L, or say --allow-remote as well"
        )
    return Access({"localhost", socket.gethostname().lower(), socket.getfqdn().lower(), host.lower()}, remote=True)


def is_here(host: str) -> bool:
    """Whether only this machine reaches a server there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def address_of(listening: socket.socket, host: str, access: Access) -> str:
    """What to open, with the key."""
    shown = socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104 - compared, not listened on
    name = f"[{shown}]" if ":" in shown else shown
    return f"http://{name}:{listening.getsockname()[1]}/?{urlencode({'key': access.key})}"


def server_for(pages: ASGIApp) -> uvicorn.Server:
    """A server that writes no request to the log, since addresses hold what people search for."""
    config = uvicorn.Config(
        pages,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=ENDING_SECONDS,
    )
    return uvicorn.Server(config)


def serve(pages: ASGIApp, listening: socket.socket, ready: Callable[[], None]) -> None:
    """Answer requests until Ctrl-C."""
    ready()
    try:
        server_for(pages).run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn has ended by now, and raises what ended it
        return

"""Find ports on loopback that nobody uses."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_S3_FLAGS = ("s3.port", "filer.port", "master.port", "volume.port", "admin.port")
# weed's admin worker dials its server at this distance, whatever -admin.port.grpc says.
GRPC_DISTANCE = 10_000
_HIGHEST_PORT = 65_535


def free_ports(*, taken: Collection[int] = ()) -> dict[str, int]:
    """A port for each flag of the server, each with a free twin for gRPC 10,000 above."""
    with ExitStack() as held:
        return {flag: _pair(held, taken) for flag in _S3_FLAGS}


def free_port(*, taken: Collection[int] = ()) -> int:
    """A port that nobody listens on now; a stranger may still be quicker."""
    with ExitStack() as held:
        while (port := _bind(held, 0)) in taken:
            pass
        return port or 0


def are_free(ports: Collection[int]) -> bool:
    """Whether all of these ports can be listened on now."""
    with ExitStack() as held:
        return all(_bind(held, port) is not None for port in ports)


def with_twins(ports: dict[str, int]) -> list[int]:
    """The ports and their gRPC twins."""
    return [twin for port in ports.values() for twin in (port, port + GRPC_DISTANCE)]


def _pair(held: ExitStack, taken: Collection[int]) -> int:
    while True:
        port = _bind(held, 0) or 0
        twin = port + GRPC_DISTANCE
        if twin <= _HIGHEST_PORT and not {port, twin} & set(taken) and _bind(held, twin) is not None:
            return port


def _bind(held: ExitStack, port: int) -> int | None:
    """Hold a port until `held` closes; 0 lets the system choose. None where it is in use."""
    listener = held.enter_context(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
    except OSError:
        return None
    return int(listener.getsockname()[1])

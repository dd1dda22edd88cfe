"""Where the pages are served, and to whom."""

from __future__ import annotations

import socket

import pytest

from pipeline.browsing.serving import access_for, address_of, listen
from pipeline.errors import SettingsError


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.0.1"])
def test_this_machine_needs_no_leave(host: str) -> None:
    """And only it gets in."""
    access = access_for(host, allow_remote=False)
    assert not access.is_own("192.0.2.1")
    assert access.is_own("localhost")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.0.2.1", "::", "machine.example"])
def test_other_machines_need_leave(host: str) -> None:
    """Without it the command ends and says what would happen; with it the machine's names are its own."""
    with pytest.raises(SettingsError, match="say --allow-remote"):
        access_for(host, allow_remote=False)
    access = access_for(host, allow_remote=True)
    assert access.is_own("192.0.2.7:80")
    assert access.is_own(socket.gethostname())
    assert not access.is_own("evil.example")


def test_keys_are_new_each_time() -> None:
    """And do not stand where values are printed."""
    one, other = access_for("localhost", allow_remote=False), access_for("localhost", allow_remote=False)
    assert one.key != other.key
    assert one.key not in repr(one)
    assert one.token not in repr(one)


def test_a_free_port_and_a_taken_one() -> None:
    """Without a port any free one is taken; one that somebody has is told."""
    with listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        address = address_of(listening, "127.0.0.1", access_for("127.0.0.1", allow_remote=False))
        assert address.startswith(f"http://127.0.0.1:{port}/?key=")
        with pytest.raises(SettingsError, match=f"port {port}: cannot be listened on"):
            listen("127.0.0.1", port)

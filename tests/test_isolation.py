"""Tests cannot reach anything but this machine."""

from __future__ import annotations

import os
import socket

import pytest


@pytest.mark.parametrize("host", ["192.0.2.1", "example.com", "169.254.169.254", "2001:db8::1"])
def test_nothing_but_loopback_is_reachable(host: str) -> None:
    """A connection to any other address is refused before a packet leaves."""
    with pytest.raises(ConnectionRefusedError, match="loopback only"):
        socket.create_connection((host, 443), timeout=5)


def test_there_is_no_account() -> None:
    """No credentials come from the environment, and none from an instance."""
    assert not [name for name in os.environ if name.startswith("AWS_") and "KEY" in name]
    assert os.environ["AWS_EC2_METADATA_DISABLED"] == "true"

"""The fixtures `world` and `make_world`."""

from __future__ import annotations

from tests.world import make_world, world

__all__ = ["make_world", "world"]

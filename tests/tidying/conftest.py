"""The worlds of the tests of tidying, and the stack that some of them need."""

from __future__ import annotations

from tests.local.conftest import home_of_stack, stack
from tests.world import make_world, world

__all__ = ["home_of_stack", "make_world", "stack", "world"]

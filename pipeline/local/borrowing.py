"""The embedded stack for as long as somebody uses it: the last user stops it, unless it was asked to stay."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipeline.local import stack

_KEPT = "kept"


@contextmanager
def borrowed(home: Path, engine: str) -> Iterator[stack.Stack]:
    """A running stack, started if need be. Any number of processes may borrow it at the same time.

    Raises StackError.
    """
    home.mkdir(parents=True, exist_ok=True)
    with (home / "users.lock").open("w") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        try:
            yield stack.status(home) or stack.up(home, engine=engine)
        finally:
            fcntl.flock(users, fcntl.LOCK_UN)
            if not (home / _KEPT).exists():
                _stop_if_last(home, users.fileno())


def keep(home: Path, engine: str) -> stack.Stack:
    """Start the stack and leave it running until `give_up`, whoever else comes and goes. Raises StackError."""
    running = stack.up(home, engine=engine)
    (home / _KEPT).touch()
    return running


def give_up(home: Path) -> bool:
    """Stop the stack; True where something ran."""
    (home / _KEPT).unlink(missing_ok=True)
    return stack.down(home)


def _stop_if_last(home: Path, users: int) -> None:
    """Whoever comes while the stack goes down waits for the lock, and then starts it again."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    stack.down(home)

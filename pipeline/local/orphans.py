"""End a stack whose state folder was deleted: nobody can find it any more, so it has to look for itself."""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import TYPE_CHECKING

from pipeline.errors import StackError
from pipeline.local import launch, seaweed
from pipeline.local.state import read_state

if TYPE_CHECKING:
    from pathlib import Path

    from pipeline.local.state import State

_LOOK_SECONDS = 2.0
_log = logging.getLogger(__name__)


def end_when_abandoned(home: Path, state: State) -> None:
    """From now on, this process and the S3 server of the stack end soon after the folder `home` is gone."""
    threading.Thread(target=_look_after, args=(home, state), daemon=True).start()


def is_abandoned(home: Path, state: State) -> bool:
    """Whether `home` no longer tells of this stack: it was deleted, and perhaps made anew for another stack.

    A state that cannot be read is no proof of that.
    """
    try:
        found = read_state(home)
    except (OSError, StackError):
        return False
    return found is None or found.instance != state.instance


def _look_after(home: Path, state: State) -> None:
    program = seaweed.program(home, state)
    store = None
    while True:
        # Read before the state: a pid that was there while the state was ours is not that of another stack.
        seen = launch.pid_of(program.pid_file, program.marker)
        if is_abandoned(home, state):
            break
        store = seen
        time.sleep(_LOOK_SECONDS)  # nothing tells of a folder that is deleted from outside
    _log.warning("%s is gone: the stack ends", home)
    if store is not None:
        launch.end(store, program.marker, patience_seconds=1.0)  # what it would still write has no place
    seaweed.remove_sockets(state)
    os._exit(0)  # from a thread there is no other way out, and with the folder all that could be kept is gone

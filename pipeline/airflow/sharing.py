"""What the triggers of a process share: the one watch of their event loop, and how they learn of their task's state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakKeyDictionary

from pipeline.airflow.pausing import pausing_of
from pipeline.airflow.watching import CALLS_AT_ONCE, Looker, Watch
from pipeline.settings import load_settings

_WATCHES: WeakKeyDictionary[asyncio.AbstractEventLoop, Watch] = WeakKeyDictionary()


async def shared_watch() -> Watch:
    """The watch of the running loop; the first caller reads the settings, on a thread."""
    loop = asyncio.get_running_loop()
    if loop not in _WATCHES:
        settings = await asyncio.to_thread(load_settings)
        _WATCHES.setdefault(loop, Watch(_connect, pausing_of(settings)))
    return _WATCHES[loop]


@asynccontextmanager
async def _connect() -> AsyncIterator[Looker]:
    connect, access = await asyncio.to_thread(_prepare)
    async with connect(access, CALLS_AT_ONCE) as client:
        yield client


def _prepare() -> tuple[Any, Any]:
    """On a thread: the import takes a second, and a connection of Airflow's is asked for over a socket."""
    from pipeline.airflow.connection import access
    from pipeline.bedrock.async_client import connect_async

    return connect_async, access()


async def task_state(task_instance: Any) -> str | None:
    """The state of a trigger's task as Airflow's database has it now; None when the task was cleared."""
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    of_one = {
        "dag_id": task_instance.dag_id,
        "run_ids": [task_instance.run_id],
        "task_ids": [task_instance.task_id],
        "map_index": task_instance.map_index,
    }
    states = await asyncio.to_thread(lambda: RuntimeTaskInstance.get_task_states(**of_one))
    found = [state for tasks in states.values() for state in tasks.values()]
    return found[0] if found else None

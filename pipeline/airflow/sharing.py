"""What the triggers of a process share: the one watch of their event loop, and how they learn of their task's state."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from pipeline.airflow.pausing import pausing_of
from pipeline.settings import load_settings

if TYPE_CHECKING:
    from pipeline.airflow.watching import Looker, Watch

_WATCHES: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[Watch]] = WeakKeyDictionary()


async def shared_watch() -> Watch:
    """The watch of the running loop. Raises SettingsError."""
    loop = asyncio.get_running_loop()
    made = _WATCHES.get(loop)
    if made is None or (made.done() and made.exception() is not None):
        made = _WATCHES[loop] = loop.create_task(asyncio.to_thread(_make_watch))
    return await asyncio.shield(made)


def _make_watch() -> Watch:
    """On a thread: the import takes a second, in which no other trigger should stand still."""
    from pipeline.airflow.watching import Watch

    return Watch(_connect, pausing_of(load_settings()))


@asynccontextmanager
async def _connect() -> AsyncIterator[Looker]:
    async with await asyncio.to_thread(_prepare) as client:
        yield client


def _prepare() -> AbstractAsyncContextManager[Looker]:
    """On a thread: the import takes a second, and a connection of Airflow's is asked for over a socket."""
    from pipeline.airflow.connecting import environment_of
    from pipeline.airflow.watching import CALLS_AT_ONCE
    from pipeline.bedrock.async_client import connect_async
    from pipeline.bedrock.client import bedrock_access

    settings = load_settings()
    return connect_async(bedrock_access(settings, environment_of(settings)), CALLS_AT_ONCE)


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

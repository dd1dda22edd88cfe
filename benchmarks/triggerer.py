"""Airflow's own trigger runner without the process that feeds it: its caller says what to create and what to cancel."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import structlog
from airflow.executors.workloads import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.models.trigger import Trigger

if TYPE_CHECKING:
    from airflow.triggers.base import BaseTrigger


class FedRunner(TriggerRunner):
    """Runs the triggers that it is given. `fired` has the times and payloads of their events, by trigger id."""

    def __init__(self) -> None:
        super().__init__()
        self.fired: dict[int, tuple[float, Any]] = {}
        self.events = _Noting(self.fired)

    def add(self, trigger: BaseTrigger, task_instance: Any = None) -> int:
        """Have a trigger created as from Airflow's database: from what it serialises, encrypted."""
        classpath, kwargs = trigger.serialize()
        number = len(self.triggers) + len(self.to_create) + 1
        encrypted = Trigger.encrypt_kwargs(kwargs)
        self.to_create.append(RunTrigger(id=number, classpath=classpath, encrypted_kwargs=encrypted, ti=task_instance))
        return number

    async def init_comms(self) -> None:
        self.comms_decoder = SimpleNamespace(_reader_task=asyncio.create_task(asyncio.Event().wait()))

    async def sync_state_to_supervisor(self, finished_ids: list[int]) -> None:
        """There is no supervisor."""

    def end(self) -> None:
        """Let `arun` return, as SIGTERM does."""
        self._handle_signal(None, None)


class _Noting(deque[Any]):
    """The runner's queue of events, which nobody empties; notes when each came."""

    def __init__(self, fired: dict[int, tuple[float, Any]]) -> None:
        super().__init__()
        self._fired = fired

    def append(self, entry: Any) -> None:
        self._fired[entry.trigger_id] = (time.time(), entry.event.payload)


def be_quiet() -> None:
    """Keep a line for each trigger out of what is printed and measured."""
    logging.disable(logging.INFO)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))

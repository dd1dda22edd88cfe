"""Ask the records of a batch one by one, from one process at a time, and keep each answer as it arrives."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from pipeline.bedrock.client import OnDemandClient
from pipeline.domain import Batch, Mode, Span
from pipeline.errors import ObjectExists, PromptRefused, ServiceBusy
from pipeline.manifest import STOPPED, lease_key, output_folder
from pipeline.prices import Billing
from pipeline.steps.intents import intend
from pipeline.steps.run import Run, Services, refuse_stopped
from pipeline.storage.leases import Lease, holding
from pipeline.storage.objects import ObjectStore
from pipeline.wire import read_record, read_record_id, write_error, write_reply


def ask_on_demand(run: Run, round_number: int, batch: Batch) -> None:
    """Every record that has no answer in the store yet; where one process dies, the next goes on.

    Nothing if another run took the batch over. Raises ServiceRejected at once, RunStopped when the run was stopped
    meanwhile, and ServiceBusy for records that stayed busy once the answers to all others are kept.
    """
    folder = output_folder(round_number, batch.batch_key)
    records = [read_record_id(line) for line in run.store.lines(run.store.key(batch.input_uri))]

    def owed() -> frozenset[str]:
        answered = {entry.key for entry in run.store.list(folder)}
        return frozenset(one for one in records if _answer_key(folder, one) not in answered)

    while owed():
        refuse_stopped(run)
        if intend(run, round_number, batch)[0] is None:
            return
        lease = Lease(run.store, lease_key(round_number, batch.batch_key), run.services.settings.lease_seconds)
        with holding(lease, done=lambda: not owed()) as held:
            if held:
                _Asking(run, batch, folder, owed(), lease, run.services.on_demand_client()).ask_all()


def kept_answers(services: Services, run_uri: str, round_number: int, batches: Sequence[Batch]) -> int:
    """How many records of these batches have been answered on demand so far, by whichever process; not those of
    batches that another run sends."""
    store = services.open(run_uri)
    asked = (one for one in batches if one.mode is Mode.ON_DEMAND and one.awaits is None)
    return sum(count_answers(store, round_number, one) for one in asked)


def count_answers(store: ObjectStore, round_number: int, batch: Batch) -> int:
    """The same of one batch, by listing alone."""
    return sum(1 for _ in store.list(output_folder(round_number, batch.batch_key)))


def _answer_key(folder: str, record_id: str) -> str:
    return f"{folder}/{record_id}.jsonl.out"


@dataclass(frozen=True)
class _Asking:
    """The work of one process that holds the batch's lease."""

    run: Run
    batch: Batch
    folder: str
    owed: frozenset[str]
    lease: Lease
    client: OnDemandClient
    broken: threading.Event = field(default_factory=threading.Event)

    def ask_all(self) -> None:
        lines = self.run.store.lines(self.run.store.key(self.batch.input_uri))
        with ThreadPoolExecutor(self.run.services.settings.on_demand_threads) as pool:
            busy = [error for error in pool.map(self._ask_unless_broken, lines) if error is not None]
        if busy:
            found = f"batch {self.batch.batch_key}: {len(busy)} of {self.batch.records} records are not answered"
            raise ServiceBusy(f"{found}; the others are kept. Repeat the step later. The last said: {busy[-1]}")

    def _ask_unless_broken(self, line: bytes) -> ServiceBusy | None:
        """After one error that is not about its record alone, only what is in flight goes on: it is paid for."""
        try:
            return None if self.broken.is_set() else self._ask(line)
        except BaseException:
            self.broken.set()
            raise

    def _ask(self, line: bytes) -> ServiceBusy | None:
        record_id, body = read_record(line)
        if record_id not in self.owed or self.lease.lost or self.run.store.exists(STOPPED):
            return None
        try:
            answer = self._answer(record_id, body)
        except ServiceBusy as error:
            return error
        with suppress(ObjectExists):  # the first answer wins: it may have been read already
            self.run.store.write(_answer_key(self.folder, record_id), answer, create=True)
        return None

    def _answer(self, record_id: str, body: dict[str, Any]) -> bytes:
        try:
            if self.run.manifest.billing is Billing.TOKENS:
                return write_reply(record_id, self.client.invoke(self.run.manifest.model, body))
            began = self.run.services.clock()
            reply = self.client.invoke(self.run.manifest.model, body)
            return write_reply(record_id, reply, Span(began, self.run.services.clock()))
        except PromptRefused as error:
            return write_error(record_id, 400, str(error))

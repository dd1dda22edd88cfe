"""Stop a run's jobs and keep what they answered; and take a stopped run up again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass

import orjson

from pipeline.domain import Batch, BatchPlace, Mode
from pipeline.errors import ObjectExists
from pipeline.manifest import REOPENED, STOPPED, collected_key, intent_key, lease_key, open_key
from pipeline.steps.intents import REVOKED_BY, keep_arn, kept_arn, read_intent, revoked_by
from pipeline.steps.rounds import planned_rounds, read_plan, times_reopened
from pipeline.steps.run import Run, Services
from pipeline.steps.sift import take_over
from pipeline.steps.submit import TURN
from pipeline.storage.leases import Lease, holding


@dataclass(frozen=True, slots=True)
class Begun:
    """A batch that was begun before its run was stopped; `arn` is None where it is asked on demand."""

    round_number: int
    batch_key: str
    arn: str | None


@dataclass(frozen=True, slots=True)
class Stopped:
    """What stopping came upon: batches to be collected once their jobs have ended, and how many will not be begun."""

    begun: tuple[Begun, ...]
    held_back: int

    @property
    def jobs(self) -> int:
        return sum(one.arn is not None for one in self.begun)


def stop(services: Services, run_uri: str) -> Stopped:
    """Tell the jobs of a run to stop, and let nothing else begin. What is collected stays, what is answered is paid.

    Whoever works on the run ends with RunStopped at its next step. When this returns, no job of the run is started
    and no record of it is asked any more. Repeating it does no harm. Raises ServiceError.
    """
    run = Run(services, run_uri)
    with suppress(ObjectExists):
        run.store.write(STOPPED, orjson.dumps({"stopped": services.clock()}), create=True)
    begun, held_back = [], 0
    for number, batch in list(open_batches(run)):
        found = _end(run, number, batch)
        if found is not None:
            begun.append(found)
        elif revoked_by(run, number, batch.batch_key) == run.manifest.run_key:
            held_back += 1
    return Stopped(tuple(begun), held_back)


def reopen(services: Services, run_uri: str) -> None:
    """Undo `stop`, so that the run goes on with whatever it has. Nothing happens to a run that was not stopped.

    What was held back stays so: its requests are owed, and the next round sends those that nobody has answered or
    sent meanwhile. That takes a round, so the run is allowed one more.
    """
    run = Run(services, run_uri)
    if not run.store.exists(STOPPED):
        return
    run.store.write(REOPENED, orjson.dumps({"times": times_reopened(run) + 1}))
    run.work.write(open_key(run.manifest.run_key), b"")
    run.store.delete(STOPPED)


def open_batches(run: Run) -> Iterator[tuple[int, Batch]]:
    """The batches of the run's own that are planned and not collected, with their rounds."""
    for number in range(planned_rounds(run)):
        for batch in read_plan(run, number).batches:
            if batch.awaits is None and not run.store.exists(collected_key(number, batch.batch_key)):
                yield number, batch


def _end(run: Run, round_number: int, batch: Batch) -> Begun | None:
    """Hold a batch back, or end what was begun of it; None where nothing was."""
    key = batch.batch_key
    if take_over(run, BatchPlace(run.store.uri(), round_number, key)) or revoked_by(run, round_number, key):
        return None
    if batch.mode is Mode.ON_DEMAND:
        with _held(run, round_number, key):  # whoever asks lets go of it at the next record
            return Begun(round_number, key, None)
    arn = kept_arn(run, round_number, batch) or _arn_left_behind(run, round_number, batch)
    if arn is None:
        return None
    run.services.batch_client().stop(arn)
    return Begun(round_number, key, arn)


def _arn_left_behind(run: Run, round_number: int, batch: Batch) -> str | None:
    """The job of a batch that was begun, even if whoever began it died before writing the ARN down.

    Where there is no job, there will be none: the intent is revoked while nobody else may start one.
    """
    with _held(run, round_number, TURN):
        arn, intent = kept_arn(run, round_number, batch), read_intent(run, round_number, batch.batch_key)
        if arn is None and intent is not None and intent.order is not None:
            arn = run.services.batch_client().find(intent.order.name)
        if arn is None:
            revoked = orjson.dumps({REVOKED_BY: run.manifest.run_key})
            run.store.write(intent_key(round_number, batch.batch_key), revoked)
        else:
            keep_arn(run, round_number, batch, arn)
        return arn


def _held(run: Run, round_number: int, name: str) -> AbstractContextManager[bool]:
    return holding(Lease(run.store, lease_key(round_number, name), run.services.settings.lease_seconds))

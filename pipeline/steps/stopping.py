"""Stop a run's jobs and keep what they answered; and take a stopped run up again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import orjson

from pipeline.domain import Batch, BatchPlace
from pipeline.errors import ObjectExists
from pipeline.manifest import STOPPED, collected_key, intent_key, open_key
from pipeline.steps.intents import kept_arn, read_intent, revoked_by
from pipeline.steps.rounds import planned_rounds, read_plan
from pipeline.steps.run import Run, Services
from pipeline.steps.sift import take_over


@dataclass(frozen=True, slots=True)
class Stopped:
    """What stopping came upon: jobs that were told to stop, and batches that will not be begun."""

    job_arns: tuple[str, ...]
    batches_held_back: int


def stop(services: Services, run_uri: str) -> Stopped:
    """Tell the jobs of a run to stop, and let no other begin. What is collected stays, what is answered is paid.

    Whoever works on the run ends with RunStopped at its next step. Repeating it does no harm. Raises ServiceError.
    """
    run = Run(services, run_uri)
    with suppress(ObjectExists):
        run.store.write(STOPPED, orjson.dumps({"stopped": services.clock()}), create=True)
    arns, held_back = [], 0
    for number, batch in open_batches(run):
        if take_over(run, BatchPlace(run_uri, number, batch.batch_key)):
            held_back += 1
        elif arn := _arn_of(run, number, batch):
            services.batch_client().stop(arn)
            arns.append(arn)
    return Stopped(tuple(arns), held_back)


def reopen(services: Services, run_uri: str) -> None:
    """Undo `stop`, so that the run goes on with whatever it has. Nothing happens to a run that was not stopped."""
    run = Run(services, run_uri)
    if not run.store.exists(STOPPED):
        return
    for number, batch in open_batches(run):
        if revoked_by(run, number, batch.batch_key) == run.manifest.run_key:
            run.store.delete(intent_key(number, batch.batch_key))
    run.work.write(open_key(run.manifest.run_key), b"")
    run.store.delete(STOPPED)


def open_batches(run: Run) -> Iterator[tuple[int, Batch]]:
    """The batches of the run's own that are planned and not collected, with their rounds."""
    for number in range(planned_rounds(run)):
        for batch in read_plan(run, number).batches:
            if batch.awaits is None and not run.store.exists(collected_key(number, batch.batch_key)):
                yield number, batch


def _arn_of(run: Run, round_number: int, batch: Batch) -> str | None:
    """The job of a batch that was begun, even if whoever began it died before it wrote the ARN down."""
    arn = kept_arn(run, round_number, batch)
    intent = None if arn else read_intent(run, round_number, batch.batch_key)
    return arn or (run.services.batch_client().find(intent.order.name) if intent and intent.order else None)

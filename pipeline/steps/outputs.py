"""Where the answers to a batch lie: with its own job, with the calls on demand, or with the run that has sent it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.domain import Batch
from pipeline.errors import ObjectMissing
from pipeline.manifest import output_folder
from pipeline.steps.intents import revoked_by
from pipeline.steps.rounds import read_batch
from pipeline.steps.run import Run, refuse_stopped
from pipeline.steps.submit import job_arn
from pipeline.storage.objects import ObjectStore
from pipeline.wire import JobSummary, Reply, read_job_summary, read_reply


@dataclass(frozen=True, slots=True)
class Output:
    """The output of a batch; `paid_by` is the run that paid for it, None when it is the one that reads."""

    store: ObjectStore
    folder: str
    arn: str | None
    paid_by: str | None

    def replies(self) -> Iterator[Reply | None]:
        """Every line that is not empty; None for one that is no record."""
        for entry in self.store.list(self.folder):
            if entry.key.endswith(".jsonl.out"):
                for line in self.store.lines(entry.key):
                    if line.strip():
                        yield read_reply(line)

    def job_summary(self) -> JobSummary | None:
        """The job's own totals; None where it left none."""
        try:
            return read_job_summary(self.store.read(f"{self.folder}/manifest.json.out"))
        except ObjectMissing:
            return None


def output_of(run: Run, round_number: int, batch: Batch) -> Output:
    """Where to read the answers to a batch; nothing lies there if another run took it over.

    Raises RunStopped for a batch that was held back when the run was stopped.
    """
    if batch.awaits is None:
        taker = revoked_by(run, round_number, batch.batch_key)
        if taker == run.manifest.run_key:
            refuse_stopped(run)
        return _found(run, round_number, batch, taker, paid_by=taker)
    place = batch.awaits
    theirs = Run(run.services, place.run_uri)
    taker = revoked_by(theirs, place.round_number, place.batch_key)
    sent = read_batch(theirs, place.round_number, place.batch_key)
    return _found(theirs, place.round_number, sent, taker, paid_by=theirs.manifest.run_key)


def _found(owner: Run, round_number: int, batch: Batch, taker: str | None, *, paid_by: str | None) -> Output:
    arn = None if taker else job_arn(owner, round_number, batch)
    folder = output_folder(round_number, batch.batch_key) + (f"/{arn.rpartition('/')[2]}" if arn else "")
    return Output(owner.store, folder, arn, paid_by)

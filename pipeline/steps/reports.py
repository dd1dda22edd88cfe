"""What Bedrock reported of the jobs of a run: manifest.json.out of each, from the work store."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pipeline.domain import Mode
from pipeline.errors import ObjectMissing
from pipeline.manifest import output_folder
from pipeline.steps.intents import kept_arn
from pipeline.steps.rounds import planned_rounds, read_plan
from pipeline.steps.run import Run, Services
from pipeline.wire import JobSummary, read_job_summary


@dataclass(frozen=True, slots=True)
class JobReport:
    """A job that a run started, and its own totals; None where they are gone, or were never written."""

    batch_key: str
    arn: str
    summary: JobSummary | None


def read_reports(services: Services, run_uri: str) -> Iterator[JobReport]:
    """The jobs that a run started itself. Raises ObjectMissing for a run that the work store does not have."""
    run = Run(services, run_uri)
    for number in range(planned_rounds(run)):
        for batch in read_plan(run, number).batches:
            arn = None if batch.awaits or batch.mode is not Mode.BATCH else kept_arn(run, number, batch)
            if arn is not None:
                key = f"{output_folder(number, batch.batch_key)}/{arn.rpartition('/')[2]}/manifest.json.out"
                yield JobReport(batch.batch_key, arn, _summary(run, key))


def _summary(run: Run, key: str) -> JobSummary | None:
    try:
        return read_job_summary(run.store.read(key))
    except ObjectMissing:
        return None

"""Send a batch: as a job that is started once, or record by record on demand; and look how a job is doing."""

from __future__ import annotations

from contextlib import suppress

from pipeline.bedrock.client import BatchClient, JobOrder
from pipeline.domain import Batch, BatchPlace, Job, Mode
from pipeline.errors import NoFreeSlot, ObjectMissing, RunStopped, ServiceBusy
from pipeline.manifest import collected_key, job_key, lease_key
from pipeline.steps.intents import intend, keep_arn, kept_arn, read_intent, revoked_by
from pipeline.steps.on_demand import ask_on_demand
from pipeline.steps.rounds import read_batch
from pipeline.steps.run import Run, Services, refuse_stopped
from pipeline.storage.leases import Lease, holding

TURN = "turn"  # the lease under which a round's jobs are counted and started, one at a time


def submit(services: Services, run_uri: str, round_number: int, batch_key: str) -> str | None:
    """Send a batch; the job's ARN, or None when every record has been asked on demand, or another run took it over.

    Whoever repeats it, at whatever moment and from whatever process: one job is started, and no answer that is kept
    is asked for again. Raises ServiceRejected at once, NoFreeSlot while as many jobs are in flight as may be, and
    ServiceBusy after the retry deadline.
    """
    run = Run(services, run_uri)
    batch = read_batch(run, round_number, batch_key)
    if (place := batch.awaits) is not None:
        refuse_stopped(run)
        return _find_awaited(services, place)
    if batch.mode is Mode.ON_DEMAND:
        if not run.store.exists(collected_key(round_number, batch_key)):  # its files may be deleted since
            ask_on_demand(run, round_number, batch)
        return None
    return _start_job(run, round_number, batch)


def _find_awaited(services: Services, place: BatchPlace) -> str | None:
    """Another run has begun the batch: find its job, or finish what that run began. Nothing if that run was stopped."""
    with suppress(RunStopped):
        return submit(services, place.run_uri, place.round_number, place.batch_key)
    return None


def describe(services: Services, arn: str) -> Job:
    """The job as it is now."""
    return services.batch_client().describe(arn)


def job_arn(run: Run, round_number: int, batch: Batch) -> str | None:
    """The ARN that `submit` kept; None for a batch without a job: on demand, or taken over by another run."""
    if batch.mode is Mode.ON_DEMAND:
        return None
    arn = kept_arn(run, round_number, batch)
    if arn is None and revoked_by(run, round_number, batch.batch_key) is None:
        raise ObjectMissing(f"{run.store.uri(job_key(round_number, batch.batch_key))}: not found; submit comes first")
    return arn


def _start_job(run: Run, round_number: int, batch: Batch) -> str | None:
    """Known ARN: that job. Else one starter at a time, until there is one, or another run has taken the batch over."""
    while (arn := kept_arn(run, round_number, batch)) is None and not revoked_by(run, round_number, batch.batch_key):
        refuse_stopped(run)
        lease = Lease(run.store, lease_key(round_number, TURN), run.services.settings.lease_seconds)
        with holding(lease, done=lambda: kept_arn(run, round_number, batch) is not None) as held:
            if held and kept_arn(run, round_number, batch) is None:
                _start_as_holder(run, round_number, batch, lease)
    return arn


def _start_as_holder(run: Run, round_number: int, batch: Batch, lease: Lease) -> None:
    """Find the job that an earlier starter left behind its intent; else write the intent and start it. Keep the ARN.

    The token makes even the Create of a starter harmless that was believed dead.
    """
    client = run.services.batch_client()
    begun = read_intent(run, round_number, batch.batch_key)
    arn = client.find(begun.order.name) if begun and begun.order else None
    if arn is None:
        in_flight = _refuse_without_slot(run, client)  # before anything is promised to whoever waits for this batch
        intent, _ = intend(run, round_number, batch)
        if intent is None or intent.order is None or lease.lost:
            return
        arn = _start(client, intent.order, in_flight)
    keep_arn(run, round_number, batch, arn)


def _refuse_without_slot(run: Run, client: BatchClient) -> int:
    """How many jobs of the run's model are in flight. Raises NoFreeSlot when no more may be."""
    model, most = run.manifest.model, run.services.settings.max_jobs_in_flight
    in_flight = client.in_flight(model)
    if in_flight >= most:
        raise NoFreeSlot(
            f"{in_flight} jobs of {model} are in flight and DOCBATCH_MAX_JOBS_IN_FLIGHT is {most}; another can be "
            "started when one has ended"
        )
    return in_flight


def _start(client: BatchClient, order: JobOrder, in_flight: int) -> str:
    """The new job's ARN. Raises NoFreeSlot."""
    try:
        return client.start(order)
    except NoFreeSlot as error:
        if in_flight:
            raise
        raise ServiceBusy(
            f"{error}. But no job of the model is in flight: look at the other quotas of Bedrock"
        ) from error

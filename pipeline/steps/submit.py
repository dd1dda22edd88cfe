"""Send a batch: as a job that is started once, or record by record on demand; and look how a job is doing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson

from pipeline.bedrock import JobOrder
from pipeline.domain import Batch, Job, Mode, short_hash
from pipeline.errors import ObjectExists, PromptRefused
from pipeline.manifest import intent_key, job_key, output_folder
from pipeline.steps.plan import read_batch
from pipeline.steps.run import Run, Services
from pipeline.storage import ObjectStore
from pipeline.wire import read_record, write_error, write_reply


def submit(services: Services, run_uri: str, round_number: int, batch_key: str) -> str | None:
    """Send a batch; the job's ARN, or None when every record has been asked on demand. Repeating it pays nothing twice.

    Raises ServiceRejected at once, ServiceBusy after the retry deadline.
    """
    run = Run(services, run_uri)
    batch = read_batch(run, round_number, batch_key)
    if batch.mode is Mode.ON_DEMAND:
        _ask_on_demand(run, round_number, batch)
        return None
    return _start_job(run, round_number, batch)


def describe(services: Services, arn: str) -> Job:
    """The job as it is now."""
    return services.batch_client().describe(arn)


def job_arn(run: Run, round_number: int, batch: Batch) -> str | None:
    """The ARN that `submit` kept; None for an on-demand batch."""
    if batch.mode is Mode.ON_DEMAND:
        return None
    arn: str = orjson.loads(run.store.read(job_key(round_number, batch.batch_key)))["arn"]
    return arn


def _start_job(run: Run, round_number: int, batch: Batch) -> str:
    """Known ARN: that job. Intent without ARN: the job of that name, if there is one. Else a new job."""
    store, kept = run.store, job_key(round_number, batch.batch_key)
    if store.exists(kept):
        return str(orjson.loads(store.read(kept))["arn"])
    order = _order(run, batch)
    client = run.services.batch_client()
    arn = None if _intend(store, intent_key(round_number, batch.batch_key), order) else client.find(order.name)
    arn = arn or client.start(order)
    store.write(kept, orjson.dumps({"arn": arn, "name": order.name}))
    return arn


def _intend(store: ObjectStore, key: str, order: JobOrder) -> bool:
    """Write down what is about to be started; False when somebody did so before."""
    try:
        store.write(key, orjson.dumps(order), create=True)
    except ObjectExists:
        return False
    return True


def _order(run: Run, batch: Batch) -> JobOrder:
    manifest, settings = run.manifest, run.services.settings
    token = short_hash(manifest.run_key, batch.batch_key, batch.input_uri, manifest.model)
    return JobOrder(
        name=f"docbatch-{batch.batch_key}-{token}",
        token=token,
        model_id=manifest.model,
        role_arn=run.services.role_arn,
        input_uri=batch.input_uri,
        output_uri=batch.output_uri,
        timeout_hours=settings.job_timeout_hours,
        tags={"docbatch-run": manifest.run_key},
    )


def _ask_on_demand(run: Run, round_number: int, batch: Batch) -> None:
    """Every record that has no answer in the store yet; each answer is put as it arrives."""
    folder = output_folder(round_number, batch.batch_key)
    answered = {entry.key for entry in run.store.list(folder)}
    client = run.services.on_demand_client()

    def ask(line: bytes) -> None:
        record_id, body = read_record(line)
        key = f"{folder}/{record_id}.jsonl.out"
        if key not in answered:
            run.store.write(key, _answer(record_id, body))

    def _answer(record_id: str, body: dict[str, Any]) -> bytes:
        try:
            return write_reply(record_id, client.invoke(run.manifest.model, body))
        except PromptRefused as error:
            return write_error(record_id, 400, str(error))

    with ThreadPoolExecutor(run.services.settings.on_demand_threads) as pool:
        for _ in pool.map(ask, run.store.lines(run.store.key(batch.input_uri))):
            pass

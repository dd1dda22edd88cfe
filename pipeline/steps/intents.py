"""What is written down before a batch is sent, so that two senders know of each other, and its job's ARN after it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import TypeAdapter

from pipeline.bedrock.client import JobOrder, tag_value
from pipeline.domain import Batch, Mode, short_hash
from pipeline.errors import ObjectExists, ObjectMissing
from pipeline.manifest import RunManifest, intent_key, job_key
from pipeline.steps.run import Run

RUN_TAG, ANALYSES_TAG, COST_CENTRE_TAG = "docbatch-run", "docbatch-analyses", "docbatch-cost-centre"
REVOKED_BY = "revoked_by"  # in place of an intent: the key of the run that took the batch's records over


@dataclass(frozen=True, slots=True)
class Intent:
    """That a batch is about to be sent, with these contents. `order` is None where it is asked on demand."""

    batch_key: str
    mode: Mode
    content_hash: str
    order: JobOrder | None


_INTENT = TypeAdapter(Intent)


def intend(run: Run, round_number: int, batch: Batch) -> tuple[Intent | None, bool]:
    """The batch's intent, and whether this call wrote it; no intent when it is revoked.

    What was intended first holds, whoever comes with what later.
    """
    key = intent_key(round_number, batch.batch_key)
    if not run.store.exists(key):
        intent = _make_intent(run, batch)
        try:
            run.store.write(key, _INTENT.dump_json(intent), create=True)
        except ObjectExists:
            pass
        else:
            return intent, True
    found = orjson.loads(run.store.read(key))
    return (None if REVOKED_BY in found else _INTENT.validate_python(found)), False


def read_intent(run: Run, round_number: int, batch_key: str) -> Intent | None:
    """What a batch was begun with; None when it was not begun, or is revoked."""
    try:
        found = orjson.loads(run.store.read(intent_key(round_number, batch_key)))
    except ObjectMissing:
        return None
    return None if REVOKED_BY in found else _INTENT.validate_python(found)


def revoked_by(run: Run, round_number: int, batch_key: str) -> str | None:
    """The run that took over what this batch was to ask; None while the batch is its own run's."""
    try:
        found: dict[str, Any] = orjson.loads(run.store.read(intent_key(round_number, batch_key)))
    except ObjectMissing:
        return None
    taker: str | None = found.get(REVOKED_BY)
    return taker


def keep_arn(run: Run, round_number: int, batch: Batch, arn: str) -> None:
    run.store.write(job_key(round_number, batch.batch_key), orjson.dumps({"arn": arn}))


def kept_arn(run: Run, round_number: int, batch: Batch) -> str | None:
    """The ARN of the batch's job, if it was started and written down."""
    try:
        return str(orjson.loads(run.store.read(job_key(round_number, batch.batch_key)))["arn"])
    except ObjectMissing:
        return None


def _make_intent(run: Run, batch: Batch) -> Intent:
    digest = hashlib.sha256()
    for piece in run.store.stream(run.store.key(batch.input_uri)):
        digest.update(piece)
    content_hash = digest.hexdigest()
    order = _order(run, batch, content_hash) if batch.mode is Mode.BATCH else None
    return Intent(batch.batch_key, batch.mode, content_hash, order)


def _order(run: Run, batch: Batch, content_hash: str) -> JobOrder:
    manifest = run.manifest
    token = short_hash(manifest.run_key, batch.batch_key, batch.input_uri, manifest.model, content_hash)
    return JobOrder(
        name=f"docbatch-{batch.batch_key}-{token}",
        token=token,
        model_id=manifest.model,
        role_arn=run.services.role_arn,
        input_uri=batch.input_uri,
        output_uri=batch.output_uri,
        timeout_hours=run.services.settings.job_timeout_hours,
        tags=_tags(manifest, run.services.settings.cost_centre),
    )


def _tags(manifest: RunManifest, cost_centre: str | None) -> dict[str, str]:
    """What AWS's cost tools may tell the job by."""
    centre = {COST_CENTRE_TAG: tag_value(cost_centre)} if cost_centre else {}
    return {
        RUN_TAG: tag_value(manifest.run_key),
        ANALYSES_TAG: tag_value("+".join(sorted(manifest.analyses))),
        **centre,
    }

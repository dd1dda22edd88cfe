"""The batches of a round, out of what its shards prepared and is not known, within the quotas and the budget."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from decimal import Decimal

from pipeline.batching import Segment, choose_mode, pack, widened
from pipeline.domain import Batch, Mode, Request, Usage
from pipeline.errors import BudgetExceeded, ObjectExists
from pipeline.forecasts.outlooks import together
from pipeline.ledger import add_costs, cost_of
from pipeline.manifest import PLANNING_LEASE, content_digest, input_key, open_key, output_folder, plan_key, shared_key
from pipeline.records import to_parquet
from pipeline.segments import concatenate, read_index
from pipeline.steps.budgeting import commit, within_budgets
from pipeline.steps.rounds import PLAN, PlannedPart, RoundPlan, read_plan
from pipeline.steps.run import Run, Services, refuse_stopped
from pipeline.steps.sift import Sifted, sift
from pipeline.steps.tombstones import refuse_tidied
from pipeline.storage.leases import Lease, holding


def plan(services: Services, run_uri: str, round_number: int) -> RoundPlan:
    """Form the batches of a round. Done once: a repetition reads what was planned.

    One run of a work store plans at a time, so that none sends what another is about to send. Raises BudgetExceeded,
    with nothing submitted, when the first round's forecast is above a budget, and RunStopped.
    """
    run = Run(services, run_uri)
    refuse_stopped(run)
    key = plan_key(round_number)
    while not run.store.exists(key):
        refuse_tidied(run)
        lease = Lease(run.work, PLANNING_LEASE, services.settings.lease_seconds)
        with holding(lease, done=lambda: run.store.exists(key)) as held:
            if held and not run.store.exists(key):
                _plan_as_holder(run, round_number, lease)
    return read_plan(run, round_number)


def _plan_as_holder(run: Run, round_number: int, lease: Lease) -> None:
    sifted = sift(run, round_number)
    try:
        made = within_budgets(run, round_number, _make_plan(run, round_number, sifted), sifted.outlook)
    except BudgetExceeded:
        run.work.delete(open_key(run.manifest.run_key))  # nobody is to resume it by chance
        raise
    commit(run, round_number, made)  # while the lease holds: whoever has it next sees what this plan may yet cost
    if not lease.lost:  # else another run may have planned the same records, or spent the same budget meanwhile
        with suppress(ObjectExists):
            run.store.write(plan_key(round_number), PLAN.dump_json(made, indent=2), create=True)


def _make_plan(run: Run, round_number: int, sifted: Sifted) -> RoundPlan:
    quotas = widened(run.quotas, sum(segment.records for segment in sifted.segments))
    groups = pack(sifted.segments, quotas)
    inputs = {f"r{round_number:02d}-b{number:04d}": group for number, group in enumerate(groups)}
    together = {batch_key: _together(run, round_number, batch_key, group) for batch_key, group in inputs.items()}
    batches = [_batch(run, round_number, key, whole, inputs[key]) for key, whole in together.items()]
    found, most_output = sifted.outlook.input_tokens, sifted.outlook.whole.most_output_tokens
    low, expected, high = int(found.low), math.ceil(found.expected), math.ceil(found.high)
    usual_output = sifted.outlook.usual_output_tokens(run.manifest.usual_output_tokens)
    usages = (Usage(high, most_output), Usage(expected, usual_output))
    most, usual = (_cost(run, usage, batches) for usage in usages)
    return RoundPlan(
        Mode.BATCH if any(batch.mode is Mode.BATCH for batch in batches) else Mode.ON_DEMAND,
        (*_with_sharers(run, round_number, batches, sifted), *sifted.awaited),
        sifted.owed,
        sifted.known,
        sum(batch.records for batch in batches),
        expected,
        low,
        high,
        most_output,
        usual_output,
        most,
        usual,
        planned=run.services.clock(),
        parts=tuple(_part(run, sifted, name, batches) for name in sifted.outlook.analyses),
    )


def _part(run: Run, sifted: Sifted, name: str, batches: Sequence[Batch]) -> PlannedPart:
    """The part of a round that one analysis has, its cost in the modes that the whole is sent in."""
    forecast = sifted.outlook.analyses[name]
    found, most_output = forecast.input_tokens(sifted.outlook.densities), forecast.most_output_tokens
    usual_output = forecast.usual_output_tokens(together(name, run.manifest.usual_output_tokens))
    low, expected, high = int(found.low), math.ceil(found.expected), math.ceil(found.high)
    usages = (Usage(high, most_output), Usage(expected, usual_output))
    most, usual = (_cost(run, usage, batches) for usage in usages)
    return PlannedPart(name, forecast.requests, expected, low, high, most_output, usual_output, most, usual)


def _cost(run: Run, usage: Usage, batches: Sequence[Batch]) -> Decimal | None:
    return add_costs(cost_of(part, run.price(mode)) for mode, part in _shares(usage, batches))


def _shares(usage: Usage, batches: Sequence[Batch]) -> Iterator[tuple[Mode, Usage]]:
    """What each mode will use of the whole, by the bytes that are sent in it; rounded up."""
    whole = sum(batch.input_bytes for batch in batches)
    for mode in Mode:
        part = sum(batch.input_bytes for batch in batches if batch.mode is mode)
        if part:
            yield mode, Usage(-(-usage.input_tokens * part // whole), -(-usage.output_tokens * part // whole))


def _together(run: Run, round_number: int, batch_key: str, segments: list[Segment]) -> Segment:
    """One segment is the batch's input as it is; several are put together."""
    first = segments[0]
    if len(segments) == 1:
        return first
    keys = [segment.key for segment in segments]
    key = input_key(round_number, batch_key, content_digest("\n".join(keys).encode()))  # they are named by content
    concatenate(run.store, keys, key)
    records, size_bytes = (sum(one.records for one in segments), sum(one.size_bytes for one in segments))
    return replace(first, key=key, records=records, size_bytes=size_bytes)


def _batch(run: Run, round_number: int, batch_key: str, whole: Segment, parts: list[Segment]) -> Batch:
    mode = choose_mode(whole.records, run.quotas)
    return Batch(
        batch_key,
        mode,
        whole.records,
        whole.size_bytes,
        run.store.uri(whole.key),
        run.store.uri(output_folder(round_number, batch_key)) + "/",
        tuple(part.index_key for part in parts),
    )


def _with_sharers(run: Run, round_number: int, batches: Sequence[Batch], sifted: Sifted) -> list[Batch]:
    """Each batch with the requests of other segments that want the answer to one of its records."""
    if not sifted.sharing:
        return list(batches)
    wanted: dict[str, list[Request]] = {}
    for request in sifted.sharing:
        wanted.setdefault(request.record_id, []).append(request)
    found = []
    for batch in batches:
        asked = (request.record_id for request in read_index(run.store, batch.index_keys))
        sharers = [request for record_id in asked for request in wanted.get(record_id, [])]
        if sharers:
            content = to_parquet(Request, sharers)
            key = shared_key(round_number, batch.batch_key, content_digest(content))
            run.store.write(key, content)
            batch = replace(batch, index_keys=(*batch.index_keys, key))
        found.append(batch)
    return found

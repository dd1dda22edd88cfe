"""The batches of a round, out of what its shards prepared, within the quotas and the budget."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from functools import reduce
from operator import add

from pydantic import TypeAdapter

from pipeline.batching import Segment, choose_mode, pack
from pipeline.domain import Batch, Mode
from pipeline.errors import BudgetExceeded
from pipeline.ledger import NOTHING, Forecast, cost_of
from pipeline.manifest import input_key, output_folder, plan_key
from pipeline.segments import concatenate
from pipeline.steps.run import Run, Services
from pipeline.steps.state import read_prepared


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """The batches of one round and what they are expected to use and cost at most; None without a price."""

    mode: Mode
    batches: tuple[Batch, ...]
    requests: int
    input_tokens: int
    output_tokens: int
    forecast_usd: Decimal | None


_PLAN = TypeAdapter(RoundPlan)


def plan(services: Services, run_uri: str, round_number: int) -> RoundPlan:
    """Form the batches of a round. Done once: a repetition reads what was planned.

    Raises BudgetExceeded, with nothing submitted, when the first round's forecast is above the budget.
    """
    run = Run(services, run_uri)
    if not run.store.exists(plan_key(round_number)):
        made = _make_plan(run, round_number)
        if round_number == 0:
            _check_budget(run, made)
        run.store.write(plan_key(round_number), _PLAN.dump_json(made, indent=2))
    return read_plan(run, round_number)


def read_plan(run: Run, round_number: int) -> RoundPlan:
    """What was planned for a round. Raises ObjectMissing when it was not planned yet."""
    return _PLAN.validate_json(run.store.read(plan_key(round_number)))


def read_batch(run: Run, round_number: int, batch_key: str) -> Batch:
    """One batch of a round's plan."""
    return next(batch for batch in read_plan(run, round_number).batches if batch.batch_key == batch_key)


def planned_rounds(run: Run) -> int:
    """How many rounds of the run have been planned so far."""
    return next(n for n in range(run.manifest.max_rounds + 1) if not run.store.exists(plan_key(n)))


def _make_plan(run: Run, round_number: int) -> RoundPlan:
    prepared = [read_prepared(run.store, round_number, shard) for shard in range(run.manifest.shards)]
    segments = [segment for found, _ in prepared for segment in found]
    groups = pack(segments, run.services.quotas)
    inputs = {f"r{round_number:02d}-b{number:04d}": group for number, group in enumerate(groups)}
    together = {batch_key: _together(run, round_number, batch_key, group) for batch_key, group in inputs.items()}
    mode = choose_mode(list(together.values()), run.services.quotas)
    batches = tuple(_batch(run, round_number, mode, key, whole, inputs[key]) for key, whole in together.items())
    total: Forecast = reduce(add, (one for _, forecasts in prepared for one in forecasts.values()), NOTHING)
    usage = total.usage
    cost = cost_of(usage, run.price(mode))
    return RoundPlan(mode, batches, total.requests, usage.input_tokens, usage.output_tokens, cost)


def _together(run: Run, round_number: int, batch_key: str, segments: list[Segment]) -> Segment:
    """One segment is the batch's input as it is; several are put together, without the records that they share."""
    first = segments[0]
    if len(segments) == 1:
        return first
    key = input_key(round_number, batch_key)
    records, size_bytes = concatenate(run.store, [segment.key for segment in segments], key)
    return replace(first, key=key, records=records, size_bytes=size_bytes)


def _batch(run: Run, round_number: int, mode: Mode, batch_key: str, whole: Segment, parts: list[Segment]) -> Batch:
    return Batch(
        batch_key,
        mode,
        whole.records,
        whole.size_bytes,
        run.store.uri(whole.key),
        run.store.uri(output_folder(round_number, batch_key)) + "/",
        tuple(part.index_key for part in parts),
    )


def _check_budget(run: Run, made: RoundPlan) -> None:
    budget = run.manifest.budget_usd
    if budget is None:
        return
    if made.forecast_usd is None:
        raise BudgetExceeded(
            f"run {run.manifest.run_key}: the {made.mode} price of {run.manifest.priced_as} on {run.manifest.run_date} "
            "is unknown, so the budget cannot be checked; nothing was submitted. Remove the budget, or add the price."
        )
    if made.forecast_usd > budget:
        raise BudgetExceeded(
            f"run {run.manifest.run_key}: {made.requests} requests would cost up to ${made.forecast_usd:.4f}, which is "
            f"above the budget of ${budget}; nothing was submitted. Raise DOCBATCH_BUDGET_USD, run fewer analyses "
            "(DOCBATCH_ANALYSES), or name a smaller source, in a run with another key."
        )

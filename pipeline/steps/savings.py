"""What a shard of a run did not cost, by way, from the counts of its outcomes."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal

from pipeline.domain import Mode, Request, Usage
from pipeline.ledger import cost_of
from pipeline.money.costs import Amount, Way, amount_of, fused_saving, savings, was_charged
from pipeline.steps.run import Run
from pipeline.steps.state import ShardState, usage_of


def saved(run: Run, state: ShardState) -> dict[str, Amount]:
    """All ways that saved anything."""
    return savings(state.records, run.manifest.run_key, run.price) | _by_fusing(run, state) | _by_caps(run, state)


def _by_caps(run: Run, state: ShardState) -> dict[str, Amount]:
    """Of every record that this run paid for, what a longer answer could have cost at most: nobody knows how much of
    that a model would have written."""
    asked = {one.record_id: one for found in state.requests.values() for one in found.values()}
    paid = {
        (one.record_id, one.round_number): one.mode
        for one in state.records
        if one.paid_by is None and was_charged(usage_of(one))
    }
    spared = [
        (run.limits.longest_tokens(asked[record_id]) - asked[record_id].max_output_tokens, mode)
        for (record_id, _), mode in paid.items()
    ]
    amount = amount_of(cost_of(Usage(0, tokens), run.price(mode)) for tokens, mode in spared if tokens > 0)
    return {Way.CAPS.value: amount} if amount.requests else {}


def _by_fusing(run: Run, state: ShardState) -> dict[str, Amount]:
    """Of every fused record that this run paid for, what a prompt for each analysis would have cost beyond it."""
    fused = {request.record_id: request for request in state.fused.values()}
    used = defaultdict[tuple[str, int, Mode], list[Usage | None]](list)
    for one in state.records:
        if one.paid_by is None and one.record_id in fused and was_charged(usage_of(one)):
            used[one.record_id, one.round_number, one.mode].append(usage_of(one))
    costs = [_saved_usd(run, fused[record_id], mode, parts) for (record_id, _, mode), parts in used.items()]
    return {Way.FUSED.value: amount_of(costs)} if costs else {}


def _saved_usd(run: Run, request: Request, mode: Mode, parts: list[Usage | None]) -> Decimal | None:
    known = [usage.input_tokens for usage in parts if usage is not None]
    if len(known) < len(parts):
        return None
    place = (request.position + 1, request.siblings)
    fused = run.fused_planner(request.analyses).overhead_tokens(*place)
    alone = [run.planners[name].overhead_tokens(*place) for name in request.analyses]
    return cost_of(Usage(fused_saving(sum(known), fused, alone), 0), run.price(mode))

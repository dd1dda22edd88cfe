"""What a round's plan says before anything is sent: by analysis, the other way, other models, and what is not asked."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pipeline.domain import Mode, Usage
from pipeline.ledger import cost_of
from pipeline.models import load_catalogue
from pipeline.money.comparing import on_every_model
from pipeline.steps.rounds import PlannedPart, RoundPlan
from pipeline.steps.run import Run, Services


def told_mapping(services: Services, run_uri: str, planned: RoundPlan) -> dict[str, Any]:
    """The forecast of a round as JSON has it: counts, and sums of money as text, None where unknown."""
    run = Run(services, run_uri)
    usage = Usage(planned.input_tokens, planned.usual_output_tokens)
    model, sent_id = services.find_model(run.manifest.model)
    models = on_every_model(
        load_catalogue(services.settings.models), model, sent_id, usage, run.manifest.run_date, services.region
    )
    awaited = sum(batch.records for batch in planned.batches if batch.awaits is not None)
    return {
        "mode": planned.mode.value,
        "in_all": _figures(planned),
        "analyses": {one.analysis: _figures(one) for one in planned.parts},
        "same_usd": {mode.value: _text(cost_of(usage, run.price(mode))) for mode in Mode},
        "models": {one.model: {mode.value: _text(usd) for mode, usd in one.usd.items()} for one in models},
        "not_asked": {"known": planned.known, "awaited": awaited, **_unchanged(run)},
        "over_budget": planned.over_budget,
    }


def told_lines(told: dict[str, Any], *, other_models: bool = True) -> Iterator[str]:
    """The same for a log, a line each; nothing of a round that sends nothing."""
    if not told["in_all"]["requests"]:
        return
    for name, one in (*told["analyses"].items(), ("in all", told["in_all"])):
        low, high = one["input_low_tokens"], one["input_high_tokens"]
        margin = f" ({low:,} to {high:,})" if low < high else ""
        tokens = f"{one['input_tokens']:,}{margin} input and {one['usual_output_tokens']:,} output tokens"
        costs = f"{_usd(one['expected_usd'])}, at most {_usd(one['forecast_usd'])}"
        yield f"{name}: {one['requests']:,} request{'s' * (one['requests'] != 1)}, {tokens}, {costs}"
    yield "The same " + ", ".join(f"{mode} {_usd(usd)}" for mode, usd in told["same_usd"].items())
    if other_models:
        costs_on = (f"{model} {' / '.join(map(_usd, usd.values()))}" for model, usd in told["models"].items())
        yield f"On each model, {' / '.join(told['same_usd'])}: " + "; ".join(costs_on)
    skipped = told["not_asked"]
    if skipped["unchanged"]:
        yield f"Not asked: {skipped['unchanged']:,} results that still hold, worth {_usd(skipped['unchanged_usd'])}"
    if skipped["known"] or skipped["awaited"]:
        yield f"Not asked: {skipped['known']:,} answered before, {skipped['awaited']:,} on their way in another run"


def _figures(one: RoundPlan | PlannedPart) -> dict[str, Any]:
    names = ("requests", "input_tokens", "input_low_tokens", "input_high_tokens", "usual_output_tokens")
    counts = {name: getattr(one, name) for name in (*names, "output_tokens")}
    return counts | {name: _text(getattr(one, name)) for name in ("expected_usd", "forecast_usd")}


def _unchanged(run: Run) -> dict[str, Any]:
    """The results that still hold, with what they had used at today's price; None where nobody knows all of it."""
    held = run.manifest.held
    known = held is not None and not held.uncounted
    usage = Usage(held.input_tokens, held.output_tokens) if held and known else None
    usd = cost_of(usage, run.manifest.batch_price or run.manifest.on_demand_price)
    return {"unchanged": sum(run.manifest.unchanged.values()), "unchanged_usd": _text(usd)}


def _text(usd: Decimal | None) -> str | None:
    return None if usd is None else f"{usd:f}"


def _usd(text: str | None) -> str:
    return "an unknown cost" if text is None else f"${text}"

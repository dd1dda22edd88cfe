"""A forecast with its prices, as one object: by analysis and in sum, what need not be paid, and on every model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from pipeline.batching import choose_mode
from pipeline.domain import FUSED_BY, Mode, Usage
from pipeline.forecasts.estimating import Estimate
from pipeline.ledger import add_costs, cost_of
from pipeline.models import Model, load_catalogue
from pipeline.steps.forecasting import PlannedAnalysis, SourceForecast
from pipeline.steps.run import Services


def quote(services: Services, forecast: SourceForecast, day: dt.date) -> dict[str, Any]:
    """Everything that is told of a forecast at the prices of a day, as JSON has it; sums of money as Decimals."""
    return _report(forecast, _tariff(services, forecast, day), load_catalogue(services.settings.models))


@dataclass(frozen=True, slots=True)
class Tariff:
    """What tokens cost on a day, where they are sent from."""

    model: Model
    sent_id: str
    mode: Mode
    day: dt.date
    region: str | None

    def cost(self, usage: Usage) -> Decimal | None:
        """USD; None where the price is unknown."""
        return cost_of(usage, self.model.price_on(self.mode, self.day, self.region, sent_id=self.sent_id))


def _tariff(services: Services, forecast: SourceForecast, day: dt.date) -> Tariff:
    mode = choose_mode(round(forecast.amounts.requests.expected), services.quotas)
    return Tariff(*services.find_model(services.settings.model), mode, day, services.region)


def _report(forecast: SourceForecast, tariff: Tariff, catalogue: Sequence[Model]) -> dict[str, Any]:
    """Everything that is told, as JSON has it; sums of money as Decimals."""
    expected, most = (_summed([getattr(one, name) for one in forecast.analyses]) for name in ("expected", "most"))
    most = Usage(round(forecast.amounts.input_tokens.high + 0.5), most.output_tokens) if forecast.is_sampled else most
    rows = [_row(one, tariff) for one in forecast.analyses]
    whole = {
        "analysis": "in all",
        "requests": _numbers(forecast.amounts.requests),
        "input_tokens": _numbers(forecast.amounts.input_tokens),
        "output_tokens": expected.output_tokens,
        "output_tokens_at_most": most.output_tokens,
        "output_tokens_from": None,
        "cost_usd": tariff.cost(expected),
        "cost_at_most_usd": tariff.cost(most),
    }
    same_tokens = [one for one in catalogue if one.family == tariff.model.family]
    return {
        "mode": tariff.mode,
        "model": tariff.model.id,
        "prices_of": tariff.day.isoformat(),
        "documents": {
            "listed": forecast.listed,
            "new": forecast.new,
            "changed": forecast.changed,
            "deleted": forecast.deleted,
            "to_do": forecast.to_do,
            "read": forecast.read,
            "unreadable": _numbers(forecast.unreadable),
        },
        "forecast": [*rows, whole],
        "saved": _saved(forecast, tariff),
        "answers_looked_up": forecast.answers_looked_up,
        "models": [
            {
                "model": one.id,
                "end_of_life": one.end_of_life,
                **{f"{way}_usd": replace(tariff, model=one, sent_id=one.id, mode=way).cost(expected) for way in Mode},
            }
            for one in same_tokens
        ],
    }


def _row(one: PlannedAnalysis, tariff: Tariff) -> dict[str, Any]:
    return {
        "analysis": one.name,
        "requests": _numbers(one.amounts.requests),
        "input_tokens": _numbers(one.amounts.input_tokens),
        "output_tokens": one.expected.output_tokens,
        "output_tokens_at_most": one.most.output_tokens,
        "output_tokens_from": "cap" if one.usual_output_tokens is None else "earlier runs",
        "cost_usd": tariff.cost(one.expected),
        "cost_at_most_usd": tariff.cost(one.most),
    }


def _saved(forecast: SourceForecast, tariff: Tariff) -> dict[str, Any]:
    """What need not be sent, in requests and dollars; for unchanged documents as what the others of an analysis cost.

    Where no other document was read, what the unchanged ones would cost is unknown.
    """
    found: dict[str, Any] = {}
    for name in ("known", "repeated"):
        requests = [getattr(one.amounts, name) for one in forecast.analyses]
        tokens = [getattr(one.amounts, f"{name}_tokens") for one in forecast.analyses]
        parts = zip(forecast.analyses, requests, tokens, strict=True)
        usage = _summed([one.usage_of(count, size) for one, count, size in parts])
        found[name] = {"requests": round(sum(one.expected for one in requests)), "usd": tariff.cost(usage)}
    costs = [_unchanged_cost(one, forecast.to_do, tariff) for one in forecast.analyses]
    found["unchanged"] = {"requests": sum(one.unchanged for one in forecast.analyses), "usd": add_costs(costs)}
    return found


def _unchanged_cost(one: PlannedAnalysis, to_do: int, tariff: Tariff) -> Decimal | None:
    if not one.unchanged:
        return Decimal(0)
    cost = tariff.cost(one.expected)
    asked = round(one.amounts.requests.expected)
    return (
        None if cost is None or not asked or not to_do else cost / asked * one.unchanged / len(one.name.split(FUSED_BY))
    )


def _summed(parts: list[Usage]) -> Usage:
    return sum(parts, Usage(0, 0))


def _numbers(found: Estimate) -> dict[str, int]:
    return {"expected": round(found.expected), "low": int(found.low), "high": -int(-found.high // 1)}

"""A forecast with its prices, as one object: by analysis and in sum, what need not be paid, and on every model."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from pipeline.batching import choose_mode
from pipeline.domain import Mode, Usage
from pipeline.forecasts.amounts import PlannedAnalysis, SourceForecast
from pipeline.forecasts.estimating import Estimate
from pipeline.ledger import cost_of
from pipeline.models import Model, load_catalogue
from pipeline.money.comparing import on_every_model
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
    elsewhere = on_every_model(catalogue, tariff.model, tariff.sent_id, expected, tariff.day, tariff.region)
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
                "model": one.model,
                "end_of_life": one.end_of_life,
                **{f"{way}_usd": one.usd[way] for way in Mode},
                "why": one.why,
            }
            for one in elsewhere
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
    """What need not be sent, in requests and dollars. Unchanged results are worth what they had used, at today's price;
    those that had taken an answer themselves do not say what asking costs, and are counted as unknown."""
    found: dict[str, Any] = {}
    batch = replace(tariff, mode=Mode.BATCH) if tariff.model.batch_refusal(tariff.sent_id) is None else tariff
    for name in ("known", "repeated"):
        requests = [getattr(one.amounts, name) for one in forecast.analyses]
        tokens = [getattr(one.amounts, f"{name}_tokens") for one in forecast.analyses]
        parts = zip(forecast.analyses, requests, tokens, strict=True)
        usage = _summed([one.usage_of(count, size) for one, count, size in parts])
        found[name] = {"requests": round(sum(one.expected for one in requests)), "usd": tariff.cost(usage)}
    held, same = forecast.held, sum(one.unchanged for one in forecast.analyses)
    usd = batch.cost(Usage(held.input_tokens, held.output_tokens))
    unknown = same if usd is None else held.uncounted
    found["unchanged"] = {"requests": same, "usd": usd if unknown < same or not same else None}
    return {name: {"unknown_requests": unknown if name == "unchanged" else 0, **one} for name, one in found.items()}


def _summed(parts: list[Usage]) -> Usage:
    return sum(parts, Usage(0, 0))


def _numbers(found: Estimate) -> dict[str, int]:
    return {"expected": round(found.expected), "low": int(found.low), "high": -int(-found.high // 1)}

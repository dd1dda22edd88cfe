"""What the same tokens cost on every model of the catalogue, and each way; and why nobody can say. Pure."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from pipeline.domain import Mode, Usage
from pipeline.ledger import cost_of
from pipeline.models import Model
from pipeline.prices import Billing


@dataclass(frozen=True, slots=True)
class OnModel:
    """The cost of some tokens on one model by mode, None where it is unknown; `why` says the reason."""

    model: str
    end_of_life: dt.date | None
    usd: dict[Mode, Decimal | None]
    why: tuple[str, ...]


def on_every_model(
    catalogue: Iterable[Model], counted_for: Model, sent_id: str, usage: Usage, day: dt.date, region: str | None
) -> list[OnModel]:
    """Every model of the catalogue, in its order. The tokens were counted for one of them, which is sent as `sent_id`;
    a model of another family would count others."""
    return [
        _on(one, counted_for, sent_id if one.id == counted_for.id else one.id, usage, day, region) for one in catalogue
    ]


def _on(model: Model, counted_for: Model, sent_id: str, usage: Usage, day: dt.date, region: str | None) -> OnModel:
    alike = model.family == counted_for.family
    refused = model.batch_refusal(sent_id)
    prices = {mode: model.price_on(mode, day, region, sent_id=sent_id) for mode in Mode}
    if refused:
        prices[Mode.BATCH] = None
    usd = {mode: cost_of(usage, price) if alike else None for mode, price in prices.items()}
    why = [] if alike else [f"counts tokens in its own way ({model.family})"]
    why += [f"no batch jobs: {refused}"] if refused else []
    if model.billing is not Billing.TOKENS:
        why += _by_time(model, day)
    elif alike:
        missing = [mode for mode in Mode if prices[mode] is None and not (refused and mode is Mode.BATCH)]
        place = f" in {region}" if region else ""
        why += [f"no {' or '.join(missing)} price known{place}"] if missing else []
    return OnModel(model.id, model.end_of_life, usd, tuple(why))


def _by_time(model: Model, day: dt.date) -> Iterator[str]:
    """What a model costs whose tokens have no price."""
    unit = "hour" if model.billing is Billing.PROVISIONED else "minute"
    price = model.time_price_on(day)
    if price is None:
        yield f"billed by the {unit}, price unknown"
    else:
        yield f"billed by the {unit}: ${price.units * price.usd:f} for {price.units} units"

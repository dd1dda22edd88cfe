"""Dated prices: of tokens by mode and region, of units by time; and one's own prices over those that are known."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from pipeline.domain import Mode

FROZEN = ConfigDict(frozen=True, extra="forbid")


def _never_float(value: object) -> object:
    if isinstance(value, float):
        raise ValueError('write it in quotes, for example "0.11": a binary fraction is not exact')
    return value


# Four places a million tokens are ten a token, which is what the tables hold exactly.
Usd = Annotated[Decimal, BeforeValidator(_never_float), Field(ge=0, decimal_places=4)]


class Billing(StrEnum):
    """What is paid for: tokens, model units by the hour, or custom model units by the minute."""

    TOKENS = "tokens"
    PROVISIONED = "provisioned"
    IMPORTED = "imported"


class Routing(StrEnum):
    """Whether a call stays in its region or may be sent to others by an inference profile."""

    IN_REGION = "in-region"
    CROSS_REGION = "cross-region"


class Price(BaseModel):
    """USD per million tokens of one mode, from a date on; without `regions` or `routing`, the same for all of them.

    `regions` are those from which calls are made: of an inference profile, the source region.
    """

    model_config = FROZEN

    mode: Mode
    regions: tuple[str, ...] = ()
    routing: Routing | None = None
    input_usd: Usd
    output_usd: Usd
    currency: Literal["USD"] = "USD"
    unit: Literal["1M tokens"] = "1M tokens"
    since: dt.date
    source: str

    def applies(self, mode: Mode, region: str | None, routing: Routing) -> bool:
        """Whether it is the price of such calls; without a region, of calls from any."""
        here = not self.regions or region is None or region in self.regions
        return self.mode is mode and here and self.routing in (None, routing)


class TimePrice(BaseModel):
    """What a model costs that is billed by time, from a date on.

    `usd` is for one unit: of provisioned throughput a model unit by the hour, of an imported model a custom model unit
    by the minute, billed in windows of five minutes (Amazon Bedrock pricing).
    """

    model_config = FROZEN

    units: int = Field(ge=1)
    usd: Annotated[Decimal, BeforeValidator(_never_float), Field(ge=0, decimal_places=8)]
    currency: Literal["USD"] = "USD"
    since: dt.date
    source: str


def overlaid(known: Iterable[Price], own: Iterable[Price]) -> tuple[Price, ...]:
    """Known prices with one's own over them: an own price holds from its date on, whatever came or comes from AWS."""
    kept = list(known)
    for price in own:
        kept = [rest for one in kept if (rest := _without(one, price)) is not None] + [price]
    return tuple(kept)


def _without(known: Price, own: Price) -> Price | None:
    """What is left of a known price: its regions that the own price says nothing of, or all of it."""
    if known.mode is not own.mode or known.since < own.since or own.routing not in (None, known.routing):
        return known
    if not own.regions:
        return None
    rest = tuple(region for region in known.regions if region not in own.regions)
    if known.regions and not rest:
        return None
    return known.model_copy(update={"regions": rest})

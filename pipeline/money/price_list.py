"""The AWS Price List of Amazon Bedrock: its rows as prices per million tokens, and what differs from known ones."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from pydantic import ValidationError

from pipeline.bedrock.client import CONFIG, BedrockAccess, new_session
from pipeline.bedrock.retries import mapped_errors, repeat
from pipeline.domain import Mode
from pipeline.models import Model
from pipeline.prices import Price

SERVICE_CODE = "AmazonBedrock"
SOURCE = "AWS Price List, AmazonBedrock"
PRICING_REGION = "us-east-1"  # the API answers in a few regions, for all of them
# Rows as AWS writes them (aws-cli issue 9567, and public readers of the list): batch is said by inferenceType in some
# rows, in others by feature alone; other tiers, caching, fine-tuned models and global routing differ in one of three.
SIDES = {
    "input tokens": ("input", None),
    "output tokens": ("output", None),
    "input tokens batch": ("input", Mode.BATCH),
    "output tokens batch": ("output", Mode.BATCH),
}
FEATURES = {"": None, "on-demand inference": Mode.ON_DEMAND, "batch inference": Mode.BATCH}
TOKENS_OF_UNIT = {"1k tokens": 1_000, "1m tokens": 1_000_000}
_USAGE_TYPE = re.compile(r"[A-Z0-9]+-(?!.*mantle).+-(input|output)-tokens(-batch)?")
MILLION = 1_000_000


class PriceListClient(Protocol):
    """What is needed of the AWS Price List."""

    def products(self, model_name: str, region: str | None) -> Iterator[str]:
        """Every product of a model as JSON text, in one region or in all. Raises ServiceError."""


class BotoPriceListClient:
    """PriceListClient on a boto3 `pricing` client; busy answers are repeated until `retry_seconds` are over."""

    def __init__(self, client: Any, retry_seconds: float) -> None:
        self._client, self._retry_seconds = client, retry_seconds

    def products(self, model_name: str, region: str | None) -> Iterator[str]:
        wanted = {"model": model_name} | ({"regionCode": region} if region else {})
        filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
        request: dict[str, Any] = {"ServiceCode": SERVICE_CODE, "FormatVersion": "aws_v1", "Filters": filters}
        while True:
            page = repeat(lambda: self._client.get_products(**request), self._retry_seconds)
            yield from page.get("PriceList", [])
            if not page.get("NextToken"):
                return
            request["NextToken"] = page["NextToken"]


def connect_price_list(access: BedrockAccess, retry_seconds: float) -> BotoPriceListClient:
    """A client. Raises ServiceRejected when there are no credentials."""
    with mapped_errors():
        session = new_session(replace(access, region=PRICING_REGION))
        return BotoPriceListClient(session.client("pricing", endpoint_url=access.url, config=CONFIG), retry_seconds)


@dataclass(frozen=True, slots=True)
class Rate:
    """One row that counts: USD per million tokens of one side, from a date on."""

    mode: Mode
    region: str
    side: str
    usd: Decimal
    since: dt.date
    usage_type: str


@dataclass(frozen=True, slots=True)
class Change:
    """A price of AWS' list that differs from the one that is known; None when none was."""

    model_id: str
    region: str
    known: Price | None
    listed: Price


def read_prices(products: Iterable[str], model_name: str, today: dt.date) -> tuple[list[Price], list[str]]:
    """The prices of a model that hold today, each for one region; and what was left out though it seemed to be one.

    A row counts when model, inferenceType, feature and usagetype all say the same thing, each compared whole.
    """
    sides: dict[tuple[Mode, str], dict[str, list[Rate]]] = defaultdict(lambda: defaultdict(list))
    told: list[str] = []
    for product in products:
        try:
            rate = _read(product, model_name, today)
        except (KeyError, TypeError, ValueError, AttributeError, InvalidOperation) as error:
            told.append(f"a row that cannot be read: {error}")
            continue
        if rate is not None:
            sides[rate.mode, rate.region][rate.side].append(rate)
    prices = []
    for (mode, region), rates in sorted(sides.items()):
        try:
            prices.append(_price(mode, region, rates))
        except ValueError as error:
            problem = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error
            told.append(f"{model_name}, {mode} in {region}: {problem}")
    return prices, told


def changes(model: Model, prices: Iterable[Price], today: dt.date) -> Iterator[Change]:
    """Where AWS lists another price than the catalogue has for today, or one where it has none."""
    for price in prices:
        known = model.price_on(price.mode, today, price.regions[0])
        if known is None or (known.input_usd, known.output_usd) != (price.input_usd, price.output_usd):
            yield Change(model.id, price.regions[0], known, price)


def _read(product: str, model_name: str, today: dt.date) -> Rate | None:
    """A row as a rate; None for one that is about something else. Raises ValueError, KeyError and the like."""
    row = json.loads(product)
    about = row["product"]["attributes"]
    side, said = SIDES.get(about.get("inferenceType", "").casefold(), (None, None))
    usage_type = about.get("usagetype", "")
    usage = _USAGE_TYPE.fullmatch(usage_type)
    feature = about.get("feature", "").casefold()
    if about.get("model") != model_name or side is None or usage is None or feature not in FEATURES:
        return None
    mode = Mode.BATCH if usage[2] else Mode.ON_DEMAND
    if usage[1] != side or not {said, FEATURES[feature]} <= {None, mode}:
        raise ValueError(f"{usage_type}: inferenceType and feature say something else")
    terms = [(_day(term["effectiveDate"]), term) for term in row["terms"]["OnDemand"].values()]
    begun = [one for one in terms if one[0] <= today]
    if not begun:
        return None
    since, term = max(begun, key=lambda one: one[0])
    (dimension,) = term["priceDimensions"].values()
    return Rate(mode, about["regionCode"], side, _per_million(dimension), since, usage_type)


def _per_million(dimension: dict[str, Any]) -> Decimal:
    """USD per million tokens, exact. A unit that is not known is never guessed: it is a factor of a thousand."""
    tokens = TOKENS_OF_UNIT.get(dimension["unit"].casefold())
    if tokens is None:
        raise ValueError(f"unit {dimension['unit']!r} is not known")
    return Decimal(dimension["pricePerUnit"]["USD"]) * (MILLION // tokens)


def _price(mode: Mode, region: str, rates: dict[str, list[Rate]]) -> Price:
    """Both sides as one price. Raises ValueError where one is missing or said in two ways."""
    usd: dict[str, Decimal] = {}
    for side in ("input", "output"):
        amounts = {rate.usd for rate in rates[side]}
        if len(amounts) != 1:
            named = ", ".join(sorted(rate.usage_type for rate in rates[side]))
            raise ValueError(f"{side} tokens have {len(amounts)} prices ({named or 'no row'})")
        usd[side] = _plain(amounts.pop())
    since = max(rate.since for found in rates.values() for rate in found)
    return Price(
        mode=mode, regions=(region,), input_usd=usd["input"], output_usd=usd["output"], since=since, source=SOURCE
    )


def _day(effective: str) -> dt.date:
    return dt.datetime.fromisoformat(effective).date()


def _plain(usd: Decimal) -> Decimal:
    """Without the zeros that the list puts behind it: 0.1100000000 is 0.11."""
    return Decimal(f"{usd.normalize():f}")

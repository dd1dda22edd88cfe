"""Budgets of a run, a day and a month: what they leave, and what would lower a forecast that is above one. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal

from pipeline.domain import Usage
from pipeline.forecasts import Outlook
from pipeline.ledger import cost_of
from pipeline.prices import Price

SHOWN = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class Budget:
    """A limit, and what of it is used: paid, or in flight at its forecast.

    `setting` names it, `of` says whose it is. `unknown` names the runs in it whose cost nobody knows.
    """

    setting: str
    of: str
    limit_usd: Decimal
    used_usd: Decimal
    unknown: tuple[str, ...] = ()

    @property
    def left_usd(self) -> Decimal:
        """Never below zero, though more may be used: prices of what is in flight are forecasts."""
        return max(Decimal(0), self.limit_usd - self.used_usd)

    @property
    def advice(self) -> str:
        """Every way to set it."""
        option = self.setting.replace("_", "-")
        return f"--{option}, DOCBATCH_{self.setting.upper()} or the Param {self.setting}"

    def __str__(self) -> str:
        used = f" (${shown(self.used_usd)} of it are paid or in flight)" if self.used_usd else ""
        return f"the budget of ${self.limit_usd:f} {self.of}{used}"


@dataclass(frozen=True, slots=True)
class Lowering:
    """One way to pay less, and how much less."""

    way: str
    usd: Decimal


def tightest(budgets: Iterable[Budget], forecast_usd: Decimal) -> Budget | None:
    """The budget that a forecast is furthest above; None when all have room for it."""
    exceeded = [one for one in budgets if forecast_usd > one.left_usd]
    return min(exceeded, key=lambda one: one.left_usd, default=None)


def lowerings(
    outlook: Outlook, price: Price | None, left_usd: Decimal, forecast_usd: Decimal, *, force: bool
) -> list[Lowering]:
    """Ways to pay less for what an outlook expects, with what each saves of the forecast, the largest first."""
    costs = {name: _cost(outlook, name, price) for name in outlook.analyses}
    found = [*_without_one(costs), *_fused(outlook, price), *_sampled(outlook, left_usd, forecast_usd)]
    if force:
        found.append(Lowering("leave out --force, so that what was answered before is not asked again", forecast_usd))
    return sorted(found, key=lambda one: -one.usd)


def shown(usd: Decimal) -> str:
    """Four decimals, rounded up: what is said to be the most is never less than it is."""
    return f"{usd.quantize(SHOWN, ROUND_CEILING):f}"


def _cost(outlook: Outlook, name: str, price: Price | None) -> Decimal:
    one = outlook.analyses[name]
    usage = Usage(math.ceil(one.input_tokens(outlook.densities).high), one.most_output_tokens)
    return cost_of(usage, price) or Decimal(0)


def _without_one(costs: Mapping[str, Decimal]) -> Iterator[Lowering]:
    """Without the most expensive analysis, where another remains."""
    if len(costs) > 1:
        dearest = max(costs, key=lambda name: costs[name])
        others = ",".join(sorted(costs.keys() - {dearest}))
        way = f"leave out {dearest} (--analyses {others}, or DOCBATCH_ANALYSES)"
        yield Lowering(way, costs[dearest])


def _fused(outlook: Outlook, price: Price | None) -> Iterator[Lowering]:
    """All analyses in one request: the text is paid once, by the one that reads most of it."""
    texts = [
        round(one.input_tokens(outlook.densities).expected) - one.requests * outlook.bases[name].tokens
        for name, one in outlook.analyses.items()
        if name in outlook.bases
    ]
    again = sum(texts) - max(texts, default=0)
    saved = cost_of(Usage(max(0, again), 0), price)
    if saved:
        yield Lowering("ask all analyses of a document in one request (--fuse, or DOCBATCH_FUSE)", saved)


def _sampled(outlook: Outlook, left_usd: Decimal, forecast_usd: Decimal) -> Iterator[Lowering]:
    """As many documents as the budget has room for."""
    documents = max((one.requests for one in outlook.analyses.values()), default=0)
    room = int(documents * left_usd / forecast_usd) if forecast_usd else 0
    if room:
        way = f"take a random sample (--sample {room:,})".replace(",", "")
        yield Lowering(way, forecast_usd - forecast_usd * room / documents)

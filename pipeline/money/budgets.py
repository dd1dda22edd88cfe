"""Budgets of a run, a day and a month: what they leave, and what would lower a forecast that is above one. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from pipeline.domain import Usage
from pipeline.forecasts.outlooks import Outlook
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
        used = f": ${shown(self.used_usd)} of it are paid or in flight, ${floored(self.left_usd)} are left"
        return f"the budget of ${self.limit_usd:f} {self.of}{used if self.used_usd else ''}"


@dataclass(frozen=True, slots=True)
class Lowering:
    """One way to pay less, how much less at most, and whether it is enough for the budget."""

    way: str
    usd: Decimal
    enough: bool

    def __str__(self) -> str:
        return f"{self.way}: up to ${shown(self.usd)} less" + ("" if self.enough else ", which is not enough alone")


def tightest(budgets: Iterable[Budget], forecast_usd: Decimal) -> Budget | None:
    """The budget that a forecast is furthest above; None when all have room for it."""
    exceeded = [one for one in budgets if forecast_usd > one.left_usd]
    return min(exceeded, key=lambda one: one.left_usd, default=None)


@dataclass(frozen=True, slots=True)
class Offer:
    """What a round would send, at which prices: on demand where it is fewer than `min_records`."""

    outlook: Outlook
    price_of: Callable[[int], Price | None]
    forecast_usd: Decimal
    left_usd: Decimal
    min_records: int
    force: bool = False

    def lowerings(self) -> list[Lowering]:
        """Ways to pay less, with what each saves of the forecast: those that are enough first, then the larger."""
        found = [*self._without_one(), *self._fused(), *self._sampled()]
        if self.force:
            way = "leave out --force, so that what was answered before is not asked again"
            found.append((way, self.forecast_usd))
        ways = [Lowering(way, usd, self.forecast_usd - usd <= self.left_usd) for way, usd in found]
        return sorted(ways, key=lambda one: (not one.enough, -one.usd))

    def _cost(self, names: Iterable[str], requests: int) -> Decimal:
        """What some analyses cost at most, at the price of so many requests."""
        parts = [self.outlook.analyses[name] for name in names]
        tokens = sum(math.ceil(one.input_tokens(self.outlook.densities).high) for one in parts)
        usage = Usage(tokens, sum(one.most_output_tokens for one in parts))
        return cost_of(usage, self.price_of(requests)) or Decimal(0)

    def _without_one(self) -> Iterator[tuple[str, Decimal]]:
        """Without the most expensive analysis, where another remains."""
        names = self.outlook.analyses.keys()
        if len(names) > 1:
            dearest = max(names, key=lambda name: self._cost([name], 1))
            others = sorted(names - {dearest})
            rest = self._cost(others, sum(self.outlook.analyses[name].requests for name in others))
            way = f"leave out {dearest} (--analyses {','.join(others)}, or DOCBATCH_ANALYSES)"
            yield from _saving(way, self.forecast_usd - rest)

    def _fused(self) -> Iterator[tuple[str, Decimal]]:
        """All analyses in one request: the text is paid once, by the one that reads most of it."""
        requests = {name: one.requests for name, one in self.outlook.analyses.items()}
        texts = [
            round(one.input_tokens(self.outlook.densities).expected) - one.requests * self.outlook.bases[name].tokens
            for name, one in self.outlook.analyses.items()
        ]
        again = max(0, sum(texts) - max(texts, default=0))
        if len(requests) > 1:
            whole = self._cost(requests, max(requests.values()))
            saved = cost_of(Usage(again, 0), self.price_of(max(requests.values()))) or Decimal(0)
            way = "ask all analyses of a document in one request (--fuse, or DOCBATCH_FUSE)"
            yield from _saving(way, self.forecast_usd - whole + saved)

    def _sampled(self) -> Iterator[tuple[str, Decimal]]:
        """As many documents as the budget has room for, as a job or on demand."""
        names = self.outlook.analyses.keys()
        asked = sum(one.requests for one in self.outlook.analyses.values())
        documents = max((one.requests for one in self.outlook.analyses.values()), default=0)
        for as_job in (True, False):
            cost = self._cost(names, self.min_records if as_job else 1)
            room = int(documents * self.left_usd / cost) if cost else 0
            if not as_job:
                room = min(room, (self.min_records - 1) * documents // max(1, asked))
            enough = room * asked >= self.min_records * documents if as_job else room > 0
            if enough:
                yield from _saving(
                    f"take a random sample (--sample {room})", self.forecast_usd - cost * room / documents
                )
                return


def shown(usd: Decimal) -> str:
    """Four decimals, rounded up: what is said to be the most is never less than it is."""
    return f"{usd.quantize(SHOWN, ROUND_CEILING):f}"


def floored(usd: Decimal) -> str:
    """Four decimals, rounded down: what is said to be left is never more than it is."""
    return f"{usd.quantize(SHOWN, ROUND_FLOOR):f}"


def _saving(way: str, usd: Decimal) -> Iterator[tuple[str, Decimal]]:
    """The way, if it saves anything: fewer requests may be too few for a job, and cost more."""
    if usd > 0:
        yield way, usd

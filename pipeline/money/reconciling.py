"""The ledger held against what AWS says: figures side by side, and by how much they differ. Pure: no I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from pipeline.domain import Mode, Usage
from pipeline.money.booked import BookedDay, BookedJob
from pipeline.wire import JobSummary

# AWS rounds the cost of every line of its bill to the tenth place.
ROUNDING_USD = Decimal("0.000000001")


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure on both sides; None where a side does not know it. `tolerance` is what rounding may make of it."""

    name: str
    ours: Decimal | int | None
    theirs: Decimal | int | None
    tolerance: Decimal = Decimal(0)

    @property
    def differs(self) -> bool:
        if self.ours is None or self.theirs is None:
            return self.ours is not self.theirs
        return abs(Decimal(self.theirs) - self.ours) > self.tolerance

    @property
    def surplus(self) -> Decimal | int | None:
        """By how much AWS's side is more; None where a side is unknown."""
        return None if self.ours is None or self.theirs is None else self.theirs - self.ours


@dataclass(frozen=True, slots=True)
class Check:
    """Something that was compared, with its figures, or why it could not be."""

    about: str
    figures: tuple[Figure, ...] = ()
    not_compared: str | None = None

    @property
    def differences(self) -> tuple[Figure, ...]:
        return tuple(one for one in self.figures if one.differs)


@dataclass(frozen=True, slots=True)
class Billed:
    """What a bill says of one day, mode and direction (input or output); `run_key` where a tag tells it."""

    day: str
    mode: Mode
    direction: str
    run_key: str | None
    tokens: Decimal
    cost_usd: Decimal
    lines: int


def check_job(booked: BookedJob, summary: JobSummary) -> Check:
    """One job of the ledger against its own totals."""
    theirs = (summary.input_tokens, summary.output_tokens)
    cost = None if None in theirs else booked.cost_of(Usage(*theirs))  # type: ignore[arg-type] # neither is None
    figures = (
        Figure("input tokens", booked.usage.input_tokens, summary.input_tokens),
        Figure("output tokens", booked.usage.output_tokens, summary.output_tokens),
        Figure("answered records", booked.answered, summary.success_records),
        Figure("USD", booked.cost_usd, cost),
    )
    return Check(booked.about, figures)


def check_days(model: str, booked: Iterable[BookedDay], billed: Iterable[Billed]) -> list[Check]:
    """The ledger of each day against the bill of it. A job that ends after midnight is billed on the next day."""
    ours, theirs = list(booked), list(billed)
    days = sorted({one.day for one in ours} | {one.day for one in theirs})
    return [
        _check_bill(f"{day}, {model}", [one for one in ours if one.day == day], [b for b in theirs if b.day == day])
        for day in days
    ]


def check_tagged(booked: Mapping[str, list[BookedDay]], billed: Iterable[Billed]) -> list[Check]:
    """The batch jobs of each run against the lines of the bill that carry its tag. On-demand calls carry none."""
    theirs = [one for one in billed if one.run_key is not None and one.mode is Mode.BATCH]
    return [
        _check_bill(
            f"run {key}, by its tag",
            [one for one in booked[key] if one.mode is Mode.BATCH],
            [one for one in theirs if one.run_key == key],
        )
        for key in sorted(booked.keys() & {one.run_key for one in theirs})
    ]


def _check_bill(about: str, ours: list[BookedDay], theirs: list[Billed]) -> Check:
    figures = []
    for mode in Mode:
        mine = [one for one in ours if one.mode is mode]
        for direction in ("input", "output"):
            lines = [one for one in theirs if one.mode is mode and one.direction == direction]
            if mine or lines:
                figures += _figures(f"{mode} {direction}", direction, mine, lines)
    return Check(about, tuple(figures))


def _figures(name: str, direction: str, mine: list[BookedDay], lines: list[Billed]) -> list[Figure]:
    tokens = sum(one.tokens(direction) for one in mine)
    costs = [one.usd(direction) for one in mine]
    cost = None if None in costs else sum((one for one in costs if one is not None), Decimal(0))
    billed = sum((one.tokens for one in lines), Decimal(0))
    usd, rounding = sum((one.cost_usd for one in lines), Decimal(0)), ROUNDING_USD * sum(one.lines for one in lines)
    whole = int(billed.to_integral_value())  # amounts are in thousands, as numbers that end somewhere
    return [Figure(f"{name} tokens", tokens, whole), Figure(f"{name} USD", cost, usd, rounding)]

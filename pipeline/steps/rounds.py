"""The plan of a round as the steps write it down for each other: its batches, and what they are expected to cost."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import count

import orjson
from pydantic import TypeAdapter

from pipeline.domain import Batch, Mode
from pipeline.errors import ObjectMissing
from pipeline.manifest import REOPENED, plan_key
from pipeline.steps.run import Run


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """The batches of one round and what they are expected to use and cost at most; None without a price.

    `owed` counts the requests that the round is about, `requests` those that it sends; the others are `known` already,
    have been sent by another run, or are asked by another request of the same round. `input_tokens` are expected, and
    95 times in 100 between low and high; `output_tokens` are the caps, `usual_output_tokens` what earlier runs had.
    `forecast_usd` is the cost at most (high input, capped output), `expected_usd` the cost that is expected.
    """

    mode: Mode
    batches: tuple[Batch, ...]
    owed: int
    known: int
    requests: int
    input_tokens: int
    input_low_tokens: int
    input_high_tokens: int
    output_tokens: int
    usual_output_tokens: int
    forecast_usd: Decimal | None
    expected_usd: Decimal | None

    @property
    def summary(self) -> str:
        """What the round does, in a few words."""
        if not self.owed:
            return "nothing is owed any more"
        awaited = sum(batch.records for batch in self.batches if batch.awaits is not None)
        cost = "cost unknown" if self.forecast_usd is None else f"at most ${self.forecast_usd:.4f}"
        parts = [
            f"{self.requests} requests, {self.mode}, {cost}" if self.requests else "no requests",
            f"{self.known} answered before" if self.known else "",
            f"{awaited} on their way in another run" if awaited else "",
        ]
        return "; ".join(part for part in parts if part)


PLAN = TypeAdapter(RoundPlan)


def read_plan(run: Run, round_number: int) -> RoundPlan:
    """What was planned for a round. Raises ObjectMissing when it was not planned yet."""
    return PLAN.validate_json(run.store.read(plan_key(round_number)))


def read_batch(run: Run, round_number: int, batch_key: str) -> Batch:
    """One batch of a round's plan."""
    return next(batch for batch in read_plan(run, round_number).batches if batch.batch_key == batch_key)


def planned_rounds(run: Run) -> int:
    """How many rounds of the run have been planned so far."""
    return next(number for number in count() if not run.store.exists(plan_key(number)))


def most_rounds(run: Run) -> int:
    """How many rounds the run may have: those that it was given, and one for each time that it was taken up again."""
    return run.manifest.max_rounds + times_reopened(run)


def times_reopened(run: Run) -> int:
    """How often the run was stopped and taken up again."""
    try:
        return int(orjson.loads(run.store.read(REOPENED))["times"])
    except ObjectMissing:
        return 0

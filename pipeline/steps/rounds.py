"""The plan of a round and what came of its batches, as the steps write them down for each other."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from itertools import count

import orjson
from pydantic import TypeAdapter

from pipeline.domain import Batch, Mode, Span
from pipeline.errors import ObjectMissing
from pipeline.manifest import REOPENED, collected_key, plan_key
from pipeline.steps.run import Run


@dataclass(frozen=True, slots=True)
class PlannedPart:
    """What one analysis, or several that are fused, sends in a round; the figures are those of RoundPlan."""

    analysis: str
    requests: int
    input_tokens: int
    input_low_tokens: int
    input_high_tokens: int
    output_tokens: int
    usual_output_tokens: int
    forecast_usd: Decimal | None
    expected_usd: Decimal | None


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """The batches of one round and what they are expected to use and cost at most; None without a price.

    `owed` counts the requests that the round is about, `requests` those that it sends; the others are `known` already,
    have been sent by another run, or are asked by another request of the same round. `input_tokens` are expected, and
    95 times in 100 between low and high; `output_tokens` are the caps, `usual_output_tokens` what earlier runs had.
    `forecast_usd` is the cost at most (high input, capped output), `expected_usd` the cost that is expected.
    `over_budget` says why nothing is sent, of a later round that would have passed a budget. `parts` are by analysis.
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
    planned: dt.datetime
    over_budget: str | None = None
    parts: tuple[PlannedPart, ...] = ()

    @property
    def is_last(self) -> bool:
        """Whether nothing can follow: nothing is owed, or nothing more may be spent."""
        return not self.owed or (self.over_budget is not None and not self.batches and not self.known)

    @property
    def summary(self) -> str:
        """What the round does, in a few words."""
        if not self.owed:
            return "nothing is owed any more"
        awaited = sum(batch.records for batch in self.batches if batch.awaits is not None)
        cost = "cost unknown" if self.forecast_usd is None else f"at most ${self.forecast_usd:.4f}"
        requests = f"{self.requests} request{'s' * (self.requests != 1)}"
        parts = [
            f"{requests}, {self.mode}, {cost}" if self.requests else "no requests",
            f"{self.known} answered before" if self.known else "",
            f"{awaited} on their way in another run" if awaited else "",
            self.over_budget or "",
        ]
        return "; ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Collected:
    """The counts of one batch. `unreadable` lines and `unknown` or repeated ids were left out; `disagreement` tells of
    them, and of where the records and the job's own totals differ.

    `sent` counts the records that this run sent and pays for: none of a batch that another run sent or took over.
    `job_failure` says why the batch's job came to nothing as a whole; None where its records count for themselves.
    `called` says when a model was in use that is billed by time, `uncounted` how many records reported no tokens.
    """

    sent: int
    answered: int
    failed: int
    missing: int
    unreadable: int
    unknown: int
    input_tokens: int
    output_tokens: int
    disagreement: str | None
    job_failure: str | None = None
    called: tuple[Span, ...] = ()
    uncounted: int = 0


PLAN = TypeAdapter(RoundPlan)
COLLECTED = TypeAdapter(Collected)


def read_plan(run: Run, round_number: int) -> RoundPlan:
    """What was planned for a round. Raises ObjectMissing when it was not planned yet."""
    return PLAN.validate_json(run.store.read(plan_key(round_number)))


def read_batch(run: Run, round_number: int, batch_key: str) -> Batch:
    """One batch of a round's plan."""
    return next(batch for batch in read_plan(run, round_number).batches if batch.batch_key == batch_key)


def read_collected(run: Run, round_number: int, batch_key: str) -> Collected:
    """What came of a batch. Raises ObjectMissing when it was not collected yet."""
    return COLLECTED.validate_json(run.store.read(collected_key(round_number, batch_key)))


def planned_rounds(run: Run) -> int:
    """How many rounds of the run have been planned so far."""
    return next(number for number in count() if not run.store.exists(plan_key(number)))


def over_budget(run: Run) -> str | None:
    """Why the last planned round was not sent; None where it was."""
    return read_plan(run, planned_rounds(run) - 1).over_budget


def most_rounds(run: Run) -> int:
    """How many rounds the run may have: those that it was given, and one for each time that it was taken up again."""
    return run.manifest.max_rounds + times_reopened(run)


def times_reopened(run: Run) -> int:
    """How often the run was stopped and taken up again."""
    try:
        return int(orjson.loads(run.store.read(REOPENED))["times"])
    except ObjectMissing:
        return 0

"""What was paid for nothing and what was saved: sums in any order, and unknown that stays unknown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal
from functools import reduce
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain import Failure, Fate, Mode, Outcome, Reason, Request, Stage
from pipeline.money.costs import NONE, Amount, Way, add_by_way, amount_of, savings, standing
from pipeline.prices import Price
from pipeline.records import OutcomeRecord

COSTS = st.lists(st.none() | st.decimals(0, 10_000, places=10), max_size=12)
PRICES = {
    mode: Price(mode=mode, input_usd=Decimal(usd), output_usd=Decimal(usd), since=date(2026, 11, 1), source="t")
    for mode, usd in ((Mode.BATCH, "0.11"), (Mode.ON_DEMAND, "0.22"))
}
RECORD = OutcomeRecord(
    "r", "q", Fate.ANSWERED, 0, Mode.BATCH, None, "{}", None, None, False, False, "m", 1_000_000, 0, None, None
)
REQUEST = Request("first", "first", "d", "c", "a", Stage.MAP, 0, 0, 1, None, None, 10, 5, 0)
GOOD, BAD = Outcome("", Fate.ANSWERED, {}), Outcome("", Fate.FAILED, failure=Failure(Reason.INVALID, ""), raw="x")


@given(COSTS.flatmap(lambda costs: st.tuples(st.just(costs), st.permutations(costs), st.integers(0, 12))))
def test_amounts_are_additive_and_order_blind(
    case: tuple[Sequence[Decimal | None], Sequence[Decimal | None], int],
) -> None:
    """However costs are ordered and divided, their sums add up to the same, to the last digit."""
    costs, shuffled, cut = case
    whole = amount_of(costs)
    assert amount_of(shuffled) == whole
    assert amount_of(costs[:cut]) + amount_of(costs[cut:]) == whole
    assert whole.usd == (None if None in costs else sum(cost or 0 for cost in costs))
    assert (whole.requests, whole.unknown) == (len(costs), list(costs).count(None))


@given(st.lists(st.dictionaries(st.sampled_from(["batch", "known"]), COSTS.map(amount_of)), max_size=5))
def test_savings_add_up_by_way(parts: list[dict[str, Amount]]) -> None:
    """Each way is the sum of its parts, and no part is lost."""
    found = add_by_way(parts)
    every = reduce(add, (amount for part in parts for amount in part.values()), NONE)
    assert reduce(add, found.values(), NONE) == every
    assert add_by_way(reversed(parts)) == found


@pytest.mark.parametrize(
    ("changed", "way", "usd"),
    [
        ({}, Way.BATCH, "0.11"),
        ({"paid_by": "night"}, Way.DUPLICATES, "0.11"),
        ({"paid_by": "another"}, Way.KNOWN, "0.11"),
        ({"paid_by": "another", "input_tokens": None}, Way.KNOWN, None),
        ({"input_tokens": None}, Way.BATCH, None),
    ],
)
def test_what_each_outcome_saved(changed: dict[str, object], way: Way, usd: str | None) -> None:
    """A batch saves the difference to on-demand, what others paid its price; without tokens nobody knows how much."""
    found = savings([replace(RECORD, **changed)], "night", PRICES.get)  # type: ignore[arg-type] # of a table
    assert set(found) == {way.value}
    assert found[way.value].usd == (None if usd is None else Decimal(usd))
    assert way.against


@pytest.mark.parametrize(
    "changed",
    [
        {"mode": Mode.ON_DEMAND},
        {"input_tokens": 0, "fate": Fate.MISSING},
        {"paid_by": "another", "fate": Fate.FAILED, "answer": None},
        {"paid_by": "night", "input_tokens": 0, "fate": Fate.MISSING},
    ],
)
def test_what_saved_nothing(changed: dict[str, object]) -> None:
    """What was paid in full, what never came, and another's failure are no saving."""
    assert savings([replace(RECORD, **changed)], "night", PRICES.get) == {}  # type: ignore[arg-type] # of a table


def test_without_a_batch_price_the_other_stands_in() -> None:
    """A known answer would have cost what the only price says; what a batch saved is unknown then."""
    prices = {Mode.ON_DEMAND: PRICES[Mode.ON_DEMAND]}
    known = savings([replace(RECORD, paid_by="another")], "night", prices.get)
    assert known["known"].usd == Decimal("0.22")
    assert savings([RECORD], "night", prices.get)["batch"].usd is None


@pytest.mark.parametrize(
    ("fates", "used"),
    [
        ((GOOD,), {"r0"}),
        ((BAD, GOOD), {"r1"}),
        ((replace(GOOD, truncated=True), GOOD), {"r1"}),
        ((replace(GOOD, truncated=True), BAD), {"r0"}),
        ((BAD, BAD), set()),
    ],
)
def test_a_result_rests_on_the_best_wording(fates: tuple[Outcome, ...], used: set[str]) -> None:
    """Of the wordings of a question one answer is used: the newest that could be."""
    requests = [replace(REQUEST, record_id=f"r{n}", attempt=n) for n in range(len(fates))]
    outcomes = {f"r{n}": replace(one, record_id=f"r{n}") for n, one in enumerate(fates)}
    assert standing(reversed(requests), outcomes) == used


def test_a_result_rests_on_every_chunk_and_reduction() -> None:
    """The answers of all levels and positions are part of the result."""
    places = [(0, 0), (0, 1), (1, 0)]
    requests = [
        replace(REQUEST, record_id=f"{level}.{position}", level=level, position=position) for level, position in places
    ]
    outcomes = {one.record_id: replace(GOOD, record_id=one.record_id) for one in requests}
    assert standing(requests, outcomes) == {"0.0", "0.1", "1.0"}

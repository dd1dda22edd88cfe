"""Tokens and money: sums that do not depend on order, exact prices, and unknown that stays unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain import Mode, Usage
from pipeline.ledger import add_costs, cost_of, disagreement
from pipeline.prices import Price
from pipeline.wire import JobSummary

USAGES = st.builds(Usage, st.integers(0, 10**12), st.integers(0, 10**12))
PRICES = st.builds(
    lambda a, b: Price(mode=Mode.BATCH, input_usd=a, output_usd=b, since=date(2026, 11, 1), source="test"),
    *[st.decimals(0, 100, places=4)] * 2,
)
PRICE = Price(
    mode=Mode.BATCH, input_usd=Decimal("0.11"), output_usd=Decimal("0.33"), since=date(2026, 11, 1), source="t"
)


@given(st.lists(USAGES, max_size=8).flatmap(lambda usages: st.tuples(st.just(usages), st.permutations(usages))), PRICES)
def test_costs_add_up_in_any_order(case: tuple[list[Usage], list[Usage]], price: Price) -> None:
    """The cost of all tokens together is the sum of the costs, whatever the order, to the last digit."""
    usages, shuffled = case
    total = sum(usages, Usage(0, 0))
    assert sum(shuffled, Usage(0, 0)) == total
    for order in case:
        assert add_costs(cost_of(usage, price) for usage in order) == cost_of(total, price)


@given(USAGES, PRICES)
def test_a_cost_is_exact(usage: Usage, price: Price) -> None:
    """No digit is lost between tokens times price and the Decimal that is stored."""
    exact = (
        usage.input_tokens * Fraction(price.input_usd) + usage.output_tokens * Fraction(price.output_usd)
    ) / 1_000_000
    assert Fraction(cost_of(usage, price) or 0) == exact


def test_known_costs() -> None:
    """One token at the batch price of Llama 3.1 8B is 0.00000011 USD."""
    assert cost_of(Usage(1, 0), PRICE) == Decimal("0.00000011")
    assert cost_of(Usage(2_000_000, 1_000_000), PRICE) == Decimal("0.55")
    assert cost_of(Usage(0, 0), PRICE) == 0


def test_unknown_is_none() -> None:
    """Without tokens or without a price there is no cost, and a sum with an unknown part is unknown."""
    assert cost_of(None, PRICE) is None
    assert cost_of(Usage(1, 1), None) is None
    assert add_costs([Decimal(1), None, Decimal(2)]) is None
    assert add_costs([None]) is None
    assert add_costs([]) == 0


SUMMARY = JobSummary(total_records=5, success_records=4, error_records=1, input_tokens=100, output_tokens=20)


@pytest.mark.parametrize(
    ("summary", "reported", "answered", "sentence"),
    [
        (SUMMARY, Usage(100, 20), 4, None),
        (None, Usage(100, 20), 4, "the job left no manifest.json.out"),
        (SUMMARY, Usage(99, 20), 4, "input tokens: records say 99, the job says 100"),
        (SUMMARY, Usage(100, 21), 4, "output tokens: records say 21, the job says 20"),
        (SUMMARY, Usage(100, 20), 3, "answered records: records say 3, the job says 4"),
        (
            SUMMARY,
            Usage(0, 0),
            4,
            "input tokens: records say 0, the job says 100; output tokens: records say 0, the job says 20",
        ),
        (replace(SUMMARY, input_tokens=None), Usage(100, 20), 4, "input tokens: records say 100, the job says None"),
    ],
)
def test_disagreement_is_a_sentence(
    summary: JobSummary | None, reported: Usage, answered: int, sentence: str | None
) -> None:
    """Where records and Bedrock's own totals differ, both numbers are told; agreement is None."""
    assert disagreement(summary, reported, answered) == sentence

"""What a run may cost, and what it says when nobody knows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from pipeline.errors import BudgetExceeded
from tests.world import ANALYSES, World

BEFORE_ANY_PRICE = dt.date(2020, 1, 1)


@pytest.mark.parametrize(("least", "mode"), [(4, "batch"), (100, "on-demand")])
def test_a_forecast_above_the_budget_sends_nothing(world: World, least: int, mode: str) -> None:
    """The run ends before anything is submitted, and says what it would cost and what to do."""
    world.put_many(4)
    world.with_settings(budget_usd=Decimal("0.0001"), min_records_per_job=least)
    with pytest.raises(
        BudgetExceeded, match=r"12 requests would cost up to \$0\.00\d\d.* budget of \$0\.0001;"
    ) as raised:
        world.run()
    for typed in ("--budget-usd", "DOCBATCH_BUDGET_USD", "--analyses", "DOCBATCH_ANALYSES"):
        assert typed in str(raised.value)  # it is not known here which of them it came by
    assert world.wire.calls == [], mode
    assert world.files() == {}


def test_a_budget_that_is_not_exceeded_is_kept_in_the_run(world: World) -> None:
    """Forecast, budget and cost stand side by side in the row of the run, and the forecast holds."""
    world.put_many(4)
    world.with_settings(budget_usd=Decimal(1))
    summary = world.run()
    (row,) = world.rows("runs")
    assert row["budget_usd"] == 1
    assert row["cost_usd"] == summary.cost_usd
    assert row["forecast_usd"] >= row["cost_usd"] > 0


def test_a_budget_without_a_price_sends_nothing(world: World) -> None:
    """A budget that cannot be checked is not passed."""
    world.put_many(4)
    world.with_settings(budget_usd=Decimal(1))
    with pytest.raises(BudgetExceeded, match=r"batch price of meta.llama3-1-8b-instruct-v1:0 on 2020-01-01 is unknown"):
        world.run(day=BEFORE_ANY_PRICE)
    assert world.wire.calls == []


def test_without_a_price_every_cost_is_unknown(world: World) -> None:
    """An unknown price makes costs null, never zero, in every table."""
    world.put_many(4)
    summary = world.run(day=BEFORE_ANY_PRICE)
    assert (summary.cost_usd, summary.forecast_usd) == (None, None)
    assert summary.input_tokens > 0
    for name in ("ledger", *ANALYSES):
        rows = world.rows(name)
        assert rows
        assert {row["cost_usd"] for row in rows} == {None}
    (run,) = world.rows("runs")
    assert (run["cost_usd"], run["forecast_usd"], run["budget_usd"]) == (None, None, None)
    assert {one["cost_usd"] for one in run["analyses"]} == {None}
    assert {row["input_usd_per_million"] for row in world.rows("ledger")} == {None}
    assert {row["price_since"] for row in world.rows("ledger")} == {None}

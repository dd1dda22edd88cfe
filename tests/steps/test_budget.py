"""What a run may cost, and what it says when nobody knows."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.errors import BudgetExceeded, SettingsError
from pipeline.money.budgets import shown
from pipeline.steps import plan, prepare, start, submit
from pipeline.steps.rounds import RoundPlan, read_plan
from pipeline.steps.status import Phase, phase_of
from tests.world import ANALYSES, Canned, World

MakeWorld = Callable[..., World]

BEFORE_ANY_PRICE = dt.date(2020, 1, 1)


@pytest.mark.parametrize(("least", "mode"), [(4, "batch"), (100, "on-demand")])
def test_a_forecast_above_the_budget_sends_nothing(world: World, least: int, mode: str) -> None:
    """The run ends before anything is submitted, and says what it would cost and what to do."""
    world.put_many(4)
    world.with_settings(budget_usd=Decimal("0.0001"), min_records_per_job=least)
    with pytest.raises(
        BudgetExceeded,
        match=r"12 requests would cost up to \$0\.00\d\d.* budget of \$0\.0001 for the run; nothing was",
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


def first_plan(world: World) -> RoundPlan:
    """The first round of a run over four documents."""
    world.put_many(4)
    world.run()
    return read_plan(world.state(), 0)


def test_a_refusal_says_what_each_way_out_saves(world: World) -> None:
    """Fewer analyses, one request for all, or a sample that the budget has room for, with dollars; none is free."""
    world.put_many(40)
    world.with_settings(budget_usd=Decimal("0.001"))
    with pytest.raises(BudgetExceeded) as raised:
        world.run()
    told = str(raised.value)
    ways = re.findall(r"(leave out summarization|--fuse|--sample (\d+)).*?: up to \$([\d.]+) less(, .*alone)?", told)
    assert {way.split(" ")[0] for way, *_ in ways} == {"leave", "--fuse", "--sample"}
    assert all(Decimal(usd) > 0 for _, _, usd, _ in ways)
    (room,) = (int(sample) for _, sample, _, not_enough in ways if sample and not not_enough)
    assert 0 < room < 40
    uri = start(world.services, replace(world.order("smaller"), sample=room))
    prepare(world.services, uri, 0, 0)
    assert plan(world.services, uri, 0).requests == 3 * room  # it holds what it promises


def test_a_sample_that_is_too_small_for_a_job_is_offered_at_the_price_of_calls(world: World) -> None:
    """Fewer requests may cost more each; what is offered has room, or is not offered."""
    world.put_many(40)
    world.with_settings(budget_usd=Decimal("0.001"), min_records_per_job=100)
    with pytest.raises(BudgetExceeded) as raised:
        world.run()
    found = re.search(r"--sample (\d+)\): up to \$[\d.]+ less\n", str(raised.value))
    assert found
    uri = start(world.services, replace(world.order("smaller"), sample=int(found[1])))
    prepare(world.services, uri, 0, 0)
    assert plan(world.services, uri, 0).mode == "on-demand"


def test_a_refused_run_is_told_as_such_and_keeps_its_budget(world: World) -> None:
    """It is not open, and whoever names it with another budget is told to name another run."""
    world.put_many(4)
    world.with_settings(budget_usd=Decimal("0.0001"))
    with pytest.raises(BudgetExceeded):
        world.run()
    assert phase_of(world.state()) is Phase.REFUSED
    world.with_settings(budget_usd=Decimal(1))
    with pytest.raises(SettingsError, match=r"was begun with budget_usd = 0\.0001, not 1"):
        world.run()


def test_with_force_the_way_out_is_to_leave_it(world: World) -> None:
    """What is asked again by force is what may be saved by not asking again."""
    world.put_many(4)
    world.run()
    world.with_settings(budget_usd=Decimal("0.0001"))
    with pytest.raises(BudgetExceeded, match="leave out --force"):
        world.run("again", force=True)


@pytest.mark.parametrize(("period", "free_after"), [("day", dt.timedelta(days=1)), ("month", dt.timedelta(days=10))])
def test_the_runs_of_a_period_share_its_budget(world: World, period: str, free_after: dt.timedelta) -> None:
    """What a run has paid, the next one in the period cannot spend; when the period is over, the same run goes on."""
    world.put_many(4)
    paid = world.run("first").cost_usd
    assert paid
    world.put("later.txt", "Another document came.")
    world.with_settings(**{f"budget_{period}_usd": paid + Decimal("0.0000001")})
    with pytest.raises(BudgetExceeded, match=rf"(?s)paid or in flight, .* are left; nothing.*--budget-{period}-usd"):
        world.run("second")
    world.now += free_after
    assert world.run("second").results == 3


def test_what_is_in_flight_counts_at_its_forecast_until_it_is_collected(world: World) -> None:
    """A run that died after sending holds its forecast; once it is collected, only what it cost."""
    world.put_many(4)
    services, first = world.services, world.order("first")
    uri = start(services, first)
    prepare(services, uri, 0, 0)
    planned = plan(services, uri, 0)
    submit(services, uri, 0, planned.batches[0].batch_key)
    assert planned.forecast_usd
    world.put("later.txt", "Another document came.")
    world.with_settings(budget_day_usd=planned.forecast_usd + Decimal("0.0001"))
    with pytest.raises(BudgetExceeded, match=rf": \${shown(planned.forecast_usd)} of it are paid or in flight"):
        world.run("second")
    world.with_settings(budget_day_usd=None)
    paid = world.run("first").cost_usd
    assert paid
    assert paid < planned.forecast_usd
    world.with_settings(budget_day_usd=planned.forecast_usd + Decimal("0.0004"))
    assert world.run("third").results == 3


def test_a_round_above_the_budget_is_not_sent_and_what_was_paid_for_is_published(make_world: MakeWorld) -> None:
    """Answers that were to be asked again become failures for want of budget; the others are results."""
    first = first_plan(make_world())
    world = make_world(engine=Canned(lambda prompt, _: "no JSON" if prompt.endswith('{"sentiment": "') else None))
    world.put_many(4)
    world.with_settings(budget_usd=first.forecast_usd)
    summary = world.run()
    assert (summary.results, summary.failures, summary.reasons) == (8, 4, {"budget": 4})
    assert summary.over_budget
    assert "round 1 was not sent: its 4 requests would cost up to $" in summary.over_budget
    assert summary.requests == 12
    (row,) = {row["detail"] for row in world.rows("failures")}
    assert row == f"{summary.over_budget}; until then: invalid"
    assert all(row["raw_answer"] for row in world.rows("failures"))
    world.with_settings(budget_usd=None)
    later = world.run("richer")
    assert later.reasons == {"invalid": 4}
    assert later.unchanged == {"classification": 4, "sentiment": 0, "summarization": 4}


def test_a_usable_answer_stays_a_result_when_a_better_one_is_not_paid_for(make_world: MakeWorld) -> None:
    """An answer that was cut, and closed by us, is published as truncated."""
    first = first_plan(make_world())
    long = " word" * 900
    world = make_world(engine=Canned(lambda prompt, _: long if prompt.endswith('{"summary": "') else None))
    world.put_many(4)
    world.with_settings(budget_usd=first.forecast_usd)
    summary = world.run()
    assert summary.over_budget
    assert (summary.results, summary.failures) == (12, 0)
    assert {row["truncated"] for row in world.rows("summarization")} == {True}


def test_an_unknown_price_may_be_allowed(world: World) -> None:
    """Then everything is sent, no budget is checked, and costs are null."""
    world.put_many(4)
    world.with_settings(budget_usd=Decimal(1), budget_day_usd=Decimal(1), allow_unknown_price=True)
    summary = world.run(day=BEFORE_ANY_PRICE)
    assert (summary.results, summary.cost_usd) == (12, None)
    world.put("later.txt", "Another document came.")
    world.with_settings(allow_unknown_price=False)
    with pytest.raises(BudgetExceeded, match="nobody knows the cost of run night in the same period"):
        world.run("next")


@pytest.mark.parametrize("rivals", [2, 5])
def test_runs_that_race_cannot_pass_a_budget_together(make_world: MakeWorld, rivals: int) -> None:
    """Of runs over different documents at one moment, only as many are sent as the budget of the day has room for."""
    worlds = [make_world() for _ in range(rivals)]
    for number, one in enumerate(worlds):
        one.bucket, one.bedrock, one.wire = worlds[0].bucket, worlds[0].bedrock, worlds[0].wire
        for document in range(4):
            one.put(f"{document}.txt", f"Document {document} of rival {number}.")
    budget = (first_plan(make_world()).forecast_usd or 0) * Decimal("1.5")
    for one in worlds:
        one.with_settings(budget_day_usd=budget)

    def race(number: int) -> Decimal | None:
        try:
            return worlds[number].run(f"rival-{number}").cost_usd
        except BudgetExceeded:
            return None

    with ThreadPoolExecutor(rivals) as pool:
        costs = [cost for cost in pool.map(race, range(rivals)) if cost is not None]
    assert 0 < sum(costs) <= budget
    assert worlds[0].wire.created == len(costs)

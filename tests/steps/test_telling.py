"""What the plan of a round says: by analysis and in all, the other way, other models, and what is not asked."""

from __future__ import annotations

import json
from decimal import Decimal

from pipeline.steps import plan, prepare, start
from pipeline.steps.rounds import RoundPlan
from pipeline.steps.telling import told_lines, told_mapping
from tests.world import ANALYSES, World

COUNTS = ("requests", "input_tokens", "input_low_tokens", "input_high_tokens", "output_tokens", "usual_output_tokens")


def planned(world: World, key: str = "night") -> tuple[str, RoundPlan]:
    services = world.services
    run_uri = start(services, world.order(key))
    for shard in range(world.state(key).manifest.shards):
        prepare(services, run_uri, 0, shard)
    return run_uri, plan(services, run_uri, 0)


def test_the_parts_of_a_plan_add_up_to_it(world: World) -> None:
    """Requests, tokens and money of every analysis, at the price of the mode in which they are sent."""
    world.put_many(6)
    run_uri, made = planned(world)
    told = told_mapping(world.services, run_uri, made)
    assert list(told["analyses"]) == sorted(ANALYSES)
    for name in COUNTS:
        assert sum(one[name] for one in told["analyses"].values()) == told["in_all"][name] > 0, name
    for name in ("expected_usd", "forecast_usd"):
        assert sum(Decimal(one[name]) for one in told["analyses"].values()) == Decimal(told["in_all"][name]), name
    assert told["in_all"]["forecast_usd"] == f"{made.forecast_usd:f}"
    assert told["same_usd"]["batch"] == told["in_all"]["expected_usd"]
    assert Decimal(told["same_usd"]["on-demand"]) == 2 * Decimal(told["same_usd"]["batch"])
    own = told["models"]["meta.llama3-1-8b-instruct-v1:0"]
    assert own == told["same_usd"]
    assert told["models"]["meta.llama3-1-405b-instruct-v1:0"]["batch"] is None
    assert json.loads(json.dumps(told)) == told


def test_a_log_has_a_line_for_each_of_it_and_none_where_nothing_is_sent(world: World) -> None:
    """Every analysis, all together, both ways, every model of the catalogue, and what still holds with its worth."""
    world.put_many(6)
    first = world.run("monday")
    world.put("new.txt", "A document that nobody has seen.")
    run_uri, made = planned(world, "tuesday")
    told = told_mapping(world.services, run_uri, made)
    lines = list(told_lines(told))
    assert [line.partition(":")[0] for line in lines[:4]] == [*sorted(ANALYSES), "in all"]
    assert "On each model, batch / on-demand: meta.llama3-1-8b-instruct-v1:0 $0.0" in "\n".join(lines)
    assert "; meta.llama3-1-405b-instruct-v1:0 an unknown cost / $0.0" in "\n".join(lines)
    assert len(list(told_lines(told, other_models=False))) == len(lines) - 1
    assert f"Not asked: 18 results that still hold, worth ${first.cost_usd:f}" in lines
    assert Decimal(told["not_asked"]["unchanged_usd"]) == first.cost_usd
    world.run("tuesday")
    run_uri, made = planned(world, "wednesday")
    assert list(told_lines(told_mapping(world.services, run_uri, made))) == []

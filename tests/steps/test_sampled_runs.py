"""Runs over a sample, and forecasts: what they say of the whole, and what the next run finds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal

import pytest

from pipeline.forecasts.amounts import SourceForecast
from pipeline.loop import Looped, run_to_the_end
from pipeline.steps import RunSummary
from pipeline.steps.forecasting import PlanOrder, forecast_source
from pipeline.steps.progress import unseen
from pipeline.steps.state import read_prepared
from pipeline.storage.objects import absolute_uri
from tests.texts import EIGHT, documents
from tests.world import ANALYSES, WORK_URI, Unseen, World


def fill(world: World, count: int) -> None:
    """Documents in the eight languages by turns."""
    texts = {language: documents(language, count // len(EIGHT) + 1, seed=7) for language in EIGHT}
    for number in range(count):
        world.put(f"{number:04d}.txt", f"No. {number}. " + texts[EIGHT[number % len(EIGHT)]][number // len(EIGHT)])


def sampled(world: World, key: str, sample: int | None, seed: int = 1) -> RunSummary:
    order = replace(world.order(key), sample=sample, seed=seed)
    return run_to_the_end(world.services, order, Unseen(), Looped(1.0, sleep=lambda _seconds: None))


def planned(world: World, **how: object) -> SourceForecast:
    order = world.order()
    asked = PlanOrder(order.source_uri, absolute_uri(str(world.output)), WORK_URI, **how)  # type: ignore[arg-type]
    return forecast_source(world.services, asked, unseen)


@pytest.mark.parametrize("least", [4, 130])
def test_a_sampled_run_says_what_all_would_cost(make_world: Callable[..., World], least: int) -> None:
    """The interval of a sample of forty holds what the whole cost, also where the sample is too small for a job."""
    one, other = make_world(least=least), make_world(least=least)
    for world in (one, other):
        fill(world, 160)
    summary, whole = sampled(one, "some", 40, seed=5), other.run()
    assert (summary.documents, summary.left_out, summary.seed) == (40, 120, 5)
    assert summary.results + summary.failures == 120
    assert summary.whole_usd
    expected, low, high = summary.whole_usd
    assert whole.cost_usd is not None
    assert low <= whole.cost_usd <= high
    assert low < expected < high < 2 * low
    (row,) = one.rows("runs", "some")
    assert (row["documents"], row["left_out"]) == (40, 120)
    assert (whole.whole_usd, whole.seed, whole.left_out) == (None, None, 0)


@pytest.mark.parametrize(("sample", "is_told"), [(12, True), (3, True), (2, False)])
def test_a_sample_smaller_than_the_classes_of_size_is_published(world: World, sample: int, is_told: bool) -> None:
    """Of some classes of size it has one document or none; what all would cost is told from three documents on."""
    for number in range(24):
        world.put(f"{number:02d}.txt", f"No. {number}. " + "The kettle works well. " * 2 ** (number % 8))
    summary = sampled(world, "some", sample)
    assert (summary.documents, summary.left_out) == (sample, 24 - sample)
    assert (summary.whole_usd is not None) == is_told


def test_the_next_run_takes_what_a_sample_left_out_as_new(world: World) -> None:
    """Nothing of it is deleted, what was asked is not asked again, and a repetition draws the same documents."""
    world.put_many(20)
    sampled(world, "some", 5)
    asked = {row["uri"] for row in world.rows("documents", "some")}
    assert len(asked) == 5
    rest = world.run("rest")
    rows = world.rows("documents", "rest")
    assert {row["change"] for row in rows} == {"new"}
    assert asked.isdisjoint(row["uri"] for row in rows)
    assert (rest.documents, rest.deleted, rest.left_out) == (20, 0, 0)
    assert rest.unchanged == dict.fromkeys(ANALYSES, 5)


def test_the_seed_decides_what_is_drawn(make_world: Callable[..., World]) -> None:
    """The same seed draws the same documents, another one others."""

    def drawn(seed: int, name: str) -> set[str]:
        world = make_world()
        world.put_many(30)
        sampled(world, name, 6, seed)
        return {row["uri"].rpartition("/")[2] for row in world.rows("documents", name)}

    assert drawn(1, "a") == drawn(1, "b") != drawn(2, "c")


def test_a_sample_leaves_partly_held_documents_out_of_every_count(world: World) -> None:
    """A prompt that was changed makes every document due for one analysis; those left out do not count as unchanged."""
    world.put_many(12)
    world.run("first")
    world.own_prompts("sentiment")
    (world.folder / "prompts" / "sentiment" / "map.jinja").open("a").write("{# another wording #}")
    summary = sampled(world, "second", 4)
    assert (summary.documents, summary.left_out) == (4, 8)
    assert summary.unchanged == {"classification": 4, "sentiment": 0, "summarization": 4}


def test_a_forecast_is_what_the_run_then_sends(world: World) -> None:
    """Few documents are counted exactly: requests and input tokens are those of the run's first round."""
    fill(world, 24)
    world.put("copy.txt", world.source.joinpath("0003.txt").read_bytes())
    found = planned(world)
    assert (found.listed, found.new, found.read, found.is_sampled) == (25, 25, 25, False)
    summary = world.run()
    rows = [row for row in world.rows("ledger") if row["round"] == 0 and row["status"] == "answered"]
    assert found.amounts.requests.expected == summary.requests == len(rows)
    assert found.amounts.input_tokens.expected == sum(row["input_tokens"] for row in rows)
    assert found.amounts.input_tokens.low == found.amounts.input_tokens.high
    assert found.amounts.repeated.expected == len(ANALYSES)


def test_a_forecast_of_a_sample_calls_nothing_deleted_that_is_there(world: World) -> None:
    """What a run over a sample leaves out is neither asked nor gone; what is gone is told all the same."""
    world.put_many(12)
    world.run("first")
    world.put("new-0.txt", b"One more, and it is good.")
    world.put("new-1.txt", b"And another one, not so good.")
    next(world.source.iterdir()).unlink()
    found = planned(world, sample=1, alone=True)
    assert (found.to_do, found.deleted) == (1, 1)


def test_a_forecast_takes_off_what_is_known(world: World) -> None:
    """Unchanged documents are not asked, moved ones are known, and earlier answers say how long answers are."""
    world.put_many(10)
    world.run()
    world.source.joinpath("003.txt").rename(world.source / "moved.txt")
    world.put("new.txt", "This one is new, and nobody has asked about it yet.")
    before = sorted(path for path in world.folder.rglob("*"))
    found = planned(world)
    assert sorted(path for path in world.folder.rglob("*")) == before
    assert (found.new, found.changed, found.deleted) == (2, 0, 1)
    assert found.amounts.known.expected == found.amounts.requests.expected == len(ANALYSES)
    assert [one.unchanged for one in found.analyses] == [9, 9, 9]
    for one in found.analyses:
        assert one.usual_output_tokens is not None
        assert one.expected.output_tokens < one.most.output_tokens
    assert planned(world, force=True).amounts.requests.expected == 11 * len(ANALYSES)


def test_a_forecast_from_a_sample_holds_the_whole(world: World) -> None:
    """Forty of 160 documents are read, and the interval holds what all of them ask."""
    fill(world, 160)
    whole, some = planned(world), planned(world, sample=40)
    assert (some.read, some.to_do) == (40, 160)
    assert some.amounts.input_tokens.low < whole.amounts.input_tokens.expected < some.amounts.input_tokens.high
    assert some.amounts.requests.expected == pytest.approx(whole.amounts.requests.expected, rel=0.1)


def test_a_plan_of_a_run_holds_what_bedrock_then_counts(world: World) -> None:
    """Beyond what is counted whole, windows are: the interval of the round's plan holds the tokens that are paid."""
    fill(world, 400)
    summary = world.run()
    store = world.state().store
    _, outlook = read_prepared(store, 0, 0)
    assert sum(one.windows for one in outlook.densities.values()) > 100
    tokens = sum(row["input_tokens"] for row in world.rows("ledger") if row["round"] == 0)
    found = outlook.input_tokens
    assert found.low < tokens < found.high < 1.1 * found.low
    assert summary.forecast_usd is not None
    assert summary.expected_usd is not None
    assert Decimal(0) < summary.expected_usd <= summary.forecast_usd

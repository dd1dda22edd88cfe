"""Processes at the same run, or at runs over the same documents, at once: one set of rows, and nothing paid twice."""

from __future__ import annotations

import io
import time
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.errors import BudgetExceeded
from pipeline.storage.objects import absolute_uri
from tests.chaos.arena import SHORT_DOCUMENTS, Arena
from tests.chaos.one_run import Ended, Order
from tests.chaos.scene import THREADS, Billed
from tests.world import ANALYSES

FIRST_SEED = 20261123
SEEDS, SEEDS_OF_CHAOS = 1, 12  # of each kind of race
DEADLY_CALLS = 150  # one of so many calls is the last of the racer that dies

Race = tuple[dict[str, Any], Billed]


@pytest.fixture(scope="module")
def alone(arena: Arena) -> Race:
    """The tables and the bill of a run that had no rival."""
    order = arena.order("alone")
    arena.newly_billed()
    arena.finish(order)
    return arena.tables("alone"), arena.newly_billed()


def race(arena: Arena, first: Order, second: Order) -> tuple[Ended, Ended]:
    """What became of two that began at the same moment."""
    for zygote, order in zip(arena.zygotes, (first, second), strict=True):
        zygote.begin(order)
    return arena.zygotes[0].end(), arena.zygotes[1].end()


def seeds(chaos: bool) -> range:
    return range(FIRST_SEED, FIRST_SEED + (SEEDS_OF_CHAOS if chaos else SEEDS))


def test_two_processes_at_one_run(arena: Arena, alone: Race, chaos: bool, figures: Callable[[str], None]) -> None:
    """Both go through the whole run; the tables and the bill are those of one."""
    began, twice = time.monotonic(), list[int]()
    for seed in seeds(chaos):
        place = f"pair-{seed}"
        first, second = arena.order(place), arena.order(place, racer=1)
        assert race(arena, first, second) == (Ended(None, 0),) * 2, arena.told(first) + arena.told(second)
        assert arena.tables(place) == alone[0]
        twice.append(arena.newly_billed().twice_on_demand(alone[1]))
        assert twice[-1] == 0
    figures(f"two at one run: {len(twice)} races, {time.monotonic() - began:.0f} s: nothing billed twice")


def test_one_of_two_is_killed(arena: Arena, alone: Race, chaos: bool, figures: Callable[[str], None]) -> None:
    """At a call by chance; the other goes on, and pays at most what was in flight again."""
    began, twice = time.monotonic(), list[int]()
    for seed in seeds(chaos):
        place, last = f"killed-{seed}", Random(seed).randint(1, DEADLY_CALLS)
        first, second = arena.order(place), arena.order(place, racer=1, dies_after=last)
        survivor, _ = race(arena, first, second)
        assert survivor == Ended(None, 0), arena.told(first)
        assert arena.tables(place) == alone[0], f"seed {seed}: killed after call {last}"
        twice.append(arena.newly_billed().twice_on_demand(alone[1]))
        assert 0 <= twice[-1] <= THREADS
    figures(
        f"two at one run, one killed, from seed {FIRST_SEED}: {len(twice)} races, {time.monotonic() - began:.0f} s: "
        f"0 batch records billed twice, {max(twice)} on demand at most"
    )


def test_two_runs_over_the_same_documents(
    arena: Arena, alone: Race, chaos: bool, figures: Callable[[str], None]
) -> None:
    """Another key, another output, the same moment: two sets of the same answers, paid for once."""
    began, answers = time.monotonic(), results(alone[0])
    for seed in seeds(chaos):
        place = f"overlap-{seed}"
        first, second = arena.order(place), arena.order(place, "rival", racer=1)
        second = arena.elsewhere(second, f"rival-{seed}")
        assert race(arena, first, second) == (Ended(None, 0),) * 2, arena.told(first) + arena.told(second)
        for found in (arena.tables(place), arena.tables(f"rival-{seed}")):
            assert results(found) == answers
        billed = arena.newly_billed()
        assert set(billed.batch.values()) == {1}, "a record was billed twice by jobs"
        assert billed.all() == alone[1].all(), "the two runs together paid for more than one would have"
    races = len(seeds(chaos))
    figures(f"two runs over the same documents: {races} races, {time.monotonic() - began:.0f} s: nothing billed twice")


def test_two_runs_cannot_pass_a_budget_together(
    arena: Arena, alone: Race, chaos: bool, figures: Callable[[str], None]
) -> None:
    """Over different documents at the same moment, with room for one: one is sent, the other is refused."""
    (row,) = (rows[0] for path, rows in alone[0].items() if path.startswith("tables/runs/"))
    budget = row["forecast_usd"] * Decimal("1.2")
    others = arena.folder / "other documents"
    others.mkdir()
    for number in range(SHORT_DOCUMENTS + 2):  # none of them is the same: whoever shares a record takes a batch over
        (others / f"{number}.txt").write_text(f"Another document, number {number}.", "utf-8")
    began = time.monotonic()
    for seed in seeds(chaos):
        place = f"budget-{seed}"
        limits: dict[str, Any] = {"budget_day_usd": str(budget), "only_plans": True}
        first = replace(arena.order(place), **limits)
        second = replace(arena.order(place, "rival", racer=1), **limits)
        second = replace(arena.elsewhere(second, f"other-{seed}"), source_uri=absolute_uri(str(others)))
        ends = race(arena, first, second)
        codes = {Ended(None, 0), Ended(None, BudgetExceeded.exit_code)}
        assert set(ends) == codes, arena.told(first) + arena.told(second)
        winner = first if ends[0].code == 0 else second
        arena.finish(replace(winner, only_plans=False))
        assert 0 < arena.newly_billed_usd() <= budget
    figures(f"two runs at one budget: {len(seeds(chaos))} races, {time.monotonic() - began:.0f} s: none passed it")


def results(tables: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """What each document was answered, without who asked and paid."""
    of_run = {"run_key", "run_date", "input_tokens", "output_tokens", "cost_usd"}
    found: dict[str, list[dict[str, Any]]] = {name: [] for name in ANALYSES}
    for path, content in tables.items():
        if (name := path.split("/")[1]) in found:
            rows = pq.read_table(io.BytesIO(content)).to_pylist()
            found[name] += [{key: value for key, value in row.items() if key not in of_run} for row in rows]
    assert all(found.values())
    return found

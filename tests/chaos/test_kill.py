"""A process that dies of kill -9, at whatever call, leaves a run that the next process ends as if nothing had been."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest

from tests.chaos.arena import Arena
from tests.chaos.one_run import Ended
from tests.chaos.scene import THREADS, Billed

# What `make test` takes: the first call of each of these, of hundreds.
CHOSEN = (
    r"create .*/run\.json$",
    r"create .*/plan\.json$",
    r"create .*\.intent\.json$",
    r"bedrock start$",
    r"bedrock invoke$",
    r"write .*/collected/",
    r"catalog commit_table$",
)
READS = 40  # of the calls that change nothing, `make chaos` takes so many by chance
SEED = 20261123


@dataclass(frozen=True)
class Undisturbed:
    """What a run came to that nothing befell: tables, bill, calls that change something, and how many there are."""

    tables: dict[str, Any]
    billed: Billed
    effects: list[str]
    calls: int


@pytest.fixture(scope="module")
def undisturbed(arena: Arena) -> Undisturbed:
    """A run whose every call is counted."""
    order = arena.order("undisturbed")
    arena.newly_billed()
    arena.finish(order)
    billed, tables, effects = arena.newly_billed(), arena.tables("undisturbed"), arena.calls(order)
    counted = arena.order("counted")
    assert arena.run(counted, only_effects=False) == Ended(None, 0)
    assert arena.newly_billed() == billed
    assert arena.tables("counted") == tables
    return Undisturbed(tables, billed, effects, len(arena.calls(counted)))


def test_a_process_may_be_killed_at_any_call(
    arena: Arena, undisturbed: Undisturbed, chaos: bool, figures: Callable[[str], None]
) -> None:
    """The same bytes, the same rows, no record of a job billed twice, and on demand what was in flight at most."""
    began, twice = time.monotonic(), list[int]()
    for only_effects, number in points(undisturbed, chaos):
        place = f"{'effect' if only_effects else 'call'}-{number}"
        order = arena.order(place)
        ended = arena.run(order, dies_after=number, only_effects=only_effects)
        assert ended in (Ended(signal.SIGKILL, None), Ended(None, 0)), arena.told(order)
        told = f"killed after {place}: {arena.calls(order)[-1:]}"
        arena.finish(order)
        assert arena.tables(place) == undisturbed.tables, told
        twice.append(arena.newly_billed().twice_on_demand(undisturbed.billed))
        assert 0 <= twice[-1] <= THREADS, told
    found = f"{len(twice)} kills at {len(undisturbed.effects)} effects of {undisturbed.calls} calls"
    seconds = time.monotonic() - began
    figures(f"kill -9: {found}, {seconds:.0f} s: 0 batch records billed twice, {max(twice)} on demand at most")


def points(undisturbed: Undisturbed, chaos: bool) -> list[tuple[bool, int]]:
    """Where to kill: (only calls that change something are counted, the number of the call)."""
    effects = undisturbed.effects
    if chaos:
        reads = Random(SEED).sample(range(1, undisturbed.calls), READS)
        return [(True, number) for number in range(len(effects) + 1)] + [(False, number) for number in sorted(reads)]
    chosen = [next(n for n, call in enumerate(effects, 1) if re.match(one, call)) for one in CHOSEN]
    assert len(chosen) == len(set(chosen))
    return [(True, number) for number in chosen]

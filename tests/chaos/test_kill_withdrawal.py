"""Taking a run back, and bringing it back, killed with kill -9 at whatever call: readers see the run whole or not."""

from __future__ import annotations

import re
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest

from pipeline import tables
from tests.chaos.arena import Arena
from tests.chaos.one_run import Ended, Order
from tests.chaos.scene import Billed

# What `make test` takes: the first call of each of these.
TAKING = (
    r"create .*/withdrawn",
    r"write .*/withdrawn/night/.*\.parquet",
    r"write .*/withdrawn/night/.*\.json",
    r"catalog commit_table$",
    r"delete .*/tables/",
)
BRINGING = (r"write .*/tables/", r"catalog commit_table$", r"delete .*/withdrawn/night")
Seen = dict[str, list[str]]


@dataclass(frozen=True)
class Published:
    """A published run, what its readers see, and the calls that take it out and bring it back."""

    order: Order
    seen: Seen
    taking: Sequence[str]
    bringing: Sequence[str]

    @property
    def out(self) -> Order:
        """The order that takes it out of the tables."""
        return replace(self.order, withdraws=True)


def seen(order: Order) -> Seen:
    """Every row of every table, for who reads the tables through the catalog."""
    with tables.open(order.output_uri) as found:
        return {name: sorted(map(repr, found[name].arrow().to_pylist())) for name in found.names}


@pytest.fixture(scope="module")
def published(arena: Arena) -> Published:
    """Taken out and brought back once, so that the calls are known."""
    order = arena.order("taken-back")
    arena.finish(order)
    before, files = seen(order), arena.tables("taken-back")
    out = replace(order, withdraws=True)
    arena.finish(out)
    taking = arena.calls(out)
    assert not any(seen(order).values())
    assert arena.tables("taken-back") == {}
    arena.finish(order)
    bringing = arena.calls(order)
    assert arena.tables("taken-back") == files
    assert seen(order) == before
    arena.newly_billed()
    return Published(order, before, taking, bringing)


def points(calls: Sequence[str], chosen: Sequence[str], chaos: bool) -> list[int]:
    """After which calls to kill: all of them, or the first of each kind."""
    if chaos:
        return list(range(len(calls) + 1))
    return [next(number for number, call in enumerate(calls, 1) if re.match(one, call)) for one in chosen]


def whole_or_without(published: Published) -> bool:
    """Whether the run is in the tables; in some of them and not in others it never is."""
    rows = seen(published.order)
    assert rows == published.seen or not any(rows.values())
    return rows == published.seen


def killed(arena: Arena, order: Order, number: int) -> str:
    """Runs an order that dies after so many calls; the last of them."""
    ended = arena.run(order, dies_after=number)
    assert ended == Ended(signal.SIGKILL, None), arena.told(order)
    return f"killed after call {number}: {arena.calls(order)[-1:]}"


def test_a_withdrawal_may_be_killed_at_any_call(
    arena: Arena, published: Published, chaos: bool, figures: Callable[[str], None]
) -> None:
    """The run is in all tables or in none; the same command takes it out, and another brings it back, to the byte."""
    began, files, still = time.monotonic(), arena.tables("taken-back"), list[bool]()
    for number in points(published.taking, TAKING, chaos):
        told = killed(arena, published.out, number)
        still.append(whole_or_without(published))
        arena.finish(published.out)
        assert arena.tables("taken-back") == {}, told
        assert not whole_or_without(published), told
        arena.finish(published.order)
        assert arena.tables("taken-back") == files, told
        assert whole_or_without(published), told
    assert set(still) == {True, False}
    assert arena.newly_billed() == Billed.of([])
    figures(
        f"withdraw, kill -9: {len(still)} kills at {len(published.taking)} effects, {time.monotonic() - began:.0f} s"
    )


def test_a_killed_withdrawal_may_be_brought_back_at_once(arena: Arena, published: Published, chaos: bool) -> None:
    """Without repeating it first: nothing that it had not yet done is missed."""
    files = arena.tables("taken-back")
    for number in points(published.taking, TAKING, chaos):
        told = killed(arena, published.out, number)
        arena.finish(published.order)
        assert arena.tables("taken-back") == files, told
        assert whole_or_without(published), told


def test_bringing_back_may_be_killed_at_any_call(arena: Arena, published: Published, chaos: bool) -> None:
    """The run is in all tables or in none, and the same command brings it back."""
    files = arena.tables("taken-back")
    for number in points(published.bringing, BRINGING, chaos):
        arena.finish(published.out)
        told = killed(arena, published.order, number)
        whole_or_without(published)
        arena.finish(published.order)
        assert arena.tables("taken-back") == files, told
        assert whole_or_without(published), told
    assert arena.newly_billed() == Billed.of([])

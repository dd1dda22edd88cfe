"""The seam itself: it counts what it says, strikes where it is told, and lets a dead process do nothing more."""

from __future__ import annotations

from collections import Counter

import pytest

from pipeline.errors import ObjectExists
from pipeline.storage.objects import ObjectStore
from tests.chaos.random_plans import draw
from tests.chaos.scene import Billed
from tests.chaos.seam import Killed, Seam, SeamStore, dying_at


def test_the_call_that_a_process_dies_of_took_effect_and_no_later_one() -> None:
    """The second write lies there, the third does not, and nothing can be read either."""
    store, seam = ObjectStore.in_memory(), dying_at(2)
    behind = SeamStore(store, seam)
    behind.write("one", b"1")
    with pytest.raises(Killed):
        behind.write("two", b"2")
    for call in (lambda: behind.write("three", b"3"), lambda: behind.read("one")):
        with pytest.raises(Killed):
            call()
    assert seam.dead
    assert sorted(entry.key for entry in store.list()) == ["one", "two"]


def test_only_what_changes_something_is_counted_where_that_is_asked() -> None:
    """Reads pass; a conditional write that was refused counts, for it was sent."""
    seam = Seam(only_effects=True)
    behind = SeamStore(ObjectStore.in_memory(), seam)
    behind.write("one", b"1", create=True)
    with pytest.raises(ObjectExists):
        behind.write("one", b"2", create=True)
    assert behind.read("one") == b"1"
    assert list(behind.list())
    behind.delete("one")
    assert [name.split()[0] for name in seam.names] == ["create", "create", "delete"]


def test_the_same_seed_is_the_same_trouble() -> None:
    """A seed that failed can be played again; other seeds are other troubles."""
    assert draw(7) == draw(7)
    assert len({draw(seed).as_json() for seed in range(50)}) == 50


@pytest.mark.parametrize(("batch", "on_demand"), [({"a": 2}, {"b": 1}), ({}, {"b": 1}), ({"a": 1}, {"b": 1, "c": 1})])
def test_a_bill_of_other_records_is_refused(batch: dict[str, int], on_demand: dict[str, int]) -> None:
    """A record of a job that was billed twice, or not at all, and a prompt that nobody asked before."""
    undisturbed = Billed(Counter({"a": 1}), Counter({"b": 1}))
    assert Billed(Counter({"a": 1}), Counter({"b": 3})).twice_on_demand(undisturbed) == 2
    with pytest.raises(AssertionError):
        Billed(Counter(batch), Counter(on_demand)).twice_on_demand(undisturbed)

"""Leases: at no moment two holders, takeover from the dead, and zombies that notice."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from obstore.store import MemoryStore

from pipeline.errors import StorageError
from pipeline.storage.leases import Lease, holding
from pipeline.storage.objects import ObjectStore, S3Access, absolute_uri, open_store

SECONDS = 20.0


@dataclass
class Time:
    """A clock that a test moves."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def lease(store: ObjectStore, time: Time) -> Lease:
    return Lease(store, "some.lease.json", SECONDS, time)


def test_one_takes_it_and_the_other_does_not() -> None:
    """The first to create it holds it; it is free again at once when released."""
    store, time = ObjectStore.in_memory(), Time()
    one, other = lease(store, time), lease(store, time)
    assert one.lost
    assert one.take()
    assert not one.lost
    assert not other.take()
    one.release()
    assert one.lost
    assert other.take()
    assert not one.renew()


@pytest.mark.parametrize(("silence", "taken"), [(SECONDS - 0.1, False), (SECONDS, True)])
def test_a_silent_holder_is_taken_over(silence: float, taken: bool) -> None:
    """The watcher counts from when it first saw this version, by its own clock; the old holder has noticed by then."""
    store, holders, watchers = ObjectStore.in_memory(), Time(5000.0), Time(70.0)
    holder, watcher = lease(store, holders), lease(store, watchers)
    assert holder.take()
    assert not watcher.take()
    holders.now += silence
    watchers.now += silence
    assert watcher.take() is taken
    assert holder.lost is taken
    if taken:
        assert not holder.renew()
        holder.release()  # the zombie's release takes nothing from the new holder
        assert watcher.renew()


def test_a_renewed_lease_is_not_taken_over() -> None:
    """However long it is held: each renewal is another version."""
    store, time = ObjectStore.in_memory(), Time()
    holder, watcher = lease(store, time), lease(store, time)
    assert holder.take()
    for _ in range(20):
        time.now += SECONDS / 2
        assert holder.renew()
        assert not watcher.take()
    assert not holder.lost


def test_a_holder_that_could_not_renew_says_that_it_is_lost() -> None:
    """A process that was stopped looks at its clock before it acts; where nobody came, a renewal brings it back."""
    store, time = ObjectStore.in_memory(), Time()
    holder = lease(store, time)
    assert holder.take()
    time.now += 60
    assert holder.lost
    assert holder.renew()
    assert not holder.lost


acts = st.lists(
    st.tuples(st.sampled_from(["take", "take", "renew", "release", "wait"]), st.integers(0, 3), st.floats(0.1, 15)),
    max_size=120,
)


@given(acts)
def test_there_are_never_two_holders(script: list[tuple[str, int, float]]) -> None:
    """Whatever four owners do, and whenever: at most one believes that it holds the lease."""
    store, time = ObjectStore.in_memory(), Time()
    owners = [lease(store, time) for _ in range(4)]
    for act, who, seconds in script:
        if act == "wait":
            time.now += seconds
        else:
            getattr(owners[who], act)()
        assert sum(not owner.lost for owner in owners) <= 1


class Forgetful:
    """A vendor store that writes, and whose answer is then lost and the writing repeated, as S3 clients do."""

    def __init__(self) -> None:
        self._store = MemoryStore()

    def get(self, key: str) -> Any:
        return self._store.get(key)

    def put(self, key: str, content: bytes, mode: Any) -> Any:
        self._store.put(key, content, mode=mode)
        return self._store.put(key, content, mode=mode)


def test_a_write_that_was_repeated_on_the_way_is_still_ours() -> None:
    """The repetition meets our own object; reading it tells."""
    forgetful: Any = Forgetful()
    time = Time()
    owner = lease(ObjectStore(forgetful, "memory://store"), time)
    assert owner.take()
    time.now += 10
    assert owner.renew()
    assert not owner.lost


def test_waiting_ends_when_the_work_is_done() -> None:
    """Who waits for another's lease need not have it once nothing is left to do."""
    store, time = ObjectStore.in_memory(), Time()
    assert lease(store, time).take()
    looks = iter([False, False, True])
    with holding(lease(store, time), done=lambda: next(looks), sleep=time.sleep) as held:
        assert not held
    assert 0 < time.now < SECONDS


def test_waiting_ends_when_the_holder_is_dead() -> None:
    """After `seconds` without a sign of it, and the lease is given back at the end, also by an exception."""
    store, time = ObjectStore.in_memory(), Time()
    assert lease(store, time).take()
    with suppress(ZeroDivisionError), holding(lease(store, time), sleep=time.sleep) as held:
        assert held
        raise ZeroDivisionError
    assert SECONDS <= time.now < SECONDS + 2
    with holding(lease(store, time), sleep=time.sleep) as held:
        assert held


def test_a_lease_is_renewed_while_it_is_held() -> None:
    """A thread of its own renews it; a watcher that waits for longer than `seconds` does not get it."""
    store = ObjectStore.in_memory()
    renewed = threading.Event()

    class Renewed(Lease):
        def renew(self) -> bool:
            kept = super().renew()
            if self._beat > 8:
                renewed.set()
            return kept

    watcher = Lease(store, "key", 60.0)
    with holding(Renewed(store, "key", 0.4)):
        assert renewed.wait(60)
        assert not watcher.take()
    assert watcher.take()


def test_threads_take_turns() -> None:
    """Of many threads with leases of their own, one at a time is inside."""
    store, inside, most = ObjectStore.in_memory(), [], []

    def work() -> None:
        with holding(Lease(store, "key", 60.0), sleep=lambda _: None) as held:
            assert held
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=work) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 12


def test_a_local_folder_has_no_leases(tmp_path: Path) -> None:
    """A file system cannot replace on condition, so that two could hold it: refused."""
    store = open_store(absolute_uri(str(tmp_path)), S3Access("us-west-2"))
    with pytest.raises(StorageError, match="needs S3"):
        Lease(store, "key", SECONDS).take()

"""Lines, shuffling and finding input: the parts of a batch job that touch bytes."""

from __future__ import annotations

from collections import Counter

import obstore
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.local import objects, records
from pipeline.local.records import Shuffle


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line)), st.integers(1, 40))
def test_lines_are_those_of_the_object_however_it_is_cut(lines: list[bytes], piece_bytes: int) -> None:
    """Blank lines are left out; a last line needs no end; the size of a read does not matter."""
    store = objects.in_memory()
    obstore.put(store.open_bucket("b"), "k", b"\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(objects, "_READ_BYTES", piece_bytes)
        assert list(store.lines("b", "k")) == [line for line in lines if line.strip()]


@given(st.lists(st.lists(st.binary(max_size=12))), st.integers(1, 9), st.integers(1, 40))
def test_a_shuffle_loses_and_doubles_nothing(parts: list[list[bytes]], most_lines: int, most_bytes: int) -> None:
    """What goes in comes out, in an order that the seed alone decides, however small the window is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(records, "_WINDOW_LINES", most_lines)
        patch.setattr(records, "_WINDOW_BYTES", most_bytes)
        first, second = (_shuffled(parts, "seed") for _ in range(2))
    assert first == second
    assert Counter(first) == Counter(line for part in parts for line in part)


def _shuffled(parts: list[list[bytes]], seed: str) -> list[bytes]:
    shuffle = Shuffle(seed)
    return [line for part in parts for line in shuffle.exchange(part)] + list(shuffle.rest())


def test_the_seed_decides_the_order() -> None:
    """Two jobs with the same input write it in two orders, neither of them the input's."""
    lines = [[str(n).encode() for n in range(100)]]
    orders = [_shuffled(lines, "a"), _shuffled(lines, "b"), lines[0]]
    assert len({tuple(order) for order in orders}) == 3


@pytest.mark.parametrize(
    ("key", "names"),
    [
        ("in/a.jsonl", ["a.jsonl"]),
        ("in", ["a.jsonl", "deep/b.jsonl"]),
        ("in/", ["a.jsonl", "deep/b.jsonl"]),
        ("i", []),
        ("in/c.jsonl", []),
        ("", ["in/a.jsonl", "in/deep/b.jsonl", "inner.jsonl"]),
    ],
)
def test_a_location_is_a_file_or_a_folder(key: str, names: list[str]) -> None:
    """A folder's name ends at a slash: `in` does not reach `inner.jsonl`."""
    store = objects.in_memory()
    for path in ("in/a.jsonl", "in/deep/b.jsonl", "in/c.txt", "inner.jsonl"):
        obstore.put(store.open_bucket("b"), path, b"x")
    assert [found.name for found in store.find("b", key)] == names

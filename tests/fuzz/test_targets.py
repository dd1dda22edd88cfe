"""The fuzz targets over their seeds and over what hypothesis makes of them, without a fuzzer."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.targets import SEEDS, TARGETS

EVERY_TARGET = pytest.mark.parametrize("name", list(TARGETS))
QUICK = settings(deadline=None, max_examples=150)


@EVERY_TARGET
def test_the_seeds_pass(name: str) -> None:
    """Every target holds for each of its seeds, for none of their bytes, and for each cut off in the middle."""
    assert len(SEEDS[name]) >= 6
    for seed in SEEDS[name]:
        for content in (seed, seed[: len(seed) // 2], b""):
            TARGETS[name](content)


@EVERY_TARGET
@given(st.data())
@QUICK
def test_what_becomes_of_seeds_passes(name: str, data: st.DataObject) -> None:
    """Every target holds for pieces of its seeds with any bytes between them."""
    seeds = [seed[:400] for seed in SEEDS[name]]
    cut = st.tuples(st.sampled_from(seeds), st.integers(0, 400), st.integers(0, 400))
    pieces = st.lists(cut.map(lambda drawn: drawn[0][drawn[1] : drawn[2]]) | st.binary(max_size=8), max_size=6)
    TARGETS[name](data.draw(pieces.map(b"".join)))

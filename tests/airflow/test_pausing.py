"""The pause between two looks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.airflow.pausing import SHARE, SPREAD, Pausing

BOUNDS = st.builds(Pausing, st.floats(0.01, 3600), st.floats(0.01, 3600))
WAITED = st.floats(0, 7 * 24 * 3600)
CHANCE = st.floats(0, 1, exclude_max=True)
MIDDLE = 0.5


@given(BOUNDS, WAITED, CHANCE)
def test_a_pause_keeps_its_bounds(pausing: Pausing, waited: float, chance: float) -> None:
    """Whatever chance says, a pause is within its spread of the shortest and the longest mean."""
    longest = max(pausing.first_seconds, pausing.longest_seconds)
    pause = pausing.pause_seconds(waited, chance)
    assert pausing.first_seconds * (1 - SPREAD) * 0.999 <= pause <= longest * (1 + SPREAD) * 1.001


@given(BOUNDS, WAITED, WAITED, CHANCE)
def test_pauses_never_become_shorter(pausing: Pausing, one: float, other: float, chance: float) -> None:
    """At the same chance, whoever has waited longer pauses at least as long."""
    assert pausing.pause_seconds(min(one, other), chance) <= pausing.pause_seconds(max(one, other), chance)


@given(BOUNDS, WAITED, CHANCE)
def test_chance_spreads_evenly_around_the_mean(pausing: Pausing, waited: float, chance: float) -> None:
    """As likely shorter than the mean as longer, and by as much; so the mean over chance is that of the middle."""
    pair = pausing.pause_seconds(waited, chance) + pausing.pause_seconds(waited, 1 - chance)
    assert pair == pytest.approx(2 * pausing.pause_seconds(waited, MIDDLE))


@given(BOUNDS, CHANCE)
def test_the_first_look_comes_within_the_first_pause(pausing: Pausing, chance: float) -> None:
    """At any moment of it, so that a thousand waits that begin together do not look together."""
    assert 0 <= pausing.first_look_seconds(chance) < pausing.first_seconds


@pytest.mark.parametrize(
    ("waited", "pause"),
    [(0, 30), (600, 30), (1_200, 60), (3_600, 180), (6_000, 300), (80_000, 300)],
)
def test_the_pace_of_a_night(waited: float, pause: float) -> None:
    """With the settings' defaults: half a minute for ten minutes, then a twentieth of the wait, up to five minutes."""
    assert Pausing(30, 300).pause_seconds(waited, MIDDLE) == pytest.approx(pause)


def test_a_job_of_a_day_is_looked_at_some_hundred_times() -> None:
    """The looks of a wait are few, and none is later than a twentieth after the end."""
    waited, looks = 0.0, 0
    while waited < 24 * 3600:
        waited, looks = waited + Pausing(30, 3600).pause_seconds(waited, MIDDLE), looks + 1
    assert looks < 125
    assert waited < 24 * 3600 * (1 + SHARE)

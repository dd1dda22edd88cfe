"""Which shares of a run are usual, and which are suspect."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.quality import FEWEST, FEWEST_RUNS, NEWEST_RUNS, Seen, Share, Tolerance, judge, shape_of, usual_range

TOLERANCE = Tolerance(failure_share=0.5, deviation=0.05)
METHOD = ("prompt", "model")


def seen(
    results: int = 100, failures: int = 0, empty: int = 0, method: tuple[str, str] = METHOD, **labels: int
) -> Seen:
    return Seen(method, results, failures, empty, labels)


def told(now: Seen, past: Sequence[Seen], tolerance: Tolerance = TOLERANCE) -> tuple[str | None, list[str]]:
    verdict = judge({"mood": now}, {"mood": past}, tolerance)
    return verdict.quality, [str(one) for one in verdict.departures]


USUAL = [seen(100, 2, 1, good=70 + n % 3, bad=30 - n % 3) for n in range(6)]

CASES: list[tuple[str, Seen, list[Seen], str | None, list[str]]] = [
    ("as ever", seen(100, 3, 0, good=72, bad=28), USUAL, "usual", []),
    (
        "failures",
        seen(80, 20, 1, good=57, bad=23),
        USUAL,
        "suspect",
        ["mood: failures 20.0% (20 of 100); usual in 6 runs is 0.0% to 7.1%"],
    ),
    (
        "empty",
        seen(100, 2, 30, good=70, bad=30),
        USUAL,
        "suspect",
        ["mood: empty answers 30.0% (30 of 100); usual in 6 runs is 0.0% to 6.2%"],
    ),
    (
        "labels",
        seen(100, 2, 1, good=40, bad=60),
        USUAL,
        "suspect",
        [
            "mood: label 'bad' 60.0% (60 of 100); usual in 6 runs is 14.4% to 43.8%",
            "mood: label 'good' 40.0% (40 of 100); usual in 6 runs is 56.2% to 85.6%",
        ],
    ),
    (
        "a label that was never given",
        seen(100, 2, 1, good=60, bad=28, odd=12),
        USUAL,
        "suspect",
        ["mood: label 'odd' 12.0% (12 of 100); usual in 6 runs is 0.0% to 5.2%"],
    ),
    (
        "a label that is given no more",
        seen(100, 2, 1, good=100),
        USUAL,
        "suspect",
        [
            "mood: label 'bad' 0.0% (0 of 100); usual in 6 runs is 14.4% to 43.8%",
            "mood: label 'good' 100.0% (100 of 100); usual in 6 runs is 56.2% to 85.6%",
        ],
    ),
    ("the first run", seen(100, 2), [], None, []),
    (
        "the first run fails",
        seen(40, 60),
        [],
        "suspect",
        [
            "mood: failures 60.0% (60 of 100); more than 50.0% is too much in any run (DOCBATCH_SUSPECT_FAILURE_SHARE)",
        ],
    ),
    ("too few runs", seen(100, 2, bad=100), USUAL[:4], None, []),
    ("too few documents", seen(1, 18, 0, bad=1), USUAL, None, []),
    ("another prompt", seen(100, 2, 1, ("other", "model"), good=10, bad=90), USUAL, "usual", []),
    ("another model", seen(100, 2, 1, ("prompt", "other"), good=10, bad=90), USUAL, "usual", []),
]


@pytest.mark.parametrize(
    ("now", "past", "quality", "departures"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
def test_what_leaves_its_range_is_suspect(
    now: Seen, past: list[Seen], quality: str | None, departures: list[str]
) -> None:
    """Failures are compared whatever was asked; answers only with those of the same prompt and model."""
    assert told(now, past) == (quality, departures)


def test_a_deviation_that_is_allowed_is_not_suspect() -> None:
    """A wider tolerance takes what a narrow one calls suspect; a share that never moved has one all the same."""
    still = [seen(100_000, 0, good=100_000)] * 6
    now = seen(100_000, 3_000, good=100_000)
    assert told(now, still)[0] == "usual"
    assert told(now, still, Tolerance(0.5, 0.01))[0] == "suspect"


def test_only_the_newest_runs_say_what_is_usual() -> None:
    """What was usual long ago is not; a level that came to stay becomes usual."""
    old, new = [seen(good=100)] * 50, [seen(bad=100)] * NEWEST_RUNS
    assert told(seen(bad=100), old)[0] == "suspect"
    assert told(seen(bad=100), [*old, *new])[0] == "usual"


def test_chance_alone_is_seldom_suspect_and_a_shift_is_found() -> None:
    """Of 400 runs with the same chance at most 2 % are suspect, also where chances vary; with the double one, 95 %."""
    draw = random.Random(7)

    def drawn(chance: float, vary: float = 0.0) -> Share:
        likely, whole = chance + draw.uniform(-vary, vary), draw.choice([50, 200, 1_000])
        return Share(sum(draw.random() < likely for _ in range(whole)), whole)

    def suspects(usual: tuple[float, float], now: float) -> int:
        found = 0
        for _ in range(400):
            share = drawn(now, usual[1])
            limits = usual_range([drawn(*usual) for _ in range(12)], share.whole, 0.05)
            assert limits is not None
            found += not limits[0] <= share.value <= limits[1]
        return found

    assert suspects((0.05, 0.0), 0.05) <= 8
    assert suspects((0.4, 0.0), 0.4) <= 8
    assert suspects((0.4, 0.15), 0.4) <= 8
    assert suspects((0.3, 0.0), 0.6) >= 380


shares = st.integers(FEWEST, 10_000).flatmap(lambda whole: st.builds(Share, st.integers(0, whole), st.just(whole)))


@given(st.lists(shares, min_size=FEWEST_RUNS, max_size=40), st.integers(FEWEST, 100_000), st.floats(0, 1))
def test_a_range_holds_its_mean_and_narrows_with_size(earlier: list[Share], whole: int, deviation: float) -> None:
    """Limits lie between 0 and 1, in order; a larger run has no wider ones."""
    small, large = usual_range(earlier, whole, deviation), usual_range(earlier, 10 * whole, deviation)
    assert small is not None
    assert large is not None
    assert 0 <= small[0] <= large[0] <= large[1] <= small[1] <= 1


ANSWERS: list[tuple[list[dict[str, Any]], str | None, tuple[int, dict[str, int]]]] = [
    ([], "mood", (0, {})),
    ([{"mood": "good"}, {"mood": "bad"}, {"mood": "good"}], "mood", (0, {"bad": 1, "good": 2})),
    ([{"tags": ["b", "a"]}, {"tags": ["a", "a"]}, {"tags": []}], "tags", (1, {"a": 2, "b": 1})),
    ([{"summary": " \n", "points": []}, {"summary": "", "points": ["x"]}], None, (1, {})),
    ([{"score": 0, "sure": False}, {"score": None}], None, (1, {})),
]


@pytest.mark.parametrize(("answers", "label", "shape"), ANSWERS)
def test_the_shape_of_answers(
    answers: list[dict[str, Any]], label: str | None, shape: tuple[int, dict[str, int]]
) -> None:
    """Blank texts and empty lists say nothing; 0 and false do. A label counts once in a result."""
    assert shape_of(answers, label) == shape

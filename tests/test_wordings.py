"""Wordings: a question is asked as often as that helps and no oftener, whatever comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain import Failure, Fate, Outcome, Reason, Request, Stage
from pipeline.wordings import Correction, Next, Tried, ask, best, next_step

FIRST = Request("q", "q", "d", "c", "a", Stage.MAP, 0, 0, 1, None, None, 9, 512, 0)
PART = replace(FIRST, record_id="line")  # of a fused request
LONGEST = 2_048
BAD = Failure(Reason.INVALID, "bad")
ANSWER = {"summary": "s"}
# What may come back for one wording.
FATES: dict[str, Outcome | None] = {
    "unknown": None,
    "missing": Outcome("", Fate.MISSING, failure=Failure(Reason.MISSING, "gone"), retryable=True),
    "busy": Outcome("", Fate.FAILED, failure=Failure(Reason.REFUSED, "busy"), retryable=True),
    "refused": Outcome("", Fate.FAILED, failure=Failure(Reason.REFUSED, "no")),
    "good": Outcome("", Fate.ANSWERED, answer=ANSWER),
    "closed": Outcome("", Fate.ANSWERED, answer=ANSWER, truncated=True),
    "wrong": Outcome("", Fate.FAILED, failure=BAD, raw="prose"),
    "cut": Outcome("", Fate.FAILED, failure=BAD, raw="{half", truncated=True),
}


def history(fates: Sequence[str], longest: int = LONGEST, first: Request = FIRST) -> list[Tried]:
    """The wordings that follow when these fates come back one after the other."""
    tried = [Tried(first, None)]
    for fate in fates:
        step = next_step(tried, longest)
        if step is Next.DONE:
            raise AssertionError(f"{fate} comes back for a question that is not asked any more")
        request = ask(tried, step, longest).request
        tried = tried[:-1] if request == tried[-1].request else tried
        found = FATES[fate]
        tried = [*tried, Tried(request, found and replace(found, record_id=request.record_id))]
    return tried


STEPS: list[tuple[str, Next]] = [
    ("", Next.REPEAT),
    ("unknown", Next.REPEAT),
    ("missing", Next.REPEAT),
    ("busy", Next.REPEAT),
    ("refused", Next.DONE),
    ("good", Next.DONE),
    ("missing busy good", Next.DONE),
    ("wrong", Next.CORRECT),
    ("wrong good", Next.DONE),
    ("wrong wrong", Next.DONE),
    ("wrong missing", Next.REPEAT),
    ("wrong busy wrong", Next.DONE),
    ("wrong refused", Next.DONE),
    ("wrong closed", Next.LENGTHEN),
    ("wrong closed good", Next.DONE),
    ("wrong closed wrong", Next.DONE),
    ("wrong cut", Next.LENGTHEN),
    ("wrong cut missing", Next.REPEAT),
    ("wrong cut wrong", Next.DONE),
    ("wrong cut cut", Next.DONE),
    ("closed", Next.LENGTHEN),
    ("closed good", Next.DONE),
    ("closed closed", Next.DONE),
    ("closed wrong", Next.DONE),
    ("closed cut", Next.DONE),
    ("closed refused", Next.DONE),
    ("closed missing", Next.REPEAT),
    ("closed busy closed", Next.DONE),
    ("cut", Next.LENGTHEN),
    ("cut good", Next.DONE),
    ("cut closed", Next.DONE),
    ("cut refused", Next.DONE),
    ("cut wrong", Next.CORRECT),
    ("cut cut", Next.CORRECT),
    ("cut cut cut", Next.DONE),
    ("cut cut closed", Next.DONE),
    ("cut wrong wrong", Next.DONE),
    ("cut wrong good", Next.DONE),
]


@pytest.mark.parametrize(("fates", "step"), STEPS)
def test_what_is_asked_next(fates: str, step: Next) -> None:
    """After each sequence of fates the question goes on in this way."""
    assert next_step(history(fates.split()), LONGEST) is step


@pytest.mark.parametrize(("fate", "step"), [("closed", Next.DONE), ("cut", Next.CORRECT), ("wrong", Next.CORRECT)])
@pytest.mark.parametrize("longest", [512, 100, -5])
def test_nothing_longer_is_asked_than_there_is_room_for(fate: str, step: Next, longest: int) -> None:
    """Where the limit is reached already, a closed answer is the answer, and an unusable one is corrected."""
    assert next_step(history([fate], longest), longest) is step


@pytest.mark.parametrize(("fates", "step"), STEPS)
def test_a_part_of_a_fused_request_goes_on_in_the_same_way(fates: str, step: Next) -> None:
    """It shares its first record with others, and nothing after that."""
    tried = history(fates.split(), first=PART)
    assert next_step(tried, LONGEST) is step
    assert all(one.request.record_id not in {"line", "q"} for one in tried[1:])


@pytest.mark.parametrize(
    ("fates", "longest", "step"),
    [
        ("closed", 512, Next.LENGTHEN),
        ("cut", 512, Next.LENGTHEN),
        ("closed closed", 512, Next.DONE),
        ("cut cut", 512, Next.DONE),
        ("cut good", 512, Next.DONE),
        ("closed", 511, Next.DONE),
        ("cut", -5, Next.CORRECT),
    ],
)
def test_a_part_that_was_cut_has_the_whole_limit_when_it_is_alone(fates: str, longest: int, step: Next) -> None:
    """Where the fused request had the longest limit already, its part is asked alone with that, and once."""
    assert next_step(history(fates.split(), longest, PART), longest) is step


def test_a_part_is_reworded_from_the_line_that_it_shared() -> None:
    """The first correction starts from the fused record, also after a longer try."""
    for fates in (["wrong"], ["cut", "wrong"]):
        tried = history(fates, first=PART)
        assert ask(tried, Next.CORRECT, LONGEST).source_id == "line"


def test_a_longer_answer_is_tried_once_even_where_more_room_is_found_later() -> None:
    """A margin that was lowered between two rounds is no reason to pay for a third length."""
    assert next_step(history(["cut", "cut"], 1_000), LONGEST) is Next.CORRECT
    assert next_step(history(["closed", "closed"], 1_000), LONGEST) is Next.DONE


@given(st.lists(st.sampled_from(sorted(FATES)), max_size=30), st.sampled_from([100, 512, 513, LONGEST]))
def test_every_question_ends(fates: list[str], longest: int) -> None:
    """Whatever comes back, there are three wordings at most: the first, one correction, one longer try."""
    seen: list[str] = []
    for fate in fates:
        if next_step(history(seen, longest), longest) is Next.DONE:
            break
        seen.append(fate)
    tried = history(seen, longest)
    requests = [one.request for one in tried]
    assert [request.attempt for request in requests] == list(range(len(requests)))
    assert len(requests) <= 3
    assert len({request.record_id for request in requests}) == len(requests)
    assert {request.question_id for request in requests} == {"q"}
    limits = [request.max_output_tokens for request in requests]
    assert limits == sorted(limits)
    assert len(set(limits)) <= 2
    asked = sum(fate not in {"unknown", "missing", "busy"} for fate in seen)
    assert asked <= 3, "only what was not answered is repeated"
    if "good" in seen:
        assert best(tried).answer == ANSWER
        assert not best(tried).truncated
    if {"closed", "good"} & set(seen):
        assert best(tried).fate is Fate.ANSWERED


def test_the_same_history_has_the_same_ids() -> None:
    """An id follows from the question, what is to be corrected and the limit, in whatever order that came about."""
    assert history(["wrong", "cut"]) == history(["wrong", "cut"])
    ids = {str(fates): history(fates)[-1].request.record_id for fates in (["wrong", "good"], ["closed", "good"])}
    ids["longer correction"] = history(["wrong", "cut", "good"])[-1].request.record_id
    tried = [Tried(FIRST, Outcome("q", Fate.FAILED, failure=BAD, raw="other prose"))]
    ids["other prose"] = ask(tried, Next.CORRECT, LONGEST).request.record_id
    tried = [Tried(FIRST, Outcome("q", Fate.FAILED, failure=replace(BAD, detail="worse"), raw="prose"))]
    ids["another problem"] = ask(tried, Next.CORRECT, LONGEST).request.record_id
    assert len({*ids.values(), "q"}) == 6
    assert all(len(one) == 32 for one in ids.values())


def test_what_a_request_is_made_of() -> None:
    """A repetition is its own line, a correction continues the first wording, a longer try repeats the last."""
    missing = history(["missing"])
    assert ask(missing, Next.REPEAT, LONGEST).request == FIRST
    assert ask(missing, Next.REPEAT, LONGEST).source_id == "q"
    cut = history(["cut", "wrong"])
    corrected = ask(cut, Next.CORRECT, LONGEST)
    assert (corrected.source_id, corrected.correction) == ("q", Correction("bad", "prose"))
    assert corrected.request.max_output_tokens == LONGEST
    wrong = history(["wrong", "cut"])
    longer = ask(wrong, Next.LENGTHEN, LONGEST)
    assert (longer.source_id, longer.correction) == (wrong[-1].request.record_id, None)

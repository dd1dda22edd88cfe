"""Settling: what follows from the outcomes of all questions about a document, and what remains at the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from pipeline.analyses import load_analyses, shipped_prompts
from pipeline.domain import Failure, Fate, Outcome, Reason, Request, Stage
from pipeline.settling import Again, Limits, Reduce, Settled, give_up, settle
from pipeline.wordings import Correction, Owed

ANALYSES = load_analyses(shipped_prompts(), output_language="the language of the document")
LIMITS = Limits("m", window_tokens=1_600, margin_tokens=16, max_output_tokens=100)


def one(level: int = 0, position: int = 0, siblings: int = 1, tokens: int | None = None) -> Request:
    stage = Stage.REDUCE if level else Stage.MAP
    return Request(
        f"{level}.{position}",
        f"{level}.{position}",
        "d",
        "c",
        "a",
        stage,
        level,
        position,
        siblings,
        tokens,
        None,
        9,
        9,
        0,
    )


def at_limit(request: Request) -> Request:
    """The same, with the longest answer that there is."""
    return replace(request, max_output_tokens=LIMITS.max_output_tokens)


def again(*requests: Request) -> Again:
    """The very same lines once more."""
    return Again(tuple(Owed(request, request.record_id) for request in requests))


def by_id(outcomes: list[Outcome]) -> dict[str, Outcome]:
    return {outcome.record_id: outcome for outcome in outcomes}


def answered(record_id: str, answer: dict[str, Any], *, truncated: bool = False) -> Outcome:
    return Outcome(record_id, Fate.ANSWERED, answer=answer, truncated=truncated)


def failed(record_id: str, *, retryable: bool) -> Outcome:
    return Outcome(record_id, Fate.FAILED, failure=Failure(Reason.REFUSED, "no"), retryable=retryable)


def unusable(record_id: str, raw: str = "prose", *, cut: bool = False) -> Outcome:
    return Outcome(record_id, Fate.FAILED, failure=Failure(Reason.INVALID, "bad"), truncated=cut, raw=raw)


def reworded(request: Request, record_id: str, limit: int = 0) -> Request:
    """The next wording of a question: a correction, or with a higher limit a longer try."""
    limit = limit or request.max_output_tokens
    return replace(request, record_id=record_id, max_output_tokens=limit, attempt=request.attempt + 1)


MISSED = Outcome("0.0", Fate.MISSING, failure=Failure(Reason.MISSING, "gone"), retryable=True)
S, T = {"summary": "s"}, {"summary": "t"}
HAPPY, ANGRY = {"sentiment": "positive", "score": 1.0}, {"sentiment": "negative", "score": -1.0}
TWO = [one(0, 0, 2, 30), one(0, 1, 2, 10)]
REFUSED = Failure(Reason.REFUSED, "no")

STATES: list[tuple[str, str, list[Request], list[Outcome], object]] = [
    ("nothing yet", "summarization", [one()], [], again(one())),
    ("answered", "summarization", [one()], [answered("0.0", S)], Settled(S, None, Stage.MAP, 1)),
    (
        "answered, cut, and no longer answer is possible",
        "summarization",
        [at_limit(one())],
        [answered("0.0", S, truncated=True)],
        Settled(S, None, Stage.MAP, 1, truncated=True),
    ),
    ("missing", "summarization", [one()], [MISSED], again(one())),
    ("failed for now", "summarization", [one()], [failed("0.0", retryable=True)], again(one())),
    (
        "failed for good",
        "summarization",
        [one()],
        [failed("0.0", retryable=False)],
        Settled(None, REFUSED, Stage.MAP, 1),
    ),
    ("one of two", "summarization", TWO, [answered("0.1", S)], again(TWO[0])),
    (
        "one of two for good",
        "summarization",
        TWO,
        [answered("0.0", S), failed("0.1", retryable=False)],
        Settled(None, Failure(Reason.REFUSED, "map 2 of 2: no"), Stage.MAP, 2),
    ),
    (
        "both, to be joined by a request",
        "summarization",
        TWO[::-1],
        [answered("0.0", S), answered("0.1", T)],
        Reduce("d", "c", (S, T), 1, 2),
    ),
    (
        "both, joined by rule and weight",
        "sentiment",
        [at_limit(TWO[1]), at_limit(TWO[0])],
        [answered("0.0", HAPPY), answered("0.1", ANGRY, truncated=True)],
        Settled({"sentiment": "positive", "score": 0.5}, None, Stage.MAP, 2, truncated=True),
    ),
    (
        "the joining is owed",
        "summarization",
        [*TWO, one(1)],
        [answered("0.0", S), answered("0.1", T)],
        again(one(1)),
    ),
    (
        "a correction that failed keeps what the model wrote, and which part it is about",
        "summarization",
        [*TWO, reworded(TWO[1], "again")],
        [answered("0.0", S), unusable("0.1", "first"), unusable("again", "second")],
        Settled(None, Failure(Reason.INVALID, "map 2 of 2: bad"), Stage.MAP, 2, raw="second"),
    ),
    (
        "a corrected answer is the question's",
        "summarization",
        [*TWO, reworded(TWO[1], "again")],
        [answered("0.0", S), unusable("0.1"), answered("again", T)],
        Reduce("d", "c", (S, T), 1, 2),
    ),
    (
        "a longer answer takes the place of the closed one",
        "summarization",
        [one(), reworded(one(), "longer", 100)],
        [answered("0.0", S, truncated=True), answered("longer", T)],
        Settled(T, None, Stage.MAP, 1),
    ),
    (
        "of a longer try that failed the closed answer stays",
        "summarization",
        [one(), reworded(one(), "longer", 100)],
        [answered("0.0", S, truncated=True), unusable("longer", cut=True)],
        Settled(S, None, Stage.MAP, 1, truncated=True),
    ),
    (
        "joined",
        "summarization",
        [*TWO, one(1)],
        [answered("0.0", S), answered("0.1", S), answered("1.0", T)],
        Settled(T, None, Stage.REDUCE, 2),
    ),
    (
        "joined into several",
        "summarization",
        [*TWO, one(1, 0, 2), one(1, 1, 2)],
        [answered("0.0", S), answered("0.1", S), answered("1.0", T), answered("1.1", S)],
        Reduce("d", "c", (T, S), 2, 2),
    ),
    (
        "the joining failed for good",
        "summarization",
        [*TWO, one(1)],
        [answered("0.0", S), answered("0.1", S), failed("1.0", retryable=False)],
        Settled(None, REFUSED, Stage.REDUCE, 2),
    ),
]


@pytest.mark.parametrize(
    ("name", "requests", "outcomes", "next_step"), [case[1:] for case in STATES], ids=[c[0] for c in STATES]
)
def test_what_follows(name: str, requests: list[Request], outcomes: list[Outcome], next_step: object) -> None:
    """From the requests of a document and their newest outcomes: ask again, join, or it is settled."""
    assert settle(ANALYSES[name], requests, by_id(outcomes), LIMITS) == next_step


def test_a_cut_answer_is_asked_longer_and_an_unusable_one_corrected() -> None:
    """Both in one step: each question as it is owed, from the line that holds its words."""
    position = settle(
        ANALYSES["summarization"], TWO, by_id([answered("0.0", S, truncated=True), unusable("0.1")]), LIMITS
    )
    assert isinstance(position, Again)
    longer, corrected = position.owed
    assert (longer.source_id, longer.request.max_output_tokens, longer.correction) == ("0.0", 100, None)
    assert (corrected.source_id, corrected.request.max_output_tokens) == ("0.1", 9)
    assert corrected.correction == Correction("bad", "prose")
    assert {longer.request.attempt, corrected.request.attempt} == {1}
    assert [one.request.question_id for one in position.owed] == ["0.0", "0.1"]


@pytest.mark.parametrize(
    ("input_tokens", "longest"), [(None, 100), (1_000, 100), (1_500, 84), (1_580, 4), (1_600, -16)]
)
def test_a_longer_answer_stays_inside_the_window(input_tokens: int | None, longest: int) -> None:
    """The model's limit, or what the window leaves behind a prompt that was counted."""
    assert LIMITS.longest_tokens(replace(one(), input_tokens=input_tokens)) == longest


NOTHING = Failure(Reason.MISSING, "no answer in any round")
ENDS: list[tuple[str, list[Request], list[Outcome], Settled]] = [
    ("nothing at all", [one()], [], Settled(None, NOTHING, Stage.MAP, 1)),
    ("an error that did not pass", [one()], [failed("0.0", retryable=True)], Settled(None, REFUSED, Stage.MAP, 1)),
    (
        "a part without an answer",
        TWO,
        [answered("0.0", S)],
        Settled(None, replace(NOTHING, detail=f"map 2 of 2: {NOTHING.detail}"), Stage.MAP, 2),
    ),
    (
        "summaries that were not joined",
        TWO,
        [answered("0.0", S), answered("0.1", T)],
        Settled(None, Failure(Reason.MISSING, "the rounds ended before 2 answers were joined"), Stage.REDUCE, 2),
    ),
    ("an answer that was closed", [one()], [answered("0.0", S, truncated=True)], Settled(S, None, Stage.MAP, 1, True)),
    (
        "a longer try that is missing",
        [one(), reworded(one(), "longer", 100)],
        [answered("0.0", S, truncated=True), replace(MISSED, record_id="longer")],
        Settled(S, None, Stage.MAP, 1, truncated=True),
    ),
    (
        "a correction that is missing",
        [one(), reworded(one(), "again")],
        [unusable("0.0"), replace(MISSED, record_id="again")],
        Settled(None, Failure(Reason.INVALID, "bad"), Stage.MAP, 1, raw="prose"),
    ),
    (
        "a correction that no round sent",
        [one()],
        [unusable("0.0")],
        Settled(None, Failure(Reason.INVALID, "bad"), Stage.MAP, 1, raw="prose"),
    ),
]


@pytest.mark.parametrize(("requests", "outcomes", "end"), [case[1:] for case in ENDS], ids=[case[0] for case in ENDS])
def test_what_remains_after_the_last_round(requests: list[Request], outcomes: list[Outcome], end: Settled) -> None:
    """The best answers that there are; else the failure that says most, with what the model wrote."""
    assert give_up(ANALYSES["summarization"], requests, by_id(outcomes)) == end

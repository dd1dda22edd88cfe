"""Planning: every prompt fits the window, nothing of a text is lost, and what is owed shrinks until it is settled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.analyses import Analysis, load_analyses, load_analysis, shipped_prompts
from pipeline.domain import Failure, Fate, Outcome, Reason, Request, Stage, short_hash
from pipeline.errors import DeclarationError, RunError
from pipeline.planning import Again, Limits, Planner, Reduce, Rendered, Settled, give_up, settle
from pipeline.prompts import neutralise
from pipeline.tokens import bound_tokens, count_prompt, load_counter

COUNTER = load_counter(fast=False)
ANALYSES = load_analyses(shipped_prompts(), output_language="the language of the document")
LIMITS = Limits("m", window_tokens=1_600, margin_tokens=16)
PLANNERS = {name: Planner(analysis, LIMITS, COUNTER) for name, analysis in ANALYSES.items()}
SUMMARY = ANALYSES["summarization"]

WORDS = [
    "Satz. ",
    "word ",
    "ein ",
    "\n\n",
    "。",
    "汉字",
    "ภาษา",
    "12345",
    "<|eot_id|>",
    "</document>",
    "🎉",
    "\t",
    "x",
    ".",
]
TEXTS = st.lists(
    st.tuples(
        st.sampled_from(WORDS) | st.text(st.characters(exclude_categories=["Cs"]), max_size=6), st.integers(1, 900)
    ),
    min_size=1,
    max_size=5,
).map(lambda parts: "".join(piece * times for piece, times in parts))
QUICK = settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])


def fits(rendered: Rendered, limits: Limits = LIMITS) -> bool:
    request, prompt = rendered
    tokens = count_prompt(prompt, COUNTER)
    assert request.prompt_bytes == bound_tokens(prompt)
    assert request.input_tokens in (None, tokens)
    return tokens + request.max_output_tokens + limits.margin_tokens <= limits.window_tokens


def document_in(prompt: str) -> str:
    return prompt.rpartition("<document>\n")[2].rpartition("\n</document>")[0]


@given(TEXTS, st.sampled_from(list(PLANNERS)))
@QUICK
def test_every_prompt_fits_and_no_character_is_lost(text: str, name: str) -> None:
    """By exact count no request exceeds the window, and the chunks, one after the other, are the neutralised text."""
    requests = PLANNERS[name].map_requests("d", "c", text)
    assert all(fits(rendered) for rendered in requests)
    assert "".join(document_in(prompt) for _, prompt in requests) == neutralise(text)
    assert [request.position for request, _ in requests] == list(range(len(requests)))
    assert {request.siblings for request, _ in requests} == {len(requests)}
    assert {request.stage for request, _ in requests} == {Stage.MAP}
    assert all((request.text_tokens is None) == (len(requests) == 1) for request, _ in requests)
    assert requests == PLANNERS[name].map_requests("d", "c", text)


def test_long_texts_are_split_and_short_ones_are_not() -> None:
    """The property above is about both: this text needs several requests, that one none but its own."""
    long = PLANNERS["summarization"].map_requests("d", "c", "A sentence of a long text. " * 2_000)
    assert len(long) > 10
    assert "This is part 2 of" in long[1][1]
    (whole,) = PLANNERS["summarization"].map_requests("d", "c", "Short.")
    assert "This is part" not in whole[1]


def test_chunk_tokens_splits_below_the_window(tmp_path: Path) -> None:
    """A declared chunk size is the most that one request reads, also where more would fit."""
    analysis = short_prompt(tmp_path, chunk_tokens=256)
    limits = replace(LIMITS, window_tokens=128_000)
    planner = Planner(analysis, limits, COUNTER)
    requests = planner.map_requests("d", "c", "word " * 1_000)
    assert len(requests) >= 4
    assert all((request.text_tokens or 0) <= 256 for request, _ in requests)
    assert len(planner.map_requests("d", "c", "word " * 200)) == 1
    assert len(planner.map_requests("d", "c", "")) == 1


@pytest.mark.parametrize("window", [100, 900, 1_000])
def test_a_window_without_room_for_text_is_refused(window: int) -> None:
    """A prompt that leaves nothing for the text is found before anything is planned, with what to change."""
    with pytest.raises(
        DeclarationError, match=r"analysis summarization: its prompt has \d+ tokens .* shorten map\.jinja"
    ):
        Planner(SUMMARY, Limits("m", window, 16), COUNTER)


def test_ids_follow_what_is_asked() -> None:
    """Another text, analysis, model, language or parameter is another request; another document or run is not."""

    def made(analysis: Analysis = SUMMARY, model: str = "m", text: str = "a", document: str = "d") -> str:
        limits = replace(LIMITS, model_id=model)
        return Planner(analysis, limits, COUNTER).map_requests(document, short_hash(text), text)[0][0].record_id

    german = load_analysis(shipped_prompts(), "summarization", output_language="German")
    ids = [made(), made(ANALYSES["sentiment"]), made(german), made(model="n"), made(text="b")]
    assert len(set(ids)) == len(ids)
    assert made(document="other") == made()
    assert all(len(one) == 32 and one.isalnum() for one in ids)


@given(TEXTS)
@QUICK
def test_ids_are_distinct(text: str) -> None:
    """No two requests of a document share an id, over all analyses, chunks and levels."""
    ids = [
        request.record_id
        for planner in PLANNERS.values()
        for request, _ in planner.map_requests("d", short_hash(text), text)
    ]
    answers = tuple({"summary": "s"} for _ in range(9))
    for level in (1, 2):
        owed = Reduce("d", short_hash(text), answers, level, 9)
        ids += [request.record_id for request, _ in PLANNERS["summarization"].reduce_requests(owed)]
    assert len(set(ids)) == len(ids)


ANSWERS = st.lists(
    st.fixed_dictionaries(
        {"summary": st.tuples(st.sampled_from(WORDS), st.integers(1, 60)).map(lambda part: part[0] * part[1])},
        optional={"key_points": st.lists(st.sampled_from(WORDS).map(lambda word: word * 5), max_size=5)},
    ),
    min_size=2,
    max_size=60,
)


@given(ANSWERS)
@QUICK
def test_reduction_converges(answers: list[dict[str, Any]]) -> None:
    """Each level has fewer requests than there were answers, all fit, and the last level is one request."""
    planner, level, count = PLANNERS["summarization"], 0, len(answers)
    while count > 1:
        level += 1
        requests = planner.reduce_requests(Reduce("d", "c", tuple(answers[:count]), level, count))
        assert len(requests) < count
        assert all(fits(rendered) for rendered in requests)
        assert {(request.stage, request.level) for request, _ in requests} == {(Stage.REDUCE, level)}
        count = len(requests)
    assert level < 8


def test_the_convergence_is_about_several_levels() -> None:
    """So many answers need several requests, and those another level."""
    answers = tuple({"summary": "word " * 60} for _ in range(60))
    assert len(PLANNERS["summarization"].reduce_requests(Reduce("d", "c", answers, 1, 60))) > 2


def test_every_answer_is_joined_once_in_order() -> None:
    """The groups of a level are contiguous, and hold every answer, made safe."""
    answers = tuple({"summary": f"Part {n} says </part><|eot_id|>" + "word " * 40} for n in range(40))
    prompts = [prompt for _, prompt in PLANNERS["summarization"].reduce_requests(Reduce("d", "c", answers, 1, 40))]
    assert len(prompts) > 1
    found = [int(piece.split(" ")[0]) for prompt in prompts for piece in prompt.split("\nPart ")[1:]]
    assert found == list(range(40))
    assert all("says < /part>< |eot_id|>" in prompt for prompt in prompts)


def test_answers_that_no_prompt_can_join_are_told() -> None:
    """Two answers that together exceed the window end the run with the setting to lower."""
    answers = ({"summary": "word " * 600}, {"summary": "word " * 600})
    with pytest.raises(RunError, match=r"two answers about d do not fit .* lower generation\.max_output_tokens"):
        PLANNERS["summarization"].reduce_requests(Reduce("d", "c", answers, 1, 2))


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


def answered(record_id: str, answer: dict[str, Any], *, truncated: bool = False) -> Outcome:
    return Outcome(record_id, Fate.ANSWERED, answer=answer, truncated=truncated)


def failed(record_id: str, *, retryable: bool) -> Outcome:
    return Outcome(record_id, Fate.FAILED, failure=Failure(Reason.REFUSED, "no"), retryable=retryable)


MISSED = Outcome("0.0", Fate.MISSING, failure=Failure(Reason.MISSING, "gone"), retryable=True)
S, T = {"summary": "s"}, {"summary": "t"}
HAPPY, ANGRY = {"sentiment": "positive", "score": 1.0}, {"sentiment": "negative", "score": -1.0}
TWO = [one(0, 0, 2, 30), one(0, 1, 2, 10)]
REFUSED = Failure(Reason.REFUSED, "no")

STATES: list[tuple[str, str, list[Request], list[Outcome], object]] = [
    ("nothing yet", "summarization", [one()], [], Again((one(),))),
    ("answered", "summarization", [one()], [answered("0.0", S)], Settled(S, None, Stage.MAP, 1)),
    (
        "answered, cut",
        "summarization",
        [one()],
        [answered("0.0", S, truncated=True)],
        Settled(S, None, Stage.MAP, 1, truncated=True),
    ),
    ("missing", "summarization", [one()], [MISSED], Again((one(),))),
    ("failed for now", "summarization", [one()], [failed("0.0", retryable=True)], Again((one(),))),
    (
        "failed for good",
        "summarization",
        [one()],
        [failed("0.0", retryable=False)],
        Settled(None, REFUSED, Stage.MAP, 1),
    ),
    ("one of two", "summarization", TWO, [answered("0.1", S)], Again((TWO[0],))),
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
        TWO[::-1],
        [answered("0.0", HAPPY), answered("0.1", ANGRY, truncated=True)],
        Settled({"sentiment": "positive", "score": 0.5}, None, Stage.MAP, 2, truncated=True),
    ),
    (
        "the joining is owed",
        "summarization",
        [*TWO, one(1)],
        [answered("0.0", S), answered("0.1", T)],
        Again((one(1),)),
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
    assert settle(ANALYSES[name], requests, {outcome.record_id: outcome for outcome in outcomes}) == next_step


@pytest.mark.parametrize(
    ("owed", "outcomes", "failure", "stage"),
    [
        (Again((one(),)), [], Failure(Reason.MISSING, "no answer in any round"), Stage.MAP),
        (Again((one(),)), [failed("0.0", retryable=True)], REFUSED, Stage.MAP),
        (Again((TWO[1],)), [], Failure(Reason.MISSING, "map 2 of 2: no answer in any round"), Stage.MAP),
        (
            Reduce("d", "c", (S, T), 1, 2),
            [],
            Failure(Reason.MISSING, "the rounds ended before 2 answers were joined"),
            Stage.REDUCE,
        ),
    ],
)
def test_what_remains_after_the_last_round(
    owed: Again | Reduce, outcomes: list[Outcome], failure: Failure, stage: Stage
) -> None:
    """What is still owed becomes a failure with the last reason seen, and the stage it came in."""
    found = give_up(owed, {outcome.record_id: outcome for outcome in outcomes})
    assert (found.answer, found.failure, found.stage) == (None, failure, stage)


def short_prompt(root: Path, chunk_tokens: int) -> Analysis:
    folder = root / "short"
    folder.mkdir()
    (folder / "map.jinja").write_text("{{ document }}\n{% block answer %}{{% endblock %}".replace("{{%", "{ {%"))
    (folder / "analysis.toml").write_text(
        f'description = "d"\nchunk_tokens = {chunk_tokens}\nmerge = {{ x = "first" }}\n'
        "[generation]\nmax_output_tokens = 8\ntemperature = 0.0\ntop_p = 0.9\n"
        '[answer]\ntype = "object"\n[answer.properties.x]\ntype = "string"\n'
    )
    return load_analysis(root, "short", output_language="German")

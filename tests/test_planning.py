"""Planning: every prompt fits the window, nothing of a text is lost, and what is owed shrinks until it is settled."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.analyses import Analysis, load_analyses, load_analysis, shipped_prompts
from pipeline.domain import Stage, short_hash
from pipeline.errors import DeclarationError, RunError
from pipeline.neutralising import neutralise
from pipeline.planning import Planner, Rendered
from pipeline.settling import Limits, Reduce
from pipeline.tokens import bound_tokens, count_prompt, load_counter

COUNTER = load_counter(fast=False)
ANALYSES = load_analyses(shipped_prompts(), output_language="the language of the document")
LIMITS = Limits("m", window_tokens=1_600, margin_tokens=16, max_output_tokens=2_048)
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
        Planner(SUMMARY, Limits("m", window, 16, 2_048), COUNTER)


def test_ids_follow_what_is_asked() -> None:
    """Another text, analysis, model, language or parameter is another request; another document or run is not."""

    def made(analysis: Analysis = SUMMARY, model: str = "m", text: str = "a", document: str = "d") -> str:
        limits = replace(LIMITS, answers_by=model)
        return Planner(analysis, limits, COUNTER).map_requests(document, short_hash(text), text)[0][0].record_id

    german = load_analysis(shipped_prompts(), "summarization", output_language="German")
    ids = [made(), made(ANALYSES["sentiment"]), made(german), made(model="n"), made(text="b")]
    assert len(set(ids)) == len(ids)
    assert made(document="other") == made()
    assert all(len(one) == 32 and one.isalnum() for one in ids)


def test_ids_follow_the_characters_of_a_chunk() -> None:
    """Another split of the same text into as many chunks is other requests; a whole text is one under any window."""
    text = "".join(f"Sentence {n}{' goes on' * (n % 9)}." + "\n\n" * (n % 7 == 0) + " " for n in range(900))
    planners = [
        Planner(SUMMARY, replace(LIMITS, window_tokens=window, margin_tokens=margin), COUNTER)
        for window, margin in ((1_600, 16), (1_620, 16), (1_780, 16), (1_780, 36))
    ]
    split = [planner.map_requests("d", "c", text) for planner in planners]
    by_place: dict[tuple[int, int], set[str]] = {}
    by_id: dict[str, set[str]] = {}
    for request, prompt in (rendered for requests in split for rendered in requests):
        by_place.setdefault((request.position, request.siblings), set()).add(prompt)
        by_id.setdefault(request.record_id, set()).add(prompt)
    assert any(len(prompts) > 1 for prompts in by_place.values()), "no two splits differ in their characters alone"
    assert all(len(prompts) == 1 for prompts in by_id.values())
    assert len(by_id) == len({prompt for prompts in by_id.values() for prompt in prompts})
    assert len({planner.map_requests("d", "c", "Short.")[0][0].record_id for planner in planners}) == 1


def test_ids_follow_the_answers_that_are_joined() -> None:
    """The reduction of other answers, or of the same in another order, is another request."""
    planner = PLANNERS["summarization"]
    made = [
        planner.reduce_requests(Reduce("d", "c", answers, 1, 2))[0][0].record_id
        for answers in (
            ({"summary": "a"}, {"summary": "b"}),
            ({"summary": "a"}, {"summary": "c"}),
            ({"summary": "b"}, {"summary": "a"}),
            ({"summary": "a"}, {"summary": "b", "key_points": ["x"]}),
        )
    ]
    assert len(set(made)) == 4
    assert (
        planner.reduce_requests(Reduce("d", "c", ({"summary": "a"}, {"summary": "b"}), 1, 2))[0][0].record_id == made[0]
    )


def test_a_prompt_without_a_count_leaves_room_for_the_longest_answer() -> None:
    """Counting is spared only where the bytes prove that the model's longest answer fits, too."""
    wide = Planner(SUMMARY, replace(LIMITS, window_tokens=8_000), COUNTER)
    found = [wide.map_requests("d", "c", "word " * words)[0][0] for words in range(100, 1_500, 100)]
    for request in found:
        proved = request.prompt_bytes + 2_048 + LIMITS.margin_tokens <= 8_000
        assert (request.input_tokens is None) == proved
    assert len({request.input_tokens is None for request in found}) == 2


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

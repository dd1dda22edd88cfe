"""Fused analyses: what one request asks for several, and how its one answer and its tokens are split into parts."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analyses import load_analyses, shipped_prompts
from pipeline.domain import FUSED_BY, Usage, short_hash
from pipeline.errors import DeclarationError
from pipeline.fusing import Part, fuse, fused_fingerprint, read_parts
from pipeline.ledger import shared
from pipeline.money.costs import fused_saving
from pipeline.neutralising import neutralise
from pipeline.planning import FusedPlanner, Planner, method_id
from pipeline.settling import Limits
from pipeline.tokens import CONTROL_TOKENS, count_prompt, load_counter
from tests.conftest import Golden
from tests.test_prompts_shipped import CONTROL, DOCUMENT, HOSTILE

LANGUAGE = "the language of the document"
NAMES = ["classification", "sentiment", "summarization"]
ANALYSES = load_analyses(shipped_prompts(), output_language=LANGUAGE)
COUNTER = load_counter(fast=False)
LIMITS = Limits("m", window_tokens=3_000, margin_tokens=16, max_output_tokens=2_048)
TRIO = fuse(shipped_prompts(), ANALYSES, NAMES, 2_048)
PLANNER = FusedPlanner(TRIO, LIMITS, COUNTER)
GOOD = {
    "classification": {"category": "review"},
    "sentiment": {"sentiment": "mixed", "score": 0.5},
    "summarization": {"summary": "A kettle.", "key_points": ["It is quiet."]},
}
ANSWER = json.dumps(GOOD)


def read(text: str) -> list[Part]:
    """What is behind the begun answer, which `text` holds too."""
    assert text.startswith(TRIO.map.begun)
    return read_parts(text.removeprefix(TRIO.map.begun), TRIO.map.begun, TRIO.parts)


def own(tmp_path: Path) -> Path:
    return Path(shutil.copytree(shipped_prompts(), tmp_path / "prompts"))


@pytest.mark.parametrize("place", [(1, 1), (2, 3)], ids=["map", "map_part"])
def test_the_fused_prompt(golden: Golden, place: tuple[int, int]) -> None:
    """The prompt that asks for the three shipped analyses at once is this text."""
    golden(
        f"fused.{'map' if place == (1, 1) else 'map_part'}.txt",
        TRIO.map.render(document=DOCUMENT, position=place[0], siblings=place[1]),
    )


def test_the_answers_may_be_as_long_as_all_of_theirs() -> None:
    """The limit is the sum of the limits with room for the names, and never beyond the model's own."""
    caps = sum(part.generation.max_output_tokens for part in TRIO.parts)
    assert caps < TRIO.generation.max_output_tokens < caps + 100
    assert fuse(shipped_prompts(), ANALYSES, NAMES, 300).generation.max_output_tokens == 300


@given(text=HOSTILE)
@settings(deadline=None, max_examples=100)
def test_no_text_breaks_out_of_a_fused_prompt(text: str) -> None:
    """Control tokens and fences are the template's own, and the document comes back out as it went in."""
    safe, place = neutralise(text), {"position": 1, "siblings": 2}
    empty, prompt = TRIO.map.render(document="", **place), TRIO.map.render(document=safe, **place)
    assert CONTROL.findall(prompt) == CONTROL.findall(empty)
    for fence in ("</document", "<document"):
        assert prompt.lower().count(fence) == empty.lower().count(fence)
    assert TRIO.map.document_in(prompt, **place) == safe
    assert count_prompt(prompt, COUNTER) > 0
    assert CONTROL_TOKENS


def test_a_whole_answer_has_all_its_parts() -> None:
    """Every part is parsed by its own schema, and their bytes are those that were written for them."""
    parts = read(ANSWER)
    assert [part.parsed.answer for part in parts] == list(GOOD.values())
    assert [part.written_bytes for part in parts] == [len(json.dumps(value)) for value in GOOD.values()]
    assert not any(part.parsed.cut for part in parts)


def changed(**parts: Any) -> str:
    return json.dumps({name: value for name, value in {**GOOD, **parts}.items() if value is not None})


@pytest.mark.parametrize(
    ("text", "failing", "reason", "cut"),
    [
        (changed(sentiment={"sentiment": "glad", "score": 0}), ["sentiment"], "invalid", []),
        (changed(classification={"category": "novel"}), ["classification"], "invalid", []),
        (changed(sentiment=None), ["sentiment"], "malformed", []),
        (changed(sentiment="mixed"), ["sentiment"], "malformed", []),
        (changed(summarization={}), ["summarization"], "invalid", []),
        (ANSWER[: ANSWER.index(', "key_points')], [], "", ["summarization"]),
        (ANSWER[: ANSWER.index("A kettle") + 3], [], "", ["summarization"]),
        (ANSWER[: ANSWER.index(', "summarization')], ["summarization"], "malformed", ["sentiment", "summarization"]),
        (TRIO.map.begun + "I cannot say.", NAMES, "", NAMES),
        (f"{ANSWER}\nThat is all.", [], "", []),
    ],
)
def test_a_part_fails_alone(text: str, failing: list[str], reason: str, cut: list[str]) -> None:
    """What can be read of an answer is kept, also of one that was cut; only what is missing or wrong fails."""
    parts = dict(zip(NAMES, read(text), strict=True))
    assert [name for name, part in parts.items() if part.parsed.answer is None] == failing
    assert [name for name, part in parts.items() if part.parsed.cut] == cut
    for name in failing if reason else []:
        failure = parts[name].parsed.failure
        assert failure is not None
        assert failure.reason == reason


def test_what_was_written_of_a_part_stands_behind_its_own_prompt() -> None:
    """The text of a part that failed goes on where the analysis' own prompt would have begun the answer."""
    part = read(changed(classification={"category": "novel"}))[0]
    assert json.loads(ANALYSES["classification"].map.begun + part.raw) == {"category": "novel"}


@given(
    usage=st.builds(Usage, st.integers(0, 10**6), st.integers(0, 10**5)),
    written=st.lists(st.integers(0, 10**5), min_size=1, max_size=6),
)
def test_shares_add_up_to_the_token(usage: Usage, written: list[int]) -> None:
    """Nothing is lost or made up; input differs by one token at most, output by one from its exact share."""
    parts = shared(usage, written)
    assert sum(parts, Usage(0, 0)) == usage
    inputs = [part.input_tokens for part in parts]
    assert inputs == sorted(inputs, reverse=True)
    assert max(inputs) - min(inputs) <= 1
    weights = written if any(written) else [1] * len(written)
    for part, weight in zip(parts, weights, strict=True):
        assert abs(part.output_tokens - usage.output_tokens * weight / sum(weights)) < 1


@pytest.mark.parametrize(
    ("usage", "written", "shares"),
    [
        (Usage(100, 10), [10, 10, 80], [(34, 1), (33, 1), (33, 8)]),
        (Usage(2, 2), [1, 1, 1], [(1, 1), (1, 1), (0, 0)]),
        (Usage(9, 5), [0, 0, 0], [(3, 2), (3, 2), (3, 1)]),
        (Usage(9, 5), [0, 3, 0], [(3, 0), (3, 5), (3, 0)]),
        (Usage(7, 0), [2, 5], [(4, 0), (3, 0)]),
    ],
)
def test_how_tokens_are_shared(usage: Usage, written: list[int], shares: list[tuple[int, int]]) -> None:
    """Input equally, output by the bytes of each part, what is left over to the largest remainder, then the first."""
    assert [(one.input_tokens, one.output_tokens) for one in shared(usage, written)] == shares


def test_what_fusing_saves_is_the_documents_and_rules_that_are_not_sent() -> None:
    """From the reported count alone: three prompts for a document, less the fused one, as counted one by one."""
    text = "The kettle is quiet. " * 40
    place = {"position": 1, "siblings": 1}
    tokens = count_prompt(TRIO.map.render(document=text, **place), COUNTER)
    alone = [count_prompt(one.map.render(document=text, **place), COUNTER) for one in ANALYSES.values()]
    overheads = [Planner(one, LIMITS, COUNTER).overhead_tokens(1, 1) for one in ANALYSES.values()]
    found = fused_saving(tokens, PLANNER.overhead_tokens(1, 1), overheads)
    assert abs(found - (sum(alone) - tokens)) <= 2 * len(alone)  # at a seam two tokens may join into one
    assert found > 2 * COUNTER.count(text)


def test_a_question_is_the_same_whoever_asks_beside_it() -> None:
    """In a trio, in a pair or alone, an analysis has one question id for a text; only the record differs."""
    pair = FusedPlanner(fuse(shipped_prompts(), ANALYSES, NAMES[:2], 2_048), LIMITS, COUNTER)
    alone = Planner(ANALYSES["sentiment"], LIMITS, COUNTER, TRIO.fingerprint)
    (three,), (two,), (one,) = (planner.map_requests("d", "c", "Text.") for planner in (PLANNER, pair, alone))
    asked = [{part.analysis: part for part in found.parts()}["sentiment"] for found, _ in (three, two, one)]
    assert len({part.question_id for part in asked}) == 1
    assert len({part.record_id for part in asked}) == 3
    assert one[0].record_id == one[0].question_id
    assert [part.shares_record for part in asked] == [True, True, False]
    assert three[0].analysis == FUSED_BY.join(NAMES)
    plain = Planner(ANALYSES["sentiment"], LIMITS, COUNTER).map_requests("d", "c", "Text.")[0][0]
    assert plain.question_id != one[0].question_id


def test_switching_fuse_changes_the_method_and_another_prompt_does_not(tmp_path: Path) -> None:
    """The fused template is part of how an analysis is asked; the rules of another analysis are not."""
    sentiment = ANALYSES["sentiment"]
    assert method_id(sentiment, LIMITS) != method_id(sentiment, LIMITS, TRIO.fingerprint)
    prompts = own(tmp_path)
    template = prompts / "classification" / "map.jinja"
    template.write_text(template.read_text("utf-8").replace("Choose one", "Take one"), "utf-8")
    assert fused_fingerprint(prompts) == TRIO.fingerprint
    template = prompts / "_shared" / "fused.jinja"
    template.write_text(template.read_text("utf-8").replace("Do every", "Now do every"), "utf-8")
    assert fused_fingerprint(prompts) != TRIO.fingerprint


def test_prompts_without_a_fused_template_take_the_shipped_one(tmp_path: Path) -> None:
    """A folder of one's own that was made before there was one works as it is."""
    prompts = own(tmp_path)
    (prompts / "_shared" / "fused.jinja").unlink()
    assert fused_fingerprint(prompts) == TRIO.fingerprint
    analyses = load_analyses(prompts, output_language=LANGUAGE)
    place = {"document": "x", "position": 1, "siblings": 1}
    assert fuse(prompts, analyses, NAMES, 2_048).map.render(**place) == TRIO.map.render(**place)


def test_chunks_fit_the_fused_prompt() -> None:
    """A long text is split by what the fused prompt leaves of the window, and nothing of it is lost."""
    text = "".join(f"Sentence {number} about the crane. " for number in range(900))
    found = PLANNER.map_requests("d", short_hash(text), text)
    assert len(found) > 2
    documents = []
    for request, prompt in found:
        tokens = count_prompt(prompt, COUNTER)
        assert tokens + request.max_output_tokens + LIMITS.margin_tokens <= LIMITS.window_tokens
        documents.append(TRIO.map.document_in(prompt, position=request.position + 1, siblings=request.siblings))
    assert "".join(documents) == text


def test_the_smallest_declared_chunk_holds_for_all(tmp_path: Path) -> None:
    """Of several analyses with chunk_tokens, the one that wants least at a time decides."""
    prompts = own(tmp_path)
    for name, tokens in (("sentiment", 500), ("summarization", 300)):
        path = prompts / name / "analysis.toml"
        path.write_text(f"chunk_tokens = {tokens}\n" + path.read_text("utf-8"), "utf-8")
    found = fuse(prompts, load_analyses(prompts, output_language=LANGUAGE), NAMES, 2_048)
    assert found.chunk_tokens == 300
    assert TRIO.chunk_tokens is None


def edited(tmp_path: Path, file: str, change: Callable[[str], str]) -> Path:
    prompts = own(tmp_path)
    path = prompts / file
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    return prompts


def without_block(name: str) -> Callable[[str], str]:
    return lambda text: re.sub(r"\{% block " + name + r" %\}(.*?)\{% endblock %\}", r"\1", text, flags=re.DOTALL)


@pytest.mark.parametrize(
    ("file", "change", "said"),
    [
        (
            "sentiment/map.jinja",
            without_block("question"),
            r"sentiment/map.jinja: has no block `question`.*put \{% block",
        ),
        ("sentiment/map.jinja", without_block("instructions"), "has no block `instructions`, so it cannot be fused"),
        (
            "sentiment/map.jinja",
            lambda text: text.replace("Which attitude", "{{ position }} Which attitude"),
            r"sentiment/map.jinja, block `question`: 'position' is undefined",
        ),
        (
            "sentiment/analysis.toml",
            lambda text: text.replace("temperature = 0.0", "temperature = 0.5"),
            "classification and sentiment cannot be fused: generation.temperature",
        ),
        (
            "_shared/fused.jinja",
            lambda text: text.replace("{{ document }}", "{{ document }}{{ document }}"),
            r"_shared/fused.jinja: must write \{\{ document \}\} once",
        ),
        (
            "_shared/fused.jinja",
            lambda text: text.replace("{{ document }}", "{{ document | upper }}"),
            "must write .* and do nothing else with it",
        ),
    ],
)
def test_what_cannot_be_fused_says_what_to_add(
    tmp_path: Path, file: str, change: Callable[[str], str], said: str
) -> None:
    """The message names the file and what to do, before anything is sent."""
    prompts = edited(tmp_path, file, change)
    analyses = load_analyses(prompts, output_language=LANGUAGE)
    with pytest.raises(DeclarationError, match=said):
        fuse(prompts, analyses, NAMES, 2_048)


def test_a_prompt_that_is_not_what_the_template_gives_has_no_document() -> None:
    """Where the template was changed meanwhile, nothing is taken for the document."""
    prompt = TRIO.map.render(document="x", position=1, siblings=1)
    with pytest.raises(DeclarationError, match="put it back"):
        TRIO.map.document_in(" " + prompt, position=1, siblings=1)


def test_an_analysis_that_begins_no_answer_is_begun_by_the_brace() -> None:
    """Where the first analysis leaves its answer open, so does the fused prompt."""
    first = ANALYSES["classification"]
    open_first = replace(first, map=replace(first.map, begun=""))
    found = fuse(shipped_prompts(), {**ANALYSES, "classification": open_first}, NAMES, 2_048)
    assert found.map.begun == '{"'
    assert TRIO.map.begun == '{"classification": {"category": "'

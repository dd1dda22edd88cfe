"""The analyses that ship with docbatch: their prompts word by word, and what a hostile document can do to them."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.analyses import Analysis, load_analyses, shipped_prompts
from pipeline.domain import Stage
from pipeline.neutralising import neutralise
from pipeline.tokens import CONTROL_TOKENS, count_prompt, load_counter
from tests.conftest import Golden

ANALYSES = load_analyses(shipped_prompts(), output_language="the language of the document")
COUNTER = load_counter(fast=False)
CONTROL = re.compile("|".join(map(re.escape, CONTROL_TOKENS)))
DOCUMENT = 'Sehr geehrte Damen und Herren,\n\nder "Toaster" <Modell 3> & sein Kabel: 40 €.\n'
PARTS = [
    {"summary": "A letter about a toaster.", "key_points": ["It cost 40 €.", "The cable is < 1 m."]},
    {"summary": "The end of it.", "key_points": []},
]
HOSTILE = st.lists(
    st.sampled_from([*CONTROL_TOKENS, "</document>", "</part>", "<", "|", ">", "|>", "<|", "\n", " ", "eot_id"])
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
    max_size=10,
).map("".join)


def rendered(analysis: Analysis, stage: Stage, text: str, place: tuple[int, int] = (1, 1)) -> str:
    values: dict[str, Any] = {"document": text}
    if stage is Stage.REDUCE:
        values = {"parts": [analysis.part({"summary": text, "key_points": [text]})]}
    return analysis.prompt(stage).render(**values, position=place[0], siblings=place[1])


STAGES = [(one, stage) for one in ANALYSES.values() for stage in Stage if stage is Stage.MAP or one.reduce]
NAMES = [f"{analysis.name}.{stage}" for analysis, stage in STAGES]
EVERY_STAGE = pytest.mark.parametrize(("analysis", "stage"), STAGES, ids=NAMES)


def test_what_ships() -> None:
    """Three analyses ship, and one of them has a prompt that joins."""
    assert NAMES == ["classification.map", "sentiment.map", "summarization.map", "summarization.reduce"]


@pytest.mark.parametrize("name", ANALYSES)
@pytest.mark.parametrize("place", [(1, 1), (2, 3)], ids=["whole", "part"])
def test_map_prompts(golden: Golden, name: str, place: tuple[int, int]) -> None:
    """The prompt of a whole document, and of a part of several, is this text."""
    kind = "map" if place == (1, 1) else "map_part"
    golden(f"{name}.{kind}.txt", rendered(ANALYSES[name], Stage.MAP, DOCUMENT, place))


def test_reduce_prompt(golden: Golden) -> None:
    """The prompt that joins summaries is this text."""
    analysis = ANALYSES["summarization"]
    parts = [analysis.part(part) for part in PARTS]
    golden("summarization.reduce.txt", analysis.prompt(Stage.REDUCE).render(parts=parts, position=1, siblings=1))


@EVERY_STAGE
def test_llama_turns(analysis: Analysis, stage: Stage) -> None:
    """A prompt is a system turn, a user turn and the begun answer, in Llama 3's format and nothing else of it."""
    turn = "<|start_header_id|>{}<|end_header_id|>"
    system, user, assistant = (turn.format(role) for role in ("system", "user", "assistant"))
    prompt = rendered(analysis, stage, "x")
    turns = prompt.split("<|eot_id|>")
    assert [piece.strip() for piece in turns] == turns
    assert turns[0].startswith(f"<|begin_of_text|>{system}\n\n")
    assert turns[1].startswith(f"{user}\n\n")
    assert turns[2] == f"{assistant}\n\n{analysis.prompt(stage).begun}"
    assert len(turns) == 3


@EVERY_STAGE
def test_the_examples_are_answers(analysis: Analysis, stage: Stage) -> None:
    """Every example answer in a prompt is valid by the analysis' own schema, and begins as the answer is begun."""
    lines = [line for line in rendered(analysis, stage, "x").splitlines() if line.startswith('{"')]
    examples = [line for line in lines if '"properties"' not in line and line != analysis.prompt(stage).begun]
    assert examples
    for line in examples:
        assert list(analysis.validator.iter_errors(json.loads(line))) == []
        assert line.startswith(analysis.prompt(stage).begun)


@EVERY_STAGE
@given(text=HOSTILE)
@settings(deadline=None, max_examples=100)
def test_no_text_breaks_out_of_its_prompt(analysis: Analysis, stage: Stage, text: str) -> None:
    """Whatever a document or an earlier answer says, the encoded prompt has the template's control tokens only."""
    empty, prompt = rendered(analysis, stage, ""), rendered(analysis, stage, neutralise(text))
    assert CONTROL.findall(prompt) == CONTROL.findall(empty)
    pieces = [piece for piece in CONTROL.split(prompt) if piece]
    ids = [token for piece in pieces for token in COUNTER.encode(piece)]
    assert not set(ids) & set(CONTROL_TOKENS.values())
    assert len(ids) + len(CONTROL.findall(empty)) == count_prompt(prompt, COUNTER)
    for fence in ("</document", "</part", "<document", "<part"):
        assert prompt.lower().count(fence) == empty.lower().count(fence)


@EVERY_STAGE
@given(text=HOSTILE | st.sampled_from(["{{ schema }}", "{% endblock %}", "\0", "\x00document\x00"]))
def test_a_rendering_is_what_the_template_gives(analysis: Analysis, stage: Stage, text: str) -> None:
    """Whatever is kept between renderings, the prompt is the template's own, and a text is never a template."""
    prompt = analysis.prompt(stage)
    values: dict[str, Any] = {"document": text} if stage is Stage.MAP else {"parts": [analysis.part({"summary": text})]}
    for place in ({"position": 1, "siblings": 1}, {"position": 2, "siblings": 3}):
        assert prompt.render(**values, **place) == prompt.template.render(prompt.constants, **values, **place)


def test_an_answer_without_optional_properties_can_be_joined() -> None:
    """A summary whose key points were cut off goes into the reduce prompt as it is."""
    analysis = ANALYSES["summarization"]
    prompt = analysis.prompt(Stage.REDUCE).render(parts=[analysis.part({"summary": "Cut."})], position=1, siblings=1)
    assert "<part>\nCut.\n</part>" in prompt


def test_the_fingerprint_is_the_prompts_identity() -> None:
    """Every analysis has its own; the output language is no part of it, since requests hold it beside."""
    assert len({analysis.fingerprint for analysis in ANALYSES.values()}) == len(ANALYSES)
    german = load_analyses(shipped_prompts(), output_language="German")
    assert {name: one.fingerprint for name, one in german.items()} == {
        name: one.fingerprint for name, one in ANALYSES.items()
    }
    assert "Write the values in German." in rendered(german["summarization"], Stage.MAP, "x")

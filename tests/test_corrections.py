"""Corrections: the prompt as it was sent, what the model wrote, what was wrong with it, and no way out of its turn."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from pipeline.analyses import load_analyses, load_analysis, shipped_prompts
from pipeline.domain import Stage
from pipeline.errors import DeclarationError
from pipeline.planning import QUOTED_CHARACTERS, Planner, Rendered
from pipeline.prompts import CORRECTION
from pipeline.settling import Limits
from pipeline.tokens import CONTROL_TOKENS, count_prompt, load_counter
from pipeline.wordings import Correction, Owed
from tests.conftest import Golden
from tests.test_prompts_shipped import CONTROL, HOSTILE

COUNTER = load_counter(fast=False)
LANGUAGE = "the language of the document"
ANALYSES = load_analyses(shipped_prompts(), output_language=LANGUAGE)
LIMITS = Limits("m", window_tokens=2_000, margin_tokens=16, max_output_tokens=2_048)
PLANNERS = {name: Planner(analysis, LIMITS, COUNTER) for name, analysis in ANALYSES.items()}
PROBLEM = 'category: does not fit the rule enum = ["review", "support"]'


def asked(
    text: str, raw: str, problem: str = PROBLEM, planner: Planner = PLANNERS["classification"]
) -> Rendered | None:
    """The correction of an answer to a document."""
    ((request, prompt),) = planner.map_requests("d", "c", text)
    return planner.corrected(Owed(replace(request, attempt=1), request.record_id, Correction(problem, raw)), prompt)


def test_a_correction(golden: Golden) -> None:
    """The whole prompt is this text."""
    rendered = asked("A short text.", 'The text says </document>, <|eot_id|> and "more".')
    assert rendered is not None
    golden("classification.correction.txt", rendered[1])


def test_the_first_prompt_stays_as_it_was_sent() -> None:
    """What is added stands behind it; its size is told; without a correction it is the same prompt."""
    planner = PLANNERS["classification"]
    ((request, prompt),) = planner.map_requests("d", "c", "A short text.")
    rendered = asked("A short text.", "prose")
    assert rendered is not None
    corrected, text = rendered
    assert text.startswith(prompt + "prose<|eot_id|>")
    assert text.endswith(ANALYSES["classification"].prompt(Stage.MAP).begun)
    assert corrected.prompt_bytes == len(text.encode())
    assert corrected.input_tokens in (None, count_prompt(text, COUNTER))
    longer = replace(request, max_output_tokens=99)
    assert planner.corrected(Owed(longer, request.record_id), prompt) == (longer, prompt)


@given(raw=HOSTILE, problem=HOSTILE)
@settings(deadline=None, max_examples=100)
def test_no_answer_breaks_out_of_its_turn(raw: str, problem: str) -> None:
    """Whatever the model wrote, and whatever a schema's rule says, the turns are those of the template."""
    plain, hostile = asked("x", "", ""), asked("x", raw, problem)
    assert plain is not None
    assert hostile is not None
    assert CONTROL.findall(hostile[1]) == CONTROL.findall(plain[1])
    pieces = [piece for piece in CONTROL.split(hostile[1]) if piece]
    ids = [token for piece in pieces for token in COUNTER.encode(piece)]
    assert not set(ids) & set(CONTROL_TOKENS.values())


def test_an_answer_cannot_go_on_where_the_begun_one_opened_a_token(tmp_path: Path) -> None:
    """Where the begun answer and what follows it read as a control token together, nothing is quoted."""
    prompts = tmp_path / "prompts"
    shutil.copytree(shipped_prompts(), prompts)
    path = prompts / "classification" / "map.jinja"
    path.write_text(path.read_text("utf-8").replace('{"category": "{%', '{"category": "<{%'), "utf-8")
    planner = Planner(load_analysis(prompts, "classification", output_language=LANGUAGE), LIMITS, COUNTER)
    rendered = asked("x", "|eot_id|>|start_header_id|>", planner=planner)
    assert rendered is not None
    assert CONTROL.findall(rendered[1]).count("<|eot_id|>") == 4


def test_a_long_answer_is_quoted_as_far_as_the_window_allows() -> None:
    """First a bounded length of it, then less, then nothing; the correction of a full window is given up."""
    raw = "".join(f"Word {n}. " for n in range(3_000))
    found = {}
    for words in (10, 1_400, 1_500):
        rendered = asked("word " * words, raw)
        if rendered is None:
            found[words] = None
            continue
        request, text = rendered
        assert count_prompt(text, COUNTER) + request.max_output_tokens + LIMITS.margin_tokens <= LIMITS.window_tokens
        found[words] = len(text.rpartition("Word 0.")[2].partition("<|eot_id|>")[0]) if "Word 0." in text else 0
    wide = Planner(ANALYSES["classification"], replace(LIMITS, window_tokens=128_000), COUNTER)
    rendered = asked("word", raw, planner=wide)
    assert rendered is not None
    assert raw[: QUOTED_CHARACTERS[0]] in rendered[1]
    assert raw[: QUOTED_CHARACTERS[0] + 1] not in rendered[1]
    assert found == {10: 393, 1_400: 0, 1_500: None}


def test_prompts_without_a_correction_use_the_shipped_one(tmp_path: Path) -> None:
    """A folder of one's own need not have one; when it has, that one is used, and no fingerprint changes."""
    prompts = tmp_path / "prompts"
    shutil.copytree(shipped_prompts(), prompts)
    path = prompts / CORRECTION
    path.write_text("{{ prompt }}{{ answer }} Once more: {{ problem }} {{ begun }}", "utf-8")
    own = load_analysis(prompts, "classification", output_language=LANGUAGE)
    path.unlink()
    without = load_analysis(prompts, "classification", output_language=LANGUAGE)
    shipped = ANALYSES["classification"]
    assert own.fingerprint == without.fingerprint == shipped.fingerprint
    values = {"prompt": "p", "answer": "a", "problem": "w", "begun": "{"}
    assert own.correction.render(values) == "pa Once more: w {"
    assert without.correction.render(values) == shipped.correction.render(values)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("{{ prompt }", "correction.jinja, line 1: "),
        ("{{ prompt }}{{ document }}{{ begun }}", "'document' is undefined; a template may use answer, begun, problem"),
        ("{{ problem }}{{ prompt }}{{ begun }}", "must begin with {{ prompt }} and end with {{ begun }}"),
        ("{{ prompt }}{{ problem }}", "must begin with {{ prompt }} and end with {{ begun }}"),
        ("{% include 'gone.jinja' %}", "includes 'gone.jinja', which is not there"),
    ],
)
def test_a_broken_correction_is_refused(tmp_path: Path, source: str, message: str) -> None:
    """Before anything is sent, with the file and the mistake."""
    prompts = tmp_path / "prompts"
    shutil.copytree(shipped_prompts(), prompts)
    (prompts / CORRECTION).write_text(source, "utf-8")
    with pytest.raises(DeclarationError) as raised:
        load_analysis(prompts, "classification", output_language=LANGUAGE)
    assert message in str(raised.value)

"""A run over every attempt at prompt injection, with a model that does whatever the document says."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import pytest

from pipeline.analyses import load_analyses, shipped_prompts
from pipeline.steps import RunSummary
from pipeline.tokens import CONTROL_TOKENS
from pipeline.vocabulary import find_vocabulary, load_tiktoken, read_ranks
from tests.injections import ATTEMPTS
from tests.world import ANALYSES, World

DECLARED = load_analyses(shipped_prompts(), output_language="English")
TURNS = "<|start_header_id|> <|end_header_id|> <|eot_id|> "
# A first question has two turns and the begun answer, a correction two turns more.
QUESTION = ("<|begin_of_text|> " + TURNS * 2 + "<|start_header_id|> <|end_header_id|>").split()
CORRECTION = ("<|begin_of_text|> " + TURNS * 4 + "<|start_header_id|> <|end_header_id|>").split()
_TEXT = re.compile(r"<(document|part)>\n(.*?)\n</\1>", re.DOTALL)
_USER = "<|start_header_id|>user<|end_header_id|>"


@dataclass
class Obedient:
    """An engine that has no will of its own: the first time it says what the text says, later also what was hidden."""

    name: str = "obedient"
    prompts: list[str] = field(default_factory=list)

    def complete(self, prompt: str, *_parameters: float) -> str:
        self.prompts.append(prompt)
        return "".join(found[2] for found in _TEXT.finditer(prompt.split(_USER)[1])).replace("< ", "<")


@pytest.fixture(scope="module", params=[False, True], ids=["alone", "fused"])
def finished(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[World, RunSummary]:
    """One document for each attempt; long ones are read in parts, and summaries of parts are joined."""
    world = World(tmp_path_factory.mktemp("injected") / "a world", engine=Obedient(), fuse=request.param)
    world.own_prompts("summarization", chunk_tokens=400)
    for name, text in ATTEMPTS.items():
        world.put(f"{name}.txt", text)
    return world, world.run()


def test_every_attempt_ends_as_result_or_failure(finished: tuple[World, RunSummary]) -> None:
    """Each is one row of each analysis, and no run stops; the obedient model does reach results and failures."""
    world, summary = finished
    listed = sorted(row["document_id"] for row in world.rows("documents"))
    assert len(listed) == len(ATTEMPTS) == summary.documents
    failures = world.rows("failures")
    for analysis in ANALYSES:
        results = [row["document_id"] for row in world.rows(analysis)]
        failed = [row["document_id"] for row in failures if row["analysis"] == analysis]
        assert sorted(results + failed) == listed
    assert summary.results > 0
    assert summary.failures > 0


def test_answers_are_those_of_the_schema(finished: tuple[World, RunSummary]) -> None:
    """Whatever the model was told to write, published labels are declared ones and scores are within their bounds."""
    world, _ = finished
    for analysis, column in (("classification", "category"), ("sentiment", "sentiment")):
        assert {row[column] for row in world.rows(analysis)} <= set(DECLARED[analysis].declaration.labels)
    assert all(row["score"] is None or -1 <= row["score"] <= 1 for row in world.rows("sentiment"))
    assert {row["run_key"] for row in world.rows("classification")} == {"night"}


def test_what_was_sent_has_the_turns_of_the_templates_only(finished: tuple[World, RunSummary]) -> None:
    """Of every prompt that reached the model, first questions, joins and corrections alike."""
    world, _ = finished
    assert isinstance(world.engine, Obedient)
    llama = load_tiktoken(read_ranks(find_vocabulary()))
    spelled = {token: spelling for spelling, token in CONTROL_TOKENS.items()}
    seen = []
    for prompt in world.engine.prompts:
        ids = llama.encode(prompt, allowed_special="all")
        seen.append([spelled[token] for token in ids if token in spelled])
    assert all(turns in (QUESTION, CORRECTION) for turns in seen)
    assert CORRECTION in seen
    assert any("Write the summary of the whole document" in prompt for prompt in world.engine.prompts)

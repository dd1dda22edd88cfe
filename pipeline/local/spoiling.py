"""Answers as a model sometimes gives them: no JSON, in a fence, cut, empty, endless, or with a label of its own."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeGuard, get_args

from pipeline.local.fault_plan import AnswerKind

if TYPE_CHECKING:
    from pipeline.local.engine import Engine
    from pipeline.local.fault_plan import RecordKind

_ASSISTANT = "<|start_header_id|>assistant<|end_header_id|>\n\n"
_PROSE = "The text is about several matters, and its author seems content with most of them."
_RAMBLING = " and so on"
_LABEL = "no-such-label"
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)(?:"|$)', re.DOTALL)
_VALUE = re.compile(r':\s*"((?:[^"\\]|\\.)*)"', re.DOTALL)


@dataclass(frozen=True, slots=True)
class Spoiled:
    """An Engine whose every answer has one defect. Tokens are counted behind it, so they are those of the defect."""

    engine: Engine
    kind: AnswerKind

    @property
    def name(self) -> str:
        return self.engine.name

    def complete(self, prompt: str, max_output_tokens: int, temperature: float, top_p: float) -> str:
        text = self.engine.complete(prompt, max_output_tokens, temperature, top_p)
        begun = prompt.rpartition(_ASSISTANT)[2] if _ASSISTANT in prompt else ""
        if self.kind == "over-long":  # three tokens each, so more than the limit, which cuts it
            return _cut(begun, text) + _RAMBLING * max_output_tokens
        return _spoiled(self.kind, begun, text)


def is_of_answer(kind: RecordKind | None) -> TypeGuard[AnswerKind]:
    return kind in get_args(AnswerKind)


def _spoiled(kind: AnswerKind, begun: str, text: str) -> str:
    if kind == "prose":
        return _PROSE
    if kind == "empty":
        return ""
    if kind == "fenced":  # the model begins again: nobody opens a fence in the middle of an object
        return f"```json\n{begun}{text}\n```"
    if kind == "truncated":
        return _cut(begun, text)
    return _mislabelled(begun, text)


def _cut(begun: str, text: str) -> str:
    """`text` up to the middle of its last string, or to its own middle where it holds none."""
    whole = begun + text
    spans = [found.span(1) for found in _STRING.finditer(whole) if found.end(1) > len(begun)]
    start, end = spans[-1] if spans else (len(begun), len(whole))
    start = max(start, len(begun))
    return whole[len(begun) : start + (end - start) // 2]


def _mislabelled(begun: str, text: str) -> str:
    """The first string value becomes a label that nobody declared; all is repeated where it was begun before."""
    whole = begun + text
    found = _VALUE.search(whole)
    if found is None:
        return _LABEL
    wrong = whole[: found.start(1)] + _LABEL + whole[found.end(1) :]
    return wrong.removeprefix(begun)

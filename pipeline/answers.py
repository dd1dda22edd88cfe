"""Model output -> answer: parse it, repair what needs no second call, and hold it against the schema."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from jsonschema.protocols import Validator

from pipeline.domain import Failure, Reason

_FENCE = re.compile(r"^\s*```[a-zA-Z]*\s*|\s*```\s*$")
_STRING_OR_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(\s*[}\]])', re.DOTALL)
_STRING = r'"(?:[^"\\]|\\.)*"'
# What a cut leaves behind: a key without its value, or with half a number; in a list, half a string.
_HALF_PAIR = re.compile(rf"([{{,])\s*{_STRING}\s*(?::\s*[-+.\w]*)?$", re.DOTALL)
_HALF_ELEMENT = re.compile(rf"([\[,])\s*{_STRING}$", re.DOTALL)
_DECODER = json.JSONDecoder(strict=False)  # a raw line break inside a string is a small sin
SHOWN_CHARACTERS = 200


@dataclass(frozen=True, slots=True)
class Parsed:
    """An answer, or why there is none. `cut` says that its end was missing and was closed by us."""

    answer: dict[str, Any] | None
    failure: Failure | None = None
    cut: bool = False


def parse_answer(generation: str, begun: str, validator: Validator, labels: Mapping[str, str]) -> Parsed:
    """The answer in what the model wrote after `begun`.

    Repaired: the beginning written again, code fences, prose around the object, trailing commas, raw line breaks,
    an end cut off, labels in other case, undeclared properties. What the schema then refuses is a failure.
    """
    problem: Failure | None = None
    declared = cast("Mapping[str, Any]", validator.schema)["properties"]
    for candidate, cut in _objects(generation, begun):
        answer = _tidy(candidate, declared, labels)
        error = next(iter(validator.iter_errors(answer)), None)
        if error is None:
            return Parsed(answer, cut=cut)
        where = ".".join(map(str, error.absolute_path)) or "answer"
        problem = problem or Failure(Reason.INVALID, f"{where}: {error.message}"[:SHOWN_CHARACTERS])
    return Parsed(None, problem or Failure(Reason.MALFORMED, f"no JSON object in {len(generation)} characters"))


def _objects(generation: str, begun: str) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every object that the text can be read as, the most literal reading first; with whether its end was cut."""
    whole = _FENCE.sub("", begun + generation)
    alone = _FENCE.sub("", generation)
    for text in (whole, alone):
        yield from _decoded(text, cut=False)
    for text in (whole, alone):
        start = text.find("{")
        if start >= 0 and (closed := _close(text[start:])):
            yield from _decoded(closed, cut=True)


def _decoded(text: str, *, cut: bool) -> Iterator[tuple[dict[str, Any], bool]]:
    start = text.find("{")
    if start < 0:
        return
    for attempt in (text[start:], _STRING_OR_COMMA.sub(lambda m: m[1] or m[2], text[start:])):
        try:
            value, _ = _DECODER.raw_decode(attempt)
        except (json.JSONDecodeError, RecursionError):
            continue
        if isinstance(value, dict):
            yield value, cut
            return


def _close(text: str) -> str | None:
    """The text with its open string, arrays and objects closed; None when nothing is open."""
    closers: list[str] = []
    in_string = escaped = False
    for character in text:
        if in_string:
            in_string = escaped or character != '"'
            escaped = character == "\\" and not escaped
        elif character == '"':
            in_string = True
        elif character in "{[":
            closers.append("}" if character == "{" else "]")
        elif character in "}]" and closers:
            closers.pop()
    if not closers:
        return None
    body = text[:-1] if escaped else text
    body = re.sub(r"\\u[0-9a-fA-F]{0,3}$", "", body) + ('"' if in_string else "")
    half = _HALF_ELEMENT if closers[-1] == "]" and in_string else _HALF_PAIR
    return re.sub(r",\s*$", "", half.sub(r"\1", body)) + "".join(reversed(closers))


def _tidy(answer: dict[str, Any], properties: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """Only declared properties, strings trimmed, labels in the case they were declared in."""
    return {name: _tidy_value(value, labels) for name, value in answer.items() if name in properties}


def _tidy_value(value: Any, labels: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_tidy_value(element, labels) for element in value]
    if not isinstance(value, str):
        return value
    trimmed = value.strip()
    folded = {label.casefold(): label for label in labels}
    return folded.get(trimmed.casefold(), trimmed)

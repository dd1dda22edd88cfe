"""Model output -> answer: parse it, repair what needs no second call, and hold it against the schema."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from jsonschema.protocols import Validator

from pipeline.domain import Failure, Reason

_FENCE = re.compile(r"^```[a-zA-Z]*|```$")
_STRING_OR_COMMA = re.compile(r'("(?:[^"\\]|\\.)*")|,(\s*[}\]])', re.DOTALL)
_STRING = r'"(?:[^"\\]|\\.)*"'
# What a cut leaves behind: a key without its value, or with half a number; in a list, half a string or number.
_HALF_PAIR = re.compile(rf"([{{,])\s*{_STRING}\s*(?::\s*[-+.\w]*)?$", re.DOTALL)
_HALF_STRING = re.compile(rf"([\[,])\s*{_STRING}$", re.DOTALL)
_HALF_WORD = re.compile(r"([\[,])\s*[-+.\w]+$")
_HALF_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\u[0-9a-fA-F]{0,3}$")
_DECODER = json.JSONDecoder(strict=False)  # a raw line break inside a string is a small sin
SHOWN_CHARACTERS = 200
# Beyond this a reader that takes JSON's numbers for doubles sees another number (RFC 8259, section 6).
MOST_INTEGER = 2**53 - 1


@dataclass(frozen=True, slots=True)
class Parsed:
    """An answer, or why there is none. `cut` says that its end was missing: an answer was then closed by us."""

    answer: dict[str, Any] | None
    failure: Failure | None = None
    cut: bool = False


def parse_answer(generation: str, begun: str, validator: Validator, labels: Mapping[str, str]) -> Parsed:
    """The answer in what the model wrote after `begun`.

    Repaired: the beginning written again, code fences, prose around the object, trailing commas, raw line breaks,
    an end cut off, labels in other case, undeclared properties. What the schema then refuses is a failure, and so is
    a number that a table cannot hold.
    """
    problem: Failure | None = None
    complete = False
    for candidate, cut in read_objects(generation, begun):
        answer, wrong = fit(candidate, validator, labels)
        if wrong is None:
            return Parsed(answer, cut=cut)
        complete = complete or not cut
        problem = problem or Failure(Reason.INVALID, wrong)
    nothing = Failure(Reason.MALFORMED, f"no JSON object in {len(generation)} characters")
    return Parsed(None, problem or nothing, cut=not complete and "{" in begun + generation)


def fit(
    candidate: dict[str, Any], validator: Validator, labels: Mapping[str, str]
) -> tuple[dict[str, Any] | None, str | None]:
    """An object as an answer of the schema; or what is wrong with it, where."""
    declared = cast("Mapping[str, Any]", validator.schema)["properties"]
    try:
        answer = _tidy(candidate, declared, labels)
        wrong = _first_error(answer, validator)
    except RecursionError:
        wrong = "answer: nested too deep to be read"
    return (answer, None) if wrong is None else (None, wrong[:SHOWN_CHARACTERS])


def _first_error(answer: dict[str, Any], validator: Validator) -> str | None:
    """Where an answer breaks which rule. What the model wrote there is not shown: it may be text of the document."""
    for name, _ in _unstorable_numbers(answer):
        return f"{name}: no number that a table can hold"
    error = next(iter(validator.iter_errors(answer)), None)
    if error is None:
        return None
    where = ".".join(map(str, error.absolute_path)) or "answer"
    if error.validator == "required":
        return f"{where}: {error.message}"  # names declared properties only
    return f"{where}: does not fit the rule {error.validator} = {json.dumps(error.validator_value, ensure_ascii=False)}"


def _unstorable_numbers(answer: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Numbers anywhere in the answer that are not finite, or integers that are not exact as a double."""
    pending = list(answer.items())
    while pending:
        name, value = pending.pop()
        if isinstance(value, dict):
            pending.extend(value.items())
        elif isinstance(value, list):
            pending.extend((name, element) for element in value)
        elif (isinstance(value, float) and not math.isfinite(value)) or (
            isinstance(value, int) and abs(value) > MOST_INTEGER
        ):
            yield name, value


def read_objects(generation: str, begun: str) -> Iterator[tuple[dict[str, Any], bool]]:
    """Every object that the text can be read as, the most literal reading first; with whether its end was cut."""
    whole = _FENCE.sub("", (begun + generation).strip()).strip()
    alone = _FENCE.sub("", generation.strip()).strip()
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
        except (ValueError, RecursionError):  # not JSON; an integer of thousands of digits; nested too deep
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
    if in_string:
        body = _HALF_ESCAPE.sub(r"\1", body) + '"'
    half = _HALF_PAIR if closers[-1] == "}" else _HALF_STRING if in_string else _HALF_WORD
    return re.sub(r",\s*$", "", half.sub(r"\1", body)) + "".join(reversed(closers))


def _tidy(answer: dict[str, Any], properties: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """Only declared properties, strings trimmed and made storable, labels in the case they were declared in."""
    folded = {label.casefold(): label for label in labels}
    return {
        name: _tidy_value(value, folded if _is_labelled(properties[name]) else {})
        for name, value in answer.items()
        if name in properties
    }


def _is_labelled(spec: Any) -> bool:
    return "enum" in spec or "enum" in spec.get("items", {})


def _tidy_value(value: Any, folded: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_tidy_value(element, folded) for element in value]
    if isinstance(value, dict):
        return {_storable(name): _tidy_value(part, {}) for name, part in value.items()}
    if not isinstance(value, str):
        return value
    trimmed = _storable(value).strip()
    return folded.get(trimmed.casefold(), trimmed)


def _storable(text: str) -> str:
    """The text with U+FFFD for half a surrogate pair, which an escape that was cut in the middle leaves behind."""
    return text if text.isascii() else text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")

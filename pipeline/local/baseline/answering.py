"""Fill the JSON object that a prompt's schema asks for, and go on where the prompt has begun it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pipeline.local.baseline.extract import extract, ranked_sentences, shorten
from pipeline.local.baseline.language import language
from pipeline.local.baseline.sentiment import label_of, tone
from pipeline.local.baseline.similarity import likeness

if TYPE_CHECKING:
    from pipeline.local.baseline.reading import Asked

_MAIN = re.compile(r"summary|abstract|headline|title", re.IGNORECASE)
_SHORT = re.compile(r"headline|title", re.IGNORECASE)
_HEADLINE_CHARACTERS = 120
_SENTENCES = re.compile(
    r"(\d+|one|two|three|four|five)(?:\s*(?:to|-|–|or)\s*(\d+|two|three|four|five))?\s+sentence", re.IGNORECASE
)
_WORDS = re.compile(r"(\d+)\s+words", re.IGNORECASE)
_CHARACTERS = re.compile(r"(\d+)\s+characters", re.IGNORECASE)
_NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5}
_BEGUN_NAME = re.compile(r'\s*\{\s*"([^"\\]+)"')
_CHARACTERS_PER_WORD = 6
_LIST_ITEMS = 3


def complete_answer(asked: Asked, room_characters: int) -> str:
    """What follows `asked.begun`, so that both together are one JSON object with the schema's properties in order."""
    properties: dict[str, dict[str, Any] | bool] = (asked.schema or {})["properties"]
    began = _BEGUN_NAME.match(asked.begun)
    names = sorted(properties, key=lambda name: began is None or name != began[1])
    room = max(40, room_characters // max(1, _count_wordy(properties)))
    answer = {name: _value(asked, name, properties[name], room) for name in names}
    return _after(asked.begun, json.dumps(answer, ensure_ascii=False))


def _after(begun: str, answer: str) -> str:
    """`answer` without what is already written; all of it where what is written is something else."""
    position = 0
    for character in begun:
        while position < len(answer) and answer[position].isspace() and not character.isspace():
            position += 1
        if position < len(answer) and answer[position] == character:
            position += 1
        elif not character.isspace():
            return answer
    return answer[position:]


def _value(asked: Asked, name: str, schema: dict[str, Any] | bool, room: int) -> object:
    if isinstance(schema, bool):  # JSON Schema's "anything" and "nothing"
        return None
    kinds = _kinds(schema)
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return _label(asked, [label for label in schema["enum"] if isinstance(label, str)])
    if "string" in kinds:
        return _string(asked, name, schema, room, nullable="null" in kinds)
    if "array" in kinds:
        return _array(asked, schema, room)
    if "object" in kinds:
        of_part = replace(asked, schema={"properties": {}, **schema})  # a part is judged by its own labels
        return {inner: _value(of_part, inner, each, room) for inner, each in schema.get("properties", {}).items()}
    if "null" in kinds:
        return _score(asked, schema) if "number" in kinds else None
    if "number" in kinds:
        seen = _score(asked, schema)
        return schema.get("minimum", 0.0) if seen is None else seen
    if "integer" in kinds:
        return max(0, schema.get("minimum", 0))
    return False if "boolean" in kinds else None


def _kinds(schema: dict[str, Any] | bool) -> set[str]:
    """The JSON types that are allowed, through `type` as a word or a list, or one `anyOf`."""
    if isinstance(schema, bool):
        return set()
    kinds = schema.get("type", [])
    if "anyOf" in schema:
        return {kind for option in schema["anyOf"] for kind in _kinds(option)}
    return {kinds} if isinstance(kinds, str) else set(kinds)


def _count_wordy(properties: dict[str, dict[str, Any] | bool]) -> int:
    """How many properties share the room, those of objects inside included."""
    parts = [each.get("properties", {}) for each in properties.values() if isinstance(each, dict)]
    return sum(map(_is_wordy, properties.values())) + sum(map(_count_wordy, parts))


def _is_wordy(schema: dict[str, Any] | bool) -> bool:
    """Whether text of the document goes into the property, so that it takes its share of the room."""
    return bool({"string", "array"} & _kinds(schema)) and isinstance(schema, dict) and "enum" not in schema


def _label(asked: Asked, offered: list[str]) -> str | None:
    if _is_sentiment(offered):
        return label_of(tone(asked.text), offered)
    return _best_labels(asked, offered)[0][0] if offered else None


def _is_sentiment(offered: list[str]) -> bool:
    return {"positive", "negative"} <= {label.lower() for label in offered}


def _best_labels(asked: Asked, offered: list[str]) -> list[tuple[str, float]]:
    return likeness(asked.text, {label: asked.labels.get(label, label) for label in offered})


def _string(asked: Asked, name: str, schema: dict[str, Any], room: int, *, nullable: bool) -> str | None:
    if name.lower() in ("language", "language_code"):
        return language(asked.text) or ("und" if not nullable else None)
    if nullable and not _MAIN.search(name):
        return None
    short = bool(_SHORT.search(name))
    sentences, characters = _length(schema, short=short)
    limit = min(characters, room, schema.get("maxLength", room))
    if _MAIN.search(name) and not short:
        return extract(asked.text, sentences=sentences, room_characters=limit)
    ranked = ranked_sentences(asked.text)
    return shorten(ranked[0][1], limit) if ranked else ""


def _length(schema: dict[str, Any], *, short: bool) -> tuple[int, int]:
    """(sentences, characters) that a description asks for, such as "2 to 3 sentences, at most 60 words"."""
    described = str(schema.get("description", ""))
    sentences, characters = (1, _HEADLINE_CHARACTERS) if short else (3, 10_000)
    if found := _SENTENCES.search(described):
        last = (found[2] or found[1]).lower()
        sentences = _NUMBERS.get(last) or max(1, int(last))
    if found := _WORDS.search(described):
        characters = int(found[1]) * _CHARACTERS_PER_WORD
    if found := _CHARACTERS.search(described):
        characters = int(found[1])
    return sentences, characters


def _array(asked: Asked, schema: dict[str, Any], room: int) -> list[object]:
    items = schema.get("items", {})
    if isinstance(items, bool):
        return []
    most = int(schema.get("maxItems", _LIST_ITEMS))
    if "enum" in items:
        offered = [label for label in items["enum"] if isinstance(label, str)]
        if _is_sentiment(offered):
            return [label] if (label := _label(asked, offered)) else []
        return _few(_best_labels(asked, offered), max(1, int(schema.get("minItems", 1))), min(most, _LIST_ITEMS))
    if "string" not in _kinds(items):
        return []
    limit = min(items.get("maxLength", room), max(40, room // max(1, most)))
    return [shorten(sentence, limit) for _, sentence in ranked_sentences(asked.text)[:most]]


def _few(ranked: list[tuple[str, float]], least: int, most: int) -> list[object]:
    """The best label, and those nearly as good."""
    good = [label for label, share in ranked if share >= 0.8 * ranked[0][1]] if ranked else []
    wanted = max(least, min(most, len(good)))
    return [label for label, _ in ranked[:wanted]]


def _score(asked: Asked, schema: dict[str, Any]) -> float | None:
    """How sure the method is, 0 to 1; the tone itself where the range goes below 0. None where nothing was judged."""
    enums = [
        each["enum"]
        for each in (asked.schema or {})["properties"].values()
        if isinstance(each, dict) and "enum" in each
    ]
    offered = next(([label for label in enum if isinstance(label, str)] for enum in enums), [])
    compound = tone(asked.text).compound if not offered or _is_sentiment(offered) else None
    if schema.get("minimum", 0) < 0:
        return compound
    if compound is not None:
        return abs(compound)
    return _best_labels(asked, offered)[0][1] if offered and not _is_sentiment(offered) else None

"""An answer as the fields of a form, and what somebody typed into them as a corrected answer. Pure: no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jsonschema import ValidationError

from pipeline.analyses import Analysis, column_type

ROW_CHARACTERS = 55
PREFIX = "corrected."  # of the names of the form's fields


@dataclass(frozen=True, slots=True)
class Field:
    """One property of an answer. `kind` is choice, choices, text, number, lines or json; `chosen` are the values."""

    name: str
    kind: str
    description: str
    chosen: tuple[str, ...]
    options: tuple[str, ...] = ()
    required: bool = False

    @property
    def input_name(self) -> str:
        return PREFIX + self.name

    @property
    def text(self) -> str:
        """What stands in the field at first."""
        return "\n".join(self.chosen)

    @property
    def rows(self) -> int:
        """Lines that the text takes on a page, and one to add something."""
        lines = self.text.split("\n")
        return max(3, 1 + sum(len(line) // ROW_CHARACTERS + 1 for line in lines))


def fields_of(analysis: Analysis, answer: Mapping[str, Any]) -> list[Field]:
    """The form for an answer, filled with it."""
    required = analysis.schema.get("required", [])
    return [
        _field(name, spec, answer.get(name), name in required) for name, spec in analysis.schema["properties"].items()
    ]


def read_form(analysis: Analysis, form: Mapping[str, Sequence[str]]) -> tuple[dict[str, Any], list[str]]:
    """The answer that was typed, and what is wrong with it by the analysis' schema; nothing when it fits."""
    typed: dict[str, Any] = {}
    wrong: list[str] = []
    for field in fields_of(analysis, {}):
        spec = analysis.schema["properties"][field.name]
        try:
            value = _typed(field, spec, form.get(field.input_name, []))
        except ValueError:
            wrong.append(f"{field.name}: is no {column_type(spec)}")
            continue
        if value is not None or _may_be_null(spec):
            typed[field.name] = value
    if not wrong:
        wrong = [_told(error) for error in analysis.validator.iter_errors(typed)]
    return typed, wrong


def _field(name: str, spec: Mapping[str, Any], value: Any, required: bool) -> Field:
    kind = column_type(spec) or ""
    inner = spec.get("items", {}) if kind == "array" else spec
    options = tuple(str(one) for one in inner.get("enum", []) if one is not None)
    values = value if kind == "array" and isinstance(value, list) else [] if value is None else [value]
    form = _form(kind, column_type(inner) or "", bool(options))
    if kind == "boolean":
        options = ("true", "false")
    if form == "json" and value is not None:
        values = [json.dumps(value, ensure_ascii=False)]
    chosen = tuple(one if isinstance(one, str) else json.dumps(one, ensure_ascii=False) for one in values)
    return Field(name, form, str(spec.get("description") or ""), chosen, options, required and not _may_be_null(spec))


def _form(kind: str, inner: str, has_options: bool) -> str:
    if kind == "array":
        return "choices" if has_options else "lines" if inner == "string" else "json"
    if has_options or kind == "boolean":
        return "choice"
    return {"string": "text", "number": "number", "integer": "number"}.get(kind, "json")


def _typed(field: Field, spec: Mapping[str, Any], values: Sequence[str]) -> Any:
    """The value of a field; None for nothing. Raises ValueError for what is none of its type."""
    clean = [value.replace("\r\n", "\n") for value in values]
    text = clean[0].strip() if clean else ""
    if field.kind == "choices":
        return [_of_enum(spec["items"], one) for one in clean if one]
    if field.kind == "lines":
        return [line.strip() for line in "\n".join(clean).split("\n") if line.strip()]
    if not text:
        return None
    if field.kind == "choice":
        return text == "true" if field.options == ("true", "false") else _of_enum(spec, text)
    if field.kind == "number":
        return int(text) if column_type(spec) == "integer" else _number(text)
    return json.loads(text) if field.kind == "json" else text


def _of_enum(spec: Mapping[str, Any], text: str) -> Any:
    """The value of the schema that a choice stands for; where there is none the text, which the schema refuses."""
    return next((one for one in spec.get("enum", []) if one is not None and str(one) == text), text)


def _number(text: str) -> float:
    found = float(text)
    if found != found or found in (float("inf"), float("-inf")):
        raise ValueError(text)
    return found


def _may_be_null(spec: Mapping[str, Any]) -> bool:
    kind, choices = spec.get("type"), spec.get("enum")
    allowed = kind is None or kind == "null" or (isinstance(kind, list) and "null" in kind)
    return allowed and (None in choices if choices is not None else kind is not None)


def _told(error: ValidationError) -> str:
    place = ".".join(str(part) for part in error.absolute_path)
    return f"{place}: {error.message}" if place else error.message

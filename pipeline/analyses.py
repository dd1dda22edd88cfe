"""Declared analyses: a folder under prompts/ holds an answer schema, labels, parameters, a merge rule, templates."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import jinja2
import jsonschema
from jsonschema.protocols import Validator
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from pipeline.declared import DECLARATION, PROVENANCE, TABLES, declared, shipped_prompts
from pipeline.domain import Generation, Stage
from pipeline.errors import DeclarationError, SettingsError
from pipeline.merging import JOINS
from pipeline.prompts import (
    Prompt,
    fingerprint,
    load_correction,
    load_prompt,
    open_templates,
    refuse_tokens,
    refuse_undoing,
)

_PROBE = "what a document says"
COLUMN_NAME = r"^[a-z][a-z0-9_]{0,62}$"
SCALARS = ("string", "number", "integer", "boolean")
_STRICT = ConfigDict(frozen=True, extra="forbid")


class _Generation(BaseModel):
    model_config = _STRICT
    max_output_tokens: int = Field(ge=1, le=2048)  # Bedrock, Llama: max_gen_len
    temperature: float = Field(ge=0, le=1)
    top_p: float = Field(ge=0, le=1)


class Declaration(BaseModel):
    """analysis.toml, read strictly: an unknown or missing field is an error."""

    model_config = _STRICT

    description: str
    answer: dict[str, Any]
    labels: dict[str, str] = {}
    label_property: str | None = None
    generation: _Generation
    merge: Literal["reduce"] | dict[str, str]
    chunk_tokens: int | None = Field(None, ge=256)

    @field_validator("answer")
    @classmethod
    def _is_an_object_schema(cls, answer: dict[str, Any]) -> dict[str, Any]:
        try:
            jsonschema.Draft202012Validator.check_schema(answer)
        except jsonschema.SchemaError as error:
            raise ValueError(f"not a JSON Schema: {'.'.join(map(str, error.path))}: {error.message}") from None
        properties = answer.get("properties")
        if answer.get("type") != "object" or not properties:
            raise ValueError('must have type = "object" and at least one property: each becomes a column')
        for name, spec in properties.items():
            if name in PROVENANCE:
                raise ValueError(f"property {name!r} is a column that every table has; choose another name")
            if not re.fullmatch(COLUMN_NAME, name):
                raise ValueError(f"property {name!r} cannot name a column; allowed are a-z, 0-9 and _, a letter first")
            _check_column(spec, name)
        for name in answer.get("required", []):
            if name not in properties:
                raise ValueError(f"required names {name!r}, which is no property; each becomes a column")
        return answer

    @field_validator("merge", mode="before")
    @classmethod
    def _is_a_merge(cls, merge: Any) -> Any:
        if merge != "reduce" and not isinstance(merge, dict):
            raise ValueError(f'{merge!r}: allowed are "reduce", or a table that names a rule for every property')
        return merge

    @field_validator("labels")
    @classmethod
    def _are_distinct(cls, labels: dict[str, str]) -> dict[str, str]:
        folded = [label.strip().casefold() for label in labels]
        for label in labels:
            if not label.strip() or folded.count(label.strip().casefold()) > 1:
                raise ValueError(f"label {label!r}: allowed are labels that differ in more than case and blanks")
        return labels

    @model_validator(mode="after")
    def _fits_together(self) -> Declaration:
        properties = self.answer["properties"]
        if bool(self.labels) != (self.label_property is not None):
            raise ValueError("labels and label_property go together: the labels are the values of that property")
        if self.label_property is not None and self.label_property not in properties:
            raise ValueError(f"label_property {self.label_property!r} is no property of answer")
        if isinstance(self.merge, dict):
            for name in properties.keys() ^ self.merge.keys():
                raise ValueError(f"merge must name a rule for exactly the properties of answer; see {name!r}")
            for name, rule in self.merge.items():
                allowed = [known for known in JOINS if _can_join(known, properties[name])]
                if rule not in allowed:
                    kind = column_type(properties[name])
                    raise ValueError(f"merge.{name} = {rule!r}: allowed for type {kind} are {', '.join(allowed)}")
        return self


def column_type(spec: Any) -> str | None:
    """The JSON type that a property's column follows, `null` left aside; None where it cannot become a column."""
    if not isinstance(spec, dict):
        return None
    kind = spec.get("type", "string" if all(isinstance(one, str) for one in spec.get("enum", [0])) else None)
    if isinstance(kind, list):
        others = [name for name in kind if name != "null"]
        kind = others[0] if len(others) == 1 else None
    whole = {"array": isinstance(spec.get("items"), dict), "object": bool(spec.get("properties"))}
    return kind if kind in SCALARS or whole.get(str(kind)) else None


def _check_column(spec: Any, where: str) -> None:
    kind = column_type(spec)
    if kind is None:
        found = spec.get("type") if isinstance(spec, dict) else spec
        raise ValueError(
            f"{where}: type {found!r} cannot become a column; allowed are {', '.join(SCALARS)}, array with items, "
            "object with properties, each also with null"
        )
    if kind == "array":
        _check_column(spec["items"], f"{where}.items")
    if kind == "object":
        for name, part in spec["properties"].items():
            _check_column(part, f"{where}.properties.{name}")


def _can_join(rule: str, spec: Mapping[str, Any]) -> bool:
    kind = column_type(spec)
    return kind in JOINS[rule] and (rule != "union" or column_type(spec["items"]) in SCALARS)


@dataclass(frozen=True)
class Analysis:
    """A declared analysis, ready to ask. `reduce` is None where chunks are joined by rule; `correction` is what a
    prompt goes on with after an answer that could not be used."""

    name: str
    declaration: Declaration
    schema: Mapping[str, Any]
    map: Prompt
    reduce: Prompt | None
    fingerprint: str
    correction: jinja2.Template

    @cached_property
    def validator(self) -> Validator:
        return jsonschema.Draft202012Validator(self.schema)

    @cached_property
    def generation(self) -> Generation:
        return Generation(**self.declaration.generation.model_dump())

    @property
    def chunk_tokens(self) -> int | None:
        """The most tokens of a text that one request may hold; None for as many as the window leaves."""
        return self.declaration.chunk_tokens

    def prompt(self, stage: Stage) -> Prompt:
        if stage is Stage.MAP:
            return self.map
        if self.reduce is None:
            raise DeclarationError(f"analysis {self.name} has no reduce.jinja")
        return self.reduce

    def part(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        """An answer as reduce.jinja sees it: every property is there; an absent list is empty, the rest is none."""
        return _part(self.schema, answer)


def load_analyses(root: Path, names: Sequence[str] = (), *, output_language: str) -> dict[str, Analysis]:
    """The named analyses, or all that are declared, by name in sorted order.

    Raises SettingsError for a name that is not declared, DeclarationError for a broken declaration or template.
    """
    known = declared(root)
    for name in names:
        if name not in known:
            raise SettingsError(f"analysis {name!r}: not declared in {root}; declared are {', '.join(known) or 'none'}")
    chosen = sorted(set(names)) or known
    if not chosen:
        raise SettingsError(f"{root}: no analysis is declared there (a folder with {DECLARATION} declares one)")
    return {name: load_analysis(root, name, output_language=output_language) for name in chosen}


def load_analysis(root: Path, name: str, *, output_language: str) -> Analysis:
    """One analysis. Raises DeclarationError naming the file, the field and what is allowed."""
    path = root / name / DECLARATION
    if name in TABLES or name.endswith("_latest") or not re.fullmatch(COLUMN_NAME, name):
        raise DeclarationError(
            f"{path}: the folder names a table; allowed are a-z 0-9 _, a letter first, no {', '.join(TABLES)}, *_latest"
        )
    declaration = _read_declaration(path)
    schema = _with_labels(declaration)
    constants: dict[str, Any] = {
        "schema": json.dumps(schema, ensure_ascii=False, separators=(",", ":")),
        "labels": declaration.labels,
        "output_language": output_language,
    }
    refuse_tokens(path, [constants["schema"], *declaration.labels, *declaration.labels.values(), output_language])
    environment = open_templates(root)
    names = [f"{name}/map.jinja"]
    place = {"position": 1, "siblings": 2}
    mapper = load_prompt(environment, names[0], Stage.MAP, constants, {"document": "", **place})
    if _PROBE not in mapper.render(document=_PROBE, **place):
        raise DeclarationError(f"{root / names[0]}: does not write {{{{ document }}}}, so the model would not see it")
    refuse_undoing(mapper, lambda text: {"document": text, **place})
    reducer = None
    if declaration.merge == "reduce":
        names.append(f"{name}/reduce.jinja")
        sample = {"parts": [_part(schema, {})], **place}
        reducer = load_prompt(environment, names[1], Stage.REDUCE, constants, sample)
        refuse_undoing(reducer, lambda text: {"parts": [_part(schema, _saying(text, schema))], **place})
    correction = load_correction(root, shipped_prompts())
    return Analysis(name, declaration, schema, mapper, reducer, fingerprint(environment, path, names), correction)


def _read_declaration(path: Path) -> Declaration:
    try:
        return Declaration(**tomllib.loads(path.read_text("utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DeclarationError(f"{path}: not valid TOML: {error}") from None
    except OSError as error:
        raise DeclarationError(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise DeclarationError("\n".join(_explain(path, problem) for problem in error.errors())) from None


def _explain(path: Path, problem: Any) -> str:
    field = ".".join(str(part) for part in problem["loc"]) or "declaration"
    if problem["type"] == "extra_forbidden":
        owner = _Generation if problem["loc"][0] == "generation" else Declaration
        return f"{path}: {field}: there is no such field; allowed are {', '.join(owner.model_fields)}"
    if problem["type"] == "missing":
        return f"{path}: {field}: is missing"
    value, said = problem["input"], problem["msg"]
    if not isinstance(value, str | int | float) or said.startswith("Value error, "):  # these name what they are about
        return f"{path}: {field}: {said.removeprefix('Value error, ')}"
    return f"{path}: {field} = {value!r}: {said}"


def _with_labels(declaration: Declaration) -> dict[str, Any]:
    """The answer schema with the labels as the enum of their property (of its items, for a list of labels)."""
    schema = dict(declaration.answer)
    if declaration.label_property is None:
        return schema
    labelled = dict(schema["properties"][declaration.label_property])
    if labelled.get("type") == "array":
        labelled["items"] = {**labelled.get("items", {}), "enum": list(declaration.labels)}
    else:
        labelled["enum"] = list(declaration.labels)
    schema["properties"] = {**schema["properties"], declaration.label_property: labelled}
    return schema


def _saying(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """An answer that says `text` wherever its schema has room for one, twice in a list."""
    written = {name: (spec.get("items", spec), "items" in spec) for name, spec in schema["properties"].items()}
    free = {name: many for name, (one, many) in written.items() if column_type(one) == "string" and "enum" not in one}
    return {name: [text, text] if many else text for name, many in free.items()}


def _part(schema: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    kinds = {name: column_type(spec) for name, spec in schema["properties"].items()}
    absent: dict[str, Any] = {name: [] if kind == "array" else None for name, kind in kinds.items()}
    return absent | {name: value for name, value in answer.items() if value is not None}

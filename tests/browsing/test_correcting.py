"""Corrected answers: what a form offers, and what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pipeline.analyses import Analysis, load_analysis, shipped_prompts
from pipeline.browsing.correcting import Field, fields_of, read_form

TOML = """
description = "Everything that an answer can hold"
label_property = "tags"
merge = "reduce"
[labels]
red = "a colour"
green = "another"
[generation]
max_output_tokens = 64
temperature = 0.0
top_p = 0.9
[answer]
type = "object"
required = ["title", "count"]
[answer.properties]
title = { type = "string", minLength = 2 }
count = { type = "integer", minimum = 0 }
share = { type = ["number", "null"] }
open = { type = "boolean" }
tags = { type = "array", items = { type = "string" } }
points = { type = "array", items = { type = "string" } }
size = { enum = ["s", "m"] }
place = { type = "object", properties = { city = { type = "string" } } }
"""
WHOLE = {
    "title": "A title",
    "count": 3,
    "share": 0.5,
    "open": False,
    "tags": ["red"],
    "points": ["one", "two"],
    "size": "m",
    "place": {"city": "Bern"},
}


@pytest.fixture
def analysis(tmp_path: Path) -> Analysis:
    return everything(tmp_path, TOML)


def everything(tmp_path: Path, declaration: str) -> Analysis:
    folder = tmp_path / "everything"
    folder.mkdir()
    (folder / "analysis.toml").write_text(declaration, "utf-8")
    for stage, body in (("map", "{{ document }}"), ("reduce", "{{ parts }}")):
        (folder / f"{stage}.jinja").write_text(body + '{% block answer %}{"title": "{% endblock %}', "utf-8")
    return load_analysis(tmp_path, "everything", output_language="English")


def typed(fields: list[Field], **changed: str | list[str]) -> dict[str, list[str]]:
    """What a browser sends of the form as it is, with what a person changes."""
    form: dict[str, list[str]] = {}
    for field in fields:
        value = changed.get(field.name, list(field.chosen) if field.kind == "choices" else field.text)
        form[field.input_name] = value if isinstance(value, list) else [value.replace("\n", "\r\n")]
    return form


def test_the_kinds_of_fields(analysis: Analysis) -> None:
    """Labels are offered as a choice, texts and lists as text, numbers as numbers, the rest as JSON."""
    fields = {field.name: field for field in fields_of(analysis, WHOLE)}
    assert {name: field.kind for name, field in fields.items()} == {
        "title": "text",
        "count": "number",
        "share": "number",
        "open": "choice",
        "tags": "choices",
        "points": "lines",
        "size": "choice",
        "place": "json",
    }
    assert fields["tags"].options == ("red", "green")
    assert fields["open"].options == ("true", "false")
    assert [name for name, field in fields.items() if field.required] == ["title", "count"]


def test_a_form_that_nobody_changes_gives_the_answer(analysis: Analysis) -> None:
    """Whatever types its properties have."""
    assert read_form(analysis, typed(fields_of(analysis, WHOLE))) == (WHOLE, [])


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({"title": "Ä\ntext"}, {"title": "Ä\ntext"}),
        ({"count": " 7 "}, {"count": 7}),
        ({"share": ""}, {"share": None}),
        ({"open": "true"}, {"open": True}),
        ({"tags": ["green", "red"]}, {"tags": ["green", "red"]}),
        ({"tags": []}, {"tags": []}),
        ({"points": "a\n\n b \n"}, {"points": ["a", "b"]}),
        ({"place": '{"city": "Ulm"}'}, {"place": {"city": "Ulm"}}),
    ],
)
def test_what_is_typed_is_the_answer(analysis: Analysis, changed: dict[str, Any], found: dict[str, Any]) -> None:
    """Empty means that there is none."""
    answer, wrong = read_form(analysis, typed(fields_of(analysis, WHOLE), **changed))
    assert wrong == []
    assert {name: answer.get(name) for name in found} == found


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"title": "A"}, "title: 'A' is too short"),
        ({"title": ""}, "'title' is a required property"),
        ({"count": "many"}, "count: is no integer"),
        ({"count": "-1"}, "count: -1 is less than the minimum"),
        ({"share": "nan"}, "share: is no number"),
        ({"share": "1e999"}, "share: is no number"),
        ({"tags": ["blue"]}, "tags.0: 'blue' is not one of"),
        ({"size": "xl"}, "size: 'xl' is not one of"),
        ({"place": "{"}, "place: is no object"),
        ({"place": "[1]"}, "place: [1] is not of type 'object'"),
    ],
)
def test_what_does_not_fit_is_told(analysis: Analysis, changed: dict[str, Any], told: str) -> None:
    """By the schema of the analysis, with the name of the field."""
    _, wrong = read_form(analysis, typed(fields_of(analysis, WHOLE), **changed))
    assert len(wrong) == 1
    assert wrong[0].startswith(told)


@pytest.mark.parametrize(
    ("label", "score", "told"), [("unknown", "", []), ("neutral", "0.25", []), ("unknown", "2", ["score: 2.0 is"])]
)
def test_an_empty_field_is_null_where_that_is_an_answer(label: str, score: str, told: list[str]) -> None:
    """The shipped sentiment has no score with the label `unknown`, and must have the property all the same."""
    analysis = load_analysis(shipped_prompts(), "sentiment", output_language="English")
    answer, wrong = read_form(analysis, {"corrected.sentiment": [label], "corrected.score": [score]})
    assert answer == {"sentiment": label, "score": float(score) if score else None}
    assert [one[: len(start)] for one, start in zip(wrong, told, strict=True)] == told


@pytest.mark.parametrize(
    ("spec", "taken"),
    [
        ('{ enum = ["s", "m"] }', False),
        ('{ type = ["string", "null"], enum = ["s", "m"] }', False),
        ('{ type = ["string", "null"] }', True),
    ],
)
def test_null_must_be_allowed_by_type_and_choices(tmp_path: Path, spec: str, taken: bool) -> None:
    """A required property that is left empty is missing unless its schema takes null."""
    declared = TOML.replace('"count"]', '"count", "size"]').replace('{ enum = ["s", "m"] }', spec)
    analysis = everything(tmp_path, declared)
    _, wrong = read_form(analysis, typed(fields_of(analysis, WHOLE), size=""))
    assert wrong == ([] if taken else ["'size' is a required property"])


@pytest.mark.parametrize("name", ["classification", "sentiment", "summarization"])
def test_shipped_analyses_have_forms(name: str) -> None:
    """An empty form of each says what is missing."""
    analysis = load_analysis(shipped_prompts(), name, output_language="English")
    assert read_form(analysis, {})[1]

"""Declared analyses: a folder is enough to add one, and every mistake in it is found when it is loaded."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from pipeline.analyses import (
    TABLES,
    Analysis,
    column_type,
    declared,
    load_analyses,
    load_analysis,
    shipped_prompts,
)
from pipeline.declared import PROVENANCE
from pipeline.domain import Stage
from pipeline.errors import DeclarationError, SettingsError
from pipeline.schemas import FIXED, result_columns
from pipeline.schemas.views import LATEST_COLUMNS

GOOD = """
description = "What is asked for"
label_property = "urgency"
merge = "reduce"

[labels]
high = "today"
low = "some day"

[generation]
max_output_tokens = 64
temperature = 0.0
top_p = 0.9

[answer]
type = "object"
required = ["urgency"]

[answer.properties.urgency]
type = "string"

[answer.properties.dates]
type = ["array", "null"]
items = { type = "string" }

[answer.properties.amount]
type = ["number", "null"]
"""
BY_RULE = GOOD.replace('merge = "reduce"', "") + '[merge]\nurgency = "vote"\ndates = "union"\namount = "mean"\n'
ENDS = '{% block answer %}{"urgency": "{% endblock %}'
MAP = "Labels {% for label in labels %}{{ label }} {% endfor %}in {{ schema }}\n{{ document }}\n" + ENDS
REDUCE = (
    "{% for part in parts %}{{ part.urgency }}{% for one in part.dates %}, {{ one }}{% endfor %}{% endfor %}" + ENDS
)


def declare(root: Path, declaration: str = GOOD, name: str = "demands", **templates: str | None) -> Path:
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "analysis.toml").write_text(declaration)
    for stage, source in ({"map": MAP, "reduce": REDUCE} | templates).items():
        if source is not None:
            (folder / f"{stage}.jinja").write_text(source)
    return root


def load(root: Path, name: str = "demands") -> Analysis:
    return load_analysis(root, name, output_language="German")


def test_a_new_folder_is_a_new_analysis(tmp_path: Path) -> None:
    """A declaration and its templates are found, loaded, rendered and given a table, without any code."""
    assert declared(declare(tmp_path)) == ["demands"]
    analysis = load_analyses(tmp_path, output_language="German")["demands"]
    prompt = analysis.prompt(Stage.MAP).render(document="Bitte bis Freitag.", position=1, siblings=1)
    assert "Bitte bis Freitag." in prompt
    assert '"enum":["high","low"]' in prompt
    assert analysis.generation.max_output_tokens == 64
    assert [name for name, _, _ in result_columns(analysis)][2:5] == ["urgency", "dates", "amount"]


def test_a_folder_with_an_underscore_is_no_analysis(tmp_path: Path) -> None:
    """Shared templates lie beside the analyses without being one."""
    assert declared(declare(declare(tmp_path, name="_shared"))) == ["demands"]


def test_a_rule_needs_no_reduce_template(tmp_path: Path) -> None:
    """Where chunks are joined by rule, there is no reduce prompt, and asking for it says so."""
    analysis = load(declare(tmp_path, BY_RULE, reduce=None))
    assert analysis.reduce is None
    with pytest.raises(DeclarationError, match=r"demands has no reduce\.jinja"):
        analysis.prompt(Stage.REDUCE)


def test_a_part_has_every_property(tmp_path: Path) -> None:
    """What reduce.jinja sees of an answer is complete: optional properties may be used without asking for them."""
    analysis = load(declare(tmp_path))
    assert analysis.part({"urgency": "low"}) == {"urgency": "low", "dates": [], "amount": None}
    assert analysis.part({"urgency": "low", "dates": None, "amount": 0}) == {"urgency": "low", "dates": [], "amount": 0}


# What is changed in a good declaration, and what the message says.
MISTAKES = [
    (
        ('description = "What', 'speed = 1\ndescription = "What'),
        "speed: there is no such field; allowed are description",
    ),
    (
        ("top_p = 0.9", "top_p = 0.9\ntop_k = 1"),
        "generation.top_k: there is no such field; allowed are max_output_tokens",
    ),
    (('description = "What is asked for"', ""), "description: is missing"),
    (("top_p = 0.9", ""), "generation.top_p: is missing"),
    (("temperature = 0.0", "temperature = 1.5"), "generation.temperature = 1.5: Input should be less than"),
    (("max_output_tokens = 64", "max_output_tokens = 8192"), "generation.max_output_tokens = 8192: Input should be"),
    (
        ("max_output_tokens = 64", 'max_output_tokens = "all"'),
        "generation.max_output_tokens = 'all': Input should be a valid int",
    ),
    (('label_property = "urgency"', 'label_property = "mood"'), "label_property 'mood' is no property of answer"),
    (('label_property = "urgency"', ""), "labels and label_property go together"),
    (('low = "some day"', 'HIGH = "some day"'), "labels: label 'high': allowed are labels that differ"),
    (('merge = "reduce"', 'merge = "vote"'), "merge: 'vote': allowed are \"reduce\", or a table"),
    (('merge = "reduce"', ""), "merge: is missing"),
    (
        ('merge = "reduce"', 'merge = { urgency = "vote", dates = "union" }'),
        "for exactly the properties of answer; see 'amount'",
    ),
    (
        ('merge = "reduce"', 'merge = { urgency = "best", dates = "union", amount = "sum" }'),
        "merge.urgency = 'best': allowed for type string are vote, max, min, first",
    ),
    (
        ('merge = "reduce"', 'merge = { urgency = "mean", dates = "union", amount = "sum" }'),
        "merge.urgency = 'mean': allowed for type string are",
    ),
    (
        ('merge = "reduce"', 'merge = { urgency = "vote", dates = "vote", amount = "sum" }'),
        "merge.dates = 'vote': allowed for type array are union, first",
    ),
    (("properties.amount", "properties.cost_usd"), "property 'cost_usd' is a column that every table has"),
    (("properties.amount", 'properties."Amount due"'), "property 'Amount due' cannot name a column; allowed are a-z"),
    (('type = "object"', 'type = "list"'), "answer: not a JSON Schema: type:"),
    (('type = "object"', 'type = "array"'), 'answer: must have type = "object"'),
    (('required = ["urgency"]', 'required = ["urgency", "when"]'), "required names 'when', which is no property"),
    (
        ('type = ["number", "null"]', 'type = ["number", "string"]'),
        "amount: type ['number', 'string'] cannot become a column",
    ),
    (
        ('type = ["number", "null"]', 'type = "null"'),
        "amount: type 'null' cannot become a column; allowed are string, number",
    ),
    (('type = ["number", "null"]', 'type = "object"'), "amount: type 'object' cannot become a column"),
    (('type = ["number", "null"]', "enum = [1, 2]"), "amount: type None cannot become a column"),
    (('items = { type = "string" }', ""), "dates: type ['array', 'null'] cannot become a column"),
    (('items = { type = "string" }', "items = { }"), "dates.items: type None cannot become a column"),
    (("[generation]", "[generation"), "not valid TOML"),
    (("today", "<|eot_id|>"), "the answer, a label or the output language holds what reads as a control token"),
    (("low =", '"</document>" ='), "the answer, a label or the output language holds what reads as a control token"),
    (('type = "object"', 'type = "object"\ntitle = "<part>"'), "or as the tag of a document or part; take it out"),
    (("merge =", "chunk_tokens = 10\nmerge ="), "chunk_tokens = 10: Input should be greater than or equal"),
]


@pytest.mark.parametrize(("change", "message"), MISTAKES)
def test_a_mistake_in_the_declaration_is_refused(tmp_path: Path, change: tuple[str, str], message: str) -> None:
    """The message names the file, the field and what is allowed."""
    assert change[0] in GOOD
    declare(tmp_path, GOOD.replace(*change, 1))
    with pytest.raises(DeclarationError) as raised:
        load(tmp_path)
    assert str(raised.value).startswith(f"{tmp_path / 'demands' / 'analysis.toml'}: ")
    assert message in str(raised.value)
    assert raised.value.exit_code == 2


@pytest.mark.parametrize(
    ("templates", "message"),
    [
        ({"map": None}, "demands/map.jinja: there is no such file"),
        ({"reduce": None}, "demands/reduce.jinja: there is no such file"),
        ({"map": "{{ parts }}" + ENDS}, "demands/map.jinja: 'parts' is undefined; a template may use document, labels"),
        ({"reduce": "{{ document }}" + ENDS}, "demands/reduce.jinja: 'document' is undefined"),
        ({"reduce": "{% for p in parts %}{{ p.title }}{% endfor %}" + ENDS}, "has no attribute 'title'"),
        ({"map": "{% include '_shared/x.jinja' %}" + ENDS}, "includes '_shared/x.jinja', which is not there"),
    ],
)
def test_a_mistake_in_a_template_is_refused(tmp_path: Path, templates: dict[str, str | None], message: str) -> None:
    """Templates are rendered once at loading, so that a name that does not exist shows before anything is sent."""
    declare(tmp_path, GOOD, "demands", **templates)
    with pytest.raises(DeclarationError) as raised:
        load(tmp_path)
    assert message in str(raised.value)


@pytest.mark.parametrize(
    "templates",
    [
        {"map": "{{ document }} {{ document | replace(' ', '') }}"},
        {"map": "{{ document }}|eot_id|>"},
        {"map": "{{ document }}/document>"},
        {"map": "Read this: <{{ document }}"},
        {"map": "<|eot{{ document }}"},
        {"reduce": "{% for p in parts %}{% for date in p.dates %}<{{ date }}>{% endfor %}{% endfor %}"},
        {"reduce": "{% for p in parts %}{{ p.dates | join }}{% endfor %}"},
    ],
)
def test_a_template_that_undoes_what_makes_a_text_safe_is_refused(tmp_path: Path, templates: dict[str, str]) -> None:
    """No template writes a text so that, beside what the template says or another text, it reads as a control token."""
    ((stage, source),) = templates.items()
    declare(tmp_path, GOOD, "demands", **{stage: source + ENDS})
    with pytest.raises(DeclarationError, match=rf"^demands/{stage}\.jinja: .* so that a document could end its turn"):
        load(tmp_path)


@pytest.mark.parametrize("name", ["runs", "ledger", "Upper", "has-dash", "9lives", "mood_latest"])
def test_a_folder_that_cannot_name_a_table_is_refused(tmp_path: Path, name: str) -> None:
    """An analysis gives its name to a table, beside the tables that every output has."""
    with pytest.raises(DeclarationError, match="the folder names a table; allowed are"):
        load(declare(tmp_path, name=name), name)


def test_names_are_looked_up_in_the_folder(tmp_path: Path) -> None:
    """An analysis that is not declared, and a folder without any or that is not there, are told apart."""
    declare(tmp_path / "some")
    (tmp_path / "none").mkdir()
    with pytest.raises(SettingsError, match=r"analysis 'mood': not declared in .*; declared are demands"):
        load_analyses(tmp_path / "some", ["mood"], output_language="German")
    with pytest.raises(SettingsError, match=r"no analysis is declared there \(a folder with analysis\.toml"):
        load_analyses(tmp_path / "none", output_language="German")
    with pytest.raises(SettingsError, match="there is no such folder of prompts; DOCBATCH_PROMPTS names it"):
        load_analyses(tmp_path / "gone", output_language="German")


def test_reserved_names_are_those_of_the_tables(tmp_path: Path) -> None:
    """What a property or a folder may not be called is exactly what the tables and their `_latest` use."""
    analysis = load(declare(tmp_path))
    columns = {name for name, _, _ in result_columns(analysis)}
    assert columns - set(PROVENANCE) == set(analysis.schema["properties"])
    assert set(PROVENANCE) == (columns - set(analysis.schema["properties"])) | {name for name, _, _ in LATEST_COLUMNS}
    assert set(TABLES) == {*FIXED, "gold"}


def test_labels_of_a_list_are_those_of_its_items(tmp_path: Path) -> None:
    """Where the labelled property is a list, every element must be a label."""
    text = GOOD.replace('type = "string"', 'type = "array"\nitems = { type = "string" }', 1)
    schema = load(declare(tmp_path, text)).schema["properties"]["urgency"]
    assert schema["items"] == {"type": "string", "enum": ["high", "low"]}


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        ('type = "integer"', "integer"),
        ('type = ["null", "boolean"]', "boolean"),
        ('enum = ["a", "b"]', "string"),
        ("enum = [1]", None),
        ("minimum = 1", None),
        ('type = "array"\nitems = true', None),
        ('type = "object"\nproperties = { a = { type = "string" } }', "object"),
    ],
)
def test_what_can_become_a_column(spec: str, kind: str | None) -> None:
    """One type beside null decides; a list needs items, an object properties."""
    assert column_type(tomllib.loads(spec)) == kind


def test_a_template_without_the_document_is_refused(tmp_path: Path) -> None:
    """A prompt that does not show the document would be paid for nothing."""
    for path in (shipped_prompts() / "classification").iterdir():
        (tmp_path / "mute").mkdir(exist_ok=True)
        text = path.read_text("utf-8").replace('{% extends "_shared/llama3.jinja" %}', "")
        text = text.replace('{% include "_shared/data_not_instructions.jinja" %}', "")
        text = text.replace('{% include "_shared/answer_form.jinja" -%}', "").replace("{{ document }}", "the document")
        (tmp_path / "mute" / path.name).write_text(text, "utf-8")
    with pytest.raises(DeclarationError, match=r"mute/map.jinja: does not write \{\{ document \}\}"):
        load_analyses(tmp_path, output_language="English")


def test_templates_without_a_declaration_are_refused(tmp_path: Path) -> None:
    """A folder that somebody forgot to declare is an error, not an analysis that silently does not run."""
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "map.jinja").write_text("{{ document }}", "utf-8")
    with pytest.raises(DeclarationError, match=r"half: has templates and no analysis.toml"):
        load_analyses(tmp_path, output_language="English")

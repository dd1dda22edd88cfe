"""Answers: what a model writes is repaired, cut down to what was declared, or refused with a reason."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.answers import MOST_INTEGER, Parsed, parse_answer
from pipeline.domain import Reason

LABELS = {"Positive": "good", "negative": "bad"}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["label", "summary"],
    "properties": {
        "label": {"type": "string", "enum": list(LABELS)},
        "summary": {"type": "string", "minLength": 1},
        "points": {"type": ["array", "null"], "items": {"type": "string"}},
        "sizes": {"type": "array", "items": {"type": "number"}},
        "score": {"type": ["number", "null"], "maximum": 1},
        "place": {"type": "object", "properties": {"town": {"type": "string"}, "zip": {"type": "string"}}},
    },
}
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
BEGUN = '{"label": "'
BASE = {"label": "negative", "summary": "s"}


def parse(generation: str, begun: str = BEGUN) -> Parsed:
    return parse_answer(generation, begun, VALIDATOR, LABELS)


REPAIRED = [
    ("as asked", 'negative", "summary": "s"}', BASE),
    ("blanks around", '  negative  ",\n "summary": "\\ts "} \n', BASE),
    ("the beginning written again", '{"label": "negative", "summary": "s"}', BASE),
    ("a code fence", '```json\n{"label": "negative", "summary": "s"}\n```', BASE),
    ("a fence that ends what was begun", 'negative", "summary": "s"}\n```\n', BASE),
    ("prose before", 'Here it is: {"label": "negative", "summary": "s"}', BASE),
    ("prose behind", 'negative", "summary": "s"}\n\nI hope {this} helps.', BASE),
    ("a second object", 'negative", "summary": "s"}\n{"label": "positive", "summary": "t"}', BASE),
    ("a trailing comma", 'negative", "summary": "s",}', BASE),
    ("trailing commas at depth", 'negative", "summary": "s", "points": ["a", ], }', BASE | {"points": ["a"]}),
    (
        "commas inside strings stay",
        'negative", "summary": "a,} b,] \\", }", "points": [",]",],}',
        {"label": "negative", "summary": 'a,} b,] ", }', "points": [",]"]},
    ),
    ("a raw line break", 'negative", "summary": "a\nb"}', BASE | {"summary": "a\nb"}),
    ("a label in other case", 'pOSITIVE", "summary": "s"}', {"label": "Positive", "summary": "s"}),
    ("a label's word as text stays", 'negative", "summary": "POSITIVE"}', BASE | {"summary": "POSITIVE"}),
    ("an undeclared property", 'negative", "summary": "s", "mood": {"x": 1}}', BASE),
    ("an undeclared property of any size", f'negative", "summary": "s", "n": 1e999, "m": {10**40}}}', BASE),
    ("half a surrogate pair", 'negative", "summary": "a\\ud83d"}', BASE | {"summary": "a\ufffd"}),
    ("a whole surrogate pair", 'negative", "summary": "\\ud83d\\ude00"}', BASE | {"summary": "😀"}),
    (
        "surrogates at depth",
        'negative", "summary": "s", "place": {"town": "\\udc00"}}',
        BASE | {"place": {"town": "\ufffd"}},
    ),
    ("cut in a text", 'negative", "summary": "It began', BASE | {"summary": "It began"}),
    ("cut in an escape", 'negative", "summary": "a\\', BASE | {"summary": "a"}),
    ("cut in a unicode escape", 'negative", "summary": "a\\u00', BASE | {"summary": "a"}),
    ("cut after an escaped backslash", 'negative", "summary": "C:\\\\u00', BASE | {"summary": "C:\\u00"}),
    ("cut in a pair of escapes", 'negative", "summary": "a\\ud83d\\ude', BASE | {"summary": "a\ufffd"}),
    ("cut in a list", 'negative", "summary": "s", "points": ["one", "tw', BASE | {"points": ["one"]}),
    ("cut after an element", 'negative", "summary": "s", "points": ["one", "two"', BASE | {"points": ["one", "two"]}),
    ("cut in a number of a list", 'negative", "summary": "s", "sizes": [1, 25', BASE | {"sizes": [1]}),
    ("cut in a number", 'negative", "summary": "s", "score": -0.', BASE),
    ("cut in a word", 'negative", "summary": "s", "score": nul', BASE),
    ("cut in a name", 'negative", "summary": "s", "sco', BASE),
    ("cut after a colon", 'negative", "summary": "s", "score":', BASE),
    ("cut at depth", 'negative", "summary": "s", "place": {"town": "Ulm", "zi', BASE | {"place": {"town": "Ulm"}}),
]


@pytest.mark.parametrize(("generation", "answer"), [case[1:] for case in REPAIRED], ids=[case[0] for case in REPAIRED])
def test_repairs(generation: str, answer: dict[str, Any]) -> None:
    """What can be mended without asking again is mended, and nothing else is changed."""
    assert parse(generation).answer == answer


REFUSED = [
    ("", Reason.INVALID, "answer: 'summary' is a required property"),
    ("I cannot answer that.", Reason.INVALID, "answer: 'summary' is a required property"),
    ('joyful", "summary": "s"}', Reason.INVALID, 'label: does not fit the rule enum = ["Positive", "negative"]'),
    (f'{"x" * 500}", "summary": "s"}}', Reason.INVALID, 'label: does not fit the rule enum = ["Pos'),
    ('negative"}', Reason.INVALID, "answer: 'summary' is a required property"),
    ('negative", "summary": ""}', Reason.INVALID, "summary: does not fit the rule minLength = 1"),
    ('negative", "summary": 5}', Reason.INVALID, 'summary: does not fit the rule type = "string"'),
    (
        'negative", "summary": "s", "points": ["a", 5]}',
        Reason.INVALID,
        'points.1: does not fit the rule type = "string"',
    ),
    ('negative", "summary": "s", "score": NaN}', Reason.INVALID, "score: no number that a table can hold"),
    ('negative", "summary": "s", "score": -Infinity}', Reason.INVALID, "score: no number"),
    ('negative", "summary": "s", "score": 1e999}', Reason.INVALID, "score: no number"),
    (
        f'negative", "summary": "s", "score": -{MOST_INTEGER + 1}}}',
        Reason.INVALID,
        "score: no number",
    ),
    (f'negative", "summary": "s", "score": -{"9" * 5000}}}', Reason.MALFORMED, "no JSON object"),
    ('negative", "summary": "s", "sizes": [0, NaN]}', Reason.INVALID, "sizes: no number"),
    ('negative", "summary": "s", "score": 2}', Reason.INVALID, "score: does not fit the rule maximum = 1"),
    ('x" y', Reason.MALFORMED, "no JSON object in 4 characters"),
]


@pytest.mark.parametrize(("generation", "reason", "detail"), REFUSED)
def test_refusals(generation: str, reason: Reason, detail: str) -> None:
    """What does not fit is a failure that says where and what is allowed, bounded, and quotes nothing of the answer."""
    parsed = parse(generation)
    assert parsed.answer is None
    assert parsed.failure
    assert parsed.failure.reason is reason
    assert detail in parsed.failure.detail
    assert len(parsed.failure.detail) <= 200
    assert not any(word in parsed.failure.detail for word in ("joyful", "xxx", "cannot"))


@pytest.mark.parametrize(
    ("generation", "begun", "cut"),
    [
        ('joyful", "summary": "s"}', BEGUN, False),
        ('joyful", "summary": "It beg', BEGUN, True),
        ("I cannot say", BEGUN, True),
        ("I cannot say", "", False),
        ('negative"', BEGUN, True),
        ('{"label": "x"}', "", False),
        ('{"label": "x', "", True),
        ('No. {"label": "x"} as asked', BEGUN, False),
        ("{", "", True),
        ("", "", False),
    ],
)
def test_a_refusal_says_whether_the_end_was_missing(generation: str, begun: str, cut: bool) -> None:
    """An object that was begun and never ended was cut; one that ended, or none at all, was not."""
    parsed = parse(generation, begun)
    assert (parsed.answer, parsed.cut) == (None, cut)


LONG = json.dumps(
    {
        "label": "negative",
        "summary": 'He said: "a, {b}" \\u0041 \\ and left\n\u00fc \U0001f600.',
        "points": ["one, two", 'three ] "four"', ""],
        "sizes": [1, 2.5e3, -0.125],
        "score": -0.75,
        "place": {"town": "Ulm, }", "zip": "89073"},
    }
)


@pytest.mark.parametrize(
    "text", [LONG, json.dumps(json.loads(LONG), ensure_ascii=False, indent=1)], ids=["ascii", "indented"]
)
def test_every_beginning_of_an_answer(text: str) -> None:
    """Cut anywhere, an answer is a failure or valid, holds no half values but texts, and says that it was cut."""
    whole = json.loads(text)
    assert parse(text, "") == Parsed(whole)
    found = 0
    for length in range(len(text)):
        parsed = parse(text[:length], "")
        if parsed.answer is None:
            assert parsed.failure
            continue
        found += 1
        assert parsed.cut
        assert VALIDATOR.is_valid(parsed.answer)
        for name in ("sizes", "points"):
            kept = parsed.answer.get(name) or []
            assert kept == whole[name][: len(kept)]
        assert parsed.answer.get("score", whole["score"]) == whole["score"]
    assert found > len(text) // 2


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30).map(str.strip)


@given(
    st.fixed_dictionaries(
        {"label": st.sampled_from(list(LABELS)), "summary": TEXTS.filter(bool)},
        optional={
            "points": st.lists(TEXTS),
            "score": st.floats(-1e300, 1),
            "place": st.fixed_dictionaries({"town": TEXTS}),
        },
    ),
    st.booleans(),
    st.sampled_from([None, 2]),
)
def test_json_round_trip(answer: dict[str, Any], ascii_only: bool, indent: int | None) -> None:
    """A valid answer comes back as it is, however its JSON is written."""
    text = json.dumps(answer, ensure_ascii=ascii_only, indent=indent)
    assert parse(text, "") == Parsed(answer)
    begun = json.dumps({"label": answer["label"]} | answer, ensure_ascii=ascii_only)
    assert parse(begun.removeprefix(BEGUN)) == Parsed(answer)


GARBAGE = st.lists(
    st.sampled_from(
        ["{", "}", "[", "]", '"', "\\", ",", ":", "```", "\n", " ", "\\u", '"label"', "NaN", "-1e9", "null"]
    )
    | st.text(max_size=5),
    max_size=30,
).map("".join)


@given(GARBAGE, st.sampled_from(["", BEGUN]))
def test_garbage_never_raises(generation: str, begun: str) -> None:
    """Any text is an answer that validates, or a failure."""
    parsed = parse(generation, begun)
    assert (parsed.answer is None) == (parsed.failure is not None)
    assert parsed.answer is None or VALIDATOR.is_valid(parsed.answer)


@given(st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=5), inner), max_leaves=8))
def test_any_json_in_place_of_a_value(value: object) -> None:
    """A declared property may hold anything: the answer can be written as JSON afterwards, or is refused."""
    parsed = parse(json.dumps({**BASE, "place": value, "points": value}), "")
    if parsed.answer is not None:
        json.dumps(parsed.answer, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("depth", [100, 900, 20_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
@pytest.mark.parametrize("closed", [True, False])
def test_deep_nesting_is_bounded(depth: int, opening: str, closing: str, closed: bool) -> None:
    """An answer nested beyond all sense is a failure, not an exhausted stack."""
    text = f'negative", "summary": "s", "points": {opening * depth}1{closing * depth if closed else ""}}}'
    assert parse(text).answer is None


def test_long_runs_of_blanks_are_read_in_linear_time() -> None:
    """A model that ends in twenty thousand blanks or commas costs no more than its length."""
    for filler in (" ", "\n", ",", ", ", '"', '",', "`", "\\"):
        parse(f'negative", "summary": "s"{filler * 20_000}x')
        parse(f'negative", "summary": "s{filler * 20_000}x')

"""Rules that join the answers of a document's chunks."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.merging import JOINS, RULES, merge

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(max_size=3),
    "number": st.floats(-1e9, 1e9),
    "integer": st.integers(-(2**40), 2**40),
    "boolean": st.booleans(),
    "array": st.lists(st.text(max_size=2), max_size=3),
    "object": st.dictionaries(st.text(max_size=2), st.text(max_size=2), max_size=2),
}
KINDS: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "number": (float, int),
    "integer": (int,),
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
}


@pytest.mark.parametrize(
    ("rule", "values", "weights", "joined"),
    [
        ("vote", ["a", "b", "b"], [5, 2, 2], "a"),
        ("vote", ["a", "b", "b"], [3, 2, 2], "b"),
        ("vote", ["b", "a"], [2, 2], "b"),
        ("mean", [1.0, 0.0], [3, 1], 0.75),
        ("mean", [1.0, None], [1, 9], 1.0),
        ("mean", [None, None], [1, 1], None),
        ("union", [["b", "a"], None, ["a", "c"]], [1, 1, 1], ["b", "a", "c"]),
        ("sum", [1, None, 2], [9, 9, 9], 3),
        ("max", [1, 3, None], [1, 1, 1], 3),
        ("min", ["b", "a"], [1, 1], "a"),
        ("any", [False, None, True], [1, 1, 1], True),
        ("all", [True, None, False], [1, 1, 1], False),
        ("first", [None, "x", "y"], [1, 1, 1], "x"),
        ("sum", [None, None], [1, 1], None),
    ],
)
def test_rules(rule: str, values: list[Any], weights: list[int], joined: Any) -> None:
    """Each rule joins as its name says; unknown values have no say where others are known."""
    assert merge([{"x": value} for value in values], weights, {"x": rule}) == {"x": joined}


@pytest.mark.parametrize(("rule", "kind"), [(rule, kind) for rule, kinds in JOINS.items() for kind in kinds])
@given(values=st.data())
def test_a_rule_keeps_the_type_that_it_is_allowed_for(rule: str, kind: str, values: st.DataObject) -> None:
    """Any values of an allowed type, absent ones among them, join into one of that type, or into none."""
    found = values.draw(st.lists(st.tuples(st.none() | VALUES[kind], st.integers(1, 10**6)), min_size=2, max_size=5))
    answers = [{} if value is None else {"x": value} for value, _ in found]
    joined = merge(answers, [weight for _, weight in found], {"x": rule})["x"]
    assert joined is None or isinstance(joined, KINDS[kind])


def test_every_rule_says_what_it_joins() -> None:
    """No rule is without its types, and no types without a rule."""
    assert JOINS.keys() == RULES.keys()


def test_one_answer_is_itself() -> None:
    """A document that fitted whole has its answer unchanged, undeclared rules or not."""
    assert merge([{"a": 1, "b": [2]}], [7], {}) == {"a": 1, "b": [2]}

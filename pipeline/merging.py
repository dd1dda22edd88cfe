"""Rules that join the answers of a document's chunks into one, each weighted by its tokens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Weighted = Sequence[tuple[Any, int]]
Rule = Callable[[Weighted], Any]


def _vote(values: Weighted) -> Any:
    """The value with the most tokens behind it; of equals, the one that came first."""
    votes: dict[Any, int] = defaultdict(int)
    for value, weight in values:
        votes[value] += weight
    return max(votes, key=lambda value: votes[value])


def _mean(values: Weighted) -> float | None:
    """The mean weighted by tokens; unknown values have no say."""
    known = [(value, weight) for value, weight in values if value is not None]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None


def _union(values: Weighted) -> list[Any]:
    """Every element once, in the order of first appearance."""
    return list(dict.fromkeys(element for value, _ in values for element in value or ()))


def _known(choose: Callable[[list[Any]], Any]) -> Rule:
    def rule(values: Weighted) -> Any:
        known = [value for value, _ in values if value is not None]
        return choose(known) if known else None

    return rule


RULES: Mapping[str, Rule] = {
    "vote": _vote,
    "mean": _mean,
    "union": _union,
    "sum": _known(sum),
    "max": _known(max),
    "min": _known(min),
    "any": _known(any),
    "all": _known(all),
    "first": _known(lambda known: known[0]),
}


# The JSON types whose values a rule can join; a property of another type would stop a run at its first long document.
JOINS: Mapping[str, tuple[str, ...]] = {
    "vote": ("string", "number", "integer", "boolean"),
    "mean": ("number",),
    "union": ("array",),
    "sum": ("number", "integer"),
    "max": ("number", "integer", "string"),
    "min": ("number", "integer", "string"),
    "any": ("boolean",),
    "all": ("boolean",),
    "first": ("string", "number", "integer", "boolean", "array", "object"),
}


def merge(answers: Sequence[Mapping[str, Any]], weights: Sequence[int], rules: Mapping[str, str]) -> dict[str, Any]:
    """One answer out of `answers` (in chunk order), property by property. One answer is itself."""
    if len(answers) == 1:
        return dict(answers[0])
    return {
        name: RULES[rule]([(answer.get(name), weight) for answer, weight in zip(answers, weights, strict=True)])
        for name, rule in rules.items()
    }

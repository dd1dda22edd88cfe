"""Check a request against botocore's own service model, as the service does and boto3 does not.

boto3 checks minimums and required members only; patterns, maximums and enums are the server's to refuse.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

import botocore.session

from pipeline.local.faults import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from botocore.model import OperationModel, Shape

_PYTHON_TYPES: dict[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "long": int,
    "boolean": bool,
    "list": list,
    "structure": dict,
    "timestamp": str,
}


@cache
def operation(service: str, name: str) -> OperationModel:
    """The operation as botocore describes it, for example ("bedrock", "CreateModelInvocationJob")."""
    return botocore.session.Session().get_service_model(service).operation_model(name)


def check(service: str, name: str, request: dict[str, Any]) -> None:
    """Raise a ValidationException that lists every constraint of the operation's input that `request` breaks."""
    shape = operation(service, name).input_shape
    problems = list(_structure_problems(shape, request, "")) if shape is not None else []
    if problems:
        noun = "error" if len(problems) == 1 else "errors"
        raise invalid(f"{len(problems)} validation {noun} detected: " + "; ".join(problems))


def _structure_problems(shape: Shape, value: dict[str, Any], where: str) -> Iterator[str]:
    members: dict[str, Shape] = shape.members  # type: ignore[attr-defined]  # only a StructureShape arrives here
    for name, member in members.items():
        path = f"{where}.{name}" if where else name
        if value.get(name) is not None:
            yield from _problems(member, value[name], path)
        elif name in shape.required_members:
            yield f"Value null at '{path}' failed to satisfy constraint: Member must not be null"
    if shape.metadata.get("union") and sum(value.get(name) is not None for name in members) != 1:
        yield f"Value at '{where}' failed to satisfy constraint: Member must have exactly one of {sorted(members)} set"


def _problems(shape: Shape, value: object, where: str) -> Iterator[str]:
    expected = _PYTHON_TYPES.get(shape.type_name, object)
    if not isinstance(value, expected) or (isinstance(value, bool) and shape.type_name != "boolean"):
        yield f"Value at '{where}' failed to satisfy constraint: Member must be of type {shape.type_name}"
        return
    shown = "Value" if shape.metadata.get("sensitive") else f"Value '{value}'"
    for constraint in _broken_constraints(shape, value):
        yield f"{shown} at '{where}' failed to satisfy constraint: {constraint}"
    if isinstance(value, dict):
        yield from _structure_problems(shape, value, where)
    elif isinstance(value, list):
        for position, element in enumerate(value, start=1):
            member: Shape = shape.member  # type: ignore[attr-defined]  # a list's value has a ListShape
            yield from _problems(member, element, f"{where}.{position}.member")


def _broken_constraints(shape: Shape, value: object) -> Iterator[str]:
    rules = shape.metadata
    size = value if isinstance(value, int) else len(value) if isinstance(value, str | list | bytes) else 0
    noun = "value" if isinstance(value, int) else "length"
    if "min" in rules and size < rules["min"]:
        yield f"Member must have {noun} greater than or equal to {rules['min']}"
    if "max" in rules and size > rules["max"]:
        yield f"Member must have {noun} less than or equal to {rules['max']}"
    if "enum" in rules and value not in rules["enum"]:
        yield f"Member must satisfy enum value set: [{', '.join(sorted(rules['enum']))}]"
    if "pattern" in rules and isinstance(value, str) and not _matches(rules["pattern"], value):
        yield f"Member must satisfy regular expression pattern: {rules['pattern']}"


def _matches(pattern: str, value: str) -> bool:
    return _compiled(pattern).fullmatch(value) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    # `(-*[...-])` splits a run of dashes in exponentially many ways; made atomic, it accepts the same in linear time.
    return re.compile(pattern.replace("(-*[", "(?>-*["), re.ASCII)

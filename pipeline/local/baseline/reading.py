"""Read a rendered prompt: the schema it asks for, its labels, the text it is about, the answer it has begun."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

_TURN = re.compile(r"<\|start_header_id\|>(\w+)<\|end_header_id\|>\n\n")
_END = "<|eot_id|>"
_ANNOUNCES_SCHEMA = "Answer with one JSON object that fits this JSON Schema:"
_FENCE = re.compile(r"<(document|part)>\n|\n</(document|part)>")
_LABEL = re.compile(r"^- ([^:\n]{1,80}): (.+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Asked:
    """What a prompt wants. `schema` is None where it is in no form that this engine knows."""

    text: str
    schema: dict[str, Any] | None = None
    labels: dict[str, str] = field(default_factory=dict)
    begun: str = ""


def read_prompt(prompt: str) -> Asked:
    """The last user turn's fences, or all of it; without Llama's turns, the prompt itself is the text."""
    turns = _turns(prompt)
    system = "\n".join(content for role, content in turns if role == "system")
    users = [content for role, content in turns if role == "user"]
    fenced = next((texts for content in reversed(users) if (texts := _fences(content))), None)
    text = "\n\n".join(fenced) if fenced is not None else (users[-1] if users else prompt)
    begun = turns[-1][1] if turns and turns[-1][0] == "assistant" else ""
    labels = {found[1].strip("`\"'"): found[2] for found in _LABEL.finditer(system)}
    return Asked(text=text, schema=_schema(system or text), labels=labels, begun=begun)


def _turns(prompt: str) -> list[tuple[str, str]]:
    headers = list(_TURN.finditer(prompt))
    if not headers:
        return []
    ends = [header.start() for header in headers[1:]] + [len(prompt)]
    return [
        (header[1], prompt[header.end() : end].partition(_END)[0]) for header, end in zip(headers, ends, strict=True)
    ]


def _fences(content: str) -> list[str]:
    """The texts between an opening tag and the first closing one of the same name, in one pass."""
    texts: list[str] = []
    opened: re.Match[str] | None = None
    for tag in _FENCE.finditer(content):
        if opened is None and tag[1]:
            opened = tag
        elif opened is not None and tag[2] == opened[1]:
            texts.append(content[opened.end() : tag.start()])
            opened = None
    return texts


def _schema(system: str) -> dict[str, Any] | None:
    _, announced, rest = system.partition(_ANNOUNCES_SCHEMA)
    return _valid_schema(rest.lstrip().partition("\n")[0]) if announced else None


@lru_cache(maxsize=64)  # all prompts of an analysis hold the same one
def _valid_schema(written: str) -> dict[str, Any] | None:
    try:
        schema = json.loads(written)
        Draft202012Validator.check_schema(schema)
    except (ValueError, SchemaError):
        return None
    return schema if isinstance(schema, dict) and isinstance(schema.get("properties"), dict) else None

"""Fused analyses: several analyses of one text in one request, one answer with a part for each. Pure but for loading.

A part is judged by its own schema, as if it had been asked for alone; the others do not suffer when it fails.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.analyses import Analysis
from pipeline.answers import Parsed, fit, read_objects
from pipeline.declared import shipped_prompts
from pipeline.domain import FUSED_BY, Failure, Generation, Reason
from pipeline.errors import DeclarationError
from pipeline.prompts import FUSED, Prompt, fingerprint, load_fused, open_fused, render_block

# What the name of a part, its braces and the start of its answer take at most; a single prompt begins those itself.
FRAME_TOKENS = 16


@dataclass(frozen=True)
class Fused:
    """Several analyses asked as one, in the order of their names, so that a label comes before a long summary.

    `fingerprint` is that of the fused template alone: what an analysis asks is in its own.
    """

    name: str
    parts: tuple[Analysis, ...]
    map: Prompt
    generation: Generation
    chunk_tokens: int | None
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Part:
    """What an answer holds for one analysis: parsed or why not, as it was written, and how long that is."""

    parsed: Parsed
    raw: str
    written_bytes: int


def fused_fingerprint(root: Path) -> str:
    """sha256 of the template of fused prompts with its includes. Raises DeclarationError."""
    return fingerprint(open_fused(root, shipped_prompts()), None, [FUSED])


def fuse(root: Path, analyses: Mapping[str, Analysis], names: Sequence[str], most_output_tokens: int) -> Fused:
    """The named analyses as one; its answers may be as long as all of theirs, and at most `most_output_tokens`.

    Raises DeclarationError when a template lacks a block, or when two analyses want different parameters.
    """
    parts = tuple(analyses[name] for name in sorted(names))
    schema = {
        "type": "object",
        "required": [part.name for part in parts],
        "properties": {part.name: part.schema for part in parts},
    }
    constants = {
        "parts": [_told(part) for part in parts],
        "schema": json.dumps(schema, ensure_ascii=False, separators=(",", ":")),
        "begun": _begun(parts[0]),
    }
    prompt = load_fused(open_fused(root, shipped_prompts()), constants)
    sizes = [part.chunk_tokens for part in parts if part.chunk_tokens is not None]
    generation = _generation(parts, most_output_tokens)
    name = FUSED_BY.join(part.name for part in parts)
    return Fused(name, parts, prompt, generation, min(sizes, default=None), fused_fingerprint(root))


def read_parts(generation: str, begun: str, parts: Sequence[Analysis]) -> list[Part]:
    """What a model wrote after `begun`, by analysis. A part that is missing or wrong fails alone."""
    objects = list(read_objects(generation, begun))
    return [_part(generation, objects, part, was_cut=_was_cut(objects, parts)) for part in parts]


def _told(part: Analysis) -> dict[str, str]:
    blocks = {block: render_block(part.map, block) for block in ("instructions", "question")}
    return {"name": part.name, **blocks}


def _begun(first: Analysis) -> str:
    """The start of the answer, up to what the first analysis begins itself."""
    begun = first.map.begun.strip(" \n")
    return f'{{"{first.name}": {begun}' if begun else '{"'


def _generation(parts: Sequence[Analysis], most_output_tokens: int) -> Generation:
    first = parts[0].generation
    for part in parts:
        found = part.generation
        if (found.temperature, found.top_p) != (first.temperature, first.top_p):
            raise DeclarationError(
                f"analyses {parts[0].name} and {part.name} cannot be fused: generation.temperature and "
                "generation.top_p hold for a whole request, and differ; make them equal in analysis.toml, or leave "
                "fuse off"
            )
    wanted = sum(part.generation.max_output_tokens + FRAME_TOKENS for part in parts)
    return Generation(min(wanted, most_output_tokens), first.temperature, first.top_p)


def _was_cut(objects: Sequence[tuple[dict[str, Any], bool]], parts: Sequence[Analysis]) -> bool:
    """Whether the end of the answer is missing: by the first reading that has any part, for others may be of a part."""
    readings = (cut for found, cut in objects if any(isinstance(found.get(part.name), dict) for part in parts))
    return next(readings, False)


def _part(generation: str, objects: Sequence[tuple[dict[str, Any], bool]], part: Analysis, *, was_cut: bool) -> Part:
    """The first reading of the answer whose part fits; else what is wrong with the first that there is."""
    problem: tuple[Parsed, Any] | None = None
    for found, cut in objects:
        value = found.get(part.name)
        if not isinstance(value, dict):
            continue
        last = cut and next(reversed(found)) == part.name  # those before it were whole
        answer, wrong = fit(value, part.validator, part.declaration.labels)
        if wrong is None:
            return _written(part, Parsed(answer, cut=last), value)
        problem = problem or (Parsed(None, Failure(Reason.INVALID, wrong), cut=last), value)
    if problem:
        return _written(part, *problem)
    missing = Failure(Reason.MALFORMED, f"no object `{part.name}` in {len(generation)} characters")
    return Part(Parsed(None, missing, cut=was_cut), generation, 0)


def _written(part: Analysis, parsed: Parsed, value: Any) -> Part:
    """The part with its text as it would stand behind the analysis' own prompt."""
    try:
        raw = json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return Part(parsed, "", 0)
    return Part(parsed, raw.removeprefix(part.map.begun.strip(" \n")), len(raw.encode("utf-8", "surrogatepass")))

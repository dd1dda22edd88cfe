"""Documents x analyses -> requests, and what is still owed -> the requests of the next round. Pure: no I/O."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from pipeline.analyses import Analysis
from pipeline.chunking import chunk
from pipeline.domain import FUSED_BY, Request, Stage
from pipeline.errors import DeclarationError, RunError
from pipeline.forecasts.outlooks import Base
from pipeline.fusing import Fused
from pipeline.neutralising import neutralise
from pipeline.settling import Limits, Reduce
from pipeline.tokens import TokenCounter, bound_tokens, count_prompt
from pipeline.wordings import Owed

Rendered = tuple[Request, str]
MOST_CHARACTER_BYTES = 4  # of UTF-8
LEAST_CHUNK_TOKENS = 64  # a budget that every grapheme fits
QUOTED_CHARACTERS = (4_000, 400, 0)  # of a wrong answer, in its correction; the first that fits


class Mapper:
    """Makes the requests that read a text, for one analysis or for several that are fused, each proved to fit."""

    def __init__(
        self, asked: Analysis | Fused, identities: Sequence[Any], limits: Limits, counter: TokenCounter
    ) -> None:
        self.asked = asked
        self._identities = identities
        self._counter = counter
        self._limits = limits
        self._prompt_tokens = limits.prompt_tokens(asked.generation.max_output_tokens)
        bare = asked.map.render(document="", position=1, siblings=1)
        self.base = Base(self._measure(bare), bound_tokens(bare))
        overhead = self.overhead_tokens(999, 999)
        self._chunk_tokens = min(asked.chunk_tokens or self._prompt_tokens, self._prompt_tokens - overhead)
        if self._chunk_tokens < LEAST_CHUNK_TOKENS:
            raise DeclarationError(
                f"analysis {asked.name}: its prompt has {overhead} tokens before any text, and the window leaves "
                f"{self._prompt_tokens} for both; shorten map.jinja, or lower generation.max_output_tokens or "
                "DOCBATCH_MARGIN_TOKENS"
            )

    def overhead_tokens(self, position: int, siblings: int) -> int:
        """The tokens of a prompt without its text; both numbers start at 1."""
        return self._measure(self.asked.map.render(document="", position=position, siblings=siblings))

    def map_requests(
        self, document_id: str, content_hash: str, text: str, language: str | None = None
    ) -> list[Rendered]:
        """One request for a text that fits, else one for each chunk, balanced in size.

        `language` is kept with a request whose tokens need no count.
        """
        safe = neutralise(text)
        if self.asked.chunk_tokens is None or self._within(safe, self._chunk_tokens):
            whole = self.asked.map.render(document=safe, position=1, siblings=1)
            tokens = self._count_if_needed(whole)
            if self._fits(tokens):
                who = (document_id, content_hash, Stage.MAP, 0)
                kept = language if tokens is None else None
                return [self._request(*who, (0, 1), (), whole, tokens, None, kept)]
        return self._split(document_id, content_hash, safe)

    def _split(self, document_id: str, content_hash: str, safe: str) -> list[Rendered]:
        limit = self._chunk_tokens
        while True:
            chunks = chunk(safe, limit, self._counter)
            prompts = [
                self.asked.map.render(document=safe[c.start : c.end], position=c.position + 1, siblings=len(chunks))
                for c in chunks
            ]
            tokens = [self._measure(prompt) for prompt in prompts]
            excess = max(tokens) - self._prompt_tokens
            if excess <= 0:
                break
            limit -= excess  # tokens of a chunk and its template may join into more at the seam
        who = (document_id, content_hash, Stage.MAP, 0)
        return [
            self._request(*who, (c.position, len(chunks)), (c.start, c.end), prompt, found, c.tokens)
            for c, prompt, found in zip(chunks, prompts, tokens, strict=True)
        ]

    def _count_if_needed(self, prompt: str) -> int | None:
        """The exact tokens of a prompt; None when its bytes alone prove that it fits, whatever length is asked for."""
        room = min(self._prompt_tokens, self._limits.prompt_tokens(self._limits.max_output_tokens))
        short = MOST_CHARACTER_BYTES * len(prompt) <= room
        return None if short or bound_tokens(prompt) <= room else self._measure(prompt)

    def _fits(self, tokens: int | None) -> bool:
        return tokens is None or tokens <= self._prompt_tokens

    def _within(self, text: str, limit_tokens: int) -> bool:
        return bound_tokens(text) <= limit_tokens or self._counter.count(text) <= limit_tokens

    def _measure(self, prompt: str) -> int:
        return count_prompt(prompt, self._counter)

    def _request(
        self,
        document_id: str,
        content_hash: str,
        stage: Stage,
        level: int,
        place: tuple[int, int],
        part: tuple[object, ...],
        prompt: str,
        input_tokens: int | None,
        text_tokens: int | None,
        language: str | None = None,
    ) -> Rendered:
        """`part` says which part of the text it is: a chunk's characters, or the answers that are joined."""
        position, siblings = place
        about = "\0".join(map(str, (content_hash, stage, level, position, siblings, *part))).encode()
        question_ids = [_question_id(identity, about) for identity in self._identities]
        request = Request(
            _record_id(question_ids),
            FUSED_BY.join(question_ids),
            document_id,
            content_hash,
            self.asked.name,
            stage,
            level,
            position,
            siblings,
            text_tokens,
            input_tokens,
            bound_tokens(prompt),
            self.asked.generation.max_output_tokens,
            0,
            language,
        )
        return request, prompt


class Planner(Mapper):
    """Makes the requests of one analysis, reductions and corrections too.

    `fused` is the fingerprint of the fused template where analyses are fused.
    """

    def __init__(self, analysis: Analysis, limits: Limits, counter: TokenCounter, fused: str | None = None) -> None:
        super().__init__(analysis, [_identity(analysis, limits.answers_by, fused)], limits, counter)
        self.analysis = analysis

    def reduce_requests(self, owed: Reduce) -> list[Rendered]:
        """One request that joins all answers, or several that each join some, so that a further level follows."""
        prompt = self.analysis.prompt(Stage.REDUCE)
        parts = [_neutralised(self.analysis.part(answer)) for answer in owed.answers]
        for groups in range(1, len(parts)):
            joined = _grouped(parts, groups)
            rendered = [prompt.render(parts=one, position=i + 1, siblings=groups) for i, one in enumerate(joined)]
            tokens = [self._count_if_needed(text) for text in rendered]
            if all(self._fits(found) for found in tokens):
                who = (owed.document_id, owed.content_hash, Stage.REDUCE, owed.level)
                return [
                    self._request(*who, (position, groups), (json.dumps(one, sort_keys=True),), text, found, None)
                    for position, (one, text, found) in enumerate(zip(joined, rendered, tokens, strict=True))
                ]
        raise RunError(
            f"analysis {self.analysis.name}: two answers about {owed.document_id} do not fit one reduce prompt; "
            "lower generation.max_output_tokens in its analysis.toml"
        )

    def corrected(self, owed: Owed, prompt: str) -> Rendered | None:
        """The request that asks for a better answer to `prompt`, which is as it was sent; None when it does not fit.

        What the model wrote is quoted as far as the window allows.
        """
        if owed.correction is None:
            return owed.request, prompt
        begun = self.analysis.prompt(owed.request.stage).begun
        room = self._limits.prompt_tokens(owed.request.max_output_tokens)
        for most in QUOTED_CHARACTERS:
            answer, problem = _quoted(begun, owed.correction.raw[:most]), neutralise(owed.correction.problem)
            text = self.analysis.correction.render(prompt=prompt, answer=answer, problem=problem, begun=begun)
            tokens = self._count_if_needed(text)
            if tokens is None or tokens <= room:
                size = bound_tokens(text)
                return replace(owed.request, input_tokens=tokens, prompt_bytes=size, language=None), text
        return None

    def alone(self, owed: Owed, prompt: str, fused: Fused) -> tuple[Owed, str]:
        """What is owed of a fused request, and the prompt that asks for it alone; `prompt` is the fused one as it was
        sent. Raises DeclarationError when the fused template is no longer what it was."""
        request = owed.request
        place = {"position": request.position + 1, "siblings": request.siblings}
        text = self.analysis.map.render(document=fused.map.document_in(prompt, **place), **place)
        tokens, size = self._count_if_needed(text), bound_tokens(text)
        request = replace(request, input_tokens=tokens, prompt_bytes=size, language=None)
        return replace(owed, request=request), text


class FusedPlanner(Mapper):
    """Makes the requests of several analyses at once."""

    def __init__(self, fused: Fused, limits: Limits, counter: TokenCounter) -> None:
        identities = [_identity(part, limits.answers_by, fused.fingerprint) for part in fused.parts]
        super().__init__(fused, identities, limits, counter)
        self.fused = fused


def _grouped(parts: Sequence[Any], groups: int) -> list[Sequence[Any]]:
    bounds = [len(parts) * i // groups for i in range(groups + 1)]
    return [parts[start:end] for start, end in pairwise(bounds)]


def _quoted(begun: str, raw: str) -> str:
    """What the model wrote after `begun`, made safe; nothing of it where both together read as a control token."""
    safe = neutralise(raw)
    return safe if neutralise(begun + safe) == neutralise(begun) + safe else ""


def _neutralised(value: Any) -> Any:
    """Every string of an answer made safe, names too: what a model wrote is no more to be trusted than a document."""
    walk: dict[type, Callable[[Any], Any]] = {
        str: neutralise,
        list: lambda items: [_neutralised(item) for item in items],
        dict: lambda items: {neutralise(name): _neutralised(item) for name, item in items.items()},
    }
    return walk.get(type(value), lambda other: other)(value)


def method_id(analysis: Analysis, limits: Limits, fused: str | None = None) -> str:
    """24 hexadecimal digits for all that an answer depends on beside the text: prompt, model, parameters, language.

    `fused` is the fingerprint of the fused template where analyses are fused, whether or not a request is.
    """
    digest: str = _identity(analysis, limits.answers_by, fused).hexdigest()[:24]
    return digest


def _question_id(identity: Any, about: bytes) -> str:
    digest = identity.copy()
    digest.update(about)
    question_id: str = digest.hexdigest()[:32]
    return question_id


def _record_id(question_ids: Sequence[str]) -> str:
    """The question itself where there is one."""
    return (
        question_ids[0] if len(question_ids) == 1 else hashlib.sha256("\0".join(question_ids).encode()).hexdigest()[:32]
    )


def _identity(analysis: Analysis, answers_by: str, fused: str | None) -> Any:
    """The hash of all that a request's identity has beside its text: analysis, prompt, model, parameters."""
    generation = analysis.generation
    parts = [
        analysis.name,
        analysis.fingerprint,
        str(analysis.map.constants["output_language"]),
        answers_by,
        f"{generation.max_output_tokens} {generation.temperature} {generation.top_p}",
    ]
    parts += [] if fused is None else [f"fused {fused}"]
    return hashlib.sha256("\0".join(parts).encode() + b"\0")

"""Documents x analyses -> requests, and what is still owed once outcomes are known. Pure: no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pipeline.analyses import Analysis
from pipeline.chunking import chunk
from pipeline.domain import Failure, Fate, Outcome, Reason, Request, Stage
from pipeline.errors import DeclarationError, RunError
from pipeline.merging import merge
from pipeline.prompts import Prompt, neutralise
from pipeline.tokens import TokenCounter, bound_tokens, count_prompt

Rendered = tuple[Request, str]
MOST_CHARACTER_BYTES = 4  # of UTF-8
LEAST_CHUNK_TOKENS = 64  # a budget that every grapheme fits


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may be: the model's window, and the tokens of it that stay free."""

    model_id: str
    window_tokens: int
    margin_tokens: int

    def prompt_tokens(self, analysis: Analysis) -> int:
        """The most tokens that a prompt of `analysis` may have."""
        return self.window_tokens - analysis.generation.max_output_tokens - self.margin_tokens


@dataclass(frozen=True, slots=True)
class Settled:
    """The end of one document and analysis: an answer, or a failure and the stage it came in."""

    answer: dict[str, Any] | None
    failure: Failure | None
    stage: Stage
    chunks: int
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """Requests of the current level that were not answered and may be: the same lines once more."""

    requests: tuple[Request, ...]


@dataclass(frozen=True, slots=True)
class Reduce:
    """All chunks are answered; their answers, in order, are to be joined by a request."""

    document_id: str
    content_hash: str
    answers: tuple[dict[str, Any], ...]
    level: int
    chunks: int


class Planner:
    """Makes the requests of one analysis, each proved to fit the window."""

    def __init__(self, analysis: Analysis, limits: Limits, counter: TokenCounter) -> None:
        self.analysis = analysis
        self._counter = counter
        self._prompt_tokens = limits.prompt_tokens(analysis)
        self._identity = _identity(analysis, limits.model_id)
        overhead = self._measure(analysis.map.render(document="", position=999, siblings=999))
        self._chunk_tokens = min(
            analysis.declaration.chunk_tokens or self._prompt_tokens, self._prompt_tokens - overhead
        )
        if self._chunk_tokens < LEAST_CHUNK_TOKENS:
            raise DeclarationError(
                f"analysis {analysis.name}: its prompt has {overhead} tokens before any text, and the window leaves "
                f"{self._prompt_tokens} for both; shorten map.jinja, or lower generation.max_output_tokens or "
                "DOCBATCH_MARGIN_TOKENS"
            )

    def map_requests(self, document_id: str, content_hash: str, text: str) -> list[Rendered]:
        """One request for a text that fits, else one for each chunk, balanced in size."""
        safe = neutralise(text)
        if self.analysis.declaration.chunk_tokens is None or self._within(safe, self._chunk_tokens):
            whole = self.analysis.map.render(document=safe, position=1, siblings=1)
            tokens = self._count_if_needed(whole)
            if self._fits(tokens):
                return [self._request(document_id, content_hash, Stage.MAP, 0, (0, 1), whole, tokens, None)]
        return self._split(document_id, content_hash, safe)

    def reduce_requests(self, owed: Reduce) -> list[Rendered]:
        """One request that joins all answers, or several that each join some, so that a further level follows."""
        prompt = self.analysis.prompt(Stage.REDUCE)
        parts = [_neutralised(self.analysis.part(answer)) for answer in owed.answers]
        for groups in range(1, len(parts)):
            rendered = self._render_groups(prompt, parts, groups)
            tokens = [self._count_if_needed(text) for text in rendered]
            if all(self._fits(found) for found in tokens):
                who = (owed.document_id, owed.content_hash, Stage.REDUCE, owed.level)
                return [
                    self._request(*who, (position, groups), text, found, None)
                    for position, (text, found) in enumerate(zip(rendered, tokens, strict=True))
                ]
        raise RunError(
            f"analysis {self.analysis.name}: two answers about {owed.document_id} do not fit one reduce prompt; "
            "lower generation.max_output_tokens in its analysis.toml"
        )

    def _split(self, document_id: str, content_hash: str, safe: str) -> list[Rendered]:
        limit = self._chunk_tokens
        while True:
            chunks = chunk(safe, limit, self._counter)
            prompts = [
                self.analysis.map.render(document=safe[c.start : c.end], position=c.position + 1, siblings=len(chunks))
                for c in chunks
            ]
            tokens = [self._measure(prompt) for prompt in prompts]
            excess = max(tokens) - self._prompt_tokens
            if excess <= 0:
                break
            limit -= excess  # tokens of a chunk and its template may join into more at the seam
        return [
            self._request(document_id, content_hash, Stage.MAP, 0, (c.position, len(chunks)), prompt, found, c.tokens)
            for c, prompt, found in zip(chunks, prompts, tokens, strict=True)
        ]

    def _render_groups(self, prompt: Prompt, parts: Sequence[Mapping[str, Any]], groups: int) -> list[str]:
        bounds = [len(parts) * i // groups for i in range(groups + 1)]
        return [
            prompt.render(parts=parts[start:end], position=i + 1, siblings=groups)
            for i, (start, end) in enumerate(pairwise(bounds))
        ]

    def _count_if_needed(self, prompt: str) -> int | None:
        """The exact tokens of a prompt; None when its bytes alone prove that it fits."""
        short = MOST_CHARACTER_BYTES * len(prompt) <= self._prompt_tokens
        return None if short or bound_tokens(prompt) <= self._prompt_tokens else self._measure(prompt)

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
        prompt: str,
        input_tokens: int | None,
        text_tokens: int | None,
    ) -> Rendered:
        position, siblings = place
        digest = self._identity.copy()
        digest.update(f"{content_hash}\0{stage}\0{level}\0{position}\0{siblings}".encode())
        record_id = digest.hexdigest()[:32]
        request = Request(
            record_id,
            record_id,
            document_id,
            content_hash,
            self.analysis.name,
            stage,
            level,
            position,
            siblings,
            text_tokens,
            input_tokens,
            bound_tokens(prompt),
            self.analysis.generation.max_output_tokens,
            0,
        )
        return request, prompt


def settle(
    analysis: Analysis, requests: Sequence[Request], outcomes: Mapping[str, Outcome]
) -> Settled | Again | Reduce:
    """What follows for one document and analysis from all its requests and the newest outcome of each."""
    level = max(request.level for request in requests)
    current = sorted((r for r in requests if r.level == level), key=lambda request: request.position)
    chunks = sum(request.level == 0 for request in requests)
    for request in current:
        outcome = outcomes.get(request.record_id)
        if outcome and outcome.fate is Fate.FAILED and not outcome.retryable and outcome.failure:
            return Settled(None, _placed(outcome.failure, request), request.stage, chunks)
    owed = tuple(r for r in current if r.record_id not in outcomes or outcomes[r.record_id].fate is not Fate.ANSWERED)
    if owed:
        return Again(owed)
    answers = [outcomes[request.record_id].answer or {} for request in current]
    rule = analysis.declaration.merge
    if rule == "reduce" and len(current) > 1:
        return Reduce(current[0].document_id, current[0].content_hash, tuple(answers), level + 1, chunks)
    weights = [request.text_tokens or 1 for request in current]
    answer = merge(answers, weights, rule if isinstance(rule, dict) else {})
    truncated = any(outcomes[request.record_id].truncated for request in current)
    return Settled(answer, None, current[0].stage, chunks, truncated)


def give_up(owed: Again | Reduce, outcomes: Mapping[str, Outcome]) -> Settled:
    """The failure that remains when the last round is over and something is still owed."""
    if isinstance(owed, Reduce):
        failure = Failure(Reason.MISSING, f"the rounds ended before {len(owed.answers)} answers were joined")
        return Settled(None, failure, Stage.REDUCE, owed.chunks)
    first = owed.requests[0]
    last = outcomes.get(first.record_id)
    failure = last.failure if last and last.failure else Failure(Reason.MISSING, "no answer in any round")
    return Settled(None, _placed(failure, first), first.stage, first.siblings)


def _placed(failure: Failure, request: Request) -> Failure:
    if request.siblings == 1:
        return failure
    return Failure(failure.reason, f"{request.stage} {request.position + 1} of {request.siblings}: {failure.detail}")


def _neutralised(value: Any) -> Any:
    """Every string of an answer made safe: what a model wrote is no more to be trusted than a document."""
    walk: dict[type, Callable[[Any], Any]] = {
        str: neutralise,
        list: lambda items: [_neutralised(item) for item in items],
        dict: lambda items: {name: _neutralised(item) for name, item in items.items()},
    }
    return walk.get(type(value), lambda other: other)(value)


def _identity(analysis: Analysis, model_id: str) -> Any:
    """The hash of all that a request's identity has beside its text: analysis, prompt, model, parameters."""
    generation = analysis.generation
    parts = [
        analysis.name,
        analysis.fingerprint,
        str(analysis.map.constants["output_language"]),
        model_id,
        f"{generation.max_output_tokens} {generation.temperature} {generation.top_p}",
    ]
    return hashlib.sha256("\0".join(parts).encode() + b"\0")

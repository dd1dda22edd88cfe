"""All requests of a document and analysis with their outcomes -> what follows, or how it ends. Pure: no I/O."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pipeline.analyses import Analysis
from pipeline.domain import Failure, Fate, Outcome, Reason, Request, Stage
from pipeline.merging import merge
from pipeline.wordings import UNANSWERED, Next, Owed, Tried, ask, best, next_step

Questions = list[list[Tried]]
"""The wordings of each question of one level, by position."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may be: the model's window, the tokens of it that stay free, and its longest answer.

    `answers_by` says what answers: the model's id, and the embedded engine's name where that stands in for it.
    """

    answers_by: str
    window_tokens: int
    margin_tokens: int
    max_output_tokens: int

    def prompt_tokens(self, max_output_tokens: int) -> int:
        """The most tokens that a prompt may have when its answer may have `max_output_tokens`."""
        return self.window_tokens - max_output_tokens - self.margin_tokens

    def longest_tokens(self, request: Request) -> int:
        """The longest answer that the prompt of a request leaves room for; without a count it leaves room for any."""
        if request.input_tokens is None:
            return self.max_output_tokens
        return min(self.max_output_tokens, self.prompt_tokens(request.input_tokens))


@dataclass(frozen=True, slots=True)
class Settled:
    """The end of one document and analysis: an answer, or a failure and the stage it came in.

    `raw` is what the model wrote, with a failure over an answer that could not be used.
    """

    answer: dict[str, Any] | None
    failure: Failure | None
    stage: Stage
    chunks: int
    truncated: bool = False
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class Again:
    """Questions of the current level without a good answer, each as it is asked next."""

    owed: tuple[Owed, ...]


@dataclass(frozen=True, slots=True)
class Reduce:
    """All chunks are answered; their answers, in order, are to be joined by a request."""

    document_id: str
    content_hash: str
    answers: tuple[dict[str, Any], ...]
    level: int
    chunks: int


def settle(
    analysis: Analysis, requests: Sequence[Request], outcomes: Mapping[str, Outcome], limits: Limits
) -> Settled | Again | Reduce:
    """What follows for one document and analysis from all its requests and the newest outcome of each."""
    questions, chunks = _current(requests, outcomes)
    owed = []
    for tried in questions:
        longest = limits.longest_tokens(tried[-1].request)
        step = next_step(tried, longest)
        if step is not Next.DONE:
            owed.append(ask(tried, step, longest))
        elif best(tried).fate is not Fate.ANSWERED:
            return _failed(tried, chunks)
    return Again(tuple(owed)) if owed else _joined(analysis, questions, chunks)


def give_up(analysis: Analysis, requests: Sequence[Request], outcomes: Mapping[str, Outcome]) -> Settled:
    """The end when the last round is over: out of the best answers that there are, or the failure that remains."""
    questions, chunks = _current(requests, outcomes)
    for tried in questions:
        if best(tried).fate is not Fate.ANSWERED:
            return _failed(tried, chunks)
    joined = _joined(analysis, questions, chunks)
    if isinstance(joined, Settled):
        return joined
    failure = Failure(Reason.MISSING, f"the rounds ended before {len(joined.answers)} answers were joined")
    return Settled(None, failure, Stage.REDUCE, chunks)


def for_want_of_budget(end: Settled, why: str) -> Settled:
    """The end of what is still owed when the next round may not be sent; a usable answer stays one."""
    if end.failure is None:
        return end
    return replace(end, failure=Failure(Reason.BUDGET, f"{why}; until then: {end.failure.reason}"))


def _current(requests: Sequence[Request], outcomes: Mapping[str, Outcome]) -> tuple[Questions, int]:
    """The questions of the highest level, and how many chunks there are."""
    level = max(request.level for request in requests)
    chunks = len({request.question_id for request in requests if request.level == 0})
    wordings: dict[int, list[Tried]] = defaultdict(list)
    for request in sorted(requests, key=lambda request: request.attempt):
        if request.level == level:
            wordings[request.position].append(Tried(request, outcomes.get(request.record_id)))
    return [wordings[position] for position in sorted(wordings)], chunks


def _failed(tried: Sequence[Tried], chunks: int) -> Settled:
    request, outcome = tried[0].request, best(tried)
    failure = outcome.failure or UNANSWERED
    if request.siblings > 1:
        place = f"{request.stage} {request.position + 1} of {request.siblings}"
        failure = Failure(failure.reason, f"{place}: {failure.detail}")
    return Settled(None, failure, request.stage, chunks, raw=outcome.raw)


def _joined(analysis: Analysis, questions: Questions, chunks: int) -> Settled | Reduce:
    """One answer of the answers to all questions of a level, or the level that joins them."""
    first = questions[0][0].request
    outcomes = [best(tried) for tried in questions]
    answers = [outcome.answer or {} for outcome in outcomes]
    rule = analysis.declaration.merge
    if rule == "reduce" and len(answers) > 1:
        return Reduce(first.document_id, first.content_hash, tuple(answers), first.level + 1, chunks)
    weights = [tried[0].request.text_tokens or 1 for tried in questions]
    answer = merge(answers, weights, rule if isinstance(rule, dict) else {})
    return Settled(answer, None, first.stage, chunks, any(outcome.truncated for outcome in outcomes))

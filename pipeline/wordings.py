"""What one question has been asked and answered so far -> how it is asked next, if at all. Pure: no I/O."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from itertools import pairwise

from pipeline.domain import Failure, Fate, Outcome, Reason, Request

UNANSWERED = Failure(Reason.MISSING, "no answer in any round")


@dataclass(frozen=True, slots=True)
class Tried:
    """One wording of a question, and the newest outcome that it had; None when it was not collected."""

    request: Request
    outcome: Outcome | None


class Next(StrEnum):
    """How a question goes on.

        first wording, correction or longer try
            missing, or an error that may pass   -> REPEAT   the very same line
            cut at the limit, closed or not      -> LENGTHEN once, where a longer answer is possible, as it always is
                                                    for a part of a fused request: it is then asked alone
            written, but not usable              -> CORRECT  once, unless an earlier answer was closed and is usable
            anything else                        -> DONE

    So a question is asked in three wordings at most, whatever comes back.
    """

    REPEAT = "repeat"
    CORRECT = "correct"
    LENGTHEN = "lengthen"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Correction:
    """What was wrong with an answer, and what the model wrote."""

    problem: str
    raw: str


@dataclass(frozen=True, slots=True)
class Owed:
    """A request to be sent: as the line of the record `source_id` was, with its own id and limit.

    With a `correction`, the prompt of that line is continued by it.
    """

    request: Request
    source_id: str
    correction: Correction | None = None


def next_step(tried: Sequence[Tried], longest_tokens: int) -> Next:
    """What follows for a question whose wordings `tried` are in order; the last may have `longest_tokens` of output."""
    request, outcome = tried[-1].request, tried[-1].outcome
    if outcome is None or outcome.fate is Fate.MISSING or (outcome.fate is Fate.FAILED and outcome.retryable):
        return Next.REPEAT
    written = outcome.fate is Fate.ANSWERED or outcome.raw is not None
    if not written or (outcome.fate is Fate.FAILED and best(tried).fate is Fate.ANSWERED):
        return Next.DONE
    may_be_longer = longest_tokens >= request.max_output_tokens + (not request.shares_record)
    if outcome.truncated and not _is_lengthened(tried) and may_be_longer:
        return Next.LENGTHEN
    if outcome.fate is Fate.FAILED and not _is_corrected(tried):
        return Next.CORRECT
    return Next.DONE


def best(tried: Sequence[Tried]) -> Outcome:
    """The newest answer; without one, the newest of what the model wrote, else the newest of what was seen."""
    seen = [one.outcome for one in reversed(tried) if one.outcome]
    answered = (outcome for outcome in seen if outcome.fate is Fate.ANSWERED)
    written = (outcome for outcome in seen if outcome.raw is not None)
    nothing = Outcome(tried[-1].request.record_id, Fate.MISSING, failure=UNANSWERED, retryable=True)
    return next(answered, None) or next(written, None) or next(iter(seen), nothing)


def ask(tried: Sequence[Tried], step: Next, longest_tokens: int) -> Owed:
    """The request that `step`, which is not DONE, stands for."""
    last, outcome = tried[-1].request, tried[-1].outcome
    if step is Next.CORRECT and outcome and outcome.failure and outcome.raw is not None:
        correction = Correction(outcome.failure.detail, outcome.raw)
        return Owed(_reworded(last, correction, last.max_output_tokens), tried[0].request.record_id, correction)
    if step is Next.LENGTHEN:
        return Owed(_reworded(last, _correction_in(tried), longest_tokens), last.record_id)
    return Owed(last, last.record_id)


def _is_lengthened(tried: Sequence[Tried]) -> bool:
    return tried[-1].request.max_output_tokens > tried[0].request.max_output_tokens


def _is_corrected(tried: Sequence[Tried]) -> bool:
    return len(tried) - 1 > _is_lengthened(tried)


def _correction_in(tried: Sequence[Tried]) -> Correction | None:
    """What the one rewording that kept its limit, if there was one, asked to have corrected."""
    for before, after in pairwise(tried):
        outcome = before.outcome
        kept = after.request.max_output_tokens == before.request.max_output_tokens
        if kept and outcome and outcome.failure and outcome.raw is not None:
            return Correction(outcome.failure.detail, outcome.raw)
    return None


def _reworded(last: Request, correction: Correction | None, max_output_tokens: int) -> Request:
    """The next wording, with an id that follows from all that makes it differ from the first."""
    said = [correction.problem, correction.raw] if correction else []
    parts = [last.question_id, str(max_output_tokens), *said]
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    record_id = digest.hexdigest()[:32]
    return replace(last, record_id=record_id, max_output_tokens=max_output_tokens, attempt=last.attempt + 1)

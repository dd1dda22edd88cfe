"""Usage times dated price is cost; forecasts before, and the check against Bedrock's own totals after."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from pipeline.domain import Request, Usage
from pipeline.prices import Price
from pipeline.wire import JobSummary

PER_MILLION = Decimal(1_000_000)


@dataclass(frozen=True, slots=True)
class Forecast:
    """What requests will use at most: input as counted or estimated, output at its cap."""

    requests: int
    usage: Usage

    def __add__(self, other: Forecast) -> Forecast:
        return Forecast(self.requests + other.requests, self.usage + other.usage)


NOTHING = Forecast(0, Usage(0, 0))


def cost_of(usage: Usage | None, price: Price | None) -> Decimal | None:
    """USD, exact. None when the tokens or the price are unknown, never zero."""
    if usage is None or price is None:
        return None
    return (usage.input_tokens * price.input_usd + usage.output_tokens * price.output_usd) / PER_MILLION


def shared(usage: Usage, written_bytes: Sequence[int]) -> list[Usage]:
    """What each part of a fused request used: the shares add up to `usage`, to the token.

    Input tokens are shared equally, for all parts read the same text; output tokens in proportion to the bytes that
    each part has in the answer, equally where it has none for any. What is left over by rounding goes to the largest
    remainders, and of equal ones to the first.
    """
    equal = [1] * len(written_bytes)
    inputs = _apportioned(usage.input_tokens, equal)
    outputs = _apportioned(usage.output_tokens, written_bytes if any(written_bytes) else equal)
    return [Usage(*pair) for pair in zip(inputs, outputs, strict=True)]


def _apportioned(tokens: int, weights: Sequence[int]) -> list[int]:
    whole = sum(weights)
    shares = [tokens * weight // whole for weight in weights]
    remainders = [tokens * weight % whole for weight in weights]
    largest = sorted(range(len(weights)), key=lambda place: -remainders[place])
    for place in largest[: tokens - sum(shares)]:
        shares[place] += 1
    return shares


def add_costs(costs: Iterable[Decimal | None]) -> Decimal | None:
    """The sum; None as soon as one part is unknown."""
    total = Decimal(0)
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total


def forecast(requests: Sequence[Request]) -> Forecast:
    """Tokens of requests before they are sent.

    Requests without a count are taken at the tokens per byte of those that have one, and at one token a byte (the
    upper bound of a byte-level vocabulary) when none has.
    """
    counted = [(request.input_tokens, request.prompt_bytes) for request in requests if request.input_tokens is not None]
    counted_tokens = sum(tokens for tokens, _ in counted)
    counted_bytes = sum(size for _, size in counted)
    uncounted_bytes = sum(request.prompt_bytes for request in requests) - counted_bytes
    estimated = -(-uncounted_bytes * counted_tokens // counted_bytes) if counted_bytes else uncounted_bytes
    output_tokens = sum(request.max_output_tokens for request in requests)
    return Forecast(len(requests), Usage(counted_tokens + estimated, output_tokens))


def disagreement(summary: JobSummary | None, reported: Usage, answered: int) -> str | None:
    """What the records of a job and Bedrock's own totals differ in, as a sentence; None when they agree."""
    if summary is None:
        return "the job left no manifest.json.out"
    pairs = [
        ("input tokens", reported.input_tokens, summary.input_tokens),
        ("output tokens", reported.output_tokens, summary.output_tokens),
        ("answered records", answered, summary.success_records),
    ]
    found = [f"{name}: records say {ours}, the job says {theirs}" for name, ours, theirs in pairs if ours != theirs]
    return "; ".join(found) or None

"""Usage times dated price is cost, and the check against Bedrock's own totals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

from pipeline.domain import Usage
from pipeline.prices import Price
from pipeline.wire import JobSummary

PER_MILLION = Decimal(1_000_000)


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

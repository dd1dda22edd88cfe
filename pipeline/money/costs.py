"""What was paid for nothing and what was saved, as sums that keep apart what is known and what is not. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from pipeline.domain import Fate, Mode, Outcome, Request, Usage
from pipeline.ledger import cost_of
from pipeline.prices import Price
from pipeline.records import OutcomeRecord
from pipeline.wordings import Tried, best


@dataclass(frozen=True, slots=True)
class Amount:
    """USD of so many requests: `known_usd` of those whose cost is known, `unknown` counts the others."""

    requests: int
    known_usd: Decimal
    unknown: int

    @property
    def usd(self) -> Decimal | None:
        """The whole sum; None when a part of it is unknown."""
        return None if self.unknown else self.known_usd

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.requests + other.requests, self.known_usd + other.known_usd, self.unknown + other.unknown)


NONE = Amount(0, Decimal(0), 0)


class Way(StrEnum):
    """How a run saved; `against` says what it is compared with."""

    BATCH = "batch"
    KNOWN = "known"
    DUPLICATES = "duplicates"
    UNCHANGED = "unchanged"
    FUSED = "fused"
    CAPS = "caps"

    @property
    def against(self) -> str:
        return _AGAINST[self]


_AT = "at the price of a batch where there is one"
_AGAINST = {
    Way.BATCH: "the same tokens at the on-demand price",
    Way.KNOWN: f"asking again what other runs have answered, {_AT}",
    Way.DUPLICATES: "asking for every copy of a text",
    Way.UNCHANGED: f"asking again for results that still hold, {_AT}",
    Way.FUSED: "the input tokens of a prompt for each analysis",
    Way.CAPS: "answers as long as the model may write (so much at most)",
}


def amount_of(costs: Iterable[Decimal | None]) -> Amount:
    """The sum over requests, each with its cost or None."""
    return sum((Amount(1, cost or Decimal(0), int(cost is None)) for cost in costs), NONE)


def add_by_way(parts: Iterable[Mapping[str, Amount]]) -> dict[str, Amount]:
    """The savings of all parts, by way, in the order of the ways."""
    found = defaultdict[str, Amount](lambda: NONE)
    for part in parts:
        for way, amount in part.items():
            found[way] += amount
    return {way: found[way] for way in sorted(found)}


def was_charged(usage: Usage | None) -> bool:
    """Whether a record cost anything, or may have: tokens that nobody reported are not none."""
    return usage is None or usage != Usage(0, 0)


def answered_for_nothing(records: Iterable[OutcomeRecord]) -> list[str]:
    """The record_ids of calls that were answered and used no tokens, which cannot be; of a fused one all parts count,
    for one of them may be too short to have a token of its own."""
    calls = defaultdict[tuple[str, int], list[OutcomeRecord]](list)
    for one in records:
        calls[one.record_id, one.round_number].append(one)
    return [
        record_id
        for (record_id, _), parts in calls.items()
        if any(one.answer for one in parts) and _used_nothing([one.usage for one in parts])
    ]


def _used_nothing(usages: Sequence[Usage | None]) -> bool:
    known = [usage for usage in usages if usage is not None]
    whole = sum(known, Usage(0, 0))
    return len(known) == len(usages) and 0 in (whole.input_tokens, whole.output_tokens)


def standing(requests: Iterable[Request], outcomes: Mapping[str, Outcome]) -> set[str]:
    """The records whose answers make up the result of a document and analysis: of each question, the best wording's.

    Whatever else was asked for it was paid for nothing: answers that could not be used, or that a correction or a
    longer try took the place of.
    """
    questions = defaultdict[tuple[int, int], list[Tried]](list)
    for request in sorted(requests, key=lambda request: request.attempt):
        questions[request.level, request.position].append(Tried(request, outcomes.get(request.record_id)))
    found = (best(tried) for tried in questions.values())
    return {outcome.record_id for outcome in found if outcome.fate is Fate.ANSWERED}


def savings(
    records: Iterable[OutcomeRecord], run_key: str, price_of: Callable[[Mode], Price | None]
) -> dict[str, Amount]:
    """What the outcomes of a run did not cost, by way; a way that saved nothing is left out.

    What was sent in batches is held against the on-demand price. What another request or run had paid for is taken at
    the price that sending it again would have had: that of batches, where the model has one.
    """
    charged = [one for one in records if was_charged(one.usage)]
    sent = [one for one in charged if one.paid_by is None and one.mode is Mode.BATCH]
    copies = [one for one in charged if one.paid_by == run_key]
    known = [one for one in charged if one.paid_by not in {None, run_key} and one.fate is Fate.ANSWERED]
    batch, on_demand = price_of(Mode.BATCH), price_of(Mode.ON_DEMAND)
    again = batch or on_demand
    found = {
        Way.BATCH: amount_of(_difference(cost_of(one.usage, on_demand), cost_of(one.usage, batch)) for one in sent),
        Way.DUPLICATES: amount_of(cost_of(one.usage, again) for one in copies),
        Way.KNOWN: amount_of(cost_of(one.usage, again) for one in known),
    }
    return {way.value: amount for way, amount in found.items() if amount.requests}


def fused_saving(tokens: int, fused_overhead: int, overheads: Sequence[int]) -> int:
    """The input tokens that a fused request of `tokens` saved against a prompt for each analysis.

    An overhead is what a prompt has beside the document; what the fused one has beyond its own is the document.
    """
    document_tokens = tokens - fused_overhead
    return sum(overheads) + len(overheads) * document_tokens - tokens


def _difference(plain: Decimal | None, paid: Decimal | None) -> Decimal | None:
    return None if plain is None or paid is None else plain - paid

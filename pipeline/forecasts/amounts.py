"""What a source would send, and what it need not: the values of a forecast, with no prices yet."""

from __future__ import annotations

import math
from dataclasses import dataclass

from pipeline.domain import Usage
from pipeline.forecasts.estimating import Estimate
from pipeline.manifest import Held


@dataclass(frozen=True, slots=True)
class Amounts:
    """Requests and their input tokens: what would be sent, and what is left out as known or as repeated."""

    requests: Estimate
    input_tokens: Estimate
    known: Estimate
    known_tokens: Estimate
    repeated: Estimate
    repeated_tokens: Estimate


@dataclass(frozen=True, slots=True)
class PlannedAnalysis:
    """What one analysis would send, and what it need not; `unchanged` documents keep the result that they have.

    `usual_output_tokens` are those of a request in earlier runs of the same prompt; None where there was none.
    """

    name: str
    amounts: Amounts
    cap_tokens: int
    usual_output_tokens: float | None
    unchanged: int

    @property
    def most(self) -> Usage:
        """The upper end of the interval, and every answer as long as it may be."""
        return Usage(math.ceil(self.amounts.input_tokens.high), math.ceil(self.amounts.requests.high) * self.cap_tokens)

    @property
    def expected(self) -> Usage:
        return self.usage_of(self.amounts.requests, self.amounts.input_tokens)

    def usage_of(self, requests: Estimate, input_tokens: Estimate) -> Usage:
        """What some requests use as answers usually are, or at the cap where nobody knows."""
        each = self.cap_tokens if self.usual_output_tokens is None else min(self.cap_tokens, self.usual_output_tokens)
        return Usage(math.ceil(input_tokens.expected), math.ceil(requests.expected * each))


@dataclass(frozen=True, slots=True)
class SourceForecast:
    """The first round of a run over a source. `amounts` are those of all analyses together, `held` is what the results
    that still hold had used.

    `listed` documents are in the source, `to_do` of them are new or changed, of which `read` were read.
    """

    analyses: tuple[PlannedAnalysis, ...]
    amounts: Amounts
    held: Held
    listed: int
    new: int
    changed: int
    deleted: int
    to_do: int
    read: int
    unreadable: Estimate
    answers_looked_up: bool

    @property
    def is_sampled(self) -> bool:
        return self.read < self.to_do

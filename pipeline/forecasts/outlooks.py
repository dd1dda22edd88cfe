"""What requests will use before they are sent: kept as sums by analysis and language, which add up over shards."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from pipeline.domain import FUSED_BY, Request
from pipeline.forecasts.densities import Density, estimate_tokens
from pipeline.forecasts.estimating import Estimate
from pipeline.forecasts.languages import OTHER

Adding = TypeVar("Adding", int, "Forecast", Density)
SEAM_TOKENS = 1  # that the text and the prompt around it may have more or fewer together than apart


@dataclass(frozen=True, slots=True)
class Base:
    """A prompt without any text: its tokens and bytes."""

    tokens: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """The requests of one analysis: `certain_tokens` of their input are counted, the rest is the text of `text_bytes`.

    `text_bytes` are those of uncounted prompts, without what stands around the text, by language.
    """

    requests: int = 0
    certain_tokens: int = 0
    most_output_tokens: int = 0
    uncounted: int = 0
    text_bytes: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Forecast) -> Forecast:
        return Forecast(
            self.requests + other.requests,
            self.certain_tokens + other.certain_tokens,
            self.most_output_tokens + other.most_output_tokens,
            self.uncounted + other.uncounted,
            _added(self.text_bytes, other.text_bytes),
        )

    def input_tokens(self, densities: Mapping[str, Density]) -> Estimate:
        text, seams = estimate_tokens(self.text_bytes, densities), SEAM_TOKENS * self.uncounted
        certain = self.certain_tokens
        return Estimate(certain + text.expected, certain + max(0, text.low - seams), certain + text.high + seams)

    def usual_output_tokens(self, tokens_a_request: float | None) -> int:
        """As many as answers usually have; the cap where nobody knows."""
        if tokens_a_request is None:
            return self.most_output_tokens
        return min(self.most_output_tokens, math.ceil(self.requests * tokens_a_request))


@dataclass(frozen=True, slots=True)
class Outlook:
    """The forecast of every analysis, with what is needed to read them: densities by language, prompts without text."""

    analyses: Mapping[str, Forecast] = field(default_factory=dict)
    densities: Mapping[str, Density] = field(default_factory=dict)
    bases: Mapping[str, Base] = field(default_factory=dict)

    def __add__(self, other: Outlook) -> Outlook:
        return Outlook(
            _added(self.analyses, other.analyses),
            _added(self.densities, other.densities),
            {**self.bases, **other.bases},
        )

    @property
    def whole(self) -> Forecast:
        return sum(self.analyses.values(), Forecast())

    @property
    def input_tokens(self) -> Estimate:
        """Of all analyses together: they are about the same texts, so their estimates err together."""
        return self.whole.input_tokens(self.densities)

    def usual_output_tokens(self, usual: Mapping[str, float | None]) -> int:
        """By what answers of each analysis usually take, None where nobody knows; a fused one takes all its parts."""
        return sum(one.usual_output_tokens(together(name, usual)) for name, one in self.analyses.items())


def together(name: str, usual: Mapping[str, float | None]) -> float | None:
    """The usual output tokens of an analysis, or of several that are fused; None where one is not known."""
    found = [usual.get(one) for one in name.split(FUSED_BY)]
    known = [one for one in found if one is not None]
    return sum(known) if len(known) == len(found) else None


class Tally:
    """The forecasts of requests by analysis, without the requests: for whoever sees them one by one."""

    def __init__(self, bases: Mapping[str, Base]) -> None:
        self._bases = bases
        self._totals: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0, 0])
        self._text_bytes: defaultdict[str, Counter[str]] = defaultdict(Counter)

    def add(self, request: Request) -> None:
        totals, tokens = self._totals[request.analysis], request.input_tokens
        totals[0] += 1
        totals[2] += request.max_output_tokens
        if tokens is None:
            base = self._bases[request.analysis]
            tokens = base.tokens
            totals[3] += 1
            self._text_bytes[request.analysis][request.language or OTHER] += request.prompt_bytes - base.size_bytes
        totals[1] += tokens

    def forecasts(self) -> dict[str, Forecast]:
        return {
            name: Forecast(requests, certain, most_output, uncounted, dict(self._text_bytes[name]))
            for name, (requests, certain, most_output, uncounted) in sorted(self._totals.items())
        }


def _added(mine: Mapping[str, Adding], others: Mapping[str, Adding]) -> dict[str, Adding]:
    added = dict(mine)
    for name, other in others.items():
        added[name] = added[name] + other if name in added else other
    return added

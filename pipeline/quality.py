"""Whether the shares of a run (failures, empty answers, labels) lie in the range that is usual for them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

NEWEST_RUNS = 30  # that say what is usual
FEWEST_RUNS = 5  # before that nobody knows
FEWEST = 20  # of which a share says something
DEVIATIONS = 3  # of a share from its mean, as on Shewhart's control charts


@dataclass(frozen=True, slots=True)
class Share:
    """So many of so many."""

    part: int
    whole: int

    @property
    def value(self) -> float:
        return self.part / self.whole


@dataclass(frozen=True, slots=True)
class Seen:
    """What an analysis came to in one run, of documents that were new or changed.

    `method` is what must be the same for answers to be compared: prompt and model. `empty` and `labels` are of the
    results; a result with several labels counts in each.
    """

    method: tuple[str, str]
    results: int
    failures: int
    empty: int
    labels: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Departure:
    """A share outside of its usual range. `runs` is how many runs say what is usual; 0 where a setting says it."""

    analysis: str
    what: str
    share: Share
    low: float
    high: float
    runs: int

    def __str__(self) -> str:
        usual = f"usual in {self.runs} runs is {self.low:.1%} to {self.high:.1%}"
        if not self.runs:
            usual = f"more than {self.high:.1%} is too much in any run (DOCBATCH_SUSPECT_FAILURE_SHARE)"
        found = f"{self.share.value:.1%} ({self.share.part:,} of {self.share.whole:,})"
        return f"{self.analysis}: {self.what} {found}; {usual}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`departures` of a run; `judged` shares were compared with earlier runs."""

    departures: tuple[Departure, ...]
    judged: int

    @property
    def quality(self) -> str | None:
        """`suspect`, `usual`, or None where there is nothing yet to compare with."""
        return "suspect" if self.departures else "usual" if self.judged else None


@dataclass(frozen=True, slots=True)
class Tolerance:
    """`failure_share` is suspect above this in any run; `deviation` from the usual mean is never suspect up to this."""

    failure_share: float
    deviation: float


def shape_of(answers: Iterable[Mapping[str, Any]], label_property: str | None) -> tuple[int, dict[str, int]]:
    """How many answers are empty, and how many have each label.

    An answer is empty when every property is null, blank, or a list or object with nothing in it.
    """
    empty, labels = 0, Counter[str]()
    for answer in answers:
        empty += all(_says_nothing(value) for value in answer.values())
        found = answer.get(label_property) if label_property else None
        labels.update(set(found) if isinstance(found, list) else [] if found is None else [str(found)])
    return empty, dict(sorted(labels.items()))


def judge(now: Mapping[str, Seen], past: Mapping[str, Sequence[Seen]], tolerance: Tolerance) -> Verdict:
    """The shares of a run against those of earlier runs (oldest first), by analysis."""
    departures, judged = [], 0
    for analysis, seen in now.items():
        for what, share, earlier in _shares(seen, past.get(analysis, ())):
            if share.whole < FEWEST:
                continue
            if what == "failures" and share.value > tolerance.failure_share:
                departures.append(Departure(analysis, what, share, 0.0, tolerance.failure_share, 0))
            elif (usual := usual_range(earlier, share.whole, tolerance.deviation)) is not None:
                judged += 1
                if not usual[0] <= share.value <= usual[1]:
                    departures.append(Departure(analysis, what, share, *usual, len(_telling(earlier))))
    return Verdict(tuple(departures), judged)


def usual_range(earlier: Sequence[Share], whole: int, deviation: float) -> tuple[float, float] | None:
    """From where to where a share of `whole` usually lies, both between 0 and 1; None with fewer than five runs that
    say something."""
    telling = _telling(earlier)
    if len(telling) < FEWEST_RUNS:
        return None
    variation, mean, error = _pooled(telling)
    reach = max(deviation, DEVIATIONS * math.sqrt(variation + error + mean * (1 - mean) / whole))
    return max(0.0, mean - reach), min(1.0, mean + reach)


def _pooled(shares: Sequence[Share]) -> tuple[float, float, float]:
    """The variance of shares from run to run, beyond that of chance; their mean; the variance of that mean.

    A model of random effects: DerSimonian and Laird, "Meta-analysis in clinical trials", Controlled Clinical Trials 7,
    1986. A night of 50 documents says less than one of 5,000, and no two nights have the same chance.
    """
    # One more of each kind: what was never seen is rare, not impossible.
    fixed = (sum(one.part for one in shares) + 1) / (sum(one.whole for one in shares) + 2)
    chance = [fixed * (1 - fixed) / one.whole for one in shares]
    weights = [1 / one for one in chance]
    excess = sum(weight * (one.value - fixed) ** 2 for weight, one in zip(weights, shares, strict=True))
    scale = sum(weights) - sum(weight**2 for weight in weights) / sum(weights)
    variation = max(0.0, (excess - (len(shares) - 1)) / scale)
    if not variation:
        return 0.0, fixed, 1 / sum(weights)
    weights = [1 / (variation + one) for one in chance]
    mean = sum(weight * one.value for weight, one in zip(weights, shares, strict=True)) / sum(weights)
    return variation, mean, 1 / sum(weights)


def _telling(shares: Sequence[Share]) -> list[Share]:
    return [one for one in shares if one.whole >= FEWEST][-NEWEST_RUNS:]


def _shares(now: Seen, past: Sequence[Seen]) -> Iterator[tuple[str, Share, list[Share]]]:
    """Each share of a run with those of earlier runs; of answers, only those to the same method."""
    same = [one for one in past if one.method == now.method]
    yield "failures", _failures(now), [_failures(one) for one in past]
    yield "empty answers", Share(now.empty, now.results), [Share(one.empty, one.results) for one in same]
    for label in sorted({*now.labels, *(name for one in same for name in one.labels)}):
        earlier = [Share(one.labels.get(label, 0), one.results) for one in same]
        yield f"label {label!r}", Share(now.labels.get(label, 0), now.results), earlier


def _failures(seen: Seen) -> Share:
    return Share(seen.failures, seen.results + seen.failures)


def _says_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, str) and not value.strip()) or value in ([], {})

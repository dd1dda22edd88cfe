"""The tone of a text by a lexicon; "unknown" where no lexicon applies, never "neutral"."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, lru_cache

from vaderSentiment.vaderSentiment import (  # type: ignore[import-untyped]  # it ships no types
    SentimentIntensityAnalyzer,
)

from pipeline.local.baseline.language import language
from pipeline.local.baseline.terms import sentences

# The thresholds that VADER's authors give for its compound score.
_TONE = 0.05
_MIXED_SHARE = 0.3


@dataclass(frozen=True, slots=True)
class Tone:
    """`label` is positive, negative, neutral, mixed or unknown; `compound` is -1 to 1, None when unknown."""

    label: str
    compound: float | None


@lru_cache(maxsize=16)
def tone(text: str) -> Tone:
    """The mean tone of an English text's sentences. VADER's lexicon is English: any other language is unknown."""
    if language(text) != "en":
        return Tone("unknown", None)
    # Sentence by sentence: VADER takes quadratic time in the length of what it is given.
    scores = [_analyzer().polarity_scores(sentence)["compound"] for sentence in sentences(text)]
    told = [score for score in scores if abs(score) >= _TONE]
    if not told:
        return Tone("neutral", 0.0)
    compound = round(sum(told) / len(told), 4)
    against = min(sum(score > 0 for score in told), sum(score < 0 for score in told)) / len(told)
    if against >= _MIXED_SHARE:
        return Tone("mixed", compound)
    return Tone(_by_sign(compound), compound)


def label_of(seen: Tone, offered: list[str]) -> str | None:
    """The offered label that says what was seen; None where none of them does."""
    by_lower = {label.lower(): label for label in offered}
    if seen.label in by_lower:
        return by_lower[seen.label]
    if seen.label == "mixed" and seen.compound is not None:
        return by_lower.get(_by_sign(seen.compound))
    return None


def _by_sign(compound: float) -> str:
    if abs(compound) < _TONE:
        return "neutral"
    return "positive" if compound > 0 else "negative"


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()

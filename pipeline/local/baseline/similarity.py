"""Which labels a text is like: TF-IDF over pieces of words, shared with the labels' descriptions."""

from __future__ import annotations

import math
import re
from collections import Counter
from functools import lru_cache

from pipeline.local.baseline.terms import sentences

_WORD = re.compile(r"[^\W\d_]+")
_PIECES = (3, 4, 5)
_SAMPLE_CHARACTERS = 20_000
_NO_LABEL = ("unknown", "other", "none")


def likeness(text: str, labels: dict[str, str]) -> list[tuple[str, float]]:
    """(label, share of the likeness to all labels), best first.

    Where the text shares nothing with any label, the shares are equal and a label such as "other" comes first.
    """
    told = {label: _pieces(f"{label} {description}") for label, description in labels.items()}
    spread = Counter(piece for pieces in told.values() for piece in set(pieces))
    rarity = {piece: math.log((1 + len(told)) / count) for piece, count in spread.items()}
    seen = _weights(_text_pieces(text), rarity)
    scores = {label: _cosine(seen, _weights(pieces, rarity)) for label, pieces in told.items()}
    total = sum(scores.values())
    shares = {label: score / total if total else 1 / len(scores) for label, score in scores.items()}
    ranked = sorted(((label, round(share, 4)) for label, share in shares.items()), key=lambda pair: -pair[1])
    return ranked if total else sorted(ranked, key=lambda pair: pair[0].lower() not in _NO_LABEL)


@lru_cache(maxsize=16)
def _text_pieces(text: str) -> Counter[str]:
    """Of a long text, its spread sentences up to a bound."""
    sample = text if len(text) <= _SAMPLE_CHARACTERS else " ".join(sentences(text))[:_SAMPLE_CHARACTERS]
    return _pieces(sample)


def _pieces(text: str) -> Counter[str]:
    words = Counter(word for word in _WORD.findall(text.lower()) if len(word) > 2)
    pieces: Counter[str] = Counter()
    for word, times in words.items():
        marked = f" {word} "
        for size in _PIECES:
            for start in range(len(marked) - size + 1):
                pieces[marked[start : start + size]] += times
    return pieces


def _weights(pieces: Counter[str], rarity: dict[str, float]) -> dict[str, float]:
    return {piece: (1 + math.log(pieces[piece])) * rare for piece, rare in rarity.items() if pieces.get(piece)}


def _cosine(one: dict[str, float], other: dict[str, float]) -> float:
    shared = sum(weight * one.get(piece, 0.0) for piece, weight in other.items())
    lengths = math.sqrt(sum(w * w for w in one.values()) * sum(w * w for w in other.values()))
    return shared / lengths if lengths else 0.0

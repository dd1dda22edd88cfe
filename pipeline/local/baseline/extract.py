"""The sentences that say most of a text: TF-IDF, and PageRank over what sentences have in common."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache

import numpy as np

from pipeline.local.baseline.terms import sentences as split_sentences
from pipeline.local.baseline.terms import terms

_MAX_TERMS = 4000
_DAMPING = 0.85
_STEPS = 40
_SHORT_TERMS = 4
_CUT = " …"


def extract(text: str, *, sentences: int, room_characters: int) -> str:
    """The best sentences in the order of the text, as many as there is room for; the first is cut where none fits."""
    ranked = ranked_sentences(text)
    chosen: list[tuple[int, str]] = []
    room = room_characters
    for position, sentence in ranked[: sentences * 3]:
        if len(chosen) < sentences and len(sentence) < room:
            chosen.append((position, sentence))
            room -= len(sentence) + 1
    if not chosen:
        return shorten(ranked[0][1], room_characters) if ranked else ""
    return " ".join(sentence for _, sentence in sorted(chosen))


def shorten(text: str, room_characters: int) -> str:
    """`text`, cut at a blank where it is longer than `room_characters`; the mark of the cut is within them."""
    if len(text) <= room_characters:
        return text
    room = max(0, room_characters - len(_CUT))
    cut = text.rfind(" ", room // 2, room + 1)
    return (text[: cut if cut > 0 else room].rstrip() + _CUT)[:room_characters]


@lru_cache(maxsize=16)  # the properties of one schema ask for the same text one after the other
def ranked_sentences(text: str) -> tuple[tuple[int, str], ...]:
    """(position in the text, sentence), best first; each different sentence once."""
    found = list(dict.fromkeys(split_sentences(text)))
    if not found:
        return ()
    scores = _scores([terms(sentence) for sentence in found])
    order = sorted(range(len(found)), key=lambda position: (-scores[position], position))
    return tuple((position, found[position]) for position in order)


def _scores(bags: list[list[str]]) -> list[float]:
    weights = _tf_idf(bags)
    likeness = weights @ weights.T
    np.fill_diagonal(likeness, 0.0)
    rows = likeness.sum(axis=1, keepdims=True)
    count = len(bags)
    steps = np.where(rows > 0, likeness / np.where(rows > 0, rows, 1), 1 / count)
    rank = np.full(count, 1 / count)
    for _ in range(_STEPS):
        rank = (1 - _DAMPING) / count + _DAMPING * (rank @ steps)
    # Headings and scraps say little however well they are connected; what comes first says a little more.
    lengths = np.array([min(1.0, len(bag) / _SHORT_TERMS) for bag in bags])
    lead = 1.0 + 0.2 / (1.0 + np.arange(count))
    return [round(float(score), 12) for score in rank * lengths * lead]


def _tf_idf(bags: list[list[str]]) -> np.ndarray[tuple[int, int], np.dtype[np.float64]]:
    """One row of length 1 (or 0) for each bag, over the terms found in most bags."""
    spread = Counter(term for bag in bags for term in set(bag))
    common = sorted(spread, key=lambda term: (-spread[term], term))[:_MAX_TERMS]
    column = {term: place for place, term in enumerate(common)}
    matrix = np.zeros((len(bags), max(1, len(column))))
    for row, bag in enumerate(bags):
        for term, times in Counter(bag).items():
            if term in column:
                matrix[row, column[term]] = (1 + np.log(times)) * np.log(1 + len(bags) / spread[term])
    lengths = np.linalg.norm(matrix, axis=1, keepdims=True)
    return np.asarray(matrix / np.where(lengths > 0, lengths, 1))

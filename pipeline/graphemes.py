"""Places to cut a text: ends of paragraphs, sentences, lines and words, never inside a grapheme."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import regex  # type: ignore[import-untyped]  # it ships no types

if TYPE_CHECKING:
    from collections.abc import Iterator

LONGEST_GRAPHEME = 256
"""Characters. A grapheme is looked at from at most this far back: a longer one may be taken for several."""

_GRAPHEME = regex.compile(r"\X")
_PLAIN = re.compile(r"[\n -~]")

# Repeats are possessive or bounded and follow something else, so that a search is linear on any input, also on a run of
# blanks. The cut is at the end of the match.
# Latin, Devanagari and CJK marks end sentences. Thai has none: a blank between Thai letters separates clauses. A single
# letter before a full stop is taken for an abbreviation.
_CLOSERS = "[\"'”’»›)\\]」』）】]{0,3}"
_PARAGRAPH = re.compile(r"\n(?:[^\S\n]*+\n)++|\u2029")
_SENTENCE = re.compile(
    rf"(?:(?<!\b\w)\.|[!?…।॥؟])[.!?…।॥]{{0,3}}{_CLOSERS}\s++(?=[^\sa-z])"
    rf"|[。！？｡]{{1,3}}{_CLOSERS}"
    r"|(?<=[\u0e01-\u0e5b])[ ]++(?=[\u0e01-\u0e5b])"
)
_LINE = re.compile(r"\n|\u2028")
_WORD = re.compile(r"\s(?=\S)|[，、；：\u200b]")

# How far from the wanted place each kind is looked for before the window is taken whole.
_RADII = (256, 4_096)
_NEAREST = 8


def best_cut(text: str, low: int, wanted: int, high: int) -> int | None:
    """The place of the best kind in [low, high], and of those the nearest to `wanted`; None without any.

    Paragraphs come first, then sentences, lines, words and graphemes. `text[:cut]` ends where the unit ends, with the
    white space behind it. Words are found by white space or CJK punctuation; Thai, Chinese and Japanese words are not.
    """
    low, high = max(low, 1), min(high, len(text))
    for kind in (_PARAGRAPH, _SENTENCE, _LINE, _WORD):
        for start, end in _windows(low, wanted, high):
            ends = sorted((match.end() for match in kind.finditer(text, start, end)), key=lambda cut: abs(cut - wanted))
            whole = (cut for cut in ends[:_NEAREST] if low <= cut <= high and is_boundary(text, cut))
            if (found := next(whole, None)) is not None:
                return found
    return nearest_boundary(text, low, wanted, high)


def nearest_boundary(text: str, low: int, wanted: int, high: int) -> int | None:
    """The end of a grapheme in [low, high] nearest to `wanted`; None if one grapheme fills all that could be seen."""
    low, high = max(low, wanted - LONGEST_GRAPHEME), min(high, wanted + LONGEST_GRAPHEME)
    ends = [cut for cut in _grapheme_ends(text, low, high) if low <= cut <= high]
    return min(ends, key=lambda cut: abs(cut - wanted), default=None)


def is_boundary(text: str, cut: int) -> bool:
    """Whether text[:cut] ends in a whole grapheme (Unicode's extended grapheme clusters, as in the package regex)."""
    return cut in (0, len(text)) or cut in _grapheme_ends(text, cut, cut)


def _windows(low: int, wanted: int, high: int) -> Iterator[tuple[int, int]]:
    """Growing stretches around `wanted`, so that a place near it is found without reading the whole window."""
    for radius in _RADII:
        if wanted - radius > low or wanted + radius < high:
            yield max(low - 8, wanted - radius, 0), min(high + 1, wanted + radius)
    yield max(low - 8, 0), high + 1


def _grapheme_ends(text: str, low: int, high: int) -> set[int]:
    """Ends of graphemes up to `high`, from a place before `low` where one surely begins, or LONGEST_GRAPHEME before."""
    start = low - 1
    bound = max(0, low - LONGEST_GRAPHEME)
    while start > bound and not _PLAIN.match(text, start):
        start -= 1
    matches = _GRAPHEME.finditer(text, max(start, 0), min(high + 1, len(text)))
    return {match.end() for match in matches if match.end() <= high}

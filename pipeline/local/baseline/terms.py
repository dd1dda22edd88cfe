"""Cut a text of any language into sentences and terms, within bounds that hold for any input."""

from __future__ import annotations

import re

MAX_SENTENCES = 300
_MAX_SENTENCE_CHARACTERS = 400
_LEADING_SENTENCES = 60
_WORD = re.compile(r"\w+")
_LONGEST_WORD = 20
_STEM = 7
# The end of a sentence in Latin, Devanagari and CJK writing, or of a paragraph.
_END = re.compile(r"(?<=[.!?…])[\"'»”)]*\s+|(?<=[।॥。！？])|\n\s*\n|\n(?=\s*[-*•#])")


def sentences(text: str) -> list[str]:
    """At most 300 sentences of at most 400 characters: the first 60, then evenly spread ones."""
    every = [piece for part in _END.split(text) for piece in _bounded(" ".join(part.split())) if piece]
    if len(every) <= MAX_SENTENCES:
        return every
    rest = every[_LEADING_SENTENCES:]
    wanted = MAX_SENTENCES - _LEADING_SENTENCES
    return every[:_LEADING_SENTENCES] + [rest[position * len(rest) // wanted] for position in range(wanted)]


def _bounded(sentence: str) -> list[str]:
    """Thai has no full stops, and some texts have no white space at all: cut at a blank, or hard."""
    pieces: list[str] = []
    start = 0
    while len(sentence) - start > _MAX_SENTENCE_CHARACTERS:
        cut = sentence.rfind(" ", start + 1, start + _MAX_SENTENCE_CHARACTERS)
        end = cut if cut > 0 else start + _MAX_SENTENCE_CHARACTERS
        pieces.append(sentence[start:end].strip())
        start = end
    return [*pieces, sentence[start:].strip()]


def terms(text: str) -> list[str]:
    """Words cut to their first letters, so that inflections meet; three-letter pieces where words are not spaced."""
    found: list[str] = []
    for word in _WORD.findall(text.lower()):
        if len(word) > _LONGEST_WORD or (not word.isascii() and _unspaced(word)):
            found.extend(word[start : start + 3] for start in range(max(1, len(word) - 2)))
        elif len(word) > 1:
            found.append(word[:_STEM])
    return found


def _unspaced(word: str) -> bool:
    """Thai, Chinese or Japanese letters, by the first one."""
    return "\u0e00" <= word[0] <= "\u0e7f" or "\u3040" <= word[0] <= "\u9fff"

"""Split a text into chunks within a token budget: lossless, balanced, by exact count, in linear time."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate
from math import ceil
from typing import TYPE_CHECKING

from pipeline.domain import Chunk
from pipeline.graphemes import LONGEST_GRAPHEME, best_cut, nearest_boundary
from pipeline.tokens import blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.tokens import TokenCounter

# A cut may lie this part of a chunk away from where equal chunks would end, so that it finds a paragraph.
_WINDOW = 1 / 16
_LEAST_WINDOW_TOKENS = 8

# Unused part of the budget that lets a cut move at all; without it, one chunk more is made.
_LEAST_SLACK = 1 / 64

# Larger blocks are not counted faster, and each cut counts parts of two of them again.
_LEAST_BLOCK_CHARACTERS, _BLOCK_CHARACTERS = 128, 4_000
_WINDOW_BLOCKS = 8
_ATTEMPTS = 6


def chunk(text: str, limit_tokens: int, counter: TokenCounter) -> tuple[Chunk, ...]:
    """The text as contiguous chunks, each of at most `limit_tokens` by exact count; joined, they are the text.

    One chunk if the text fits, none for an empty text. Otherwise as few as leave each a little room, of nearly equal
    size: with budgets of 256 tokens and more, the largest has at most 4/3 of the tokens of the smallest, unless
    graphemes are so large that no cut is near. Cuts fall on the end of a paragraph near the ideal place, else of a
    sentence, line or word, else between graphemes. A grapheme is cut between characters only where it alone exceeds
    the budget or is longer than graphemes.LONGEST_GRAPHEME characters. Linear in time on any input.

    Raises ValueError for a budget below 1 token, a character that alone exceeds the budget, and lone surrogates.
    """
    if limit_tokens < 1:
        raise ValueError(f"A chunk cannot have {limit_tokens} tokens: the budget must be at least 1.")
    splitter = _Splitter(text, limit_tokens, counter)
    spans = enumerate(splitter.spans())
    return tuple(Chunk(position, start, end, tokens) for position, (start, end, tokens) in spans)


class _Splitter:
    """One text with its running token count: at every block for estimates, at safe places for exact sums."""

    def __init__(self, text: str, limit_tokens: int, counter: TokenCounter) -> None:
        self._text = text
        self._limit_tokens = limit_tokens
        self._counter = counter
        size = min(_BLOCK_CHARACTERS, max(_LEAST_BLOCK_CHARACTERS, limit_tokens // 8))
        measured = list(blocks(text, counter, size, _WINDOW_BLOCKS * size))
        self._ends = [0, *(block.end for block in measured)]
        self._totals = list(accumulate((block.tokens for block in measured), initial=0))
        safe = [0, *(position for position, block in enumerate(measured, 1) if block.safe)]
        self._safe_ends = [self._ends[position] for position in safe]
        self._safe_totals = [self._totals[position] for position in safe]

    def spans(self) -> Iterator[tuple[int, int, int]]:
        """Start, end and tokens of each chunk. Plans equal chunks, and plans again for what a plan has left over."""
        start = 0
        while start < len(self._text):
            rest_tokens = self._rest_tokens(start)
            if rest_tokens <= self._limit_tokens:
                yield start, len(self._text), rest_tokens
                return
            for end, tokens in self._planned(start, rest_tokens):
                yield start, end, tokens
                start = end

    def _rest_tokens(self, start: int) -> int:
        """Tokens from `start` on: exact where they may fit one chunk, else by the running count."""
        estimate = self._totals[-1] - self._total_at(start)
        return estimate if estimate > 2 * self._limit_tokens else self._exact(start, len(self._text))

    def _planned(self, start: int, rest_tokens: int) -> Iterator[tuple[int, int]]:
        """End and tokens of all chunks of equal size from `start` but the last; at least of one."""
        pieces = self._pieces(rest_tokens)
        share = rest_tokens / pieces
        window_tokens = min(max(share * _WINDOW, _LEAST_WINDOW_TOKENS), max(0.0, self._limit_tokens - share))
        first = self._total_at(start)
        for position in range(1, pieces):
            goal = first + share * position
            if position > 1 and self._place(goal, window_tokens) <= start:
                return
            end, tokens = self._cut(start, goal, window_tokens)
            yield end, tokens
            start = end

    def _pieces(self, tokens: int) -> int:
        """How many equal chunks: the fewest that leave some of the budget unused, and more than one."""
        limit = self._limit_tokens
        slack = max(limit * _LEAST_SLACK, min(_LEAST_WINDOW_TOKENS, limit / 4))
        return max(2, ceil(tokens / max(1.0, limit - slack)))

    def _cut(self, start: int, goal: float, window_tokens: float) -> tuple[int, int]:
        """The end of the chunk that begins at `start`, near the running count `goal`, and its tokens."""
        most = self._total_at(start) + self._limit_tokens
        tolerance = window_tokens / 4
        low = max(start + 1, self._place(goal - window_tokens, tolerance))
        high = self._place(min(goal + window_tokens, most), tolerance)
        wanted = self._place(min(goal, most), tolerance)
        for _ in range(_ATTEMPTS):
            cut = best_cut(self._text, low, wanted, high)
            if cut is None:
                break
            tokens = self._exact(start, cut)
            if tokens <= self._limit_tokens:
                return cut, tokens
            reach = start + (cut - start) * self._limit_tokens // tokens
            high, wanted = cut - 1, min(reach, cut - 1)
            low = max(start + 1, wanted - (wanted - start) // 8)
        return self._fullest(start)

    def _fullest(self, start: int) -> tuple[int, int]:
        """Where no place is in reach: as many whole graphemes as fit, or characters if one grapheme is too large."""
        fitting = start + self._fitting_characters(start)
        cut: int | None = fitting
        while cut is not None and (cut := nearest_boundary(self._text, start + 1, cut, cut)) is not None:
            if (tokens := self._exact(start, cut)) <= self._limit_tokens:
                return cut, tokens
            cut -= 1
        whole = nearest_boundary(self._text, start + 1, start + 1, start + LONGEST_GRAPHEME)
        end = whole if whole and self._exact(start, whole) <= self._limit_tokens else fitting
        return end, self._exact(start, end)

    def _fitting_characters(self, start: int) -> int:
        """How many characters from `start` on are within the budget, found by halving; at least one."""
        fits, exceeds = 0, min(self._limit_tokens + 1, len(self._text) - start + 1)
        while start + exceeds <= len(self._text) and self._exact(start, start + exceeds) <= self._limit_tokens:
            fits, exceeds = exceeds, min(2 * exceeds, len(self._text) - start + 1)
        while exceeds - fits > 1:
            middle = (fits + exceeds) // 2
            if self._exact(start, start + middle) <= self._limit_tokens:
                fits = middle
            else:
                exceeds = middle
        return fits or self._first_character(start)

    def _first_character(self, start: int) -> int:
        """1, unless the character alone exceeds the budget."""
        character = self._text[start]
        if (tokens := self._counter.count(character)) > self._limit_tokens:
            raise ValueError(
                f"Character {start} of the text, {character!r}, has {tokens} tokens and the budget is "
                f"{self._limit_tokens}: raise the budget."
            )
        return 1

    def _exact(self, start: int, end: int) -> int:
        """Tokens of text[start:end]: sums between safe places, and a new count before the first and after the last."""
        first = bisect_left(self._safe_ends, start)
        last = bisect_right(self._safe_ends, end) - 1
        if first > last:
            return self._counter.count(self._text[start:end])
        head = self._counter.count(self._text[start : self._safe_ends[first]])
        tail = self._counter.count(self._text[self._safe_ends[last] : end])
        return head + self._safe_totals[last] - self._safe_totals[first] + tail

    def _total_at(self, place: int) -> int:
        """The running count at a character; it may be a few tokens off in a run without safe places."""
        block = bisect_right(self._ends, place) - 1
        return self._totals[block] + self._counter.count(self._text[self._ends[block] : place])

    def _place(self, total: float, tolerance: float) -> int:
        """The character at which the running count is `total`; estimated where a block is within the tolerance."""
        block = max(1, min(bisect_right(self._totals, total), len(self._ends) - 1))
        start, end = self._ends[block - 1], self._ends[block]
        before, after = self._totals[block - 1], self._totals[block]
        if after - before <= tolerance:
            part = (total - before) / (after - before) if after > before else 1.0
            return start + round((end - start) * min(1.0, max(0.0, part)))
        ids = self._counter.encode(self._text[start:end])
        return start + len(self._counter.decode(ids[: round(total - before)]).decode(errors="ignore"))

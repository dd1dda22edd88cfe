"""Tokens per byte of text, by language, from windows counted exactly; totals with an interval that holds 95 in 100."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import reduce
from operator import add, attrgetter

from pipeline.forecasts.estimating import ZERO, Estimate, students_t
from pipeline.tokens import TokenCounter, bound_tokens, safe_place

WINDOW_CHARACTERS = 800
# Languages with fewer windows are taken together: too few show too little variance.
LEAST_WINDOWS = 20
MOST_CHARACTER_BYTES = 4  # of UTF-8
DIGITS = 13  # of a content hash that stand for a fraction: as many as a float holds exactly
# Where nothing was counted: no language has fewer bytes a token on average, and no token is shorter than a byte.
GUESSED_TOKENS_A_BYTE = 0.4


@dataclass(frozen=True, slots=True)
class Density:
    """Weighted sums over windows, which add up over any parts. A window weighs as many bytes as it stands for.

    `weighted` sums weight x tokens per byte; the squares are those of the weight, alone and with that value.
    """

    windows: int = 0
    weight: float = 0.0
    weighted: float = 0.0
    weight_squares: float = 0.0
    products: float = 0.0
    value_squares: float = 0.0

    def __add__(self, other: Density) -> Density:
        return Density(*map(add, _fields(self), _fields(other)))

    @property
    def tokens_a_byte(self) -> float:
        return self.weighted / self.weight

    @property
    def variance(self) -> float:
        """Of tokens_a_byte, as if every window had been drawn by itself; windows are spread out, so it is less."""
        mean = self.tokens_a_byte
        spread = self.value_squares - 2 * mean * self.products + mean**2 * self.weight_squares
        return max(0.0, spread) / self.weight**2 * self.windows / (self.windows - 1)


NO_WINDOWS = Density()
_fields = attrgetter(*(one.name for one in fields(Density)))


def sample(text: str, content_hash: str, bytes_a_window: float, counter: TokenCounter) -> Density:
    """The windows of one text: one for every so many bytes, at places that its hash decides; most texts have none."""
    start = int(content_hash[:DIGITS], 16) / 16**DIGITS
    if MOST_CHARACTER_BYTES * len(text) < (1 - start) * bytes_a_window:
        return NO_WINDOWS
    count = math.floor(bound_tokens(text) / bytes_a_window + start)
    if not count:
        return NO_WINDOWS
    # The fraction that decided on the count is uniform within it: the same one places the windows.
    first = math.modf(start * 7919)[0]
    places = [int(len(text) * (number + first) / count) for number in range(count)]
    return reduce(add, (_window(text, place, bytes_a_window, counter) for place in places))


def _window(text: str, place: int, weight: float, counter: TokenCounter) -> Density:
    """The text around a place, whole when it is short, else cut where tokens of both sides do not join."""
    if len(text) <= WINDOW_CHARACTERS:
        found = text
    else:
        start = min(max(0, place - WINDOW_CHARACTERS // 2), len(text) - WINDOW_CHARACTERS)
        begin = safe_place(text, start) if start else 0
        found = text[begin : safe_place(text, start + WINDOW_CHARACTERS)]
    value = counter.count(found) / bound_tokens(found)
    return Density(1, weight, weight * value, weight**2, weight**2 * value, weight**2 * value**2)


def estimate_tokens(sizes: Mapping[str, int], densities: Mapping[str, Density]) -> Estimate:
    """The tokens of texts of so many bytes by language. Every byte may be a token where nothing was counted."""
    return _total(
        [(sum(sizes[name] for name in names), _joined(names, densities)) for names in _pools(sizes, densities)]
    )


def _pools(sizes: Mapping[str, int], densities: Mapping[str, Density]) -> list[list[str]]:
    """The languages, those with too few windows together, and together with the next one while they are too few still.

    Windows stand for as many bytes in every language, so any languages can be taken together.
    """
    names = sorted((name for name in sizes if sizes[name]), key=lambda name: (_joined([name], densities).windows, name))
    pools: list[list[str]] = []
    for name in names:
        if pools and _joined(pools[0], densities).windows < LEAST_WINDOWS:
            pools[0].append(name)
        else:
            pools.append([name])
    return pools


def _joined(names: list[str], densities: Mapping[str, Density]) -> Density:
    return reduce(add, (densities[name] for name in names if name in densities), Density())


def _total(parts: list[tuple[int, Density]]) -> Estimate:
    size = sum(size for size, _ in parts)
    if any(density.windows < 3 for _, density in parts):
        return Estimate(size * GUESSED_TOKENS_A_BYTE, 0, size) if size else ZERO
    expected = sum(size * density.tokens_a_byte for size, density in parts)
    variances = [(size**2 * density.variance, density.windows - 1) for size, density in parts]
    variance = sum(one for one, _ in variances)
    if not variance:
        return Estimate.exact(expected)
    freedom = variance**2 / sum(one**2 / degrees for one, degrees in variances)
    margin = students_t(freedom) * math.sqrt(variance)
    return Estimate(expected, max(0.0, expected - margin), min(float(size), expected + margin))

"""Tokens of many texts from those of a sample: totals with an interval that holds 95 times in 100. Pure: no I/O."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, fields
from operator import add, attrgetter
from statistics import NormalDist

CONFIDENCE = 0.95
# A small sample mostly misses the few members that differ most, such as a table among letters, and so shows too little
# variance. With this many members added to the divisor's side, intervals of drawn documents held as often as they say.
UNSEEN = 12
LEAST_SAMPLED = 3  # fewer of a stratum do not show how much its members differ


@dataclass(frozen=True, slots=True)
class Estimate:
    """A total that is expected, and the interval that holds it 95 times in 100; all three agree where it is exact."""

    expected: float
    low: float
    high: float

    @classmethod
    def exact(cls, total: float) -> Estimate:
        return cls(total, total, total)

    def __add__(self, other: Estimate) -> Estimate:
        """The sum of two estimates that may err together: their margins add up."""
        return Estimate(self.expected + other.expected, self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Estimate:
        return Estimate(self.expected * factor, self.low * factor, self.high * factor)


ZERO = Estimate.exact(0)


@dataclass(frozen=True, slots=True)
class Sums:
    """What is kept of the members of a stratum: all that the estimate needs, and it adds up over any parts.

    `size` is known of every member (x), `value` of the sampled ones (y).
    """

    members: int = 0
    size: int = 0
    sampled: int = 0
    sampled_size: int = 0
    sampled_value: int = 0
    size_squares: int = 0
    products: int = 0
    value_squares: int = 0

    def __add__(self, other: Sums) -> Sums:
        return Sums(*map(add, _fields(self), _fields(other)))

    @property
    def is_exact(self) -> bool:
        return self.sampled == self.members


_fields = attrgetter(*(one.name for one in fields(Sums)))


def member(size: int, value: int | None) -> Sums:
    """One member; `value` is None where it was not sampled."""
    if value is None:
        return Sums(1, size)
    return Sums(1, size, 1, size, value, size * size, size * value, value * value)


@dataclass(frozen=True, slots=True)
class Line:
    """The total of one stratum by regression of values on sizes, its variance, and the degrees of freedom of that.

    The regression takes up what every member has beside its text, such as the instructions of a prompt.
    """

    total: float
    variance: float
    freedom: int


def fit(sums: Sums) -> Line:
    """Needs three sampled members at least, unless all are. The variance allows for how far the sample's sizes are
    from those of all (Cochran, Sampling Techniques, 7.4), and for how little is left to guess where most is sampled.
    """
    if sums.is_exact:
        return Line(float(sums.sampled_value), 0.0, 0)
    n, members = sums.sampled, sums.members
    # Exact integers up to here: n times the sums of squared deviations, without the rounding of large differences.
    sizes = n * sums.size_squares - sums.sampled_size**2
    both = n * sums.products - sums.sampled_size * sums.sampled_value
    values = n * sums.value_squares - sums.sampled_value**2
    slope = both / sizes if sizes else 0.0
    distance = sums.size / members - sums.sampled_size / n
    total = members * (sums.sampled_value / n + slope * distance)
    freedom = n - 2 if sizes else n - 1
    residual = max(0.0, (values - slope * both) / n) / freedom * (1 + UNSEEN / n)
    leverage = distance**2 * n / sizes if sizes else 0.0
    return Line(total, members**2 * (1 - n / members) * residual * (1 / n + leverage), freedom)


def estimate(strata: Iterable[Sums]) -> Estimate:
    """The total of all strata, each of them sampled with chances of its own. Never less than what was sampled.

    Needs LEAST_SAMPLED members in all, unless all are. Strata stand in order: one with fewer is taken with the next.
    """
    found = _pooled(list(strata))
    lines = [fit(sums) for sums in found]
    total, least = sum(line.total for line in lines), sum(sums.sampled_value for sums in found)
    margin = _margin(lines)
    return Estimate(max(total, least), max(total - margin, least), max(total + margin, least))


def is_enough(strata: Collection[Sums]) -> bool:
    """Whether an estimate can be made of them."""
    return all(one.is_exact for one in strata) or sum(one.sampled for one in strata) >= LEAST_SAMPLED


def _pooled(strata: list[Sums]) -> list[Sums]:
    """Neighbours together where one alone has too few sampled members; those that are exact only where they must."""
    open_strata = [one for one in strata if not one.is_exact]
    exact = sum((one for one in strata if one.is_exact), Sums())
    if sum(one.sampled for one in open_strata) < LEAST_SAMPLED:
        return [sum(open_strata, exact)]
    pools = [Sums()]
    for one in open_strata:
        pools = [*pools, one] if pools[-1].sampled >= LEAST_SAMPLED else [*pools[:-1], pools[-1] + one]
    if pools[-1].sampled < LEAST_SAMPLED:
        pools = [*pools[:-2], pools[-2] + pools[-1]]
    return [exact, *pools]


def _margin(lines: Iterable[Line]) -> float:
    """Half the width of the interval: Student's t with the degrees of freedom of Satterthwaite."""
    open_lines = [line for line in lines if line.variance]
    variance = sum(line.variance for line in open_lines)
    if not variance:
        return 0.0
    freedom = variance**2 / sum(line.variance**2 / line.freedom for line in open_lines)
    return students_t(freedom) * math.sqrt(variance)


def students_t(freedom: float) -> float:
    """The two-sided quantile of Student's t at CONFIDENCE, within 1 % from 3 degrees of freedom on.

    Cornish-Fisher expansion (Abramowitz and Stegun, 26.7.5).
    """
    z = NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + sum(term / freedom ** (power + 1) for power, term in enumerate(terms))

"""How long to pause between two looks: short at first, then in proportion to how long one has waited already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.settings import Settings

SHARE = 0.05  # of the time waited: a job's end is seen at most about so much late, and an hour takes some 60 looks
SPREAD = 0.2  # pauses differ from their mean by up to this share, so that what began together does not stay together


@dataclass(frozen=True, slots=True)
class Pausing:
    """Bounds of the mean pause. Where `longest_seconds` is the smaller one, the pause is always `first_seconds`."""

    first_seconds: float
    longest_seconds: float

    def pause_seconds(self, waited_seconds: float, chance: float) -> float:
        """The next pause after having waited so long; `chance` is from 0 up to 1, and in the middle gives the mean.

        It depends on nothing else, so whoever takes over a wait goes on at its pace.
        """
        longest = max(self.first_seconds, self.longest_seconds)
        mean = min(max(self.first_seconds, SHARE * waited_seconds), longest)
        return mean * (1 + SPREAD * (2 * chance - 1))

    def first_look_seconds(self, chance: float) -> float:
        """When to look for the first time: soon, and not all at once after a restart."""
        return self.first_seconds * chance


def pausing_of(settings: Settings) -> Pausing:
    """The bounds that the user set."""
    return Pausing(settings.poll_seconds, settings.poll_longest_seconds)

"""A picture of a page: a chart, what it says in words, and its figures; and painting many of them at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.reports.drawing import SERIES, WIDE, WIDTH, Spec
from pipeline.reports.painting import paint


@dataclass(frozen=True, slots=True)
class Picture:
    """A chart with its title and its figures.

    `says` is for readers of the screen and tells what the chart shows, `note` is for everybody and tells what it does
    not. `draw` makes the chart for a width, `legend` names the colours.
    """

    title: str
    says: str
    draw: Callable[[float], Spec]
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    legend: tuple[tuple[str, int], ...] = ()
    svg: str = ""  # when it is painted
    wide_svg: str = ""  # the same for a screen that has room, where it stands alone


def painted(sections: Sequence[Sequence[Picture]]) -> list[list[Picture]]:
    """All of them with their drawings, by one process. One that has a section to itself is drawn wide as well.

    Raises RunError.
    """
    drawn = iter(paint([one.draw(width) for section in sections for one in section for width in _widths(section)]))
    return [
        [replace(one, svg=next(drawn), wide_svg=next(drawn) if len(section) == 1 else "") for one in section]
        for section in sections
    ]


def _widths(section: Sequence[Picture]) -> tuple[float, ...]:
    return (WIDTH, WIDE) if len(section) == 1 else (WIDTH,)


def colour_number(colour: str) -> int:
    """Of a series colour, as the style sheet numbers them."""
    return SERIES.index(colour) + 1

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
    not. `draw` makes the chart for a width, `legend` names the colours. One that has the width of the page `alone` is
    drawn for a desk as well.
    """

    title: str
    says: str
    draw: Callable[[float], Spec]
    names: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    legend: tuple[tuple[str, int], ...] = ()
    alone: bool = False
    svg: str = ""  # when it is painted
    wide_svg: str = ""  # the same for a desk


def painted(pictures: Sequence[Picture]) -> list[Picture]:
    """All of them with their drawings, by one process. Raises RunError."""
    drawn = iter(paint([one.draw(width) for one in pictures for width in ((WIDTH, WIDE) if one.alone else (WIDTH,))]))
    return [replace(one, svg=next(drawn), wide_svg=next(drawn) if one.alone else "") for one in pictures]


def colour_number(colour: str) -> int:
    """Of a series colour, as the style sheet numbers them."""
    return SERIES.index(colour) + 1

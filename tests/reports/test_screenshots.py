"""Pictures of the pages, taken and looked at: on a phone and a desk, in light and dark, and on paper."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.reports.figures import Arrivals, Ends, Stream
from pipeline.reports.pages import run_page
from tests.reports.nights import Night, figures_of
from tests.reports.screens import DESK, PHONE, Open, colour_of, colours, near, printed, taken

SERIES = {"run": ("s1", "s2", "s3", "s4", "s5", "s6"), "index": ("s1", "s3", "s4", "s5")}  # colours that it has
LEAST_INK = 0.01  # of a chart
LEAST_MARK = 20  # pixels of a series


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", SERIES)
def test_the_page_as_it_is_seen(opened: Open, name: str, width: int, scheme: str, tmp_path: Path) -> None:
    """As wide as the window, on its paper to the last pixel of its edges, with the colours of every series."""
    page = opened(name, width, color_scheme=scheme)
    image = taken(page, tmp_path / f"{name}-{width}-{scheme}.png")
    assert image.width == width
    assert image.height > 844
    paper = colour_of(page, "paper")
    assert (sum(paper) > 3 * 128) == (scheme == "light")
    edges = [image.crop((x, 0, x + 1, image.height)) for x in (0, width - 1)]
    assert [dict(colours(one)) for one in edges] == [{paper: image.height}] * 2
    seen = colours(image)
    assert [one for one in SERIES[name] if seen[colour_of(page, one)] < LEAST_MARK] == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("name", SERIES)
def test_no_chart_is_blank(opened: Open, name: str, width: int, scheme: str, tmp_path: Path) -> None:
    """Each has its texts in the colour of ink and its marks in that of a series, on the colour of its card."""
    page = opened(name, width, color_scheme=scheme)
    card, ink = colour_of(page, "card"), colour_of(page, "ink")
    series = {colour_of(page, f"s{number}") for number in range(1, 7)}
    charts = page.locator(".chart").all()
    assert len(charts) >= 4
    for number, chart in enumerate(charts):
        image = taken(chart, tmp_path / f"{name}-{width}-{scheme}-{number}.png")
        seen, whole = colours(image), image.width * image.height
        assert seen.most_common(1)[0][0] == card, number
        assert seen.total() - seen[card] > LEAST_INK * whole, number
        assert any(near(one, ink) for one in seen), number
        assert sum(seen[one] for one in series) > LEAST_MARK, number


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_on_paper(opened: Open, scheme: str, tmp_path: Path) -> None:
    """White to the edges whatever the screen is, and charts in their colours though backgrounds are not printed."""
    page = opened("run", color_scheme=scheme)
    page.emulate_media(media="print", color_scheme=scheme)  # type: ignore[arg-type] # one of the two
    series = [colour_of(page, one) for one in SERIES["run"]]
    sheets = printed(page, tmp_path / f"run-{scheme}.pdf")
    assert len(sheets) > 1
    for sheet in sheets:
        assert dict(colours(sheet.crop((0, 0, 10, sheet.height)))) == {(255, 255, 255): 10 * sheet.height}
        right = sheet.crop((sheet.width - 10, 0, sheet.width, sheet.height))
        assert dict(colours(right)) == {(255, 255, 255): 10 * sheet.height}
    seen = sum((colours(sheet) for sheet in sheets), start=colours(sheets[0]))
    assert [one for one in series if seen[one] < LEAST_MARK] == []


@pytest.mark.parametrize("width", [PHONE, DESK])
@pytest.mark.parametrize("failures", [0, 1])
def test_one_failure_in_100_000_has_its_pixels(
    opened: Open, folder: Path, width: int, failures: int, tmp_path: Path
) -> None:
    """The flow shows it in the colour of failures, which it has nowhere where there is none."""
    results = 100_000 - failures
    streams = [Stream("new", "mood", "results", results), Stream("new", "mood", "failures", failures)]
    figures = replace(
        figures_of(tmp_path / "output", Night("rare", 22)),
        arrivals=Arrivals(100_000, 0, 0, 0),
        ends=(Ends("mood", results, failures, 0, None),),
        streams=tuple(one for one in streams if one.documents),
    )
    figures = replace(figures, row={**figures.row, "documents": 100_000})
    (folder / "rare.html").write_bytes(run_page(figures))
    page = opened("rare", width)
    red = colours(taken(page.locator("#flow .chart"), tmp_path / "flow.png"))[colour_of(page, "s4")]
    assert (red > 30) == bool(failures), red

"""The flow as it is laid out: bands that keep their documents, nodes and labels that do not lie upon each other."""

from __future__ import annotations

from itertools import pairwise

import pytest

from pipeline.reports.drawing import WIDE, WIDTH, flowing
from pipeline.reports.flow import LINE, THINNEST_BAND, THINNEST_NODE, Flow, Group, Key, Node, laid_out
from pipeline.reports.painting import paint

RED = "#0102a4"
ENDS = ("results", "failures", "unchanged")
TWELVE = (*(f"analysis_{number}" for number in range(11)), "a_name_that_is_too_long_for_its_place")


def flow_of(streams: dict[Key, int], width: float = WIDTH) -> Flow:
    """Of streams alone: nodes have what flows out of them or into them."""
    analyses = list(dict.fromkeys(key[1] for key in streams))
    whole = len(analyses) or 1
    came = [
        Node(one, sum(n for key, n in streams.items() if key[0] == one) // whole, ("1,000", one), "#0102a1")
        for one in ("new", "changed", "again", "unread")
    ]
    groups = [
        Group(
            name,
            tuple(
                Node(end, n := sum(n for key, n in streams.items() if key[1:] == (name, end)), (f"{n:,} {end}",), RED)
                for end in ENDS
            ),
        )
        for name in analyses
    ]
    return laid_out(came, groups, streams, width, "failures")


def many(analyses: tuple[str, ...]) -> dict[Key, int]:
    """What came in, in four ways, and ended in three in every analysis."""
    ways = {("new", "results"): 59_000, ("new", "failures"): 1_000, ("changed", "results"): 20}
    ways |= {("again", "failures"): 1, ("again", "unchanged"): 400, ("unread", "unchanged"): 37_000}
    return {(came, name, end): count for name in analyses for (came, end), count in ways.items()}


CASES: dict[str, dict[Key, int]] = {
    "one document": {("new", "mood", "results"): 1},
    "none": {},
    "all failed": {("new", name, "failures"): 50 for name in ("mood", "summary")},
    "nothing new": {("unread", "mood", "unchanged"): 5_000},
    "one in 100,000": {("new", "mood", "results"): 99_999, ("new", "mood", "failures"): 1},
    "three analyses": many(("mood", "summary", "topic")),
    "twelve": many(TWELVE),
}


@pytest.mark.parametrize("width", [WIDTH, WIDE])
@pytest.mark.parametrize("case", CASES)
def test_everything_lies_inside_and_apart(case: str, width: float) -> None:
    """No node is upon another, no label on the next, nothing outside of the drawing; and a band for each stream."""
    flow = flow_of(CASES[case], width)
    assert len(flow.bands) == len(CASES[case])
    for left in {one.left for one in flow.boxes}:
        column = sorted((one for one in flow.boxes if one.left == left), key=lambda one: one.top)
        assert all(one.bottom < after.top for one, after in pairwise(column))
        assert all(one.bottom - one.top >= THINNEST_NODE - 0.001 for one in column)
    for before in (True, False):
        lines = sorted(one.y for one in flow.labels if one.before == before)
        assert all(after - one >= LINE - 0.001 for one, after in pairwise(lines))
    edges = [y for one in flow.bands for _, *both in one.points for y in both]
    edges += [y for one in flow.boxes for y in (one.top, one.bottom)]
    edges += [y for one in flow.labels for y in (one.y - LINE / 2, one.y + LINE / 2)]
    assert all(-0.001 <= y <= flow.height + 0.001 for y in edges)
    assert all(one.left >= 0 and one.right <= width for one in flow.boxes)


def test_a_band_is_as_thick_as_its_documents() -> None:
    """From one end to the other, and a node as tall as its bands."""
    flow = flow_of({("new", "mood", "results"): 300, ("changed", "mood", "results"): 100})
    thick = [[bottom - top for _, top, bottom in one.points] for one in flow.bands]
    assert all(max(one) - min(one) < 0.001 for one in thick)
    assert thick[0][0] == pytest.approx(3 * thick[1][0])
    mood = flow.boxes[-1]
    assert mood.bottom - mood.top == pytest.approx(thick[0][0] + thick[1][0])
    assert [one.points[-1][1:] for one in flow.bands] == [
        pytest.approx((mood.top, mood.top + thick[0][0])),
        pytest.approx((mood.top + thick[0][0], mood.bottom)),
    ]


def test_one_failure_in_100_000_is_seen() -> None:
    """It has a band and a node that are thick enough, in the colour of failures, above the others, and a label."""
    flow = flow_of(CASES["one in 100,000"])
    band = flow.bands[-1]
    assert (band.loud, band.colour) == (True, RED)
    assert band.points[0][2] - band.points[0][1] == pytest.approx(THINNEST_BAND)
    assert flow.boxes[-1].bottom - flow.boxes[-1].top == pytest.approx(THINNEST_NODE)
    assert "1 failures" in [one.text for one in flow.labels]
    assert not any(one.loud for one in flow.bands[:-1])


def test_large_numbers_have_their_room() -> None:
    """Nodes give way to the longest text beside them."""
    few, lots = (flow_of({("unread", "mood", "unchanged"): count}) for count in (9, 9_000_000))
    assert lots.boxes[-1].left < few.boxes[-1].left
    assert lots.labels[-1].room > few.labels[-1].room


def test_every_case_is_drawn() -> None:
    """Each stream and node is a shape of its own, names are cut where they are too long; the same bytes each time."""
    specs = [flowing(flow_of(streams)) for streams in CASES.values()]
    drawn = paint(specs)
    for svg, streams in zip(drawn, CASES.values(), strict=True):
        flow = flow_of(streams)
        assert len([1 for one in svg.split("<path")[1:] if 'fill="var(' in one]) == len(flow.bands) + len(flow.boxes)
        assert svg.count("<text") == len(flow.labels)
    assert ">analysis_10</text>" in drawn[-1]
    assert TWELVE[-1] not in drawn[-1]
    assert "…</text>" in drawn[-1]
    assert paint(specs) == drawn

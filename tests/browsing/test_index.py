"""Searching the index: every filter, every order, page by page."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.analyses import load_analysis, shipped_prompts
from pipeline.browsing.index import Index, Line, build
from pipeline.browsing.searching import Key, Marked, Order, Place, Search, escaped, ignored, place_of, search_of
from pipeline.schemas import result_columns
from tests.browsing.conftest import NAMES, NO_BLANKS, RIGHT_TO_LEFT, Site
from tests.published import START, Output
from tests.world import TODAY, World

ODD = (RIGHT_TO_LEFT, NO_BLANKS)
MANY = 100_000


def names(lines: list[Line]) -> list[str]:
    return [line.name.rpartition("/")[2] for line in lines]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, {"plain.txt", "copy.txt", "long.txt", "hostile.txt", "titled.html", "empty.txt", *NAMES, *ODD}),
        ({"q": "_club_"}, set()),
        ({"q": "100%"}, set()),
        ({"q": "PLAIN"}, {"plain.txt"}),
        ({"q": "copy txt"}, {"copy.txt"}),
        ({"q": "document.title='owned' <script>"}, {"hostile.txt", "titled.html"}),
        ({"q": "7 * 7"}, {NAMES[2]}),
        ({"reason": "empty"}, {"empty.txt"}),
        ({"marked": Marked.RIGHT}, set()),
        ({"language": "xx"}, set()),
        ({"cost": "1000"}, set()),
        ({"run": "another"}, set()),
    ],
)
def test_filters(site: Site, filters: dict[str, Any], expected: set[str]) -> None:
    """Each filter finds what it says, words in names, titles and answers, with no sign that has a meaning."""
    found = site.results.index().lines(Search(analysis="summarization", **filters), 100)
    assert set(names(found)) == expected
    assert site.results.index().count(Search(analysis="summarization", **filters)) == len(found) == len(expected)


def test_failures_are_not_unmarked(site: Site) -> None:
    """Nobody has to mark a failure."""
    unmarked = site.results.index().lines(Search(marked=Marked.NOT), 100)
    assert unmarked
    assert "empty.txt" not in names(unmarked)


def test_labels_are_those_of_the_answers(site: Site) -> None:
    """Every label that is offered finds as many lines as it says, and these have it."""
    index = site.results.index()
    assert index.choices.labels
    for label, count in index.choices.labels.items():
        found = index.lines(Search(label=label), 100)
        assert len(found) == count
        assert all(label in line.labels for line in found)
    assert index.choices.reasons == {"empty": 3}
    assert list(index.choices.runs) == ["night"]


@pytest.mark.parametrize("order", list(Order))
def test_pages_hold_every_line_once(site: Site, order: Order) -> None:
    """Going on from the last line of a page meets every line once, and going back the same in reverse."""
    index, search = site.results.index(), Search(order=order)
    whole = index.lines(search, 1_000)
    forward: list[Line] = []
    while page := index.lines(search, 4, forward[-1].key if forward else None):
        forward += page
    assert forward == whole
    backward = [whole[-1]]
    while page := index.lines(search, 4, backward[0].key, before=True):
        backward = page + backward
    assert backward == whole
    if order is Order.COST:
        costs = [Decimal(-1) if line.cost_usd is None else line.cost_usd for line in whole]
        assert costs == sorted(costs, reverse=True)
        least = str(costs[3])
        assert [line.cost_usd for line in index.lines(Search(cost=least), 100, None)]
        assert index.count(Search(cost=least)) == sum(cost >= costs[3] for cost in costs)


def test_a_row_that_is_gone_is_no_place(site: Site) -> None:
    """A page that goes on from an unknown row is the first one."""
    index = site.results.index()
    assert index.lines(Search(), 3, Key("0" * 24, "sentiment", "gone")) == index.lines(Search(), 3)


def test_a_list_has_one_place(site: Site) -> None:
    """A page ends before a row or begins after one; of two places the other is told, and one that is gone is none."""
    index = site.results.index()
    one, other, *_ = (line.key for line in index.lines(Search(), 3))
    gone = f"{'0' * 24}/sentiment/gone"
    for query, place, told in [
        ({"after": one.path}, Place(one, before=False), []),
        ({"before": one.path, "after": ""}, Place(one, before=True), []),
        ({"before": one.path, "after": other.path}, Place(one, before=True), ["after"]),
        ({"before": gone, "after": other.path}, Place(other, before=False), ["before"]),
        ({"before": gone, "after": "x"}, None, ["after", "before"]),
        ({"after": f"{one.path}/x"}, None, ["after"]),
    ]:
        assert place_of(query, index.has) == place
        assert [one.partition(" ")[0] for one in ignored(query, index.has)] == told


def test_the_newest_row_is_found_and_the_older_one_by_its_run(small: World, tmp_path: Path) -> None:
    """Without a run, each document's newest answer or failure; with one, what that run wrote; deleted ones say so."""
    small.put("a.txt", "")
    small.put("b.txt", "Something else.")
    (small.source / "c.txt").unlink()
    small.run("second", day=TODAY)
    with small.services.catalog(small.output.absolute().as_uri()) as catalog:
        build(catalog, tmp_path / "index.duckdb", {"classification": "category"})
    index = Index(tmp_path / "index.duckdb")
    newest = {line.uri[-5:]: line for line in index.lines(Search(analysis="classification"), 10)}
    assert {name: line.key.run_key for name, line in newest.items()} == {
        "a.txt": "second",
        "b.txt": "second",
        "c.txt": "night",
    }
    assert newest["a.txt"].reason == "empty"
    assert [name for name, line in newest.items() if line.deleted] == ["c.txt"]
    assert index.count(Search(analysis="classification", run="night")) == 3
    index.close()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, Search()),
        ({"q": " a  b ", "order": "cost", "marked": "right"}, Search(q="a  b", order=Order.COST, marked=Marked.RIGHT)),
        ({"order": "uri; drop table answers", "marked": "x", "other": "y"}, Search()),
        ({"cost": "nan"}, Search(cost="nan")),
    ],
)
def test_addresses_are_searches(query: dict[str, str], expected: Search) -> None:
    """What an address holds is a search whatever is in it, and the search gives the address again."""
    found = search_of(query)
    assert found == expected
    assert search_of(dict(pair.split("=") for pair in found.address.replace("+", " ").split("&") if pair)) == found


@pytest.mark.parametrize("cost", ["", "nan", "inf", "-1", "x", "1e9999999", "9" * 40])
def test_what_is_no_cost_filters_nothing(site: Site, cost: str) -> None:
    """A cost that is none shows everything, and is no error."""
    assert Search(cost=cost).least_usd is None
    assert site.results.index().count(Search(cost=cost)) > 0


def test_patterns_are_escaped() -> None:
    """Signs that ILIKE knows stand for themselves."""
    assert escaped(r"50%_\ x") == r"50\%\_\\ x"


def test_a_name_that_is_not_utf_8_is_found_as_it_is(tmp_path: Path) -> None:
    """One such file makes no other answer unreadable."""
    output, uris = Output(tmp_path / "output"), ["file:///a%20b.txt", "file:///latin%FF.txt"]
    columns = result_columns(load_analysis(shipped_prompts(), "summarization", output_language="English"))
    rows = [{"document_id": uri, "uri": uri, "summary": "A letter."} for uri in uris]
    output.commit("documents", "night", [{"document_id": uri, "uri": uri} for uri in uris])
    output.commit("summarization", "night", rows, columns)
    output.commit("runs", "night", [{"ended": START}])
    with output.catalog() as catalog:
        build(catalog, tmp_path / "index", {})
    index = Index(tmp_path / "index")
    assert [line.name for line in index.lines(Search(), 10)] == ["file:///a b.txt", "file:///latin%FF.txt"]
    index.close()


@pytest.fixture
def many(tmp_path: Path) -> Output:
    """A hundred thousand answers in one run."""
    output = Output(tmp_path / "output")
    ids = [f"{number:024x}" for number in range(MANY)]
    analysis = load_analysis(shipped_prompts(), "summarization", output_language="English")
    columns = result_columns(analysis)
    rows = [
        {
            "document_id": one,
            "uri": f"s3://bucket/documents/{number % 97}/{one}.txt",
            "summary": f"Summary {number} of a document. " * 12,
            "content_hash": one,
            "cost_usd": Decimal(number % 1_000) / 10_000_000,
            "input_tokens": number % 5_000,
            "output_tokens": 100,
            "truncated": False,
        }
        for number, one in enumerate(ids)
    ]
    output.commit("documents", "night", [{"document_id": row["document_id"], "uri": row["uri"]} for row in rows])
    output.commit("summarization", "night", rows, columns)
    output.commit("runs", "night", [{"ended": START}])
    return output


def test_a_hundred_thousand_documents_stay_quick(
    many: Output, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """An index of 100,000 answers is made once, and every search of it takes a moment."""
    begun = time.perf_counter()
    with many.catalog() as catalog:
        build(catalog, tmp_path / "index.duckdb", {})
    built = time.perf_counter() - begun
    index = Index(tmp_path / "index.duckdb")
    searches = [Search(), Search(q="99999"), Search(order=Order.COST), Search(q="Summary 5", order=Order.TOKENS)]
    slowest = 0.0
    for search in searches:
        begun = time.perf_counter()
        page = index.lines(search, 50)
        following = index.lines(search, 50, page[-1].key)
        assert index.count(search) >= len(page) + len(following) > 0
        slowest = max(slowest, time.perf_counter() - begun)
    index.close()
    size = (tmp_path / "index.duckdb").stat().st_size
    figures = f"index of {MANY:,} answers: made in {built:.1f} s, {size / 1e6:.0f} MB; slowest search {slowest:.2f} s"
    record_property("figures", figures)
    assert slowest < 10, figures  # a busy machine is no failure; a search that reads tables takes longer

"""The figures of a run against the rows that they are counted from."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from statistics import median

import pytest

from pipeline.errors import ObjectMissing
from pipeline.reports.counting import EARLIER_RUNS, run_figures
from pipeline.reports.figures import RunFigures, Stream
from tests.published import Output
from tests.reports.nights import ANALYSES, FAILS, UNREAD, Night, figures_of

LAST = Night("last", 500, day=9)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> RunFigures:
    """Of the last of seven nights."""
    nights = [Night(f"night-{day}", 40, day=day) for day in range(6)]
    return figures_of(tmp_path_factory.mktemp("nights"), *nights, LAST)


def test_what_came_in_is_what_was_listed(figures: RunFigures) -> None:
    """New, changed, read again and not read add up to the documents of the run, and each is that of the rows."""
    came, rows = figures.arrivals, Counter(one["change"] for one in LAST.document_rows())
    assert (came.new, came.changed, came.again, came.unread) == (
        *(rows[one] for one in ("new", "changed", "unchanged")),
        UNREAD,
    )
    assert came.new + came.changed + came.again + came.unread == figures.row["documents"]


def test_what_came_out_is_what_came_in(figures: RunFigures) -> None:
    """In every analysis results, failures and unchanged add up to the documents that were listed."""
    assert [one.analysis for one in figures.ends] == sorted(ANALYSES)
    for one in figures.ends:
        assert one.results + one.failures + one.unchanged == figures.row["documents"]
        assert one.results == len(list(LAST.result_rows(one.analysis)))


def test_streams_lead_from_what_came_in_to_what_came_out(figures: RunFigures) -> None:
    """Those that begin in one way add up to what came in so, those that end in one way to what came out, in each."""
    rows = {one["document_id"]: one["change"] for one in LAST.document_rows()}
    for one in figures.ends:
        flowing = [stream for stream in figures.streams if stream.analysis == one.analysis]
        for arrival in ("new", "changed", "again", "unread"):
            came = sum(stream.documents for stream in flowing if stream.arrival == arrival)
            assert came == getattr(figures.arrivals, arrival)
        for end in ("results", "failures", "unchanged"):
            assert sum(stream.documents for stream in flowing if stream.end == end) == getattr(one, end)
        changed = sum(rows[row["document_id"]] == "changed" for row in LAST.result_rows(one.analysis))
        assert Stream("changed", one.analysis, "results", changed) in flowing
        assert Stream("unread", one.analysis, "unchanged", UNREAD) in flowing


def test_costs_add_up_to_the_last_digit(figures: RunFigures) -> None:
    """By analysis, by language and by round: each is the sum of the ledger."""
    ledger = sum((one["cost_usd"] for one in LAST.ledger_rows()), Decimal(0))
    for sums in (figures.paid_by_analysis().values(), figures.paid_by_language().values()):
        assert sum((one.known_usd for one in sums), Decimal(0)) == ledger
    assert sum((one.paid.known_usd for one in figures.rounds), Decimal(0)) == ledger == figures.row["cost_usd"]
    assert set(figures.paid_by_language()) == {"de", "en", "fr", None}
    assert sum(one.requests for one in figures.rounds) == 3 * LAST.documents
    assert sum(one.unused for one in figures.rounds) == figures.row["unused_requests"]


def test_tokens_by_size_are_those_of_whole_documents(figures: RunFigures) -> None:
    """Every document is in the class of its size, with its tokens over all analyses between the outer quantiles."""
    assert sum(one.documents for one in figures.spreads) == LAST.documents
    sizes = Counter(
        max(floor for floor in (0, 1_000, 4_000, 16_000) if one["size_bytes"] >= floor)
        for one in LAST.document_rows()
        if "size_bytes" in one
    )
    assert {one.above_bytes: one.documents for one in figures.spreads} == sizes
    tokens: dict[int, list[int]] = {}
    for number, one in enumerate(list(LAST.document_rows())[: LAST.documents]):
        floor = max(floor for floor in sizes if one["size_bytes"] >= floor)
        tokens.setdefault(floor, []).append(3 * LAST.spent(number)["input_tokens"])
    assert {one.above_bytes: one.median_tokens for one in figures.spreads} == {
        floor: round(median(some)) for floor, some in tokens.items()
    }
    assert all(one.low_tokens <= one.median_tokens <= one.high_tokens for one in figures.spreads)


def test_labels_are_those_of_the_run_and_of_the_few_before(figures: RunFigures) -> None:
    """Counts of each run, the newest first; texts that are no labels are left out."""
    (category, mood) = figures.labels
    assert (category.analysis, category.column, mood.column) == ("classification", "category", "sentiment")
    assert list(category.counts) == ["last", *(f"night-{day}" for day in (5, 4, 3, 2, 1))]
    assert len(figures.earlier) == EARLIER_RUNS
    expected = Counter(one["category"] for one in LAST.result_rows("classification"))
    assert {label: count for label, count in category.counts["last"].items() if count} == expected
    assert sum(category.counts["night-5"].values()) == len(list(Night("night-5", 40).result_rows("classification")))


def test_the_documents_that_stand_out_are_the_first_of_all(figures: RunFigures) -> None:
    """Ten each, by the sums of their rows over all analyses."""
    tokens = sorted((3 * LAST.spent(number)["input_tokens"] for number in range(LAST.documents)), reverse=True)
    assert [one.input_tokens for one in figures.longest] == tokens[:10]
    assert [one.cost_usd for one in figures.dearest] == [one * Decimal("0.00000011") for one in tokens[:10]]


def test_failures_are_told_by_reason_with_examples(figures: RunFigures) -> None:
    """The counts are those of the rows, and every example is a document of that reason."""
    rows = list(LAST.failure_rows())
    assert {one.reason: one.failures for one in figures.failures} == Counter(row["reason"] for row in rows)
    for kind in figures.failures:
        ids = {row["document_id"] for row in rows if row["reason"] == kind.reason}
        assert kind.documents == len(ids)
        assert len({one.document_id for one in kind.examples} & ids) == 3
        assert kind.analyses == tuple(sorted(ANALYSES))
    assert sum(one.documents for one in figures.failures) == len(range(0, LAST.documents, FAILS))


def test_samples_are_results_and_the_same_ones_each_time(figures: RunFigures) -> None:
    """So many of each analysis, cut where they are long; none when none are wanted."""
    assert Counter(one.analysis for one in figures.samples) == dict.fromkeys(ANALYSES, 3)
    assert len({one.uri for one in figures.samples}) == 3
    points = dict(next(one for one in figures.samples if one.analysis == "summarization").answer)["key_points"]
    assert points == "\n".join(["• A point."] * 5)


def test_what_nobody_knows_is_unknown(tmp_path: Path) -> None:
    """Without a price every sum says how much of it is unknown, and no document is the most expensive."""
    found = figures_of(tmp_path, Night("unpriced", 30, priced=False), samples=0)
    assert found.row["cost_usd"] is None
    assert {one.unknown == one.requests for one in found.paid_by_analysis().values()} == {True}
    assert found.dearest == ()
    assert found.samples == ()


def test_a_run_before_others_is_drawn_as_it_was(tmp_path: Path) -> None:
    """Runs that ended later change nothing of it, so that its page has the same bytes whenever it is drawn."""
    first, second = Night("first", 30), Night("second", 30, day=1)
    alone = figures_of(tmp_path / "alone", first)
    with Output(tmp_path / "alone").catalog() as catalog:
        assert run_figures(catalog, "first", 3) == alone
    second.publish(Output(tmp_path / "alone"))
    with Output(tmp_path / "alone").catalog() as catalog:
        assert run_figures(catalog, "first", 3) == alone
        with pytest.raises(ObjectMissing, match="published runs are first, second"):
            run_figures(catalog, "third", 3)

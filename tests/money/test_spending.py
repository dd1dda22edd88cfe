"""Accounts of what runs cost: exact in every division, the same in every order, and unknown where it is unknown."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import re
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.money.spending import By, Line, Question, account, total
from pipeline.terminal.statement import AccountForm, print_account
from tests.published import START, TABLES, Output

BOUNDED = settings(max_examples=8, deadline=None)
DAYS = [dt.date(2026, 10, 31), dt.date(2026, 11, 1), dt.date(2026, 11, 30)]
ROWS = st.fixed_dictionaries(
    {
        "document_id": st.sampled_from("abc"),
        "analysis": st.sampled_from(["sentiment", "summarization"]),
        "mode": st.sampled_from(["batch", "on-demand"]),
        "priced_as": st.sampled_from(["8b", "70b"]),
        "input_tokens": st.none() | st.integers(0, 10**9),
        "output_tokens": st.none() | st.integers(0, 10**6),
        "cost_usd": st.none() | st.decimals(0, 10**6, places=10),
        "used": st.none() | st.booleans(),
    }
)
RUNS = st.lists(st.tuples(st.sampled_from(DAYS), st.lists(ROWS, max_size=6)), min_size=1, max_size=4)


def publish(output: Output, runs: list[tuple[dt.date, list[dict[str, Any]]]], columns: Any = None) -> None:
    """Runs named r0, r1, …, each with its day and the rows of its ledger; documents lie in folders by their ids."""
    for number, (day, rows) in enumerate(runs):
        key = f"r{number}"
        documents = [{"document_id": one, "uri": f"s3://bucket/{one}/x/{one}.txt"} for one in "abc"]
        output.commit("documents", key, documents)
        output.commit("ledger", key, [{**row, "run_date": day} for row in rows], columns or TABLES["ledger"])
        output.commit("runs", key, [{"ended": START, "source_uri": f"s3://bucket/{number % 2}", "run_date": day}])


def lines_of(output: Output, *by: By, **asked: Any) -> list[Line]:
    with output.catalog() as catalog:
        return account(catalog, Question(by, **asked))


def usd(rows: list[dict[str, Any]]) -> Decimal:
    return sum((row["cost_usd"] or Decimal(0) for row in rows), Decimal(0))


@BOUNDED
@given(RUNS)
def test_every_division_has_the_same_total(runs: list[tuple[dt.date, list[dict[str, Any]]]]) -> None:
    """By document's folder, analysis, run, day, month, model or mode, the sums agree to the last digit."""
    every = [row for _, rows in runs for row in rows]
    with tempfile.TemporaryDirectory() as folder:
        output = Output(Path(folder) / "output")
        publish(output, runs)
        divisions = [lines_of(output, one) for one in By] + [
            lines_of(output, By.SOURCE, depth=1),
            lines_of(output, *By),
        ]
    for lines in divisions:
        whole = total(lines)
        assert whole.paid.known_usd == usd(every)
        assert whole.paid.unknown == sum(row["cost_usd"] is None for row in every)
        assert whole.requests == len(every)
        assert whole.unused.known_usd == usd([row for row in every if row["used"] is False])
        assert whole.input_tokens == sum(row["input_tokens"] or 0 for row in every)
        assert len({line.values for line in lines}) == len(lines)


@BOUNDED
@given(RUNS.flatmap(lambda runs: st.tuples(st.just(runs), st.permutations(runs[0][1]))))
def test_the_order_of_the_ledger_does_not_matter(
    case: tuple[list[tuple[dt.date, list[dict[str, Any]]]], list[dict[str, Any]]],
) -> None:
    """The same rows in another order are the same account."""
    runs, shuffled = case
    found = []
    for first in (runs[0][1], shuffled):
        with tempfile.TemporaryDirectory() as folder:
            output = Output(Path(folder) / "output")
            publish(output, [(runs[0][0], first), *runs[1:]])
            found.append(lines_of(output, By.DAY, By.ANALYSIS, By.MODE))
    assert found[0] == found[1]


def row(cost: str | None, *, used: bool | None = True, **more: Any) -> dict[str, Any]:
    given = {"document_id": "a", "analysis": "sentiment", "mode": "batch", "priced_as": "8b", "input_tokens": 10}
    return {**given, "output_tokens": 1, "used": used, "cost_usd": None if cost is None else Decimal(cost), **more}


@pytest.fixture
def output(tmp_path: Path) -> Output:
    """Three runs on three days; a row of the second has an unknown cost, and all of the third's."""
    output = Output(tmp_path / "output")
    publish(
        output,
        [
            (DAYS[0], [row("0.10"), row("0.0200000001", used=False, document_id="b")]),
            (DAYS[1], [row("1"), row(None, input_tokens=None, used=False)]),
            (DAYS[2], [row(None)]),
        ],
    )
    return output


def test_only_the_days_that_are_asked_for_count(output: Output) -> None:
    """Both ends are included."""
    assert [line.values[0] for line in lines_of(output, By.DAY, since=DAYS[1])] == ["2026-11-01", "2026-11-30"]
    assert [line.values[0] for line in lines_of(output, By.DAY, until=DAYS[1])] == ["2026-10-31", "2026-11-01"]
    assert lines_of(output, By.DAY, since=dt.date(2027, 1, 1)) == []
    assert [line.values[0] for line in lines_of(output, By.MONTH)] == ["2026-10", "2026-11"]


def test_sources_are_those_of_runs_or_folders_of_documents(output: Output) -> None:
    """Without a depth the prefix that was listed; with one, so many folders of each uri, never its file's name."""
    assert [line.values[0] for line in lines_of(output, By.SOURCE)] == ["s3://bucket/0", "s3://bucket/1"]
    folders = {depth: {line.values[0] for line in lines_of(output, By.SOURCE, depth=depth)} for depth in (0, 1, 5)}
    assert folders == {
        0: {"s3://bucket"},
        1: {"s3://bucket/a", "s3://bucket/b"},
        5: {"s3://bucket/a/x", "s3://bucket/b/x"},
    }


def printed(output: Output, form: AccountForm, *by: By) -> str:
    stream = io.StringIO()
    print_account(by, lines_of(output, *by), form, stream)
    return stream.getvalue()


def test_a_printed_total_is_the_sum_of_the_printed_lines(output: Output) -> None:
    """To the last digit, also where the lines need ten places; unknown is a word, and counted."""
    text = printed(output, AccountForm.TABLE, By.DAY)
    assert "unknown" in text.splitlines()[4]
    costs = [Decimal(found[1]) for line in text.splitlines() if (found := re.search(r" ([\d,.]+\.\d{10}) ", line))]
    assert costs[-1] == sum(costs[:-1]) == Decimal("1.1200000001")
    assert "≥ 1.1200000001" in text
    assert text.splitlines()[-2].split()[-1] == "2"


def test_csv_and_json_hold_exact_sums(output: Output) -> None:
    """Money is text with every digit; what is unknown is empty or null, never zero."""
    rows = list(csv.DictReader(io.StringIO(printed(output, AccountForm.CSV, By.DAY))))
    assert [one["cost_usd"] for one in rows] == ["0.1200000001", "1.0000000000", ""]
    assert [one["unused_usd"] for one in rows] == ["0.0200000001", "", "0.0000000000"]
    found = json.loads(printed(output, AccountForm.JSON, By.RUN))
    assert [line["cost_usd"] for line in found["lines"]] == ["0.1200000001", "1.0000000000", None]
    assert found["total"]["cost_usd"] == "1.1200000001"
    assert found["total"]["unknown_cost_requests"] == 2


def test_bars_fit_eighty_columns(output: Output) -> None:
    """No line is longer, none has an escape sequence, the dearest is the longest, and the unused part is light."""
    text = printed(output, AccountForm.BARS, By.SOURCE, By.RUN, By.DAY, By.MODE)
    assert "\x1b" not in text
    *bars, end = text.splitlines()
    assert max(map(len, bars)) <= 80
    lengths = [line.count("█") + line.count("░") for line in bars]
    assert max(lengths) == next(length for length, line in zip(lengths, bars, strict=True) if "1.00" in line)
    assert bars[1].endswith(" unknown")
    assert end.startswith("in all ≥ 1.1200000001 USD")


def test_the_end_of_a_bar_is_what_was_paid_for_nothing(tmp_path: Path) -> None:
    """A quarter that no result rests on is a light quarter of the bar."""
    output = Output(tmp_path / "output")
    publish(output, [(DAYS[0], [row("0.75"), row("0.25", used=False)])])
    (bar, _) = printed(output, AccountForm.BARS, By.DAY).splitlines()
    dark, light = bar.count("█"), bar.count("░")
    assert light > 10
    assert 0 <= dark - 3 * light <= 3  # whole cells


def test_nothing_published_is_an_empty_account(tmp_path: Path) -> None:
    """Before the first run there is no line, and people are told so."""
    empty = Output(tmp_path / "output")
    assert lines_of(empty, By.DAY) == []
    assert printed(empty, AccountForm.TABLE, By.DAY) == "Nothing was sent by any published run of these days.\n"
    assert printed(empty, AccountForm.BARS, By.DAY) == "Nothing was sent by any published run of these days.\n"


def test_a_ledger_of_an_older_version_is_read(tmp_path: Path) -> None:
    """Where no column says what was used, what was paid for nothing is unknown."""
    output = Output(tmp_path / "output")
    columns = [column for column in TABLES["ledger"] if column[0] not in {"used", "attempt"}]
    publish(output, [(DAYS[0], [row("0.5")])], columns)
    (line,) = lines_of(output, By.DAY)
    assert (line.spent.paid.usd, line.spent.unused.usd) == (Decimal("0.5"), None)

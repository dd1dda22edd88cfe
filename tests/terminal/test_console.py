"""What people see: progress as plain lines, a run's summary, a forecast, tables."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from pipeline.money.costs import Amount
from pipeline.steps import RunSummary
from pipeline.steps.counts import AnalysisCounts
from pipeline.terminal import console

SUMMARY = RunSummary(
    run_key="night",
    run_date=dt.date(2026, 11, 23),
    source_uri="file:///documents",
    output_uri="file:///my%20tables%20%5Bfinal%5D",
    model="baseline",
    priced_as="meta.llama3-1-8b-instruct-v1:0",
    output_language="German",
    docbatch_version="0.1.0",
    rounds=2,
    documents=1_204,
    duplicates=3,
    results=2_406,
    failures=2,
    analyses={
        "classification": AnalysisCounts(1_203, 1, 500_000, 3_000, Decimal("0.05533")),
        "summarization": AnalysisCounts(1_203, 1, 12_500_000, 900_000, Decimal("1.474")),
    },
    unchanged={"classification": 0, "summarization": 0},
    deleted=0,
    reasons={"empty": 2},
    requests=2_410,
    known=0,
    input_tokens=13_000_000,
    output_tokens=903_000,
    forecast_usd=Decimal("2.25"),
    cost_usd=Decimal("1.52933"),
    budget_usd=None,
    disagreements=[],
    started=dt.datetime(2026, 11, 23, tzinfo=dt.UTC),
    ended=dt.datetime(2026, 11, 23, 1, tzinfo=dt.UTC),
)
GOLDEN = """\
Run night: 1,204 documents (3 with a text that another had), 2,410 requests
┏━━━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━━━━┓
┃ analysis       ┃ results ┃ failures ┃ input tokens ┃ output tokens ┃      cost ┃
┡━━━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━━━━┩
│ classification │   1,203 │        1 │      500,000 │         3,000 │ $0.055330 │
│ summarization  │   1,203 │        1 │   12,500,000 │       900,000 │     $1.47 │
│ in all         │   2,406 │        2 │   13,000,000 │       903,000 │     $1.53 │
└────────────────┴─────────┴──────────┴──────────────┴───────────────┴───────────┘
Failures   2 empty (see the table `failures`: what to do is in its column `advice`)
Answered   by baseline, priced as meta.llama3-1-8b-instruct-v1:0
Forecast   at most $2.25 for the first round; actual cost $1.53, later rounds included
Tables     /my tables [final]/tables
"""


SECOND_NIGHT = """\
Run next: 1,204 documents, 20 requests
┏━━━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━━━━┓
┃ analysis       ┃ results ┃ failures ┃ unchanged ┃ input tokens ┃ output tokens ┃      cost ┃
┡━━━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━━━━┩
│ classification │      16 │        1 │     1,187 │        5,000 │            30 │ $0.000553 │
│ summarization  │      16 │        1 │     1,187 │       12,000 │           900 │ $0.001419 │
│ in all         │      32 │        2 │     2,374 │       17,000 │           930 │ $0.001972 │
└────────────────┴─────────┴──────────┴───────────┴──────────────┴───────────────┴───────────┘
Not paid   2,374 unchanged since an earlier run, 12 answered by an earlier run
Deleted    3 documents are gone from the source; the rows are kept, and marked as deleted
Failures   2 empty (see the table `failures`: what to do is in its column `advice`)
Answered   by baseline, priced as meta.llama3-1-8b-instruct-v1:0
Forecast   at most $0.002100 for the first round; actual cost $0.001972, later rounds included
Tables     /my tables [final]/tables
"""
NOTHING_NEW = """\
Run next: 1,204 documents, 0 requests
┏━━━━━━━━━━━━━━━━┳━━━━━━━━━┳━━━━━━━━━━┳━━━━━━━━━━━┳━━━━━━━━━━━━━━┳━━━━━━━━━━━━━━━┳━━━━━━━━━━━┓
┃ analysis       ┃ results ┃ failures ┃ unchanged ┃ input tokens ┃ output tokens ┃      cost ┃
┡━━━━━━━━━━━━━━━━╇━━━━━━━━━╇━━━━━━━━━━╇━━━━━━━━━━━╇━━━━━━━━━━━━━━╇━━━━━━━━━━━━━━━╇━━━━━━━━━━━┩
│ classification │       0 │        1 │     1,203 │            0 │             0 │ $0.000000 │
│ summarization  │       0 │        1 │     1,203 │            0 │             0 │ $0.000000 │
│ in all         │       0 │        2 │     2,406 │            0 │             0 │ $0.000000 │
└────────────────┴─────────┴──────────┴───────────┴──────────────┴───────────────┴───────────┘
Not paid   2,406 unchanged since an earlier run
Failures   2 empty (see the table `failures`: what to do is in its column `advice`)
Tables     /my tables [final]/tables
Nothing was asked: the results of earlier runs still hold. They are in the tables (docbatch show summarization).
To ask all of it anew, and pay for it: docbatch run … --force
"""
NEXT = replace(
    SUMMARY,
    run_key="next",
    duplicates=0,
    results=32,
    analyses={
        "classification": AnalysisCounts(16, 1, 5_000, 30, Decimal("0.000553")),
        "summarization": AnalysisCounts(16, 1, 12_000, 900, Decimal("0.001419")),
    },
    unchanged={"classification": 1_187, "summarization": 1_187},
    deleted=3,
    requests=20,
    known=12,
    input_tokens=17_000,
    output_tokens=930,
    forecast_usd=Decimal("0.0021"),
    cost_usd=Decimal("0.001972"),
)
UNCHANGED = replace(
    NEXT,
    model=None,
    results=0,
    analyses=dict.fromkeys(NEXT.analyses, AnalysisCounts(0, 1, 0, 0, Decimal(0))),
    unchanged=dict.fromkeys(NEXT.analyses, 1_203),
    deleted=0,
    requests=0,
    known=0,
    input_tokens=0,
    output_tokens=0,
    forecast_usd=Decimal(0),
    cost_usd=Decimal(0),
)


def printed(summary: RunSummary) -> str:
    stream = io.StringIO()
    console.print_summary(summary, stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("uri", "typed", "read"),
    [
        ("file:///a%20b/%E4%BD%A0.txt", "/a b/你.txt", "/a b/你.txt"),
        ("s3://bucket/a%20b", "s3://bucket/a%20b", "s3://bucket/a%20b"),
        ("file:///a%1B%5B31m", "file:///a%1B%5B31m", "file:///a%1B%5B31m"),
        ("file:///a%E2%80%AEtxt.exe", "file:///a%E2%80%AEtxt.exe", "file:///a%E2%80%AEtxt.exe"),
        ("file:///latin%FF", "file:///latin%FF", "file:///latin%FF"),
        ("s3://bucket/a\x1b[31m\u202eb", "s3://bucket/a\x1b[31m\u202eb", "s3://bucket/a\ufffd[31m\ufffdb"),
        ("file:///a%0A | s3://b", "file:///a%0A | s3://b", "file:///a%0A | s3://b"),
    ],
)
def test_a_name_does_not_act_on_what_stands_around_it(uri: str, typed: str, read: str) -> None:
    """A file's path is told as people type it, unless that would hide or turn a part of it."""
    assert (console.shown_place(uri), console.shown_name(uri)) == (typed, read)


@pytest.mark.parametrize(("summary", "text"), [(SUMMARY, GOLDEN), (NEXT, SECOND_NIGHT), (UNCHANGED, NOTHING_NEW)])
def test_the_summary_of_a_run(summary: RunSummary, text: str) -> None:
    """Counts, tokens and cost of each analysis, what was not paid again, what answered, and where the tables are."""
    assert printed(summary) == text


def test_unknown_costs_are_called_unknown() -> None:
    """No sum of money is shown as zero when nobody knows it."""
    unpriced = {name: replace(one, cost_usd=None) for name, one in SUMMARY.analyses.items()}
    text = printed(replace(SUMMARY, analyses=unpriced, cost_usd=None, forecast_usd=None))
    assert "Forecast   unknown; actual cost unknown" in text
    assert "$" not in text
    assert text.count("unknown") == 5


def test_later_rounds_are_named_where_there_were_any() -> None:
    """The forecast is about the first round; what came after adds to the cost, and is no broken promise."""
    assert "first round; actual cost $1.53, later rounds included" in printed(SUMMARY)
    assert "first round; actual cost $1.53\n" in printed(replace(SUMMARY, rounds=1))


def test_what_was_wasted_and_saved_is_said_in_a_line_each() -> None:
    """Each way names what it is compared with; what is known in part is the least, what is not known is a word."""
    savings = {
        "batch": Amount(2_400, Decimal("1.52933"), 0),
        "duplicates": Amount(3, Decimal("0.0003"), 0),
        "known": Amount(12, Decimal("0.0012"), 2),
        "unchanged": Amount(1, Decimal(0), 1),
        "caps": Amount(2_412, Decimal("0.51"), 0),
    }
    text = printed(replace(SUMMARY, unused=Amount(4, Decimal("0.002"), 0), savings=savings))
    assert text.splitlines()[-7:-1] == [
        "Unused     $0.002000 of it, for 4 answers that no result rests on",
        "Saved      $1.53 by batch, against the same tokens at the on-demand price",
        "           $0.000300 by 3 duplicates, against asking for every copy of a text",
        "           at least $0.001200 by 12 known answers, against asking again what other runs have answered, "
        "at the price of a batch where there is one",
        "           unknown by 1 unchanged result, against asking again for results that still hold, "
        "at the price of a batch where there is one",
        "           up to $0.510000 by a limit on the length of each of 2,412 answers, against the model's own",
    ]
    assert "Unused" not in printed(replace(SUMMARY, unused=Amount(0, Decimal(0), 0)))
    assert "Unused     unknown of it" in printed(replace(SUMMARY, unused=Amount(1, Decimal(0), 1)))


def test_a_disagreement_is_said_in_full_on_one_line() -> None:
    """Where ledger and job differ, the reader sees the whole sentence."""
    sentence = "r00-b0000: input tokens: records say 1, the job says [2]; " * 6
    assert f"Disagrees  {sentence}".rstrip() in printed(replace(SUMMARY, disagreements=[sentence]))


TABLE = pa.table(
    {
        "uri": ["file:///documents/a.txt", "file:///b.txt"],
        "summary": ["It says [/bold] and :smile:\n\x1b[31mand red\x07", "x" * 100],
        "key_points": [["One.", "Two."], None],
        "cost_usd": pa.array([Decimal("0.0000001100"), None], pa.decimal128(20, 10)),
        "run_date": [dt.date(2026, 11, 23)] * 2,
        "started": [dt.datetime(2026, 11, 23, tzinfo=dt.UTC)] * 2,
    }
)


def shown(form: str, table: pa.Table = TABLE) -> str:
    stream = io.StringIO()
    console.print_table(table, form, stream)
    return stream.getvalue()


def test_a_table_for_people_shows_texts_as_they_are_and_obeys_none() -> None:
    """Brackets and colons of a text stay, escape sequences do not, long texts end in an ellipsis."""
    text = shown("table")
    assert "It says [/bold] and :smile: [31mand red" in text
    assert "\x1b" not in text
    assert "x" * 59 + "…" in text
    assert "x" * 60 not in text


def test_a_table_for_people_hides_no_column_and_no_id() -> None:
    """In a pipe every column is there with its whole name, and ids are whole however many columns there are."""
    names = [f"a_rather_long_column_{n}" for n in range(25)]
    text = shown("table", pa.table({name: [f"{n:024d}"] for n, name in enumerate(names)}))
    assert all(name in text for name in names)
    assert all(f"{n:024d}" in text for n in range(25))
    assert len(text.splitlines()) == 6


def test_what_is_the_same_in_every_row_is_said_once() -> None:
    """A constant column stands above the table with its value, and the table is narrower by it."""
    text = shown("table", pa.table({"a": ["x", "y"], "run_key": ["night", "night"], "empty": [None, None]}))
    assert text.splitlines()[:2] == ["2 rows", "the same in all: run_key night, empty null"]
    assert "run_key" not in "\n".join(text.splitlines()[2:])


def test_a_table_as_json_loses_nothing() -> None:
    """One object a line; sums of money are strings with every digit, unknown is null."""
    first, second = (json.loads(line) for line in shown("json").splitlines())
    assert first["summary"] == "It says [/bold] and :smile:\n\x1b[31mand red\x07"
    assert first["key_points"] == ["One.", "Two."]
    assert (first["cost_usd"], second["cost_usd"]) in [("0.0000001100", None), ("1.100E-7", None)]
    assert Decimal(first["cost_usd"]) == Decimal("0.00000011")
    assert (first["run_date"], second["summary"]) == ("2026-11-23", "x" * 100)


def test_a_table_as_csv_is_one_row_a_record() -> None:
    """A header and the rows, lists as JSON, unknown as nothing."""
    rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(shown("csv"), newline="")))
    assert list(rows[0]) == TABLE.column_names
    assert json.loads(rows[0]["key_points"]) == ["One.", "Two."]
    assert Decimal(rows[0]["cost_usd"]) == Decimal("0.00000011")
    assert (rows[1]["cost_usd"], rows[1]["key_points"]) == ("", "")


def test_a_forecast_has_a_row_for_each_analysis() -> None:
    """Requests, tokens, cost as expected and at most, with margins where there are any and unknown prices called so."""
    stream = io.StringIO()
    exact, rough = {"expected": 1_000, "low": 1_000, "high": 1_000}, {"expected": 2_000, "low": 1_900, "high": 2_090}
    row = {"analysis": "sentiment", "requests": exact, "input_tokens": rough, "output_tokens": 30_000}
    costs = {"cost_usd": Decimal("0.2233"), "cost_at_most_usd": Decimal("1.5")}
    unknown = {"cost_usd": None, "cost_at_most_usd": None}
    console.print_forecast([row | costs, row | {"analysis": "in all"} | unknown], stream)
    cells = [[cell.strip() for cell in line.strip("│").split("│")] for line in stream.getvalue().splitlines()[3:5]]
    assert cells == [
        ["sentiment", "1,000", "2,000 ± 100", "30,000", "$0.223300", "$1.50"],
        ["in all", "1,000", "2,000 ± 100", "30,000", "unknown", "unknown"],
    ]

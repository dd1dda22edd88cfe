"""Cost and Usage Reports in the layouts that AWS exports: read alike, summed exactly, and refused by name."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.domain import Mode
from pipeline.errors import SettingsError
from pipeline.money.billing import billing_name, read_bill
from pipeline.money.reconciling import Billed

MODEL = "meta.llama3-1-8b-instruct-v1:0"
# Day, usage type, thousands of tokens, USD, line item type, product, run tag.
Line = tuple[str, str, str, str, str, str, str]
LINES: list[Line] = [
    ("2026-11-23", "USW2-Llama3-1-8B-input-tokens-batch", "1.5", "0.000165", "Usage", "AmazonBedrock", "night"),
    ("2026-11-23", "USW2-Llama3-1-8B-input-tokens-batch", "0.001", "0.00000011", "Usage", "AmazonBedrock", "night"),
    ("2026-11-23", "USW2-Llama3-1-8B-output-tokens-batch", "0.25", "0.0000275", "Usage", "AmazonBedrock", "night"),
    ("2026-11-24", "USW2-Llama3-1-8B-input-tokens", "2", "0.00044", "Usage", "AmazonBedrock", ""),
    ("2026-11-24", "USE1-Llama3-1-8B-input-tokens-cross-region", "1", "0.00022", "Usage", "AmazonBedrock", ""),
    ("2026-11-24", "USW2-Llama3-1-8B-input-tokens-flex", "9", "0.001", "Usage", "AmazonBedrock", ""),
    ("2026-11-24", "USW2-Llama3-1-70B-input-tokens", "9", "0.00648", "Usage", "AmazonBedrock", ""),
    ("2026-11-24", "USW2-Llama3-3-70B-Customization-Training", "9", "0.8", "Usage", "AmazonBedrock", ""),
    ("2026-11-24", "USW2-Llama3-1-8B-input-tokens-batch", "7", "0.2", "Tax", "AmazonBedrock", ""),
    ("2026-11-24", "USW2-Llama3-1-8B-input-tokens-batch", "7", "0.2", "Usage", "AmazonS3", ""),
    ("2026-11-26", "USW2-TimedStorage-ByteHrs", "7", "0.2", "Usage", "AmazonS3", ""),
]
FOUND = (
    Billed("2026-11-23", Mode.BATCH, "input", "night", Decimal(1501), Decimal("0.00016511"), 2),
    Billed("2026-11-23", Mode.BATCH, "output", "night", Decimal(250), Decimal("0.0000275"), 1),
    Billed("2026-11-24", Mode.ON_DEMAND, "input", None, Decimal(1000), Decimal("0.00022"), 1),
    Billed("2026-11-24", Mode.ON_DEMAND, "input", None, Decimal(2000), Decimal("0.00044"), 1),
)


def legacy_names(line: Line) -> dict[str, str]:
    """A line of a legacy report as CSV, whose tags have columns of their own."""
    day, usage_type, amount, usd, kind, product, run = line
    return {
        "identity/LineItemId": "x",
        "lineItem/UsageStartDate": f"{day}T02:00:00Z",
        "lineItem/ProductCode": product,
        "lineItem/UsageType": usage_type,
        "lineItem/LineItemType": kind,
        "lineItem/UsageAmount": amount,
        "lineItem/CurrencyCode": "USD",
        "lineItem/UnblendedCost": usd,
        "pricing/unit": "1K tokens",
        "resourceTags/user:docbatch-run": run,
    }


def new_names(line: Line) -> dict[str, str]:
    """A line of CUR 2.0, whose tags are a map."""
    old = legacy_names(line)
    tags = {"user_docbatch_run": line[-1], "user_team": "docs"} if line[-1] else {}
    names = {
        "identity_line_item_id": "identity/LineItemId",
        "line_item_usage_start_date": "lineItem/UsageStartDate",
        "line_item_product_code": "lineItem/ProductCode",
        "line_item_usage_type": "lineItem/UsageType",
        "line_item_line_item_type": "lineItem/LineItemType",
        "line_item_usage_amount": "lineItem/UsageAmount",
        "line_item_currency_code": "lineItem/CurrencyCode",
        "line_item_unblended_cost": "lineItem/UnblendedCost",
        "pricing_unit": "pricing/unit",
    }
    return {new: old[name] for new, name in names.items()} | {"resource_tags": json.dumps(tags)}


def write_csv(path: Path, rows: list[dict[str, str]]) -> Path:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    content = text.getvalue().encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_parquet(path: Path, rows: list[dict[str, str]]) -> Path:
    """Amounts and costs as doubles, times as timestamps, tags as a map: as AWS writes them."""
    columns: dict[str, Any] = {name: [row[name] for row in rows] for name in rows[0]}
    for name in ("line_item_usage_amount", "line_item_unblended_cost"):
        columns[name] = pa.array([float(text) for text in columns[name]], pa.float64())
    times = pa.array([text.rstrip("Z") for text in columns["line_item_usage_start_date"]])
    columns["line_item_usage_start_date"] = times.cast(pa.timestamp("ms"))
    tags = [list(json.loads(text).items()) for text in columns["resource_tags"]]
    columns["resource_tags"] = pa.array(tags, pa.map_(pa.string(), pa.string()))
    pq.write_table(pa.table(columns), path)
    return path


def make_report(path: Path, lines: list[Line] = LINES) -> Path:
    """A report in the layout that the name of the file stands for."""
    rows = [(legacy_names if "legacy" in path.name else new_names)(line) for line in lines]
    return write_parquet(path, rows) if path.suffix == ".parquet" else write_csv(path, rows)


@pytest.mark.parametrize("name", ["legacy.csv", "legacy.csv.gz", "cur2.csv", "cur2.csv.gz", "cur2.snappy.parquet"])
def test_every_layout_says_the_same(tmp_path: Path, name: str) -> None:
    """Thousands of tokens become tokens, sums are exact, and taxes, other products and other models stay out."""
    bill = read_bill(make_report(tmp_path / f"it's a {name}"), MODEL)
    assert sorted(bill.lines, key=lambda one: (one.day, one.direction, one.tokens)) == list(FOUND)
    assert (bill.first, bill.last) == ("2026-11-23", "2026-11-26")
    assert bill.others == ("USW2-Llama3-1-8B-input-tokens-flex",)


def test_a_report_without_tags_knows_no_runs(tmp_path: Path) -> None:
    """Nobody switched the tag on in the billing console: every line is nobody's."""
    rows = [{k: v for k, v in legacy_names(line).items() if "docbatch" not in k} for line in LINES]
    bill = read_bill(write_csv(tmp_path / "a.csv", rows), MODEL)
    assert {one.run_key for one in bill.lines} == {None}


@pytest.mark.parametrize(
    ("name", "change", "told"),
    [
        ("a.csv", lambda _row: {"BilledCost": "1", "ServiceName": "x"}, "line_item_product_code, line_item_usage_type"),
        (
            "a.csv",
            lambda row: {k: v for k, v in row.items() if k != "pricing/unit"},
            "columns pricing_unit are missing",
        ),
        ("a.csv", lambda row: row | {"pricing/unit": "Hrs"}, "pricing_unit = 'Hrs'"),
        ("a.csv", lambda row: row | {"lineItem/CurrencyCode": "EUR"}, "is in EUR"),
        ("a.csv", lambda row: row | {"lineItem/UsageAmount": "many"}, "cannot be read"),
        ("a.zip", lambda row: row, "ends in .parquet, .csv or .csv.gz"),
        ("a.parquet", lambda row: row, "cannot be read"),
    ],
)
def test_what_is_no_such_report_is_told(
    tmp_path: Path, name: str, change: Callable[[dict[str, str]], dict[str, str]], told: str
) -> None:
    """The error names the file and what is wrong with it."""
    path = write_csv(tmp_path / name, [change(legacy_names(line)) for line in LINES])
    with pytest.raises(SettingsError, match=told) as caught:
        read_bill(path, MODEL)
    assert str(path) in str(caught.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Before anything is read."""
    with pytest.raises(SettingsError, match="there is no such file"):
        read_bill(tmp_path / "no.csv", MODEL)


@pytest.mark.parametrize(
    ("unit", "tokens"), [("1K tokens", 1501), ("1M tokens", 1_501_000), ("Tokens", 2), ("1,000 tokens", 1501)]
)
def test_units_are_read(tmp_path: Path, unit: str, tokens: int) -> None:
    """Whatever the amount counts, tokens come out."""
    rows = [legacy_names(line) | {"pricing/unit": unit} for line in LINES[:2]]
    (found,) = read_bill(write_csv(tmp_path / "a.csv", rows), MODEL).lines
    assert round(found.tokens) == tokens


@pytest.mark.parametrize("name", [MODEL, "us." + MODEL, "Llama3-1-8B", "Llama3.1-8B", "Llama3.18BInstruct"])
def test_a_model_is_known_by_its_name_on_the_bill(name: str) -> None:
    """Ids, profiles and the spellings of usage types come to one name, and no other model has it."""
    assert billing_name(name) == "llama318b"
    assert billing_name("meta.llama3-1-70b-instruct-v1:0") == "llama3170b"

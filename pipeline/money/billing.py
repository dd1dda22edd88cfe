"""A Cost and Usage Report of AWS, legacy or 2.0, as Parquet or CSV: what it bills for the tokens of a model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from pipeline.domain import Mode
from pipeline.errors import SettingsError
from pipeline.money.reconciling import Billed

PRODUCT = "AmazonBedrock"
RUN_TAG = "docbatch_run"  # as reports spell it: `user:docbatch-run`, `user_docbatch_run`
MEMORY = "300MB"
THREADS = 2
# Legacy CSV says lineItem/UsageType, legacy Parquet and CUR 2.0 line_item_usage_type (AWS, CUR data dictionary).
REQUIRED = (
    "line_item_product_code",
    "line_item_usage_type",
    "line_item_usage_amount",
    "line_item_unblended_cost",
    "line_item_usage_start_date",
    "pricing_unit",
)
KIND, CURRENCY, TAGS = "line_item_line_item_type", "line_item_currency_code", "resource_tags"
_USAGE = ("Usage", "DiscountedUsage", "SavingsPlanCoveredUsage")  # other lines are taxes, credits and fees
# USW2-Llama3-1-8B-input-tokens-batch: region, model, direction, and how it was asked where that has a price of its own.
_USAGE_TYPE = re.compile(
    r"^(?:[A-Z]{2,3}[A-Z0-9]*\d?-)?(?P<model>.+?)-(?P<way>input|output)-tokens?(?:-(?P<rest>.*))?$"
)
_UNIT = re.compile(r"^(?:(?P<count>[\d,]+)\s*(?P<scale>[KM]?)\s*)?tokens?$", re.IGNORECASE)
_SCALE = {"": 1, "K": 1_000, "M": 1_000_000}


@dataclass(frozen=True, slots=True)
class Bill:
    """What a report bills for one model. `first` to `last` are the days that it covers, whatever was used.

    `others` are usage types of the model that neither a batch nor an on-demand call of this project leaves behind.
    """

    first: str
    last: str
    lines: tuple[Billed, ...]
    others: tuple[str, ...]


def read_bill(path: Path, model_id: str) -> Bill:
    """The lines of a report that are about a model, summed by day, mode, direction and run.

    Raises SettingsError for a file that is missing, of another format, of another layout, or in another currency.
    """
    with duckdb.connect() as database:
        database.execute(f"SET memory_limit = '{MEMORY}'; SET threads = {THREADS}; SET TimeZone = 'UTC'")
        try:
            _open(database, path)
            columns = _columns(database, path)
            day = _day(columns)
            first, last = database.execute(f"SELECT min({day}), max({day}) FROM report").fetchall()[0]  # noqa: S608 - quoted
            rows = database.execute(_query(columns), {"product": PRODUCT}).fetchall()
        except duckdb.Error as error:
            reason = str(error).splitlines()[0]
            raise SettingsError(f"{path}: cannot be read as a Cost and Usage Report: {reason}") from None
    found, others = [], set()
    for row in rows:
        billed = _billed(path, model_id, row)
        if isinstance(billed, str):
            others.add(billed)
        elif billed is not None:
            found.append(billed)
    return Bill(first or "", last or "", tuple(found), tuple(sorted(others)))


def billing_name(model: str) -> str:
    """What a model id and the name of the model in a usage type have in common: `llama318b`."""
    bare = re.sub(r"-v\d+(:\d+)?$", "", model.rpartition("/")[2].lower())
    bare = re.sub(r"^(?:[a-z]+\.)+(?=[a-z])", "", bare)
    return re.sub(r"[^a-z0-9]", "", bare).removesuffix("instruct")


def _open(database: duckdb.DuckDBPyConnection, path: Path) -> None:
    """The file as the view `report`. All of a CSV is text: money is never a float."""
    name = path.name.lower()
    if not path.is_file():
        raise SettingsError(f"cur = {path}: there is no such file")
    if name.endswith(".parquet"):
        reader = "read_parquet"
    elif name.endswith((".csv", ".csv.gz")):
        reader = "read_csv"
    else:
        raise SettingsError(
            f"cur = {path}: a report ends in .parquet, .csv or .csv.gz; unpack it, or name another file"
        )
    given = ", all_varchar = true, header = true" if reader == "read_csv" else ""
    quoted = str(path).replace("'", "''")
    database.execute(f"CREATE VIEW report AS SELECT * FROM {reader}('{quoted}'{given})")  # noqa: S608 - quoted above


def _columns(database: duckdb.DuckDBPyConnection, path: Path) -> dict[str, tuple[str, str]]:
    """The columns by the names of CUR 2.0: as the file spells them, and their types."""
    described = database.execute("DESCRIBE report").fetchall()
    columns = {_snake(str(row[0])): (str(row[0]), str(row[1])) for row in described}
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise SettingsError(
            f"cur = {path}: is no Cost and Usage Report that docbatch knows; the columns {', '.join(missing)} are "
            "missing. Export CUR 2.0, or the legacy report, with these columns"
        )
    return columns


def _snake(name: str) -> str:
    """`lineItem/UsageType` and `resourceTags/user:docbatch-run` as Athena and CUR 2.0 spell them."""
    parts = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
    return re.sub(r"[^a-z0-9]+", "_", parts.lower()).strip("_")


def _query(columns: dict[str, tuple[str, str]]) -> str:
    text = {name: f'"{columns[name][0]}"::VARCHAR' for name in (*REQUIRED, KIND, CURRENCY) if name in columns}
    kinds = ", ".join(f"'{kind}'" for kind in _USAGE)
    where = f"AND {text[KIND]} IN ({kinds})" if KIND in text else ""
    currency = text.get(CURRENCY, "'USD'")
    amount, cost = (f"sum(({text[name]})::DECIMAL(38,12))" for name in REQUIRED[2:4])
    return f"""
        SELECT {_day(columns)}, {text["line_item_usage_type"]}, {text["pricing_unit"]}, {currency}, {_run_of(columns)},
            {amount}, {cost}, count(*)
        FROM report WHERE {text["line_item_product_code"]} = $product {where} GROUP BY ALL ORDER BY ALL
    """  # noqa: S608 - the names of columns are quoted, the rest is ours


def _day(columns: dict[str, tuple[str, str]]) -> str:
    return f'left("{columns["line_item_usage_start_date"][0]}"::VARCHAR, 10)'


def _run_of(columns: dict[str, tuple[str, str]]) -> str:
    """The run that a line is tagged with: a column of its own, an entry of a map, or of a map as JSON text."""
    own = next((name for name in columns if name.startswith(TAGS) and name.endswith(RUN_TAG)), None)
    if own is not None:
        return f"""nullif("{columns[own][0]}"::VARCHAR, '')"""
    if TAGS not in columns:
        return "NULL"
    name, kind = columns[TAGS]
    if kind.startswith("MAP"):
        return f"""list_filter(map_entries("{name}"), lambda e: regexp_matches(e.key, 'docbatch[_-]run$'))[1].value"""
    return f"""nullif(regexp_extract("{name}"::VARCHAR, '"[^"]*docbatch[_-]run"\\s*:\\s*"([^"]*)"', 1), '')"""


def _billed(path: Path, model_id: str, row: tuple[Any, ...]) -> Billed | str | None:
    """A row as it is compared; the usage type of one that is of another kind, None for one of another model."""
    day, usage_type, unit, currency, run_key, amount, cost, lines = row
    said = _USAGE_TYPE.match(usage_type or "")
    if said is None or billing_name(said["model"]) != billing_name(model_id):
        return None
    rest = said["rest"] or ""
    if rest and not rest.startswith(("batch", "cross-region")):
        return str(usage_type)
    if currency != "USD":
        raise SettingsError(f"cur = {path}: is in {currency}; docbatch compares USD")
    mode = Mode.BATCH if "batch" in rest else Mode.ON_DEMAND
    return Billed(day, mode, said["way"], run_key, amount * _tokens_in(path, unit), Decimal(cost), lines)


def _tokens_in(path: Path, unit: str) -> int:
    said = _UNIT.match((unit or "").strip())
    if said is None:
        raise SettingsError(f"cur = {path}: pricing_unit = {unit!r}: docbatch knows tokens, 1K tokens and 1M tokens")
    return int((said["count"] or "1").replace(",", "")) * _SCALE[(said["scale"] or "").upper()]

"""docs/tables.md as the schemas have it: every column of every table that ships."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from pipeline.analyses import load_analyses, shipped_prompts
from pipeline.schemas import GOLD, GOLD_ABOUT, GOLD_TABLE, arrow_schema, null_when, table_schemas
from pipeline.schemas.examples import EXAMPLES, LATEST_EXAMPLES
from pipeline.schemas.views import LATEST_COLUMNS

DOCS = Path(__file__).resolve().parents[1] / "docs"
ANALYSES = load_analyses(shipped_prompts(), output_language="English")
SCHEMAS = table_schemas(ANALYSES)
DESCRIBED = {**SCHEMAS, GOLD_TABLE: arrow_schema(GOLD_TABLE, GOLD_ABOUT, GOLD)}  # the last is of people
_SHOWN_CHARACTERS = 100


def dictionary() -> str:
    """One section a table, one line a column."""
    order = [*sorted(ANALYSES), *(name for name in DESCRIBED if name not in ANALYSES)]
    return "\n".join(section(name) for name in order)


def section(table: str) -> str:
    schema = DESCRIBED[table]
    about = json.loads((schema.metadata or {})[b"docbatch"])
    rows = [line(field.name, field.type, about["columns"][field.name], EXAMPLES) for field in schema]
    if table in ANALYSES:
        latest = "\n".join(line(*column, LATEST_EXAMPLES) for column in LATEST_COLUMNS)
        rows.append(f"\n`{table}_latest` has these columns and, behind them:\n\n{_HEAD}\n{latest}")
    return f"### `{table}`\n\n{about['description']}.\n\n{_HEAD}\n" + "\n".join(rows) + "\n"


_HEAD = "| column | type | meaning | example | null |\n|---|---|---|---|---|"


def line(name: str, kind: pa.DataType, description: str, examples: Mapping[str, Any]) -> str:
    when = null_when(description)
    meaning = description.removesuffix(f"; null {when}").replace("|", "\\|")
    return f"| `{name}` | {shown_type(kind)} | {meaning} | `{shown(examples[name])}` | {when or 'never'} |"


def shown_type(kind: pa.DataType) -> str:
    """As people say it."""
    if pa.types.is_list(kind):
        return f"list of {shown_type(kind.value_type)}"
    if pa.types.is_struct(kind):
        return "(" + ", ".join(f"{part.name} {shown_type(part.type)}" for part in kind) + ")"
    known = {pa.bool_(): "boolean", pa.float64(): "double", pa.date32(): "date", pa.timestamp("us", "UTC"): "time, UTC"}
    return known.get(kind, str(kind).replace("decimal128", "decimal"))


def shown(value: Any) -> str:
    if isinstance(value, list | dict):
        text = json.dumps(value, ensure_ascii=False, default=str)
    elif isinstance(value, dt.datetime):
        text = f"{value:%Y-%m-%d %H:%M:%SZ}"
    else:
        plain = str(value).lower() if isinstance(value, bool) else str(value)
        text = f"{value:f}" if isinstance(value, Decimal) else plain
    return text if len(text) <= _SHOWN_CHARACTERS else text[: _SHOWN_CHARACTERS - 1] + "…"

"""Rows as CSV and as XLSX, a piece at a time: numbers, dates and money stay what they are, texts stay texts."""

from __future__ import annotations

import datetime as dt
import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import pyarrow as pa

from pipeline.errors import SettingsError
from pipeline.tables.neutral import begins_a_formula, legal_in_xml, neutral

if TYPE_CHECKING:
    from xlsxwriter.workbook import Workbook
    from xlsxwriter.worksheet import Worksheet

MOST_CHARACTERS = 32_767  # of a cell, in units of UTF-16
MOST_ROWS = 1_048_576  # of a sheet, its head included
CUT = " … (cut)"
MOST_EXACT = 10**15  # Excel's numbers have fifteen digits
FIRST_YEAR = 1900
ENDINGS = (".csv", ".xlsx")


def write_spreadsheet(path: Path, schema: pa.Schema, batches: Iterable[pa.RecordBatch], *, bom: bool = True) -> int:
    """Write the rows to a file whose name says its kind; how many there were. Raises SettingsError for another kind."""
    kinds: Mapping[str, Callable[[Path, pa.Schema, Iterable[Sequence[Any]]], int]] = {
        ".csv": partial(_to_csv, bom=bom),
        ".xlsx": write_xlsx,
    }
    write = kinds.get(path.suffix.lower())
    if write is None:
        raise SettingsError(f"to = {path}: the name must end in {' or '.join(ENDINGS)}")
    part = path.with_name(f".part-{path.name}")
    try:
        count = write(part, schema, _rows(batches))
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return count


def _to_csv(path: Path, schema: pa.Schema, rows: Iterable[Sequence[Any]], *, bom: bool) -> int:
    with path.open("w", encoding="utf-8-sig" if bom else "utf-8", newline="") as stream:
        return write_csv(stream, schema.names, rows)


def write_csv(stream: TextIO, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> int:
    """Texts in quotation marks; numbers, times and truth values bare; null is an empty field. How many rows."""
    stream.write(",".join(names) + "\r\n")
    count = 0
    for row in rows:
        stream.write(",".join(map(_field, row)) + "\r\n")
        count += 1
    return count


def write_xlsx(path: Path, schema: pa.Schema, rows: Iterable[Sequence[Any]], *, most_rows: int = MOST_ROWS) -> int:
    """One sheet, or as many as the rows need. A row is on disk before the next is read."""
    from xlsxwriter.workbook import Workbook

    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "in_memory": False}
    with Workbook(str(path), options) as workbook:
        cells = _Cells(workbook)
        sheet, count = _new_sheet(workbook, cells, schema), 0
        for row in rows:
            if count and count % (most_rows - 1) == 0:
                sheet = _new_sheet(workbook, cells, schema)
            cells.write_row(sheet, count % (most_rows - 1) + 1, row)
            count += 1
    return count


def _rows(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[Any, ...]]:
    for batch in batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _field(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"  # a Decimal zero would be 0E-10
    if isinstance(value, int | float | dt.date):
        return str(value)
    text = neutral(value if isinstance(value, str) else _json(value))
    return '"' + text.replace('"', '""') + '"'


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _new_sheet(workbook: Workbook, cells: _Cells, schema: pa.Schema) -> Worksheet:
    number = len(workbook.worksheets()) + 1
    sheet = workbook.add_worksheet("rows" if number == 1 else f"rows {number}")
    sheet.freeze_panes(1, 0)
    for column, field in enumerate(schema):
        wide = pa.types.is_string(field.type) or pa.types.is_timestamp(field.type)
        sheet.set_column(column, column, 24 if wide else 14)
        sheet.write_string(0, column, field.name, cells.head)
    return sheet


class _Cells:
    """How each type stands in a cell."""

    def __init__(self, workbook: Workbook) -> None:
        self.head = workbook.add_format({"bold": True})
        self._date = workbook.add_format({"num_format": "yyyy-mm-dd"})
        self._time = workbook.add_format({"num_format": 'yyyy-mm-dd hh:mm:ss "UTC"'})
        self._money = workbook.add_format({"num_format": "0.0000000000"})
        self._text = workbook.add_format({"quote_prefix": True})

    def write_row(self, sheet: Worksheet, row: int, values: Sequence[Any]) -> None:
        for column, value in enumerate(values):
            if value is not None:
                self._write(sheet, row, column, value)

    def _write(self, sheet: Worksheet, row: int, column: int, value: Any) -> None:
        if isinstance(value, bool):
            sheet.write_boolean(row, column, value)
        elif isinstance(value, Decimal) and value.is_finite() and abs(value) < MOST_EXACT:
            sheet.write_number(row, column, float(value), self._money)
        elif isinstance(value, int | float) and math.isfinite(value) and abs(value) < MOST_EXACT:
            sheet.write_number(row, column, value)
        elif isinstance(value, dt.datetime) and value.year >= FIRST_YEAR:
            sheet.write_datetime(row, column, value.astimezone(dt.UTC).replace(tzinfo=None), self._time)
        elif isinstance(value, dt.date) and value.year >= FIRST_YEAR:
            sheet.write_datetime(row, column, value, self._date)
        else:
            text = fitting(legal_in_xml(value if isinstance(value, str) else _json(value)))
            # Excel keeps a text with this format a text even after somebody has edited the cell.
            sheet.write_string(row, column, text, self._text if begins_a_formula(text) else None)


def fitting(text: str) -> str:
    """The text, cut where a cell would end, and saying so."""
    if len(text) <= MOST_CHARACTERS // 2 or _units(text) <= MOST_CHARACTERS:
        return text
    room = text.encode("utf-16-le")[: (MOST_CHARACTERS - _units(CUT)) * 2]
    return room.decode("utf-16-le", "ignore") + CUT


def _units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2

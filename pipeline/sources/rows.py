"""The rows of a table as documents: each has a text, an id, and columns that go with it into the results."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote

from pipeline.domain import Document, short_hash
from pipeline.sources.files import Line, Values, read_lines, with_columns
from pipeline.sources.selecting import Selection
from pipeline.sources.spelling import Source
from pipeline.sources.spool import Row, Spool
from pipeline.sources.values import Entry
from pipeline.storage.objects import Listed, ObjectStore

MOST_EXTRA_BYTES = 16_384
MOST_ID_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class _Table:
    """Which columns of a table are what. With `chosen`, no others go along."""

    uri: str
    modified: dt.datetime
    text: str
    id: str
    chosen: tuple[str, ...]

    def going_along(self, values: Values) -> str:
        if self.chosen:
            return as_extra({name: values.get(name) for name in self.chosen})
        return as_extra({name: value for name, value in values.items() if name not in (self.text, self.id)})

    def failed(self, number: int, problem: str) -> tuple[Document, Row]:
        told = f"row {number}: {problem}"
        return unreadable(self.uri, number, self.modified, told), Row(None, problem=told)


def row_documents(
    source: Source, store: ObjectStore, file: Listed, spool: Spool, selection: Selection
) -> Iterator[Entry]:
    """Every row of a file; its text goes to the spool. Raises StorageError, SettingsError."""
    chosen = tuple(name for name in source.option("extra").split(",") if name)
    table = _Table(source.uri, file.last_modified, source.option("text"), source.option("id"), chosen)
    origin = source.origin
    for line in with_columns(read_lines(store, file.key), [table.text, table.id, *chosen], source.uri):
        document, row = _as_document(table, line)
        selected = row.problem is not None or selection.takes(document, None)
        if not spool.add(document, row if selected else Row(None)):
            document, row = table.failed(line.number, "its id is that of an earlier row")
            selected = spool.add(document, row)
        yield Entry(document, origin, selected)


def unreadable(uri: str, number: int, modified: dt.datetime, problem: str) -> Document:
    """What stands for a row that names no document: a failure with its number. No id is written with a colon."""
    return Document(f"{uri}#row:{number}", short_hash(problem), 0, modified)


def _as_document(table: _Table, line: Line) -> tuple[Document, Row]:
    problem = line.problem or _problem(table, line.values)
    if problem is not None:
        return table.failed(line.number, problem)
    text, extra = line.values[table.text] or "", table.going_along(line.values)
    if len(extra.encode()) > MOST_EXTRA_BYTES:
        size = len(extra.encode())
        problem = f"its extra columns are {size} bytes as JSON; the limit is {MOST_EXTRA_BYTES}; choose with extra="
        return table.failed(line.number, problem)
    uri = f"{table.uri}#{quote(table.id)}={quote(_id_of(line.values[table.id]), safe='')}"
    return Document(uri, short_hash(text, extra), len(text.encode()), table.modified), Row(text, extra)


def _problem(table: _Table, values: Values) -> str | None:
    """Why a row is no document."""
    if table.text not in values:
        return f"has no column {table.text!r}"
    text = values[table.text]
    if text is not None and not isinstance(text, str):
        return f"its column {table.text!r} is no text ({_kind_of(text)})"
    if not _is_unicode(text or ""):
        return f"its column {table.text!r} is not UTF-8"
    row_id = _id_of(values.get(table.id))
    if not 0 < len(row_id) <= MOST_ID_CHARACTERS or not _is_unicode(row_id):
        return f"its column {table.id!r} is no id (a text or a number of 1 to {MOST_ID_CHARACTERS} characters)"
    return None


def _kind_of(value: object) -> str:
    """In words of JSON, not of Python."""
    kinds = {"boolean": bool, "number": int | float | Decimal, "object": dict, "list": list | tuple}
    return next((name for name, kind in kinds.items() if isinstance(value, kind)), "another type")


def _id_of(value: object) -> str:
    if value is None or isinstance(value, bool | dict | list | bytes):
        return ""
    return "" if isinstance(value, float) and not math.isfinite(value) else str(value)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def as_extra(values: Values) -> str:
    """A JSON object with its keys in order: numbers, booleans, null and what is nested stay; the rest is text.

    What is no number (NaN, infinities) is null, since JSON has none of it.
    """
    return json.dumps(_json(values), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {_clean(str(name)): _json(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_json(part) for part in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    return _clean(str(value))


def _clean(text: str) -> str:
    """Without halves of characters, which are no text."""
    return text.encode("utf-8", "replace").decode()

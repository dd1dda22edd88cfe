"""The rows of a table as documents: each has a text, an id, and columns that go with it into the results."""

from __future__ import annotations

import base64
import datetime as dt
import json
import math
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from pipeline.domain import Document, short_hash
from pipeline.sources.files import Line, read_lines, with_columns
from pipeline.sources.selecting import Selection
from pipeline.sources.spelling import Source
from pipeline.sources.spool import Row, Spool
from pipeline.sources.values import Entry
from pipeline.storage.objects import Listed, ObjectStore

MOST_EXTRA_BYTES = 16_384
MOST_ID_CHARACTERS = 500


def row_documents(
    source: Source, store: ObjectStore, file: Listed, spool: Spool, selection: Selection
) -> Iterator[Entry]:
    """Every row of a file; its text goes to the spool. Raises StorageError, SettingsError."""
    wanted = [source.option("text"), source.option("id"), *_chosen(source)]
    for line in with_columns(read_lines(store, file.key), wanted, source.uri):
        document, row = _as_document(source, line, file)
        selected = row.problem is not None or selection.takes(document, None)
        if not spool.add(document, row if selected else Row(None)):
            problem = f"row {line.number}: its id is that of an earlier row"
            document, row, selected = unreadable(source.uri, line.number, file.last_modified, problem), Row(None), True
            spool.add(document, Row(None, problem=problem))
        yield Entry(document, source.origin, selected)


def unreadable(uri: str, number: int, modified: dt.datetime, problem: str) -> Document:
    """What stands for a row that names no document: a failure with its number. No id is written with a colon."""
    return Document(f"{uri}#row:{number}", short_hash(problem), 0, modified)


def _as_document(source: Source, line: Line, file: Listed) -> tuple[Document, Row]:
    problem = line.problem or _problem(source, line.values)
    if problem is None:
        text = line.values[source.option("text")] or ""
        extra = as_extra({name: value for name, value in line.values.items() if _goes_along(source, name)})
        if len(extra.encode()) <= MOST_EXTRA_BYTES:
            uri = f"{source.uri}#{quote(source.option('id'))}={quote(_id_of(source, line.values), safe='')}"
            size = len(text.encode())
            return Document(uri, short_hash(text, extra), size, file.last_modified), Row(text, extra)
        problem = f"its extra columns are {len(extra.encode())} bytes as JSON; the limit is {MOST_EXTRA_BYTES}"
    problem = f"row {line.number}: {problem}"
    return unreadable(source.uri, line.number, file.last_modified, problem), Row(None, problem=problem)


def _problem(source: Source, values: dict[str, Any]) -> str | None:
    """Why a row is no document."""
    text, name = values.get(source.option("text")), source.option("text")
    if name not in values:
        return f"has no column {name!r}"
    if text is not None and not isinstance(text, str):
        return f"its column {name!r} is no text ({type(text).__name__})"
    if not _is_unicode(text or ""):
        return f"its column {name!r} is not UTF-8"
    row_id = _id_of(source, values)
    if not row_id or len(row_id) > MOST_ID_CHARACTERS or not _is_unicode(row_id):
        return f"its column {source.option('id')!r} is no id (1 to {MOST_ID_CHARACTERS} characters)"
    return None


def _id_of(source: Source, values: dict[str, Any]) -> str:
    found = values.get(source.option("id"))
    return "" if found is None or isinstance(found, dict | list | bytes) else str(found)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _chosen(source: Source) -> list[str]:
    return [name for name in source.option("extra").split(",") if name]


def _goes_along(source: Source, name: str) -> bool:
    chosen = _chosen(source)
    return name in chosen if chosen else name not in (source.option("text"), source.option("id"))


def as_extra(values: dict[str, Any]) -> str:
    """A JSON object with its keys in order: numbers, booleans, null and what is nested stay; the rest is text."""
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
        return value if math.isfinite(value) else str(value)
    if value is None or isinstance(value, bool | int):
        return value
    return _clean(str(value))


def _clean(text: str) -> str:
    """Without halves of characters, which are no text."""
    return text.encode("utf-8", "replace").decode()

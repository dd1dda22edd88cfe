"""Documents that a file names: the rows of a list, or of what S3 Inventory wrote of a bucket."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote_plus

import orjson

from pipeline.domain import Document
from pipeline.errors import SettingsError
from pipeline.sources.files import Line, Values, read_lines, with_columns
from pipeline.sources.reaching import Named, Reach, described, place_of
from pipeline.sources.rows import unreadable
from pipeline.sources.spelling import MANIFEST, Source
from pipeline.sources.spool import Row, Spool
from pipeline.storage.objects import Listed

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}-\d{2}Z")
_FORMATS = {"CSV": ".csv.gz", "PARQUET": ".parquet", "ORC": ".orc"}


def list_documents(source: Source, reach: Reach, file: Listed, spool: Spool) -> Iterator[Document]:
    """The documents that a list names. A row that names none is a failure, with its number."""
    store = reach.store_of(source.uri)
    column, local = source.option("uri"), source.uri.startswith("file:")
    wrong: list[Document] = []

    def named() -> Iterator[Named]:
        for line in with_columns(read_lines(store, file.key), [column], source.uri):
            found = _named(line, column, local=local)
            if isinstance(found, Named):
                yield found
            else:
                problem = f"row {line.number}: {found}"
                wrong.append(unreadable(source.uri, line.number, file.last_modified, problem))
                spool.add(wrong[-1], Row(None, problem=problem))

    for document in described(reach, named(), file.last_modified):
        yield document
        while wrong:
            yield wrong.pop()
    yield from wrong


def _named(line: Line, column: str, *, local: bool) -> Named | str:
    """What a row of a list names, or why it names nothing that can be read."""
    text = line.values.get(column)
    if line.problem or not isinstance(text, str) or not text.strip():
        return line.problem or f"its column {column!r} names no document"
    uri = place_of(text.strip(), local=local)
    if uri is None:
        allowed = "an s3:// uri, a file:/// uri or a full path" if local else "the s3:// uri of an object"
        return f"{_shown(text)} is not {allowed}"
    values = {name.lower(): value for name, value in line.values.items()}
    etag = values.get("etag")
    size, modified = values.get("size_bytes", values.get("size")), values.get("last_modified")
    return Named(uri, etag.strip('"') if isinstance(etag, str) and etag else None, _number(size), _time(modified))


def _shown(text: str) -> str:
    return repr(text if len(text) <= 200 else f"{text[:199]}…")


def inventory_documents(source: Source, reach: Reach) -> Iterator[Document]:
    """The newest versions of what an S3 Inventory names, without delete markers and folders."""
    uri = source.uri if source.uri.endswith(MANIFEST) else _newest(source.uri, reach)
    about = _manifest(uri, reach.read(uri))
    modified = reach.look_up(uri).last_modified
    bucket = str(about["destinationBucket"]).rpartition(":")[2]
    store = reach.store_of(f"s3://{bucket}/")
    kind = str(about["fileFormat"]).upper()
    header = [name.strip() for name in str(about["fileSchema"]).split(",")] if kind == "CSV" else None
    for file in about["files"]:
        key = str(file["key"])
        _refuse_other_form(uri, key, kind)
        lines = read_lines(store, key, header)
        yield from described(reach, _present(lines, store.uri(key), decode=kind == "CSV"), modified)


def _newest(folder: str, reach: Reach) -> str:
    """The manifest of the newest dated folder; S3 writes it last, so that a folder without one is not complete."""
    store = reach.store_of(folder)
    within = store.key(folder)
    for name in sorted(filter(_DATED.fullmatch, store.folders(within)), reverse=True):
        if store.exists(f"{within}/{name}{MANIFEST}"):
            return f"{folder}/{name}{MANIFEST}"
    raise SettingsError(
        f"inventory:{folder}: holds no dated folder (like 2026-11-27T01-00Z) with a manifest.json; name the folder "
        "<destination>/<bucket>/<configuration> of an S3 Inventory, or one manifest.json"
    )


def _manifest(uri: str, content: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(content)
        missing = {"destinationBucket", "fileFormat", "fileSchema", "files"} - found.keys()
    except (ValueError, AttributeError):
        raise SettingsError(f"{uri}: is no manifest of an S3 Inventory: it is not a JSON object") from None
    if missing or str(found["fileFormat"]).upper() not in _FORMATS:
        what = f"it lacks {', '.join(sorted(missing))}" if missing else f"fileFormat is {found['fileFormat']!r}"
        raise SettingsError(f"{uri}: is no manifest of an S3 Inventory: {what}")
    return dict(found)


def _refuse_other_form(uri: str, key: str, kind: str) -> None:
    if not key.lower().endswith((_FORMATS[kind], ".csv" if kind == "CSV" else _FORMATS[kind])):
        raise SettingsError(f"{uri}: names the file {key}, which is no {_FORMATS[kind]}")


def _present(lines: Iterator[Line], uri: str, *, decode: bool) -> Iterator[Named]:
    for line in lines:
        values = {name.lower().replace("_", ""): value for name, value in line.values.items()}
        if line.problem or not values.get("bucket") or not values.get("key"):
            raise SettingsError(f"{uri}: row {line.number} {line.problem or 'names no bucket and key'}")
        key = unquote_plus(values["key"]) if decode else values["key"]
        if _true(values, "isdeletemarker") or not _true(values, "islatest", otherwise=True) or key.endswith("/"):
            continue
        etag, modified = values.get("etag") or None, _time(values.get("lastmodifieddate"))
        yield Named(f"s3://{values['bucket']}/{key}", etag and etag.strip('"'), _number(values.get("size")), modified)


def _true(values: Values, name: str, *, otherwise: bool = False) -> bool:
    """A column that is only there where the inventory is of all versions."""
    value = values.get(name)
    return otherwise if value in (None, "") else str(value).lower() == "true"


def _number(value: object) -> int | None:
    try:
        found = int(str(value))
    except ValueError:
        return None
    return found if found >= 0 else None


def _time(value: object) -> dt.datetime | None:
    """A time, in UTC where it names no zone; None for what is none."""
    if isinstance(value, str):
        try:
            value = dt.datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, dt.datetime):
        return None
    return value.replace(tzinfo=dt.UTC) if value.tzinfo is None else value.astimezone(dt.UTC)

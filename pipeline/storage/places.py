"""Where documents, tables and working files lie: a place as a uri, without opening it."""

from __future__ import annotations

import os
from pathlib import Path

from pipeline.errors import SettingsError


def absolute_uri(place: str) -> str:
    """A folder or an s3:// prefix as a uri; relative folders are taken from the current one.

    Raises SettingsError for any other scheme.
    """
    if not place.strip():
        raise SettingsError("an empty place: name a folder or an s3:// prefix (`.` is the current folder)")
    if place.rstrip("/") in ("s3:", "file:"):
        raise SettingsError(f"{place!r}: names no bucket and no folder; write s3://bucket/prefix or a folder's path")
    if place.startswith(("s3://", "file://")):
        return place.rstrip("/")
    if "://" in place:
        raise SettingsError(f"{place!r}: neither a folder nor an s3:// prefix")
    return Path(os.path.abspath(Path(place).expanduser())).as_uri().rstrip("/")  # noqa: PTH100 - takes out `..`, too

"""Compressed documents -> their bytes, within a bound."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable
from typing import IO, BinaryIO, cast

import zstandard

from pipeline.domain import Failure, Reason

_OPENED: dict[str, Callable[[IO[bytes]], BinaryIO]] = {
    "gz": lambda packed: cast("BinaryIO", gzip.GzipFile(fileobj=packed)),
    "bz2": lambda packed: cast("BinaryIO", bz2.BZ2File(packed)),
    "zst": lambda packed: zstandard.ZstdDecompressor(max_window_size=2**27).stream_reader(
        packed, read_across_frames=True
    ),
}
_BROKEN = (OSError, EOFError, ValueError, zlib.error, zstandard.ZstdError)
_READ_BYTES = 1_000_000


def unpacked(content: bytes, form: str, most_bytes: int) -> bytes | Failure:
    """The one document that was compressed; never more than `most_bytes` are held."""
    parts: list[bytes] = []
    size = 0
    try:
        with _OPENED[form](io.BytesIO(content)) as opened:
            while part := opened.read(_READ_BYTES):
                size += len(part)
                if size > most_bytes:
                    return Failure(
                        Reason.TOO_LARGE, f"{form} of {len(content)} bytes that unpacks to more than {most_bytes}"
                    )
                parts.append(part)
    except _BROKEN:
        return Failure(Reason.DAMAGED, f"{form} that cannot be unpacked: it was cut short or is damaged")
    return b"".join(parts)

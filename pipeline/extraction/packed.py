"""Compressed documents -> their bytes, within a bound; archives of several -> why not."""

from __future__ import annotations

import bz2
import gzip
import io
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, BinaryIO, cast

import zstandard

from pipeline.domain import Failure, Reason
from pipeline.extraction.forms import BROKEN_ZIP

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
    except _BROKEN as error:
        return Failure(Reason.DAMAGED, f"{form} that cannot be unpacked: {type(error).__name__}")
    return b"".join(parts)


def archive(content: bytes, form: str) -> Failure:
    """Why an archive is not read, with how many files are in it."""
    try:
        count = _count_zip(content) if form == "zip" else _count_tar(content)
    except (tarfile.TarError, *BROKEN_ZIP) as error:
        return Failure(Reason.DAMAGED, f"{form} that cannot be opened: {type(error).__name__}")
    files = f"{count} {'file' if count == 1 else 'files'}"
    return Failure(Reason.UNSUPPORTED, f"an archive ({form}) of {files}; put them into the source one by one")


def _count_zip(content: bytes) -> int:
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        return sum(not name.endswith("/") for name in packed.namelist())


def _count_tar(content: bytes) -> int:
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as packed:
        return sum(member.isfile() for member in packed)

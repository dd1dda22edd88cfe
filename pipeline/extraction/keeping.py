"""What reading a document gave, kept by its bytes: what was parsed once is not parsed again, by any run."""

from __future__ import annotations

import hashlib
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from importlib.metadata import version
from pathlib import Path
from types import TracebackType
from typing import Self

import zstandard

from pipeline.domain import Failure, Reason
from pipeline.errors import StorageError
from pipeline.extraction.forms import PACKED, signed_form
from pipeline.extraction.plain import suffix
from pipeline.extraction.reading import MOST_INSIDE
from pipeline.extraction.recognising import about_recognition
from pipeline.extraction.values import Bounds, Text, from_json, to_json
from pipeline.manifest import text_key
from pipeline.storage.objects import ObjectStore

WRITES_AT_ONCE = 16
MOST_WAITING = 64  # texts that are to be written; who has more waits
# Failures that the same bytes give each time. How long reading takes, and in how much memory, is the machine's.
_LASTING = {
    Reason.EMPTY,
    Reason.UNDECODABLE,
    Reason.UNSUPPORTED,
    Reason.NO_TEXT,
    Reason.ENCRYPTED,
    Reason.DAMAGED,
    Reason.TOO_LARGE,
}
_LIBRARIES = ("charset-normalizer", "firecrawl-anydoc", "pypdfium2", "python-oxmsg", "selectolax", "zstandard")
_UNREADABLE = (zstandard.ZstdError, MemoryError, ValueError, TypeError, KeyError, AttributeError)


class KeptTexts:
    """The texts of a work store; of none, nothing is found or kept. Without `add`, nothing is written.

    Only what is parsed in processes of its own is kept: plain text is read more quickly than a copy of it. A store
    that cannot be reached or holds nonsense costs the parsing, no more.
    """

    def __init__(self, store: ObjectStore | None, bounds: Bounds, *, add: bool = True) -> None:
        self._store, self._bounds, self._add = store, bounds, add
        self._writers: ThreadPoolExecutor | None = None
        self._turns = threading.BoundedSemaphore(MOST_WAITING)
        self._starting = threading.Lock()

    def find(self, content: bytes, name: str) -> Text | Failure | None:
        """What reading these bytes gave; None where nobody knows."""
        key = self._key(content, name)
        if key is None or self._store is None:
            return None
        with suppress(StorageError, *_UNREADABLE):
            return from_json(zstandard.decompress(self._store.read(key)))
        return None

    def keep(self, content: bytes, name: str, found: Text | Failure) -> None:
        """Written behind the caller's back, if it is worth it."""
        if not self._add or (isinstance(found, Failure) and found.reason not in _LASTING):
            return
        if key := self._key(content, name):
            packed = zstandard.ZstdCompressor(write_checksum=True).compress(to_json(found))
            self._turns.acquire()
            self._pool().submit(self._write, key, packed)

    def _write(self, key: str, packed: bytes) -> None:
        try:
            with suppress(StorageError):
                assert self._store is not None
                self._store.write(key, packed)
        finally:
            self._turns.release()

    def _pool(self) -> ThreadPoolExecutor:
        with self._starting:
            if self._writers is None:
                self._writers = ThreadPoolExecutor(WRITES_AT_ONCE, "keep")
            return self._writers

    def _key(self, content: bytes, name: str) -> str | None:
        """None for what is read at once, and where there is no store."""
        form = signed_form(content, suffix(name)) if self._store is not None else None
        if form is None:
            return None
        about = (_readers(), _ending(name, form), str(self._bounds.output_bytes), str(self._bounds.unpacked_bytes))
        digest = hashlib.sha256("\0".join(about).encode("utf-8", "replace") + b"\0")
        digest.update(content)
        return text_key(digest.hexdigest())

    def close(self) -> None:
        """Everything is written afterwards."""
        if self._writers is not None:
            self._writers.shutdown()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _ending(name: str, form: str) -> str:
    """What of a name may decide how it is read: of `a.csv.gz`, `csv` too."""
    return ".".join(name.rpartition("/")[2].lower().split(".")[1:][-MOST_INSIDE - 1 if form in PACKED else -1 :])


@cache
def _readers() -> str:
    """Changes with every version of a library that reads, and with every change of this package."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {about_recognition()}".encode())
    for library in _LIBRARIES:
        digest.update(f"{library} {version(library)}\n".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()

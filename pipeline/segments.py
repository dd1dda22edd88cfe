"""Requests on their way into batches: spooled to a local file, put as JSONL with an index beside it."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import IO, BinaryIO, cast

from pipeline.batching import Quotas, Segment
from pipeline.domain import Request
from pipeline.manifest import CONTENT_DIGITS, content_digest
from pipeline.records import from_parquet, to_parquet
from pipeline.storage.objects import ObjectStore

SPOOL_BUFFER_BYTES = 1 << 20


class SegmentWriter:
    """Takes (request, line) pairs of one shard and round; puts a segment whenever one is full. Holds no prompts.

    Files are named by their content, so that of two processes that prepare a shard at once neither overwrites what
    the other has put.
    """

    def __init__(self, store: ObjectStore, folder: str, shard: int, quotas: Quotas) -> None:
        self._store, self._folder, self._shard, self._quotas = store, folder, shard, quotas
        self._spool: IO[bytes] = tempfile.TemporaryFile(buffering=SPOOL_BUFFER_BYTES)  # noqa: SIM115 - closed by __exit__
        self._digest = hashlib.sha256()
        self._index: list[Request] = []
        self._size_bytes = 0
        self.segments: list[Segment] = []

    def __enter__(self) -> SegmentWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, _error: object, _trace: TracebackType | None) -> None:
        if kind is None and self._index:
            self._put()
        self._spool.close()

    def add(self, request: Request, line: bytes) -> None:
        """One request with its input line."""
        full = len(self._index) == self._quotas.segment_records
        if self._index and (full or self._size_bytes + len(line) > self._quotas.segment_bytes):
            self._put()
        self._spool.write(line)
        self._digest.update(line)
        self._index.append(request)
        self._size_bytes += len(line)

    def _put(self) -> None:
        place, index = f"{self._folder}/{len(self.segments):04d}", to_parquet(Request, self._index)
        key = f"{place}-{self._digest.hexdigest()[:CONTENT_DIGITS]}.jsonl"
        index_key = f"{place}-{content_digest(index)}.parquet"
        self._spool.seek(0)
        self._store.write(key, cast("BinaryIO", self._spool))
        self._store.write(index_key, index)
        self.segments.append(Segment(key, index_key, self._shard, len(self._index), self._size_bytes))
        self._spool.close()
        self._spool = tempfile.TemporaryFile(buffering=SPOOL_BUFFER_BYTES)  # noqa: SIM115 - closed by __exit__
        self._digest, self._index, self._size_bytes = hashlib.sha256(), [], 0


def read_index(store: ObjectStore, index_keys: Iterable[str]) -> Iterator[Request]:
    """The requests of some segments, in their order."""
    for key in index_keys:
        yield from from_parquet(Request, store.read(key))


def concatenate(store: ObjectStore, keys: Iterable[str], target: str) -> None:
    """Segments as one file, streamed through a local spool."""
    with tempfile.TemporaryFile() as spool:
        for piece in (piece for key in keys for piece in store.stream(key)):
            spool.write(piece)
        spool.seek(0)
        store.write(target, spool)

"""How far the reading of documents has come, in documents and bytes, for whoever looks on."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.domain import Change
from pipeline.steps.run import Run
from pipeline.steps.tombstones import refuse_tidied

EVERY_SECONDS = 0.1  # as often as an eye can follow
Report = Callable[[int], None]
"""Called once for every document that was read, with its size in bytes as listed."""


def silent(_size_bytes: int) -> None:
    """A report that nobody reads."""


@dataclass(frozen=True, slots=True)
class Volume:
    """So many documents, with their bytes as listed."""

    documents: int = 0
    size_bytes: int = 0

    def __add__(self, other: Volume) -> Volume:
        return Volume(self.documents + other.documents, self.size_bytes + other.size_bytes)


@dataclass(frozen=True, slots=True)
class Progress:
    """So much of so much is read, after so many seconds."""

    done: Volume
    total: Volume
    seconds: float

    @property
    def seconds_left(self) -> float | None:
        """At the pace so far, by bytes, or by documents where none has any; None before the first."""
        done, total = (self.done.size_bytes, self.total.size_bytes) if self.total.size_bytes else self._documents
        return self.seconds / done * (total - done) if done else None

    @property
    def _documents(self) -> tuple[int, int]:
        return self.done.documents, self.total.documents

    def told(self) -> str:
        """In words: how much of how much, how fast, and how long it will yet take."""
        so_far = f"{self.done.documents:,} of {self.total.documents:,} documents"
        sizes = f"{_megabytes(self.done)} of {_megabytes(self.total)} MB"
        left = "" if self.seconds_left is None else f", {_clock(self.seconds_left)} left"
        return f"{so_far}, {sizes}, {self.rates()}{left}"

    def told_at_end(self) -> str:
        """In words, when nothing more will be read."""
        return f"{self.done.documents:,} documents, {_megabytes(self.done)} MB in {self.seconds:.1f} s, {self.rates()}"

    def rates(self) -> str:
        seconds = max(self.seconds, 0.001)
        documents, megabytes = self.done.documents / seconds, self.done.size_bytes / seconds / 1e6
        return f"{documents:,.{1 if 0 < documents < 10 else 0}f} documents/s, {megabytes:,.1f} MB/s"


Show = Callable[[Progress], None]


def unseen(_progress: Progress) -> None:
    """Where only the end counts."""


class Meter:
    """A report that counts, and shows how far it is at most every EVERY_SECONDS, and at the end."""

    def __init__(self, show: Show, total: Volume = Volume(), clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._show, self._clock = total, show, clock
        self._began = self._shown = clock()
        self._documents = self._size_bytes = 0

    def __call__(self, size_bytes: int) -> None:
        self._documents += 1
        self._size_bytes += size_bytes
        now = self._clock()
        if now - self._shown >= EVERY_SECONDS or self._documents == self._total.documents:
            self._shown = now
            self._show(self.progress)

    @property
    def progress(self) -> Progress:
        return Progress(Volume(self._documents, self._size_bytes), self._total, self._clock() - self._began)


def volume_of(run: Run, shards: Sequence[int]) -> Volume:
    """What preparing these shards has to read: what is listed and not gone. Raises RunError as `prepare` does."""
    if shards:
        refuse_tidied(run)
    return sum((_listed(run, shard) for shard in shards), Volume())


def _listed(run: Run, shard: int) -> Volume:
    content = io.BytesIO(run.store.read(run.manifest.listing[shard]))
    found = pq.read_table(content, columns=["size_bytes", "change"])
    there = found.filter(pc.not_equal(found["change"], pa.scalar(Change.DELETED.value)))
    return Volume(there.num_rows, pc.sum(there["size_bytes"]).as_py() or 0)


def _megabytes(volume: Volume) -> str:
    return f"{volume.size_bytes / 1e6:,.1f}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"

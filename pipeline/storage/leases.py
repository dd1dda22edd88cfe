"""Exclusive rights on the keys of a store: held by one owner, renewed while it lives, taken over when it has died."""

from __future__ import annotations

import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import orjson

from pipeline.errors import ObjectChanged, ObjectExists, ObjectMissing, StorageError
from pipeline.storage.objects import ObjectStore

BEATS = 4  # renewals in the time after which a silent owner counts as dead
LOOK_SECONDS = 1.0  # at most between two looks at a lease that another holds


@dataclass(frozen=True, slots=True)
class _Seen:
    """A version of the lease's object, and since when it has been there by this owner's own clock."""

    content: bytes
    etag: str
    since: float

    @property
    def released(self) -> bool:
        return bool(orjson.loads(self.content)["released"])


class Lease:
    """One owner's claim to a key. Not for use by several owners: each makes its own.

    Nobody compares the clocks of two machines. An owner that finds the lease held watches its ETag: when that has not
    changed for `seconds` of the watcher's own `clock`, the holder is dead, and the watcher replaces the object on
    condition of that ETag. A holder counts its `seconds` from before its last renewal was sent, so it knows that the
    lease is lost no later than anybody may take it. Released leases stay in the store and say so: an object can be
    replaced on condition, but not deleted.
    """

    def __init__(
        self, store: ObjectStore, key: str, seconds: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.seconds = seconds
        self._store, self._key, self._clock = store, key, clock
        self._owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(8)}"
        self._beat = 0
        self._mine: str | None = None  # the ETag of our own version
        self._renewed = 0.0
        self._watched: _Seen | None = None
        self._lock = threading.Lock()

    @property
    def lost(self) -> bool:
        """Whether another may hold it. To be asked before each act; a holder that was stopped for long finds out."""
        return self._mine is None or self._clock() - self._renewed >= self.seconds

    def take(self) -> bool:
        """Try once; True when the lease is ours now. Watching goes on from call to call. Raises StorageError."""
        with self._lock:
            seen = self._watched = self._look()
            if seen is None:
                return self._put(None)
            silent = self._clock() - seen.since >= self.seconds
            return (seen.released or silent) and self._put(seen.etag)

    def renew(self) -> bool:
        """Say that the owner lives; False when the lease went to another. Raises StorageError."""
        with self._lock:
            return self._mine is not None and self._put(self._mine)

    def release(self) -> None:
        """Let the next one take it at once; nothing if it was lost."""
        with self._lock:
            if self._mine is not None:
                self._put(self._mine, released=True)
                self._mine = None

    def _look(self) -> _Seen | None:
        try:
            content, etag = self._store.read_version(self._key)
        except ObjectMissing:
            return None
        known = self._watched
        return known if known is not None and known.etag == etag else _Seen(content, etag, self._clock())

    def _put(self, etag: str | None, *, released: bool = False) -> bool:
        """Write our next version in the place of that one, or of none."""
        sent = self._clock()
        self._beat += 1
        content = orjson.dumps({"owner": self._owner, "beat": self._beat, "released": released})
        self._mine = self._written(content, etag)
        if self._mine is not None:
            self._renewed = sent
        return self._mine is not None

    def _written(self, content: bytes, etag: str | None) -> str | None:
        """The ETag of what was written; None when another was quicker."""
        try:
            if etag is not None:
                return self._store.replace(self._key, content, etag)
            self._store.write(self._key, content, create=True)
        except (ObjectExists, ObjectChanged):
            pass  # perhaps by our own writing, whose answer was lost on the way and which was then repeated
        try:
            found, now = self._store.read_version(self._key)
        except ObjectMissing:
            return None
        return now if found == content else None


@contextmanager
def holding(
    lease: Lease, done: Callable[[], bool] = lambda: False, sleep: Callable[[float], None] = time.sleep
) -> Iterator[bool]:
    """Wait for a lease and keep it while the context lasts; True inside once it is held.

    False when `done` said, before the lease was free, that there is nothing left to do. Raises StorageError.
    """
    while not lease.take():
        if done():
            yield False
            return
        sleep(min(LOOK_SECONDS, lease.seconds / BEATS))
    ended = threading.Event()
    renewing = threading.Thread(target=_keep_renewing, args=(lease, ended), name="docbatch-lease", daemon=True)
    renewing.start()
    try:
        yield True
    finally:
        ended.set()
        renewing.join(lease.seconds)
        with suppress(StorageError):  # a lease that cannot be given back runs out
            lease.release()


def _keep_renewing(lease: Lease, ended: threading.Event) -> None:
    while not ended.wait(lease.seconds / BEATS):
        try:
            if not lease.renew():
                return
        except StorageError:
            continue  # `lost` turns true by itself if the store stays away

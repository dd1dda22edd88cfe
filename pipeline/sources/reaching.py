"""Documents by their full uri, wherever they lie: what a list names may be in other buckets than the list."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from urllib.parse import unquote_to_bytes

from pipeline.domain import Document
from pipeline.errors import AccessDenied, BucketMissing, ObjectMissing, SettingsError
from pipeline.storage.objects import ObjectStore

LOCAL = "file:///"
THREADS = 32
AT_ONCE = 1_024
MOST_STORES = 1_000
MOST_KEY_BYTES = 1_024  # as S3 has it
_BUCKET = re.compile(r"[A-Za-z0-9._:-]{1,255}")  # those of old may have capitals and lines


class Reach:
    """The objects of every bucket and local folder, for several threads."""

    def __init__(self, open_store: Callable[[str], ObjectStore]) -> None:
        self._open = open_store
        self._stores: dict[str, ObjectStore] = {}
        self._lock = threading.Lock()

    def read(self, uri: str) -> bytes:
        """Raises StorageError."""
        store = self.store_of(uri)
        return store.read(store.key(uri))

    def read_document(self, uri: str, most_bytes: int, folder: str | None) -> bytes | None:
        """The object; None where it has more bytes. Links of a local `folder` do not lead out of it.

        Raises StorageError.
        """
        if folder is not None and uri.startswith("file:"):
            store = self._store_at(folder)
            return store.read_document(store.key(uri), most_bytes, inside=True)
        store = self.store_of(uri)
        return store.read_document(store.key(uri), most_bytes)

    def store_of(self, uri: str) -> ObjectStore:
        """The store that holds the object. Raises StorageError."""
        if uri.startswith("s3://"):
            return self._store_at("/".join(uri.split("/", 3)[:3]))
        try:
            return self._store_at(uri.rpartition("/")[0])
        except SettingsError as error:  # what stands for its folder is a file
            raise ObjectMissing(str(error)) from error

    def _store_at(self, root: str) -> ObjectStore:
        with self._lock:
            if root not in self._stores:
                if len(self._stores) == MOST_STORES:  # a folder each, and a list may name files of any number
                    self._stores.clear()
                self._stores[root] = self._open(root)
            return self._stores[root]

    def look_up(self, uri: str) -> Document:
        """The object as it is now. Raises StorageError."""
        store = self.store_of(uri)
        found = store.describe(store.key(uri))
        return Document(uri, found.etag, found.size_bytes, found.last_modified)


@dataclass(frozen=True, slots=True)
class Named:
    """An object that a list names, with what the list says of it; None where it says nothing."""

    uri: str
    etag: str | None = None
    size_bytes: int | None = None
    last_modified: datetime | None = None

    @property
    def document(self) -> Document | None:
        if self.etag is None or self.size_bytes is None or self.last_modified is None:
            return None
        return Document(self.uri, self.etag, self.size_bytes, self.last_modified)


def described(reach: Reach, named: Iterable[Named], listed: datetime) -> Iterator[Document]:
    """Every object as a document; what the list does not say is asked of S3, many at once.

    One that is not there, not for us, or in no bucket is a document all the same, as old as the list: reading it says
    what is wrong.
    """

    def look_up(one: Named) -> Document:
        try:
            return one.document or reach.look_up(one.uri)
        except (ObjectMissing, AccessDenied, BucketMissing):
            return Document(one.uri, "", 0, listed)

    names = iter(named)
    with ThreadPoolExecutor(THREADS, "look-up") as pool:
        while some := list(islice(names, AT_ONCE)):
            if all(one.document for one in some):
                yield from (look_up(one) for one in some)
            else:
                yield from pool.map(look_up, some)


def place_of(text: str, *, local: bool) -> str | None:
    """The full uri of an object that a list names; None for what no document can be read from.

    A file has one uri, however its path is written; a key is taken as it is. Only a list on this machine may name its
    files: whoever writes to a bucket must not choose which of them are read.
    """
    if text.startswith("s3://"):
        bucket, _, key = text.removeprefix("s3://").partition("/")
        return text if _BUCKET.fullmatch(bucket) and _is_key(key) else None
    path = os.fsdecode(unquote_to_bytes(text.removeprefix("file://"))) if text.startswith(LOCAL) else text
    if not local or not path.startswith("/") or "\0" in path:
        return None
    try:
        return Path("/" + os.path.normpath(path).lstrip("/")).as_uri()
    except UnicodeEncodeError:  # half a character, of which no file is called
        return None


def _is_key(key: str) -> bool:
    encoded = key.encode("utf-8", "ignore")
    return 0 < len(encoded) <= MOST_KEY_BYTES and encoded.decode() == key and not key.endswith("/")

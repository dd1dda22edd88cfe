"""Object stores: one prefix of an S3 bucket, one local folder, or memory, behind the same few calls."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import quote, unquote_to_bytes, urlsplit

from obstore import exceptions as vendor
from obstore.store import MemoryStore

from pipeline.errors import (
    AccessDenied,
    BucketRefused,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    SettingsError,
    StorageError,
)
from pipeline.storage.any_key import AnyKey, Found, KeyRefused, is_path, shown
from pipeline.storage.folders import BrokenLink, File, Folder, NoFile
from pipeline.storage.places import absolute_uri as absolute_uri  # for whoever opens what it names
from pipeline.storage.refusals import DENIED, refusal
from pipeline.storage.s3 import S3Access as S3Access  # for whoever opens a store
from pipeline.storage.s3 import connect_s3, open_s3

if TYPE_CHECKING:
    from obstore.store import ObjectStore as VendorStore

READ_BYTES = 1 << 20
PART_BYTES = 16 << 20
PARTS_AT_ONCE = 4  # obstore's default of 12 would hold 192 MB of one file
_FORBIDDEN = "access denied; check the permissions of the file and its folders"

# The system's error names the file beside its place that `Folder` writes first, which nobody knows.
_FULL = "make room there, and repeat the command"
_UNWRITABLE = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EROFS: "let its disk be written, and repeat the command",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """One object as a listing shows it; `key` is relative to the store."""

    key: str
    size_bytes: int
    etag: str
    last_modified: datetime


class ObjectStore:
    """The objects below one uri. Keys are relative to it, with `/` between segments."""

    def __init__(self, vendor_store: VendorStore | Folder, uri: str, any_key: AnyKey | None = None) -> None:
        self._store = vendor_store
        self._any_key = any_key  # S3 alone has keys that the vendor's store does not take
        self._uri = uri.rstrip("/")
        self._is_file = uri.startswith("file:")

    @classmethod
    def in_memory(cls, uri: str = "memory://store") -> ObjectStore:
        """A store that lives in this process: the fake for tests, shipped."""
        return cls(MemoryStore(), uri)

    def uri(self, key: str = "") -> str:
        """The full uri of a key; file: uris are percent-encoded, s3: uris are the key as it is, whatever it holds."""
        tail = quote(os.fsencode(key)) if self._is_file else key
        return f"{self._uri}/{tail}" if key else self._uri

    def key(self, uri: str) -> str:
        """The key of a uri below this store."""
        if not uri.startswith(self._uri + "/"):
            raise StorageError(f"{uri} does not lie below {self._uri}")
        tail = uri[len(self._uri) + 1 :]
        return os.fsdecode(unquote_to_bytes(tail)) if self._is_file else tail

    def folders(self, prefix: str) -> list[str]:
        """The names of the folders directly below `prefix`, without what is in them."""
        with _Translated(self.uri(prefix)):
            found = self._store.list_with_delimiter(prefix)["common_prefixes"]
            return sorted(one.rstrip("/").rpartition("/")[2] for one in found)

    def list(self, prefix: str = "") -> Iterator[Listed]:
        """Every object below `prefix` (a folder), page by page. S3 gives them in the order of their keys."""
        with _Translated(self.uri(prefix)):
            for page in self._store.list(prefix or None):
                for entry in page:
                    yield _listed(entry["path"], entry)

    def list_any(self) -> Iterator[Listed]:
        """Every object of the store, whatever its key is: on S3 more slowly than `list`, which stops at odd ones."""
        if self._any_key is None:
            yield from self.list()
            return
        with _Translated(self._uri):
            for page in self._any_key.list():
                for entry in page:
                    yield _listed(entry["path"], entry)

    def describe(self, key: str) -> Listed:
        """The object as a listing shows it. Raises ObjectMissing."""
        with _Translated(self.uri(key)):
            return _listed(key, self._reader(key).head(key))

    def read(self, key: str) -> bytes:
        """The whole object. Raises ObjectMissing."""
        with _Translated(self.uri(key)):
            return bytes(self._reader(key).get(key).bytes())

    def read_document(self, key: str, most_bytes: int, *, inside: bool = False) -> bytes | None:
        """The whole object; None where it has more bytes than that, whatever was listed.

        `inside`: in a local folder, a link that leaves it is not followed. Raises ObjectMissing, AccessDenied.
        """
        with _Translated(self.uri(key)):
            found = self._reader(key).get(key)
            if isinstance(found, File):
                return found.document(most_bytes, inside=inside)
            if isinstance(found, Found):
                return found.document(most_bytes)
            # The size is that of the answer, which brings no more; what is not taken is not fetched.
            return bytes(found.bytes()) if found.meta["size"] <= most_bytes else None

    def stream(self, key: str) -> Iterator[bytes]:
        """The object in pieces of about 1 MiB. Raises ObjectMissing."""
        with _Translated(self.uri(key)):
            for piece in self._reader(key).get(key).stream(min_chunk_size=READ_BYTES):
                yield bytes(piece)

    def lines(self, key: str) -> Iterator[bytes]:
        """The object's lines without their line ends; one line is the most that is held."""
        rest: list[bytes] = []
        for piece in self.stream(key):
            first, *more = piece.split(b"\n")
            rest.append(first)
            for line in more:
                yield b"".join(rest)
                rest = [line]
        if last := b"".join(rest):
            yield last

    def write(
        self, key: str, content: bytes | BinaryIO, *, create: bool = False, content_type: str | None = None
    ) -> None:
        """Put an object, from memory or streamed from an open file; S3 keeps what it is told of its type.

        With `create`, raises ObjectExists if it is there.
        """
        with _Translated(self.uri(key)):
            if content_type:
                self._store.put(key, content, attributes={"Content-Type": content_type})
            elif create:
                self._store.put(key, content, mode="create")
            else:
                self._store.put(key, content, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE)

    def read_version(self, key: str) -> tuple[bytes, str]:
        """The whole object and the ETag to replace it by. Raises ObjectMissing, StorageError on a local folder."""
        with _Translated(self.uri(key)):
            found = self._conditional(key).get(key)
            return bytes(found.bytes()), str(found.meta["e_tag"])

    def replace(self, key: str, content: bytes, etag: str) -> str:
        """Put an object in the place of the one that `read_version` gave; its ETag.

        On S3 an ETag follows from the content: to be told apart, versions must differ.
        Raises ObjectChanged if another object, or none, is there by now, StorageError on a local folder.
        """
        try:
            with _Translated(self.uri(key)):
                return str(self._conditional(key).put(key, content, mode={"e_tag": etag})["e_tag"])
        except (ObjectExists, ObjectMissing) as error:
            raise ObjectChanged(f"{self.uri(key)}: was changed by somebody else meanwhile") from error

    def _reader(self, key: str) -> Any:
        return self._store if self._any_key is None or is_path(key) else self._any_key

    def _conditional(self, key: str) -> VendorStore:
        if isinstance(self._store, Folder):  # a file system cannot replace a file on condition of what it holds
            raise StorageError(f"{self.uri(key)}: conditional replacement needs S3; put the work store there")
        return self._store

    def delete(self, key: str) -> None:
        """The object is gone afterwards, whether it was there or not."""
        with suppress(ObjectMissing), _Translated(self.uri(key)):
            self._store.delete(key)

    def delete_all(self, keys: Sequence[str]) -> None:
        """The objects are gone afterwards; on S3 a thousand go with one request."""
        with _Translated(self._uri):
            self._store.delete(keys)

    def exists(self, key: str) -> bool:
        try:
            with _Translated(self.uri(key)):
                self._reader(key).head(key)
        except ObjectMissing:
            return False
        return True


def _listed(key: str, found: Any) -> Listed:
    return Listed(key, found["size"], (found["e_tag"] or "").strip('"'), found["last_modified"])


def open_store(uri: str, access: S3Access, *, make: bool = False) -> ObjectStore:
    """The store at an s3:// or file:// uri. `make` creates a missing local folder.

    Raises ObjectMissing for a local folder that is not there, SettingsError for another scheme.
    """
    parts = urlsplit(uri)
    if parts.scheme == "s3" and parts.netloc:
        prefix = uri.removeprefix(f"s3://{parts.netloc}").strip("/")
        any_key = AnyKey(parts.netloc, prefix, partial(connect_s3, access))
        usual: Any = open_s3(parts.netloc, prefix, access) if is_path(prefix or "-") else any_key
        return ObjectStore(usual, uri, any_key)
    if parts.scheme == "file" and parts.path:
        return ObjectStore(_open_folder(_local_path(uri), make=make), uri)
    raise SettingsError(f"{uri!r}: neither a folder nor an s3:// prefix")


def refuse_unwritable(uri: str) -> None:
    """Raises SettingsError or AccessDenied for a local folder that cannot be written or made; S3 shows it later.

    Tried with a file that is gone at once: permissions do not tell of read-only disks.
    """
    if not uri.startswith("file:"):
        return
    path = _local_path(uri)
    nearest = next(place for place in (path, *path.parents) if place.exists())
    if not nearest.is_dir():
        raise SettingsError(f"{nearest}: is a file; name a folder")
    try:
        tempfile.TemporaryFile(dir=nearest).close()
    except OSError as error:
        raise AccessDenied(f"{path}: cannot be written ({error.strerror}); choose another folder") from None


def _local_path(uri: str) -> Path:
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(uri).path)))


def _open_folder(path: Path, *, make: bool) -> Folder:
    with _Translated(path.as_uri()):  # a name may be too long to ask for, or the folder above it closed to us
        if path.is_file():
            raise SettingsError(f"{path}: is a file; name a folder")
        if not make and not path.is_dir():
            raise ObjectMissing(f"{path}: there is no such folder")
        path.mkdir(parents=True, exist_ok=True)
    return Folder(path)


class _Translated:
    """Vendor errors as ours, with the uri that they were about."""

    def __init__(self, uri: str) -> None:
        self._uri = shown(uri)

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, vendor.BaseError | OSError):
            ours = self._translated(error)
            # What S3 says of a bucket is told in full; its answer as XML would hide that.
            raise ours from (None if isinstance(ours, BucketRefused) else error)

    def _translated(self, error: Exception) -> StorageError:
        if isinstance(error, KeyRefused | NoFile):
            return AccessDenied(f"{self._uri}: {error.strerror or error}")
        refused = refusal(self._uri, str(error))
        if isinstance(error, vendor.NotFoundError | FileNotFoundError):
            why = error.strerror if isinstance(error, BrokenLink) else "not found"
            return refused if "NoSuchBucket" in str(error) and refused else ObjectMissing(f"{self._uri}: {why}")
        if isinstance(error, vendor.AlreadyExistsError | vendor.PreconditionError | FileExistsError):
            return ObjectExists(f"{self._uri}: already exists")
        if refused:
            return refused
        if isinstance(error, vendor.PermissionDeniedError | vendor.UnauthenticatedError | PermissionError):
            return AccessDenied(f"{self._uri}: {DENIED if self._uri.startswith('s3:') else _FORBIDDEN}")
        if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            return ObjectMissing(f"{self._uri}: not found ({error.strerror})")
        if isinstance(error, OSError) and error.errno in _UNWRITABLE:
            return StorageError(f"{self._uri}: cannot be written ({error.strerror}); {_UNWRITABLE[error.errno]}")
        reason = str(error).split("\n\nDebug source", 1)[0].split("<?xml", 1)[0].strip()
        return StorageError(f"{self._uri}: {reason}")

"""A local folder with the calls of an object store, whatever its files are called."""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISLNK, S_ISREG
from typing import IO, Any, BinaryIO

PAGE_FILES = 1_000
ATTEMPTS = 100  # to make a file in a folder that others remove whenever it is empty
Piece = bytes


class BrokenLink(FileNotFoundError):
    """The name is there, and what it leads to is not."""


class NoFile(PermissionError):
    """What is there is not to be read: no regular file, or one outside its folder, or one that the system keeps."""


# Of one name or one file, not of the disk or the machine: others can be read.
_NOWHERE = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
_OF_THE_FILE = (errno.EAGAIN, errno.EINVAL, errno.EIO, errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP, errno.EOVERFLOW)


@dataclass(frozen=True, slots=True)
class File:
    """A file that was asked for. It is opened when it is read."""

    path: Path
    root: Path

    def bytes(self) -> Piece:
        with _missing_named(self.path):
            return b"".join(_pieces(self.path, -1))

    def stream(self, min_chunk_size: int) -> Iterator[Piece]:
        yield from _pieces(self.path, min_chunk_size)

    def document(self, most_bytes: int, *, inside: bool) -> Piece | None:
        """What it holds; None where that is more. `inside`: a link that leaves the folder is not followed."""
        with _missing_named(self.path):
            try:
                content = next(_pieces(self._followed() if inside else self.path, most_bytes + 1), b"")
            except OSError as error:
                if error.errno in _OF_THE_FILE:
                    raise NoFile(error.errno, f"cannot be read ({error.strerror})") from error
                raise
        return content if len(content) <= most_bytes else None

    def _followed(self) -> Path:
        path = Path(os.path.realpath(self.path))  # `resolve` raises no OSError for a circle of links
        if os.path.exists(path) and not path.is_relative_to(os.path.realpath(self.root)):  # noqa: PTH110 - raises nothing
            raise NoFile(errno.EPERM, "is a link that leads out of the source folder; put the file itself there")
        return path


@contextmanager
def _missing_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _NOWHERE:
            raise
        if os.path.islink(path):  # noqa: PTH114 - raises nothing
            raise BrokenLink(errno.ENOENT, "is a link to a file that is not there", str(path)) from None
        raise FileNotFoundError(errno.ENOENT, error.strerror, str(path)) from error


def _pieces(path: Path, size: int) -> Iterator[Piece]:
    """Of a regular file alone: a pipe would block for ever, a device may not end."""
    _refuse_no_file(path.stat())
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:  # noqa: PTH123 - a descriptor
        _refuse_no_file(os.fstat(file.fileno()))  # it may be another one by now
        while piece := file.read(size):
            yield piece


def _refuse_no_file(found: os.stat_result) -> None:
    if not S_ISREG(found.st_mode):
        raise NoFile(errno.EPERM, "is no file, but a folder, a pipe or a device; name files alone")


class Folder:
    """The part of obstore's store that `storage` uses; obstore's own refuses a whole folder for one odd name.

    Raises OSError. Names that are not UTF-8 come as Python's surrogate escapes. Files that are neither regular nor
    links (pipes, sockets, devices) are no documents, and links to folders are not followed.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def list_with_delimiter(self, prefix: str) -> dict[str, list[str]]:
        """The folders directly below `prefix`, as obstore gives them."""
        below = self._path(prefix)
        found = [entry.name for entry in os.scandir(below) if entry.is_dir()] if below.is_dir() else []
        return {"common_prefixes": [f"{prefix}/{name}" for name in sorted(found)]}

    def list(self, prefix: str | None = None) -> Iterator[list[dict[str, Any]]]:
        """Pages of entries as obstore gives them, in the order of a walk through sorted folders."""
        page: list[dict[str, Any]] = []
        for folder, below, names in os.walk(self._path(prefix or ""), onerror=_raise_unless_missing):
            below.sort()
            for name in sorted(names):
                path = os.path.join(folder, name)  # noqa: PTH118 - a Path for each of a million files takes seconds
                if entry := self._entry(path):
                    page.append(entry)
                if len(page) == PAGE_FILES:
                    yield page
                    page = []
        yield page

    def get(self, key: str) -> File:
        return File(self._path(key), self._root)

    def head(self, key: str) -> dict[str, Any]:
        with _missing_named(self._path(key)):
            return _described(key, self._path(key).stat())

    def put(self, key: str, content: bytes | BinaryIO, *, mode: str = "overwrite", **_how: object) -> None:
        """Whole or not at all: written beside its place, then renamed; `create` refuses a file that is there."""
        path = self._path(key)
        with _new_beside(path) as file:
            try:
                file.write(content) if isinstance(content, bytes) else shutil.copyfileobj(content, file, 1 << 20)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).chmod(0o644)
                _take_place(Path(file.name), path, create=mode == "create")
            finally:
                Path(file.name).unlink(missing_ok=True)

    def delete(self, keys: str | Sequence[str]) -> None:
        for key in [keys] if isinstance(keys, str) else keys:
            path = self._path(key)
            path.unlink(missing_ok=True)
            self._remove_empty(path.parent)

    def _remove_empty(self, folder: Path) -> None:
        """As in S3 there is no folder without a file, nor the name of a run whose files are gone."""
        with suppress(OSError):  # it holds something, or somebody else was quicker
            while self._root in folder.parents:
                folder.rmdir()
                folder = folder.parent

    def _path(self, key: str) -> Path:
        return self._root / key

    def _entry(self, path: str) -> dict[str, Any] | None:
        found = os.lstat(path)
        if S_ISLNK(found.st_mode) and os.path.exists(path):  # noqa: PTH110 - as above
            found = os.stat(path)  # noqa: PTH116 - as above
        if not S_ISREG(found.st_mode) and not S_ISLNK(found.st_mode):
            return None
        return _described(os.path.relpath(path, self._root), found)


def _new_beside(path: Path) -> IO[bytes]:
    """A file in the folder of a path, which is made anew while others remove it for being empty."""
    for _ in range(ATTEMPTS):
        with suppress(FileNotFoundError, FileExistsError):  # gone between two of the calls that make it
            return _try_beside(path)
    return _try_beside(path)


def _try_beside(path: Path) -> IO[bytes]:
    path.parent.mkdir(parents=True, exist_ok=True)
    return tempfile.NamedTemporaryFile(dir=path.parent, prefix=".docbatch-", delete=False)


def _described(key: str, found: os.stat_result) -> dict[str, Any]:
    changed = dt.datetime.fromtimestamp(found.st_mtime_ns // 1_000 / 1_000_000, dt.UTC)
    etag = f"{found.st_mtime_ns:x}-{found.st_size:x}"
    return {"path": key, "size": found.st_size, "e_tag": etag, "last_modified": changed}


def _take_place(written: Path, path: Path, *, create: bool) -> None:
    if create:
        os.link(written, path)  # the one call that refuses an existing name and shows the file whole
    else:
        written.replace(path)


def _raise_unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error

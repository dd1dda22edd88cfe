"""A local folder with the calls of an object store, whatever its files are called."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from stat import S_ISLNK, S_ISREG
from typing import Any, BinaryIO

PAGE_FILES = 1_000
Piece = bytes


class BrokenLink(FileNotFoundError):
    """The name is there, and what it leads to is not."""


@dataclass(frozen=True, slots=True)
class File:
    """A file that was asked for. It is opened when it is read."""

    path: Path

    def bytes(self) -> Piece:
        try:
            return self.path.read_bytes()
        except FileNotFoundError as error:
            if self.path.is_symlink():
                raise BrokenLink(error.errno, "is a link to a file that is not there", str(self.path)) from None
            raise

    def stream(self, min_chunk_size: int) -> Iterator[Piece]:
        with self.path.open("rb") as file:
            while piece := file.read(min_chunk_size):
                yield piece


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
        return File(self._path(key))

    def head(self, key: str) -> dict[str, Any]:
        return _described(key, self._path(key).stat())

    def put(self, key: str, content: bytes | BinaryIO, *, mode: str = "overwrite", **_how: object) -> None:
        """Whole or not at all: written beside its place, then renamed; `create` refuses a file that is there."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".docbatch-", delete=False) as file:
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
            self._path(key).unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        return self._root / key

    def _entry(self, path: str) -> dict[str, Any] | None:
        found = os.lstat(path)
        if S_ISLNK(found.st_mode) and os.path.exists(path):  # noqa: PTH110 - as above
            found = os.stat(path)  # noqa: PTH116 - as above
        if not S_ISREG(found.st_mode) and not S_ISLNK(found.st_mode):
            return None
        return _described(os.path.relpath(path, self._root), found)


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

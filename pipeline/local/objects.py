"""The few things that a batch job does to an object store: find its input, read it line by line, write its output."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import obstore
from obstore.store import MemoryStore, S3Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from obstore.store import ObjectStore

_READ_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Input:
    """One input file: its key, and its name below the location that the job was given."""

    key: str
    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Objects:
    """`open_bucket` gives the store of a bucket; the same one for the same name."""

    open_bucket: Callable[[str], ObjectStore]

    def find(self, bucket: str, key: str) -> list[Input]:
        """The object at `key`, or every .jsonl below it, by key. Empty where there is neither."""
        store = self.open_bucket(bucket)
        if key.endswith(".jsonl"):
            try:
                return [Input(key, key.rpartition("/")[2], obstore.head(store, key)["size"])]
            except FileNotFoundError:
                return []
        folder = key.rstrip("/") + "/" if key else ""
        listed = [meta for page in obstore.list(store, prefix=folder.rstrip("/") or None) for meta in page]
        inside = [meta for meta in listed if meta["path"].startswith(folder) and meta["path"].endswith(".jsonl")]
        return sorted(
            (Input(meta["path"], meta["path"].removeprefix(folder), meta["size"]) for meta in inside),
            key=lambda found: found.key,
        )

    def lines(self, bucket: str, key: str) -> Iterator[bytes]:
        """The lines of an object that are not blank, without their ends; one read-ahead and one line in memory."""
        rest: list[bytes] = []
        for piece in obstore.get(self.open_bucket(bucket), key).stream(min_chunk_size=_READ_BYTES):
            *whole, last = bytes(piece).split(b"\n")
            for line in whole:
                yield from _written(b"".join([*rest, line]))
                rest = []
            rest.append(last)
        yield from _written(b"".join(rest))

    def put(self, bucket: str, key: str, content: Path | bytes) -> None:
        obstore.put(self.open_bucket(bucket), key, content)


def _written(line: bytes) -> Iterator[bytes]:
    if line.strip():
        yield line


def in_s3(endpoint_url: str, access_key_id: str, secret_access_key: str, region: str) -> Objects:
    """Objects of the S3 server at `endpoint_url`."""

    @cache
    def open_bucket(bucket: str) -> ObjectStore:
        return S3Store(
            bucket,
            endpoint=endpoint_url,
            access_key_id=access_key_id,
            secret_access_key=secret_access_key,
            region=region,
            virtual_hosted_style_request=False,
            client_options={"allow_http": True, "timeout": "300s"},
        )

    return Objects(open_bucket)


def in_memory() -> Objects:
    """Objects that vanish with the program: any bucket exists, and starts empty."""
    return Objects(cache(lambda _bucket: MemoryStore()))

"""S3 objects by any key that S3 allows: obstore takes keys for paths, without control characters, `//`, `.` or `..`."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import quote, unquote_plus
from xml.etree import ElementTree

from botocore.exceptions import BotoCoreError, ClientError, EndpointConnectionError, HTTPClientError

from pipeline.storage.refusals import is_of_the_bucket

Piece = bytes
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class KeyRefused(PermissionError):
    """S3 does not take the key for one, although it may have listed it."""


def is_path(key: str) -> bool:
    """Whether obstore reads the object that has this very key, and no other."""
    return not _CONTROL.search(key) and not {"", ".", ".."} & set(key.split("/"))


def shown(uri: str) -> str:
    """A uri as messages show it: a control character would begin a line of its own, or steer a terminal."""
    return _CONTROL.sub(lambda found: quote(found[0]), uri)


@dataclass(frozen=True, slots=True)
class Found:
    """An object that was asked for."""

    body: Any

    def bytes(self) -> Piece:
        with _Told():
            return bytes(self.body.read())

    def document(self, most_bytes: int) -> Piece | None:
        """What it holds; None where that is more."""
        with _Told():
            content = bytes(self.body.read(most_bytes + 1))
        self.body.close()
        return content if len(content) <= most_bytes else None

    def stream(self, min_chunk_size: int) -> Iterator[Piece]:
        with _Told():
            yield from self.body.iter_chunks(min_chunk_size)


class AnyKey:
    """The part of obstore's store that lists and reads, through botocore; nothing is written so. Raises OSError."""

    def __init__(self, bucket: str, prefix: str, connect: Callable[[], Any]) -> None:
        self._bucket, self._prefix = bucket, f"{prefix}/" if prefix else ""
        self._connect = connect
        self._lock = threading.Lock()
        self._connected: Any = None

    def list(self, prefix: str | None = None) -> Iterator[list[dict[str, Any]]]:
        """Pages of entries as obstore gives them, with the keys as they are, in their order."""
        below = self._prefix + (f"{prefix}/" if prefix else "")
        wanted = {"Bucket": self._bucket, "Prefix": below, "EncodingType": "url"}
        with _Told():
            for page in self._client().get_paginator("list_objects_v2").paginate(**wanted):
                for one in page["Entries"]:
                    one["path"] = one["path"].removeprefix(self._prefix)
                yield [one for one in page["Entries"] if one["path"]]

    def head(self, key: str) -> dict[str, Any]:
        with _Told():
            found = self._client().head_object(Bucket=self._bucket, Key=self._prefix + key)
        return {"size": found["ContentLength"], "e_tag": found["ETag"], "last_modified": found["LastModified"]}

    def get(self, key: str) -> Found:
        with _Told():
            return Found(self._client().get_object(Bucket=self._bucket, Key=self._prefix + key)["Body"])

    def put(self, *_what: object, **_how: object) -> Any:
        raise KeyRefused("docbatch writes below no prefix with `//`, `.`, `..` or a control character; choose another")

    def _client(self) -> Any:
        with self._lock:
            if self._connected is None:
                self._connected = self._connect()
                events = self._connected.meta.events  # those of all who share the client
                events.register("before-parse.s3.ListObjectsV2", _take_entries, unique_id="docbatch")
            return self._connected


def _take_entries(response_dict: dict[str, Any], customized_response_dict: dict[str, Any], **_: object) -> None:
    """Read what a page lists, and leave botocore the rest: its own reading takes five times as long."""
    if b"<ListBucketResult" not in response_dict["body"][:1_000]:
        return  # an error; its status does not tell, since botocore makes a 500 of what it cannot parse
    page = ElementTree.fromstring(response_dict["body"])  # noqa: S314 - S3 itself wrote it, and it expands nothing
    space = page.tag.removesuffix("ListBucketResult")
    encoded = page.findtext(f"{space}EncodingType") == "url"
    listed = page.findall(f"{space}Contents")
    customized_response_dict["Entries"] = [_entry({part.tag: part.text or "" for part in one}, space) for one in listed]
    if encoded:
        for entry in customized_response_dict["Entries"]:
            entry["path"] = unquote_plus(entry["path"])
    for one in listed:
        page.remove(one)
    response_dict["body"] = ElementTree.tostring(page)


def _entry(said: dict[str, str], space: str) -> dict[str, Any]:
    changed = datetime.fromisoformat(said[f"{space}LastModified"])
    size, etag = int(said[f"{space}Size"]), said.get(f"{space}ETag")
    return {"path": said[f"{space}Key"], "size": size, "e_tag": etag, "last_modified": changed}


class _Told:
    """What botocore raises as an OSError, in the words by which `refusals` knows what S3 said."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, _type: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, ClientError):
            raise _refused(error) from error
        if isinstance(error, ElementTree.ParseError):
            raise OSError(f"S3 answered with a listing that is no XML ({error})") from error
        if isinstance(error, BotoCoreError):
            unreached = (
                "error sending request: " if isinstance(error, HTTPClientError | EndpointConnectionError) else ""
            )
            raise OSError(f"{unreached}{error}") from error


def _refused(error: ClientError) -> OSError:
    code, status = error.response["Error"]["Code"], error.response["ResponseMetadata"]["HTTPStatusCode"]
    said = f"<Code>{code}</Code> HTTP status {status}"
    if status == 404:
        return FileNotFoundError(said)
    if status == 400 and not is_of_the_bucket(code):
        return KeyRefused(f"S3 takes the key for none: {status} {code}")
    return PermissionError(said) if status in (401, 403) else OSError(said)

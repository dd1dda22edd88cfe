"""Keys that break programs, and an S3 server in memory that keeps them all: the embedded one refuses or mends some."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote
from xml.sax.saxutils import escape

BUCKET = "letters"
PAGE_KEYS = 7
LONG = "/".join(["long" * 50] * 4)
# What the embedded S3 keeps as it is.
ODD = (
    "two  words.txt",
    " leading and trailing ",
    "q'u\"o.txt",
    "line\nend.txt",
    "carriage\rreturn.txt",
    "tab\t.txt",
    "\x01.txt",
    "escape\x1b[31m.txt",
    "delete\x7f.txt",
    "next\x85line.txt",
    "\ufffe.txt",
    "%2F.txt",
    "%0A.txt",
    "%zz 100%",
    "a+b.txt",
    "hash#and?query&amp;.txt",
    "..txt",
    "a../..b/c",
    "\U0001f600 é e\u0301.txt",
    "\u202egnp.txt",
    "*[g]{b}|<>^~`$(touch evil);.txt",
    f"{LONG}/{'z' * (1_000 - len(LONG) - 1)}",  # S3 takes 1,024 bytes, prefix included
)
# What it refuses, or keeps under another key; S3 keeps them.
ODDEST = (
    "a//b.txt",
    "a/b.txt",
    "/leading.txt",
    "leading.txt",
    "sub/./dot.txt",
    "sub/../dots.txt",
    "sub/dot.txt",
    ".",
    "..",
    "../up.txt",
    "back\\slash.txt",
    "folder/",
    "folder",
    "//",
    "nul\x00.txt",
    "z" * 1_020,
)


@contextmanager
def odd_bucket(
    objects: Mapping[str, bytes], refused: frozenset[str] = frozenset(), *, encodes: bool = True
) -> Iterator[str]:
    """The url of an S3 that has these objects in its bucket, and does not take some keys that it lists."""

    class Answering(_Answering):
        kept, not_taken, does_encode = objects, refused, encodes

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Answering(BaseHTTPRequestHandler):
    """ListObjectsV2 by pages, GET and HEAD, as S3 answers them; signatures are not looked at."""

    protocol_version = "HTTP/1.1"
    kept: Mapping[str, bytes]
    not_taken: frozenset[str]
    does_encode: bool

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        asked = parse_qs(query)
        if "list-type" in asked:
            if not path.startswith(f"/{BUCKET}"):
                return self._refuse(404, "NoSuchBucket")
            encoded = self.does_encode and "encoding-type" in asked
            return self._answer(200, _page(self.kept, asked, encoded=encoded).encode())
        key = unquote(path.removeprefix(f"/{BUCKET}/"))
        if key in self.not_taken:
            return self._refuse(400, "InvalidURI")
        if key not in self.kept:
            return self._refuse(404, "NoSuchKey" if path.startswith(f"/{BUCKET}/") else "NoSuchBucket")
        return self._answer(200, self.kept[key])

    def do_HEAD(self) -> None:
        self.do_GET()

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, f"<Error><Code>{code}</Code><Message>No.</Message></Error>".encode())

    def _answer(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", _etag(content))
        self.send_header("Last-Modified", "Sun, 22 Nov 2026 03:00:00 GMT")
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(content)

    def log_message(self, *_what: object) -> None:
        return


def _etag(content: bytes) -> str:
    return f'"{md5(content, usedforsecurity=False).hexdigest()}"'


def _page(objects: Mapping[str, bytes], asked: Mapping[str, list[str]], *, encoded: bool) -> str:
    """A page of those below the prefix, in the order of their bytes."""
    prefix, first = asked.get("prefix", [""])[0], int(asked.get("continuation-token", ["0"])[0])
    keys = sorted((key for key in objects if key.startswith(prefix)), key=str.encode)
    spelled: Callable[[str], str] = (lambda key: quote(key).replace("%20", "+")) if encoded else escape
    told = "".join(_entry(spelled(key), objects[key]) for key in keys[first : first + PAGE_KEYS])
    token = f"<NextContinuationToken>{first + PAGE_KEYS}</NextContinuationToken>"
    more = f"<IsTruncated>true</IsTruncated>{token}" if first + PAGE_KEYS < len(keys) else ""
    encoding = "<EncodingType>url</EncodingType>" if encoded else ""
    space = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
    return (
        f'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult {space}>{encoding}{told}{more}</ListBucketResult>'
    )


def _entry(key: str, content: bytes) -> str:
    about = f"<LastModified>2026-11-22T03:00:00.000Z</LastModified><ETag>{escape(_etag(content))}</ETag>"
    return f"<Contents><Key>{key}</Key>{about}<Size>{len(content)}</Size></Contents>"

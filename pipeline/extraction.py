"""Bytes of a document -> text: text, Markdown and HTML, in whatever encoding they come."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

from charset_normalizer import from_bytes
from selectolax.lexbor import LexborHTMLParser

from pipeline.domain import Failure, Reason

_MARKS = [
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset=[\"']?([A-Za-z0-9_:-]{1,40})", re.IGNORECASE)
_HTML_START = re.compile(
    r"\s*(?:<!--.{0,2000}?-->\s*)*<(?:!doctype\s+html|html|head|body)\b", re.IGNORECASE | re.DOTALL
)
_UNREAD = "script, style, template, noscript, nav, header nav, footer, aside, svg, form"
_BLOCKS = (
    "address article blockquote br dd div dl dt figcaption h1 h2 h3 h4 h5 h6 hr li main ol p pre section table tr ul"
)
DETECTION_BYTES = 100_000
UNDECODABLE_SHARE = 0.01


@dataclass(frozen=True, slots=True)
class Text:
    """What a document says, and how it was read. `form` is text, markdown or html."""

    content: str
    encoding: str
    form: str


def extract(content: bytes, name: str) -> Text | Failure:
    """The text of a document, or why there is none. `name` (the uri) only breaks ties between forms of text."""
    if not content.strip():
        return Failure(Reason.EMPTY, f"{len(content)} bytes, nothing but white space" if content else "0 bytes")
    decoded = decode(content)
    if isinstance(decoded, Failure):
        return decoded
    raw, encoding = decoded
    form = "html" if _HTML_START.match(raw) else _FORMS.get(PurePosixPath(name).suffix.lower(), "text")
    text = _READERS.get(form, _as_it_is)(raw)
    if not text.strip():
        return Failure(Reason.EMPTY, f"{form} without text")
    return Text(text, encoding, form)


def decode(content: bytes) -> tuple[str, str] | Failure:
    """Text and encoding: by byte order mark, as UTF-8, by the page's own charset, else by statistics."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _decode_as(content, encoding)
    if b"\0" in content[:DETECTION_BYTES]:
        return Failure(Reason.UNSUPPORTED, "binary content: a NUL byte in what should be text")
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        return _decode_other(content, error)


def _decode_other(content: bytes, error: UnicodeDecodeError) -> tuple[str, str] | Failure:
    declared = _META_CHARSET.search(content[:DETECTION_BYTES])
    if declared:
        found = _decode_as(content, declared[1].decode("ascii"))
        if not isinstance(found, Failure):
            return found
    best = from_bytes(content[:DETECTION_BYTES]).best()
    if best is None:
        return Failure(Reason.UNDECODABLE, f"no encoding fits; not UTF-8 from byte {error.start} on")
    return _decode_as(content, best.encoding)


def _decode_as(content: bytes, encoding: str) -> tuple[str, str] | Failure:
    try:
        return content.decode(encoding), encoding
    except (UnicodeDecodeError, LookupError) as error:
        return Failure(Reason.UNDECODABLE, f"not {encoding}: {error}"[:200])


def _as_it_is(raw: str) -> str:
    return raw


def _read_html(raw: str) -> str:
    """The visible text, a line a block, the title first; navigation, footers and scripts are left out."""
    tree = LexborHTMLParser(raw)
    for node in tree.css(_UNREAD):
        node.decompose()
    for tag in _BLOCKS.split():
        for node in tree.css(tag):
            node.insert_before("\n")
            node.insert_after("\n")
    for node in tree.css("td, th"):
        node.insert_after(" ")
    title = tree.css_first("title")
    body = tree.body.text() if tree.body else ""
    lines = [re.sub(r"[ \t\r\f\v]+", " ", line).strip() for line in body.split("\n")]
    head = title.text().strip() if title else ""
    return "\n".join(line for line in ([head] if head and head not in lines else []) + lines if line)


_FORMS = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".xhtml": "html"}
_READERS: dict[str, Callable[[str], str]] = {"html": _read_html}

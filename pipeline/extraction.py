"""Bytes of a document -> text: text, Markdown and HTML, in whatever encoding they come."""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable
from dataclasses import dataclass

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
# Formats whose bytes may pass for text.
_SIGNATURES = {b"%PDF-": "PDF", b"{\\rtf": "RTF", b"PK\x03\x04": "ZIP or Office", b"%!PS": "PostScript"}
# Of what Python can decode, only what a page may declare: `idna`, `unicode_escape` and the like are no charsets.
_CHARSETS = re.compile(
    r"(?:x-)?(?:iso-?8859|latin|us-ascii|ascii|windows|cp[0-9]|ibm|koi8|mac|shift|sjis|ms_?kanji|euc|gb|hz|big5|tis)",
    re.IGNORECASE,
)
# What pages call Latin-1 is Windows' superset of it (WHATWG Encoding Standard, names and labels).
_LABELS = dict.fromkeys(("iso-8859-1", "iso8859-1", "latin1", "latin-1", "us-ascii", "ascii"), "cp1252")
_LABELS |= {"windows-874": "cp874", "tis-620": "cp874", "x-sjis": "shift_jis"}
# End tags may be missing here, so their start tags do not show how deep a page is nested; nor do those without content.
_FLAT_TAGS = (
    "area base br col embed hr img input link meta source track wbr "
    "li dt dd p rb rt rtc rp optgroup option colgroup caption thead tbody tfoot tr td th"
)
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9]*)")
DETECTION_BYTES = 100_000
_ASCII = frozenset(map(chr, range(128)))
_WESTERN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüÿŒœŸ€‚„…‹›‘’“”•–—¡£§©ª«®°·º»¿\xa0")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]+")
MOST_TOGETHER = 3  # letters beyond ASCII side by side, and as a share of all, in Western text
MOST_ACCENTED = 0.25
MOST_ZERO = 0.6
MOST_NESTED = 5_000  # elements; the parser takes quadratic time in the depth of a page


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
    form = "html" if _HTML_START.match(raw) else _FORMS.get(_suffix(name), "text")
    if form == "html" and _is_too_deep(raw):
        return Failure(Reason.UNSUPPORTED, f"elements nested more than {MOST_NESTED} deep")
    text = _READERS.get(form, _as_it_is)(raw)
    if not text.strip():
        return Failure(Reason.EMPTY, f"{form} without text")
    return Text(text, encoding, form)


def decode(content: bytes) -> tuple[str, str] | Failure:
    """Text and encoding: by byte order mark, as UTF-8, by the page's own charset, as Western, else by statistics."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _decode_as(content, encoding)
    for signature, kind in _SIGNATURES.items():
        if content.startswith(signature):
            return Failure(Reason.UNSUPPORTED, f"{kind}, not text")
    if b"\0" in content[:DETECTION_BYTES]:
        if unmarked := _without_mark(content):
            return _decode_as(content, unmarked)
        return Failure(Reason.UNSUPPORTED, "binary content: a NUL byte in what should be text")
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError as error:
        return _decode_other(content, error)


def _decode_other(content: bytes, error: UnicodeDecodeError) -> tuple[str, str] | Failure:
    declared = _META_CHARSET.search(content[:DETECTION_BYTES])
    charset = declared[1].decode("ascii").lower() if declared else ""
    if _CHARSETS.match(charset):
        found = _decode_as(content, _LABELS.get(charset, charset))
        if not isinstance(found, Failure):
            return found
    if _is_western(content[:DETECTION_BYTES]):
        return _decode_as(content, "cp1252")
    best = from_bytes(content[:DETECTION_BYTES]).best()
    if best is None:
        return Failure(Reason.UNDECODABLE, f"no encoding fits; not UTF-8 from byte {error.start} on")
    return _decode_as(content, best.encoding)


def _decode_as(content: bytes, encoding: str) -> tuple[str, str] | Failure:
    try:
        return content.decode(encoding), encoding
    except (UnicodeError, LookupError) as error:
        return Failure(Reason.UNDECODABLE, f"not {encoding}: {error}"[:200])


def _is_western(content: bytes) -> bool:
    """Whether it reads as Western European text: few accented letters, seldom side by side.

    Statistics need long texts and take a short German or French one for Central European; the languages of the model
    that are not Western have most of their letters beyond ASCII.
    """
    try:
        accented = set(content.decode("cp1252")) - _ASCII
    except UnicodeDecodeError:
        return False
    runs = _BEYOND_ASCII.findall(content)
    beyond = sum(len(run) for run in runs)
    return accented <= _WESTERN and max(map(len, runs)) <= MOST_TOGETHER and beyond <= MOST_ACCENTED * len(content)


def _without_mark(content: bytes) -> str | None:
    """UTF-16 that lacks its mark, if every other byte of much of the text is zero."""
    sample = content[:DETECTION_BYTES]
    even, odd = sample[::2].count(0) / len(sample[::2]), sample[1::2].count(0) / max(1, len(sample[1::2]))
    if max(even, odd) < MOST_ZERO or min(even, odd) > 1 - MOST_ZERO:
        return None
    return "utf-16-le" if odd > even else "utf-16-be"


def _is_too_deep(raw: str) -> bool:
    depth = 0
    flat = frozenset(_FLAT_TAGS.split())
    for closing, name in _TAG.findall(raw):
        if name.lower() not in flat:
            depth = max(0, depth - 1) if closing else depth + 1
            if depth > MOST_NESTED:
                return True
    return False


def _suffix(name: str) -> str:
    stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
    return dot + suffix.lower() if stem else ""


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

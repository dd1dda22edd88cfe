"""Text, Markdown, HTML, CSV and JSON -> text, in whatever encoding they come."""

from __future__ import annotations

import codecs
import re

from charset_normalizer import from_bytes

from pipeline.domain import Failure, Reason
from pipeline.extraction.values import Text
from pipeline.extraction.web import read_html

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
_JSON_START = re.compile(r"\s*[\[{\"]")
_ESCAPED = re.compile(r"\\\\.|((?:\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2})|\\u[0-9a-fA-F]{4})")
DETECTION_BYTES = 100_000
_ASCII = frozenset(map(chr, range(128)))
_WESTERN = frozenset("ÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØÙÚÛÜßàáâãäåæçèéêëìíîïñòóôõöøùúûüÿŒœŸ€‚„…‹›‘’“”•–—¡£§©ª«®°·º»¿\xa0")
_BEYOND_ASCII = re.compile(rb"[\x80-\xff]+")
MOST_TOGETHER = 3  # letters beyond ASCII side by side, and as a share of all, in Western text
MOST_ACCENTED = 0.25
MOST_ZERO = 0.6
MOST_NESTED = 5_000  # elements; the parser takes quadratic time in the depth of a page
MOST_SHALLOW = 300  # so deep a page is read in no time, and by no native recursion worth fearing


def read(content: bytes, name: str, most_nested: int) -> Text | Failure | None:
    """The text, or why there is none; None for a page that is nested deeper than `most_nested`."""
    decoded = decode(content)
    if isinstance(decoded, Failure):
        return decoded
    raw, encoding = decoded
    form = _form(raw, name)
    if form == "html":
        return None if _is_too_deep(raw, most_nested) else read_html(raw, encoding)
    text = unescaped(raw) if form == "json" else raw
    return Text(text, encoding, form) if text.strip() else Failure(Reason.EMPTY, f"{form} without text")


def _form(raw: str, name: str) -> str:
    """What begins as a page is one; else the name decides, and text is the default. JSON is so if it begins so, too."""
    if _HTML_START.match(raw):
        return "html"
    form = _FORMS.get(suffix(name), "text")
    return "text" if form == "json" and not _JSON_START.match(raw) else form


def unescaped(raw: str) -> str:
    """JSON with its letters as they are: `\\u00e9` says nothing to a reader, and costs a model six times as much."""
    return _ESCAPED.sub(_letter, raw) if "\\u" in raw else raw


def _letter(found: re.Match[str]) -> str:
    if found[1] is None:
        return found[0]  # an escaped backslash and what follows it
    text = bytes.fromhex(found[1].replace("\\u", "")).decode("utf-16-be", "replace")
    return text if text.isprintable() and text not in '"\\\ufffd' else found[0]


def decode(content: bytes) -> tuple[str, str] | Failure:
    """Text and encoding: by byte order mark, as UTF-8, by the page's own charset, as Western, else by statistics."""
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return _decode_as(content, encoding)
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
        where = f"the byte at position {error.start}" if isinstance(error, UnicodeDecodeError) else "something in it"
        return Failure(Reason.UNDECODABLE, f"not {encoding}: {where} cannot be read")


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


def _is_too_deep(raw: str, most: int) -> bool:
    depth = 0
    flat = frozenset(_FLAT_TAGS.split())
    for closing, name in _TAG.findall(raw):
        if name.lower() not in flat:
            depth = max(0, depth - 1) if closing else depth + 1
            if depth > most:
                return True
    return False


def suffix(name: str) -> str:
    """The ending of the last part of a name, with its dot, in lower case."""
    stem, dot, ending = name.rpartition("/")[2].rpartition(".")
    return dot + ending.lower() if stem else ""


_FORMS = {".md": "markdown", ".markdown": "markdown", ".html": "html", ".htm": "html", ".xhtml": "html"}
_FORMS |= {".csv": "csv", ".tsv": "csv", ".json": "json", ".jsonl": "json", ".ndjson": "json"}

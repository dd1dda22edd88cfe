"""One rule for every text: line ends, what nobody sees removed and counted, and letters composed (NFC).

- Every line end (CR LF, CR, VT, FF, NEL, U+2028, U+2029) is a line feed.
- Removed: control characters but tab and line feed; halves of surrogate pairs and what is no character; marks of
  direction (U+200E, U+200F, U+061C, U+202A to U+202E, U+2066 to U+2069); what is invisible and only shapes lines
  (soft hyphen, U+200B, U+2060 to U+2065, U+206A to U+206F, U+FEFF, U+FFF9 to U+FFFB); tags (U+E0000 to U+E007F) and the
  rest of their plane that no writing uses.
- Kept, since Hindi, Persian and emoji need them: one variation selector and one joiner (U+200C, U+200D) behind a
  visible character. Further ones are removed: in rows of them, bytes can be hidden.
- Then NFC, for which of more than 30 marks on one letter the rest is removed: no writing has them, and to order them
  takes quadratic time.

Spaces of every width stay as they are.
"""

from __future__ import annotations

import re
import unicodedata

import regex  # type: ignore[import-untyped]  # it ships no types

MOST_MARKS = 30  # UAX #15, stream-safe text
_LINE_ENDS = "\r\v\f\x85\u2028\u2029"
# Sets within the first plane are tables, and searched four times as fast as others.
_UNSEEN = (
    "\\x00-\\x08\\x0e-\\x1f\\x7f-\\x84\\x86-\\x9f\xad\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff"
)
_PLANES = range(0x10000, 0x110000, 0x10000)
_FAR_UNSEEN = "\U000e0000-\U000e00ff\U000e01f0-\U000e0fff" + "".join(
    chr(at + n) for at in _PLANES for n in (0xFFFE, 0xFFFF)
)
_SELECTORS, _FAR_SELECTORS, _JOINERS = "\ufe00-\ufe0f", "\U000e0100-\U000e01ef", "\u200c\u200d"
_NEAR = re.compile(f"[{_LINE_ENDS}{_UNSEEN}{_SELECTORS}{_JOINERS}]")
_BREAKS = re.compile(f"\r\n|[{_LINE_ENDS}]")
_REMOVED = re.compile(f"[{_UNSEEN}{_FAR_UNSEEN}]")
_SHAPING = re.compile(f"[{_SELECTORS}{_FAR_SELECTORS}{_JOINERS}]+")
_FIRST = re.compile(f"([{_SELECTORS}{_FAR_SELECTORS}]?)[^{_JOINERS}]*([{_JOINERS}]?)")
_MARKS = regex.compile(rf"(\p{{M}}{{{MOST_MARKS}}})\p{{M}}+")
_ASCII_BREAKS = bytes.maketrans(b"\r\v\f", b"\n\n\n")
_ASCII_REMOVED = bytes(number for number in range(128) if _REMOVED.match(chr(number)))
_FIRST_PLANE = bytes(range(0xF0))  # with which UTF-8 begins its characters


def normalised(text: str) -> tuple[str, int]:
    """The text by the rule, and how many characters were removed; what is normalised already comes back as it is."""
    if text.isascii():
        return _ascii(text)
    kept, removed = text, 0
    if _NEAR.search(text) or text.encode("utf-8", "surrogatepass").translate(None, _FIRST_PLANE):
        lines = _BREAKS.sub("\n", text)
        seen, removed = _REMOVED.subn("", lines)
        kept = _SHAPING.sub(_shaping, seen)
        removed += len(seen) - len(kept)
    if unicodedata.is_normalized("NFC", kept):  # takes linear time whatever the text is
        return kept, removed
    capped = _MARKS.sub(r"\1", kept)
    return unicodedata.normalize("NFC", capped), removed + len(kept) - len(capped)


def _ascii(text: str) -> tuple[str, int]:
    """The same, many times as fast."""
    lines = text.encode("ascii").replace(b"\r\n", b"\n")
    kept = lines.translate(_ASCII_BREAKS, _ASCII_REMOVED).decode("ascii")
    return (text if kept == text else kept), len(lines) - len(kept)


def _shaping(found: re.Match[str]) -> str:
    """Of a row of selectors and joiners, the selector that begins it and the first joiner."""
    start = found.start()
    if start == 0 or found.string[start - 1].isspace():
        return ""
    first = _FIRST.match(found[0])
    return first[1] + first[2] if first else ""

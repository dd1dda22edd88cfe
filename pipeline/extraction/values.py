"""What reading a document gives, and the bounds within which it is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from pipeline.domain import Failure

MOST_ABOUT = 1_000  # characters of a title or an author
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\s]+")
_PDF_TIME = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:([-+])(\d\d)'?(\d\d)?)?")


@dataclass(frozen=True, slots=True)
class Text:
    """What a document says, how it was read, and what it says about itself, None where it does not.

    `form` is one of forms.READ. `encoding` is None for formats that settle it themselves. `pages` are pages or slides.
    """

    content: str
    encoding: str | None
    form: str
    title: str | None = None
    author: str | None = None
    created: datetime | None = None
    pages: int | None = None


@dataclass(frozen=True, slots=True)
class Bounds:
    """What reading one document may take. `unpacked_bytes` is for what lies compressed in it, all parts together."""

    seconds: float = 60.0
    memory_bytes: int = 2_000_000_000
    output_bytes: int = 50_000_000
    unpacked_bytes: int = 50_000_000

    def less(self, unpacked_bytes: int) -> Bounds:
        """What remains for the next part."""
        return replace(self, unpacked_bytes=max(0, self.unpacked_bytes - unpacked_bytes))


Reader = Callable[[bytes, str, Bounds], "Text | Failure"]
"""Reads a document that lies inside another one: an attachment, or what was compressed."""


def plain_line(value: str | None) -> str | None:
    """A title or a name in one line, without what cannot be seen; None where nothing remains."""
    return _UNSEEN.sub(" ", value or "").strip()[:MOST_ABOUT] or None


def moment(value: str | None) -> datetime | None:
    """A time as documents write it (ISO 8601, or PDF's own way), in UTC; one without a zone is taken for UTC."""
    value = (value or "").strip()
    found = _PDF_TIME.match(value)
    try:
        if not found:
            parsed = datetime.fromisoformat(value)
        else:
            parts = zip(found.groups()[:6], (0, 1, 1, 0, 0, 0), strict=True)
            year, month, day, hour, minute, second = (int(part or default) for part, default in parts)
            parsed = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
            if found[7]:
                ahead = (int(found[8]) * 60 + int(found[9] or 0)) * 60 * (1 if found[7] == "+" else -1)
                parsed = datetime.fromtimestamp(parsed.timestamp() - ahead, UTC)
        return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return None

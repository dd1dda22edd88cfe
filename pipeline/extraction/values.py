"""What reading a document gives, and the bounds within which it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson

from pipeline.domain import Failure, Reason
from pipeline.extraction.normalising import normalised

MOST_ABOUT = 1_000  # characters of a title or an author
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\s]+")
_PDF_TIME = re.compile(r"D:(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?(?:([-+])(\d\d)'?(\d\d)?)?")


@dataclass(frozen=True, slots=True)
class Text:
    """What a document says, how it was read, and what it says about itself, None where it does not.

    `form` is one of forms.READ. `encoding` is None for formats that settle it themselves. `pages` are pages or slides,
    `recognised_pages` those whose text was recognised in a picture; None where no page is known to be one.
    `unread_parts` are pages, attachments and members that gave no text, `removed_characters` those of normalising.py.
    """

    content: str
    encoding: str | None
    form: str
    title: str | None = None
    author: str | None = None
    created: datetime | None = None
    pages: int | None = None
    recognised_pages: int | None = None
    unread_parts: int = 0
    removed_characters: int = 0


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
    return normalised(_UNSEEN.sub(" ", value or ""))[0].strip()[:MOST_ABOUT] or None


def by_the_rule(found: Text | Failure) -> Text | Failure:
    """The text normalised, with the number of characters that were removed; a failure where nothing remains."""
    if isinstance(found, Failure):
        return found
    content, removed = normalised(found.content)
    if content.strip():
        unchanged = content is found.content and not removed
        return (
            found
            if unchanged
            else replace(found, content=content, removed_characters=found.removed_characters + removed)
        )
    unseen = f": {removed} characters, none of which can be seen" if removed else ""
    return Failure(Reason.EMPTY, f"{found.form} without text{unseen}")


def together(parts: Iterable[Text | Failure]) -> dict[str, Any]:
    """What a document has that consists of others: recognised pages, parts without text, removed characters."""
    parts = list(parts)
    texts = [one for one in parts if isinstance(one, Text)]
    recognised = [one.recognised_pages for one in texts if one.recognised_pages is not None]
    return {
        "recognised_pages": sum(recognised) if recognised else None,
        "unread_parts": len(parts) - len(texts) + sum(one.unread_parts for one in texts),
        "removed_characters": sum(one.removed_characters for one in texts),
    }


def to_json(found: Text | Failure) -> bytes:
    """For another process, or for another run. The text must be normalised: JSON holds no half of a pair."""
    return orjson.dumps(asdict(found))


def from_json(content: bytes) -> Text | Failure:
    """What `to_json` wrote. Raises ValueError, TypeError, KeyError or AttributeError for anything else."""
    told = orjson.loads(content)
    if "reason" in told:
        return Failure(Reason(told["reason"]), told["detail"])
    created = told.pop("created")
    return Text(**told, created=datetime.fromisoformat(created) if created else None)


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

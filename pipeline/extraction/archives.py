"""Archives (ZIP, tar) -> one text: that of each file in them under its name, in the order of the names.

Nothing is written anywhere, so that a name is no more than a heading, whatever path it says.
"""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import IO

from pipeline.domain import Failure, Reason
from pipeline.extraction.forms import BROKEN_ZIP
from pipeline.extraction.values import Bounds, Reader, Text, plain_line, together

MOST_FILES = 1_000
_OF_MACS = "__MACOSX/"  # what macOS puts beside each file: its attributes
_BROKEN = (tarfile.TarError, *BROKEN_ZIP)


@dataclass(frozen=True, slots=True)
class _Member:
    """A file in an archive; `open` is None where it needs a password."""

    name: str
    open: Callable[[], IO[bytes] | None] | None


def read_archive(content: bytes, form: str, bounds: Bounds, read: Reader) -> Text | Failure:
    """Folders, links and devices are passed over; a file that cannot be read is named, and why."""
    try:
        if form == "zip":
            with zipfile.ZipFile(io.BytesIO(content)) as packed:
                return _joined(form, _in_zip(packed), bounds, read)
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as rolled:
            return _joined(form, _in_tar(rolled), bounds, read)
    except _BROKEN:
        return Failure(Reason.DAMAGED, f"{form} that cannot be opened: it was cut short or is damaged")


def _in_zip(packed: zipfile.ZipFile) -> list[_Member]:
    entries = [
        one
        for one in packed.infolist()
        if not one.is_dir() and not stat.S_ISLNK(one.external_attr >> 16) and not one.filename.startswith(_OF_MACS)
    ]
    return [_Member(one.filename, None if one.flag_bits & 1 else partial(packed.open, one)) for one in entries]


def _in_tar(packed: tarfile.TarFile) -> list[_Member]:
    found: list[_Member] = []
    for one in packed:
        if one.isfile():
            found.append(_Member(one.name, partial(packed.extractfile, one)))
        if len(packed.getmembers()) > 100 * MOST_FILES:
            raise tarfile.ReadError("too many entries")
    return found


def _joined(form: str, members: list[_Member], bounds: Bounds, read: Reader) -> Text | Failure:
    if len(members) > MOST_FILES:
        return Failure(Reason.UNSUPPORTED, f"{form} of {len(members)} files; more than {MOST_FILES} are not read")
    parts, left = list[tuple[str, Text | Failure]](), bounds
    for number, member in enumerate(sorted(members, key=lambda one: one.name), start=1):
        name = plain_line(member.name) or f"file {number}"
        content = _content(member, left.unpacked_bytes)
        if content is None:
            return Failure(Reason.TOO_LARGE, f"{form} that unpacks to more than {bounds.unpacked_bytes} bytes")
        found = content if isinstance(content, Failure) else read(content, member.name, left)
        left = left if isinstance(content, Failure) else left.less(len(content))
        parts.append((name, found))
    return _text(form, parts)


def _content(member: _Member, most_bytes: int) -> bytes | Failure | None:
    """The bytes of a file; None for more than may be held. What the archive says of its size is not believed."""
    if member.open is None:
        return Failure(Reason.ENCRYPTED, "opens with a password only")
    try:
        with member.open() or io.BytesIO() as opened:
            content = opened.read(most_bytes + 1)
    except _BROKEN:
        return Failure(Reason.DAMAGED, "cannot be unpacked: it was cut short or is damaged")
    return content if len(content) <= most_bytes else None


def _text(form: str, parts: list[tuple[str, Text | Failure]]) -> Text | Failure:
    texts = [found for _, found in parts if isinstance(found, Text)]
    failures = [found for _, found in parts if isinstance(found, Failure)]
    files = f"{form} of {len(parts)} {'file' if len(parts) == 1 else 'files'}"
    if not parts:
        return Failure(Reason.EMPTY, files)
    if not texts:
        reasons = {one.reason for one in failures}
        reason = reasons.pop() if len(reasons) == 1 else Reason.UNSUPPORTED
        return Failure(reason, f"{files}, none of which gave a text; the first: {failures[0].detail}")
    content = "\n\n".join(
        f"# {name}\n\n" + (found.content.strip() if isinstance(found, Text) else f"(not read: {found.detail})")
        for name, found in parts
    )
    return Text(content, None, form, **together(found for _, found in parts))

"""PDF -> Markdown of the pages that have text, and what is recognised in those that are pictures, in their order."""

from __future__ import annotations

import io
import math
import re
from datetime import datetime
from itertools import groupby, islice
from typing import Any, cast

import pypdfium2  # type: ignore[import-untyped]  # it ships no types

from pipeline.domain import Failure, Reason
from pipeline.extraction.office import markdown
from pipeline.extraction.recognising import DOTS_PER_INCH, MOST_PIXELS, installed, recognise
from pipeline.extraction.values import Text, moment, plain_line

# FPDF_GetLastError after an unsuccessful FPDF_LoadMemDocument (fpdfview.h).
_PASSWORD, _SECURITY = 4, 5
_LETTER = re.compile(r"[^\W_]")  # fonts that do not say what their glyphs mean give control characters
_POINTS_PER_INCH = 72
_TEXT = pypdfium2.raw.FPDF_PAGEOBJ_TEXT
_MOST_LOOKED_AT = 50  # things on a page; a text among the first is the rule
_LONGEST = 30_000  # pixels of a side that Tesseract takes


def read_pdf(content: bytes) -> Text | Failure:
    """As Markdown where the pages can be laid out; else the bare text of the pages that have some."""
    try:
        with pypdfium2.PdfDocument(content) as document:
            about = _about(document)
            pictures = [number for number in range(len(document)) if _is_picture(document[number])]
            if pictures and installed() is not None:
                return _with_pictures(document, set(pictures), about)
            found = _typed(document, content)
    except pypdfium2.PdfiumError as error:
        return _not_opened(error)
    if isinstance(found, Failure):
        return found
    return Text(found, None, "pdf", **cast("Any", about), unread_parts=len(pictures))


def _typed(document: pypdfium2.PdfDocument, content: bytes) -> str | Failure:
    """The text of the pages that have some."""
    found = markdown(content, "pdf")
    if isinstance(found, Failure):
        bare = _bare(document)
        return bare if _LETTER.search(bare) else _without_text(len(document), found)
    if not _LETTER.search(found):
        return _without_text(len(document), Failure(Reason.DAMAGED, "glyphs without a meaning"))
    return found


def _with_pictures(document: pypdfium2.PdfDocument, pictures: set[int], about: dict[str, Any]) -> Text | Failure:
    """Pages without text go through recognition, those between them are read as a PDF of their own."""
    parts, recognised = list[str](), 0
    for is_picture, group in groupby(range(len(document)), pictures.__contains__):
        if is_picture:
            seen = [text for text in map(_recognised, (document[number] for number in group)) if _LETTER.search(text)]
            recognised += len(seen)
            parts += seen
        else:
            with pypdfium2.PdfDocument.new() as some:
                some.import_pages(document, list(group))
                sink = io.BytesIO()
                some.save(sink)
                found = _typed(some, sink.getvalue())
            parts += [] if isinstance(found, Failure) else [found.strip()]
    if not parts:
        return Failure(Reason.NO_TEXT, f"pdf of {_pages(len(document))} in which no text was recognised")
    counts: dict[str, Any] = {"recognised_pages": recognised, "unread_parts": len(pictures) - recognised}
    return Text("\n\n".join(parts), None, "pdf", **about, **counts)


def _is_picture(page: pypdfium2.PdfPage) -> bool:
    """Whether something is drawn on the page, and nothing of it is text."""
    kinds = {drawn.type for drawn in islice(page.get_objects(), _MOST_LOOKED_AT)}
    return bool(kinds) and _TEXT not in kinds and not page.get_textpage().count_chars()


def _recognised(page: pypdfium2.PdfPage) -> str:
    width, height = (max(1.0, side) for side in page.get_size())
    most = min(math.sqrt(MOST_PIXELS / (width * height)), _LONGEST / max(width, height))
    drawn = page.render(scale=min(DOTS_PER_INCH / _POINTS_PER_INCH, most), grayscale=True)
    try:
        return recognise(bytes(drawn.buffer), drawn.width, drawn.height, drawn.stride)
    finally:
        drawn.close()


def _about(document: pypdfium2.PdfDocument) -> dict[str, str | datetime | int | None]:
    told = document.get_metadata_dict()
    return {
        "title": plain_line(told.get("Title")),
        "author": plain_line(told.get("Author")),
        "created": moment(told.get("CreationDate")),
        "pages": len(document),
    }


def _bare(document: pypdfium2.PdfDocument) -> str:
    texts = (document[number].get_textpage().get_text_bounded() for number in range(len(document)))
    return "\n\n".join(text.replace("\r\n", "\n") for text in texts if text.strip())


def _without_text(pages: int, found: Failure) -> Failure:
    if found.reason is not Reason.DAMAGED:
        return found
    return Failure(Reason.NO_TEXT, f"pdf of {_pages(pages)} without text, as scans are")


def _pages(count: int) -> str:
    return f"{count} {'page' if count == 1 else 'pages'}"


def _not_opened(error: pypdfium2.PdfiumError) -> Failure:
    if getattr(error, "err_code", None) in (_PASSWORD, _SECURITY):
        return Failure(Reason.ENCRYPTED, "pdf that opens with a password only")
    return Failure(Reason.DAMAGED, "pdf that cannot be opened: cut short, or not what its first bytes say")

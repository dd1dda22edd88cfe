"""PDF, Office, OpenDocument, RTF and EPUB -> Markdown."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any, cast

import anydoc
import pypdfium2  # type: ignore[import-untyped]  # it ships no types

from pipeline.domain import Failure, Reason
from pipeline.extraction.packages import about_package
from pipeline.extraction.values import Text, moment, plain_line

# FPDF_GetLastError after an unsuccessful FPDF_LoadMemDocument (fpdfview.h).
_PASSWORD, _SECURITY = 4, 5
_LETTER = re.compile(r"[^\W_]")  # fonts that do not say what their glyphs mean give control characters
About = dict[str, str | datetime | int | None]


def read_office(content: bytes, form: str) -> Text | Failure:
    """Headings and tables as Markdown, in the order of reading; footnotes behind the text."""
    found = _markdown(content, form)
    if isinstance(found, Failure):
        return found
    return _text(found, form, about_package(content) if content.startswith(b"PK") else {})


def read_pdf(content: bytes) -> Text | Failure:
    """As Markdown where the pages can be laid out; else the bare text of the pages that have some."""
    try:
        with pypdfium2.PdfDocument(content) as document:
            about = _about_pdf(document)
            found = _markdown(content, "pdf")
            if isinstance(found, Failure):
                bare = _bare(document)
                found = bare if _LETTER.search(bare) else _without_text(len(document), found)
            elif not _LETTER.search(found):
                found = _without_text(len(document), Failure(Reason.DAMAGED, "glyphs without a meaning"))
    except pypdfium2.PdfiumError as error:
        return _not_opened(error)
    return found if isinstance(found, Failure) else _text(found, "pdf", about)


def _markdown(content: bytes, form: str) -> str | Failure:
    try:
        return anydoc.to_markdown_bytes(content, cast("Any", form))
    except anydoc.EncryptedError:
        return Failure(Reason.ENCRYPTED, f"{form} that opens with a password only")
    except anydoc.ResourceLimitError as error:
        return Failure(Reason.EXCEEDED, f"{form} that unpacks to more than its reader allows ({error.limit})")
    except anydoc.ConvertError as error:
        return Failure(Reason.DAMAGED, f"{form} that cannot be read: {type(error).__name__}")


def _text(content: str, form: str, about: About) -> Text | Failure:
    if not content.strip():
        return Failure(Reason.EMPTY, f"{form} without text")
    return Text(content, None, form, **cast("Any", about))


def _about_pdf(document: pypdfium2.PdfDocument) -> About:
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
    return Failure(Reason.NO_TEXT, f"pdf of {pages} {'page' if pages == 1 else 'pages'} without text, as scans are")


def _not_opened(error: pypdfium2.PdfiumError) -> Failure:
    if getattr(error, "err_code", None) in (_PASSWORD, _SECURITY):
        return Failure(Reason.ENCRYPTED, "pdf that opens with a password only")
    return Failure(Reason.DAMAGED, "pdf that cannot be opened: cut short, or not what its first bytes say")

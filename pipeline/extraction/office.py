"""Office, OpenDocument, RTF and EPUB -> Markdown."""

from __future__ import annotations

from datetime import datetime
from typing import Any, cast

import anydoc

from pipeline.domain import Failure, Reason
from pipeline.extraction.packages import about_package
from pipeline.extraction.values import Text

About = dict[str, str | datetime | int | None]


def read_office(content: bytes, form: str) -> Text | Failure:
    """Headings and tables as Markdown, in the order of reading; footnotes behind the text."""
    found = markdown(content, form)
    if isinstance(found, Failure):
        return found
    return _text(found, form, about_package(content) if content.startswith(b"PK") else {})


def markdown(content: bytes, form: str) -> str | Failure:
    try:
        return anydoc.to_markdown_bytes(content, cast("Any", form))
    except anydoc.EncryptedError:
        return Failure(Reason.ENCRYPTED, f"{form} that opens with a password only")
    except anydoc.ResourceLimitError as error:
        return Failure(Reason.EXCEEDED, f"{form} that unpacks to more than its reader allows ({error.limit})")
    except anydoc.ConvertError:
        return Failure(Reason.DAMAGED, f"{form} that cannot be read: it was cut short or is damaged")


def _text(content: str, form: str, about: About) -> Text | Failure:
    if not content.strip():
        return Failure(Reason.EMPTY, f"{form} without text")
    return Text(content, None, form, **cast("Any", about))

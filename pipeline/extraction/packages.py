"""What Office, OpenDocument and EPUB files say about themselves: title, author, created, slides."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from datetime import datetime
from xml.etree import ElementTree

from pipeline.extraction.forms import BROKEN_ZIP
from pipeline.extraction.values import moment, plain_line

_MOST_BYTES = 1_000_000
_PLACES = re.compile(r"docProps/core\.xml|docProps/app\.xml|meta\.xml|(?:[^/]+/)*[^/]+\.opf")
_TITLE, _AUTHOR = ("title",), ("initial-creator", "creator")
_CREATED = ("created", "creation-date", "date")
_PAGES = ("Pages", "Slides")


def about_package(content: bytes) -> dict[str, str | datetime | int | None]:
    """The fields of Text that a ZIP-based document fills; those that it does not say are left out."""
    told: dict[str, str] = {}
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            for name in filter(_PLACES.fullmatch, packed.namelist()):
                with packed.open(name) as member:
                    for key, value in _elements(member.read(_MOST_BYTES)):
                        told.setdefault(key, value)
    except BROKEN_ZIP:
        return {}  # what a document says about itself is not worth losing its text for
    pages = _first(told, _PAGES)
    found = {
        "title": plain_line(_first(told, _TITLE)),
        "author": plain_line(_first(told, _AUTHOR)),
        "created": moment(_first(told, _CREATED)),
        "pages": int(pages) if pages and re.fullmatch(r"[1-9]\d{0,6}", pages) else None,
    }
    return {name: value for name, value in found.items() if value is not None}


def _elements(xml: bytes) -> Iterator[tuple[str, str]]:
    """Names without their spaces, and texts. A DOCTYPE is not read: no entity, no file, no expansion."""
    if b"<!DOCTYPE" in xml or b"<!ENTITY" in xml:
        return
    try:
        root = ElementTree.fromstring(xml)  # noqa: S314 - without a DOCTYPE there is nothing to expand
    except ElementTree.ParseError:
        return
    for element in root.iter():
        if element.text and element.text.strip():
            name = element.tag.rpartition("}")[2] if isinstance(element.tag, str) else ""
            if name == "statistic":
                continue
            yield name, element.text.strip()
        pages = next((value for key, value in element.attrib.items() if key.endswith("}page-count")), None)
        if pages:
            yield "Pages", pages


def _first(told: dict[str, str], names: tuple[str, ...]) -> str | None:
    return next((told[name] for name in names if name in told), None)

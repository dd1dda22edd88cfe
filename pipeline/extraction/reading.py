"""Any bytes -> text or why not: what is text at once, everything else by the reader of its form."""

from __future__ import annotations

from pipeline.domain import Failure, Reason
from pipeline.extraction import plain
from pipeline.extraction.forms import BROKEN_ZIP, OFFICE, PACKED, compound_form, signed_form, zipped_form
from pipeline.extraction.values import Bounds, Text, by_the_rule

MOST_INSIDE = 3  # documents within one another: a message in an archive's message


def extract(content: bytes, name: str, bounds: Bounds | None = None) -> Text | Failure:
    """The text of a document, or why there is none. `name` (the uri) only breaks ties between forms of text.

    Everything happens here and now; only a process that may be killed should read what `read_plain` does not.
    """
    return by_the_rule(_extract(content, name, bounds or Bounds(), 0))


def read_plain(content: bytes, name: str) -> Text | Failure | None:
    """The text of what is text, Markdown or a page of usual depth, or why there is none; None for anything else."""
    found = _plain(content, name)
    return found and by_the_rule(found)


def _plain(content: bytes, name: str) -> Text | Failure | None:
    if not content.strip():
        return Failure(Reason.EMPTY, f"{len(content)} bytes, nothing but white space" if content else "0 bytes")
    if signed_form(content, plain.suffix(name)):
        return None
    return plain.read(content, name, plain.MOST_SHALLOW)


def _extract(content: bytes, name: str, bounds: Bounds, inside: int) -> Text | Failure:
    found = _plain(content, name)
    if found is not None:
        return found
    form = signed_form(content, plain.suffix(name))
    try:
        form = zipped_form(content) if form == "zip" else compound_form(content) if form == "compound" else form
    except BROKEN_ZIP:
        return Failure(Reason.DAMAGED, "ZIP or Office file that cannot be opened: it was cut short or is damaged")
    if form is None:
        return plain.read(content, name, plain.MOST_NESTED) or _too_deep()
    return _read(content, name, form, bounds, inside)


def _read(content: bytes, name: str, form: str, bounds: Bounds, inside: int) -> Text | Failure:
    from pipeline.extraction import (
        archives,
        mail,
        office,
        packed,
        pages,
        recognising,
    )  # what is text needs no native parser loaded

    def within(content: bytes, name: str, bounds: Bounds) -> Text | Failure:
        if inside == MOST_INSIDE:
            return Failure(Reason.UNSUPPORTED, f"more than {MOST_INSIDE} documents within one another")
        return by_the_rule(_extract(content, name, bounds, inside + 1))

    readers = {"pdf": lambda: pages.read_pdf(content)}
    readers |= dict.fromkeys(OFFICE, lambda: office.read_office(content, form))
    readers |= dict.fromkeys(recognising.PICTURES, lambda: recognising.read_picture(content, form))
    readers |= {
        "eml": lambda: mail.read_eml(content, bounds, within),
        "msg": lambda: mail.read_msg(content, bounds, within),
    }
    readers |= dict.fromkeys(("zip", "tar"), lambda: archives.read_archive(content, form, bounds, within))
    if form in readers:
        return readers[form]()
    if form in PACKED:
        found = packed.unpacked(content, form, bounds.unpacked_bytes)
        if isinstance(found, Failure):
            return found
        return within(found, name.removesuffix(f".{form}"), bounds.less(len(found)))
    if form == "encrypted":
        return Failure(Reason.ENCRYPTED, "Office file that opens with a password only")
    return Failure(Reason.UNSUPPORTED, f"{_NAMES.get(form, form)}, which is not read")


def _too_deep() -> Failure:
    return Failure(Reason.UNSUPPORTED, f"elements nested more than {plain.MOST_NESTED} deep")


_NAMES = {"compound": "a compound file of an unknown kind", "xls": "an Excel workbook of before 2007 (xls)"}

"""Writes documents that break parsers: bombs, entities, loops and nests, each in a few kilobytes."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

from tests.extraction import office, outlook, single
from tests.extraction.stories import STORIES

STORY = STORIES["en"]
LAUGHS = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 12))
LAUGHING = f'<!DOCTYPE x [<!ENTITY a0 "lol">{LAUGHS}]>'.encode()
PEEPING = b'<!DOCTYPE x [<!ENTITY a11 SYSTEM "file:///etc/passwd">]>'


def changed(content: bytes, name: str, change: Callable[[bytes], bytes]) -> bytes:
    """The package with one of its parts changed."""
    with zipfile.ZipFile(io.BytesIO(content)) as packed:
        parts = {one: packed.read(one) for one in packed.namelist()}
    return office.zipped(parts | {name: change(parts[name])})


def with_entity(doctype: bytes) -> bytes:
    """A text document whose first heading names an entity of the document type, and so does its title."""

    def part(xml: bytes) -> bytes:
        start = xml.index(b"?>") + 2
        return (
            (xml[:start] + doctype + xml[start:])
            .replace(b">Report", b">&a11;Report")
            .replace(b">What h", b">&a11;What h")
        )

    return changed(changed(office.docx(STORY), "word/document.xml", part), "docProps/core.xml", part)


def swollen_docx(size_bytes: int) -> bytes:
    run = b"<w:p><w:r><w:t>" + b"A" * size_bytes + b"</w:t></w:r></w:p></w:body>"
    return changed(office.docx(STORY), "word/document.xml", lambda xml: xml.replace(b"</w:body>", run))


def deep_docx(depth: int) -> bytes:
    nested = b"<w:body>" + b"<w:sdt><w:sdtContent>" * depth + b"</w:sdtContent></w:sdt>" * depth
    return changed(office.docx(STORY), "word/document.xml", lambda xml: xml.replace(b"<w:body>", nested))


def repeating_odt() -> bytes:
    """A cell that stands in a million rows of sixteen thousand columns."""
    row, cell = b"<table:table-row", b'<table:table-cell office:value-type="string"'
    many = (row + b' table:number-rows-repeated="1000000"', cell + b' table:number-columns-repeated="16000"')
    return changed(
        office.odt(STORY),
        "content.xml",
        lambda xml: xml.replace(row + b">", many[0] + b">").replace(cell + b">", many[1] + b">"),
    )


def far_xlsx() -> bytes:
    """A workbook whose last cell is the last that there may be."""
    last = b'<row r="1048576"><c r="XFD1048576"><v>1</v></c></row></sheetData>'
    return changed(office.xlsx(STORY), "xl/worksheets/sheet1.xml", lambda xml: xml.replace(b"</sheetData>", last))


def climbing_epub() -> bytes:
    """A book whose first chapter lies outside it."""
    return changed(
        office.epub(STORY),
        "OEBPS/book.opf",
        lambda xml: xml.replace(b'href="z.xhtml"', b'href="../../../../../etc/passwd"'),
    )


def looping_pdf() -> bytes:
    return single.pdf([["looping"]], compress=False).replace(b"/Kids [7 0 R]", b"/Kids [2 0 R]")


def swollen_pdf(size_bytes: int) -> bytes:
    """One page, whose content was compressed twice."""
    content = zlib.compress(zlib.compress(bytes(size_bytes)))
    how = f"<< /Filter [/FlateDecode /FlateDecode] /Length {len(content)} >>\nstream\n".encode()
    return single.one_page_pdf(how + content + b"\nendstream")


def slow_pdf(lines: int) -> bytes:
    """One page with so many pieces of text, all in one place."""
    content = zlib.compress(b"BT /F 12 Tf 50 780 Td " + b"(x) Tj T* " * lines + b"ET")
    how = f"<< /Filter /FlateDecode /Length {len(content)} >>\nstream\n".encode()
    return single.one_page_pdf(how + content + b"\nendstream")


def nested_mail(depth: int) -> bytes:
    message = single.eml(STORY)
    for number in range(depth):
        message = single.eml(STORY, (f"{number}.eml", message))
    return message


def looping_msg() -> bytes:
    """An Outlook message whose table of sectors says the same of all."""
    whole = outlook.msg(STORY)
    return whole[:76] + bytes(436) + whole[512:]


def locked_zip() -> bytes:
    """Its only file says that it needs a password."""
    whole = bytearray(office.zipped({"a": "locked"}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        whole[whole.index(mark) + offset] |= 1
    return bytes(whole)


def bomb_zip(size_bytes: int) -> bytes:
    return office.zipped({"a.txt": "a" * size_bytes})


def overlapping_zip(files: int) -> bytes:
    """Every entry of its directory is the same megabyte."""
    whole = bomb_zip(1_000_000)
    start, end = whole.index(b"PK\x01\x02"), whole.index(b"PK\x05\x06")
    entries = whole[start:end] * files
    counts = struct.pack("<HHII", files, files, len(entries), start)
    return whole[:start] + entries + whole[end : end + 8] + counts + bytes(2)


def nested_zip(depth: int) -> bytes:
    packed = office.zipped({"a.txt": "What it costs"})
    for number in range(depth):
        packed = office.zipped({f"{number}.zip": packed, "b.txt": "What it costs"})
    return packed

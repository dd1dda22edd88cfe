"""Other extraction libraries, each as its documentation says to get the text of a document with what it keeps."""

from __future__ import annotations

import email
import email.policy
import io
from typing import Any

from benchmarks.format_files import Made

# Each reads one document. Libraries are imported where they are used: a process measures one of them.
_TYPES = {
    "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "odt": "application/vnd.oasis.opendocument.text",
    "ods": "application/vnd.oasis.opendocument.spreadsheet",
    "rtf": "application/rtf",
    "epub": "application/epub+zip",
    "html": "text/html",
    "eml": "message/rfc822",
    "msg": "application/vnd.ms-outlook",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "json": "application/json",
}


def _ending(made: Made) -> str:
    return made.name.rpartition(".")[2]


def kreuzberg(made: Made, **options: Any) -> str:
    from kreuzberg import ExtractionConfig, extract_bytes_sync

    config = ExtractionConfig(use_cache=False, **options)
    return extract_bytes_sync(made.content, _TYPES[_ending(made)], config).content


def kreuzberg_to_markdown(made: Made) -> str:
    return kreuzberg(made, output_format="markdown")


_MARKITDOWN: list[Any] = []  # it loads a model for telling files apart, once


def markitdown(made: Made) -> str:
    from markitdown import MarkItDown, StreamInfo

    if not _MARKITDOWN:
        _MARKITDOWN.append(MarkItDown(enable_plugins=False))
    told = StreamInfo(extension="." + _ending(made), filename=made.name)
    return str(_MARKITDOWN[0].convert_stream(io.BytesIO(made.content), stream_info=told).text_content)


def pypdf(made: Made) -> str:
    from pypdf import PdfReader

    return "\n".join(page.extract_text() for page in PdfReader(io.BytesIO(made.content)).pages)


def pypdfium2(made: Made) -> str:
    from pypdfium2 import PdfDocument

    with PdfDocument(made.content) as document:
        return "\n".join(page.get_textpage().get_text_bounded() for page in document)


def python_docx(made: Made) -> str:
    from docx import Document
    from docx.table import Table

    parts = Document(io.BytesIO(made.content)).iter_inner_content()
    return "\n".join(_cells(part) if isinstance(part, Table) else part.text for part in parts)


def mammoth(made: Made) -> str:
    from mammoth import convert_to_markdown

    return str(convert_to_markdown(io.BytesIO(made.content)).value)


def python_pptx(made: Made) -> str:
    from pptx import Presentation

    shapes = [shape for slide in Presentation(io.BytesIO(made.content)).slides for shape in slide.shapes]
    return "\n".join(_cells(one.table) if one.has_table else one.text_frame.text for one in shapes)


def _cells(table: Any) -> str:
    return "\n".join("\t".join(cell.text for cell in row.cells) for row in table.rows)


def openpyxl(made: Made) -> str:
    from openpyxl import load_workbook

    sheets = load_workbook(io.BytesIO(made.content), read_only=True, data_only=True).worksheets
    return "\n".join("\t".join(str(cell or "") for cell in row) for sheet in sheets for row in sheet.values)


def python_calamine(made: Made) -> str:
    from python_calamine import CalamineWorkbook

    book = CalamineWorkbook.from_filelike(io.BytesIO(made.content))
    rows = (row for name in book.sheet_names for row in book.get_sheet_by_name(name).iter_rows())
    return "\n".join("\t".join(map(str, row)) for row in rows)


def odfpy(made: Made) -> str:
    from odf import teletype
    from odf.opendocument import load
    from odf.text import H, P

    body = load(io.BytesIO(made.content)).body
    wanted = {H(outlinelevel=1).qname, P().qname}
    found: list[str] = []

    def walk(node: Any) -> None:
        if getattr(node, "qname", None) in wanted:
            found.append(teletype.extractText(node))
            return
        for child in node.childNodes:
            walk(child)

    walk(body)
    return "\n".join(found)


def striprtf(made: Made) -> str:
    from striprtf.striprtf import rtf_to_text

    return str(rtf_to_text(made.content.decode("ascii")))


def trafilatura(made: Made) -> str:
    from trafilatura import extract

    return extract(made.content, output_format="markdown", include_tables=True) or ""


def html2text(made: Made) -> str:
    from html2text import HTML2Text

    return str(HTML2Text(bodywidth=0).handle(made.content.decode()))


def pythons_email(made: Made) -> str:
    message = email.message_from_bytes(made.content, policy=email.policy.default)
    body = message.get_body(("plain", "html"))
    return str(body.get_content()) if body else ""


def python_oxmsg(made: Made) -> str:
    from oxmsg import Message

    return Message.load(io.BytesIO(made.content)).body or ""


def charset_normalizer(made: Made) -> str:
    from charset_normalizer import from_bytes

    return str(from_bytes(made.content).best() or "")


def pythons_json(made: Made) -> str:
    import json

    return json.dumps(json.loads(made.content), ensure_ascii=False, indent=1)


def pythons_csv(made: Made) -> str:
    import csv

    return "\n".join("\t".join(row) for row in csv.reader(io.StringIO(made.content.decode(), newline="")))

"""Writes scans: pages that were drawn, and hold pictures of their text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import cache

import pypdfium2  # type: ignore[import-untyped]  # it ships no types
from PIL import Image

from tests.extraction import single


@cache
def picture(lines: tuple[str, ...], dots_per_inch: int = 300) -> Image.Image:
    """The lines, in Western letters, as a scanner sees them."""
    texts = (line.encode("cp1252").replace(b"(", b"\\(").replace(b")", b"\\)") for line in lines)
    content = b"BT /F 14 Tf 22 TL 60 760 Td " + b" ".join(b"(" + text + b") Tj T*" for text in texts) + b" ET"
    stream = f"<< /Length {len(content)} >>\nstream\n".encode() + content + b"\nendstream"
    with pypdfium2.PdfDocument(single.one_page_pdf(stream)) as document:
        drawn: Image.Image = document[0].render(scale=dots_per_inch / 72, grayscale=True).to_pil()
        return drawn.copy()


def as_file(form: str, *pages: Sequence[str]) -> bytes:
    """A PNG, JPEG, TIFF or PDF of the pages; a PDF holds pictures only."""
    sink = io.BytesIO()
    first, *others = (picture(tuple(page)).copy() for page in pages)  # what saves one leaves marks on it
    how = {"compression": "tiff_lzw"} if form == "tiff" else {}
    more = {"save_all": True, "append_images": others} if others else {}
    first.save(sink, form, **how, **more)
    return sink.getvalue()


def mixed_pdf(*pages: tuple[str, Sequence[str]]) -> bytes:
    """Pages that are `typed` or `scanned`, in this order."""
    with pypdfium2.PdfDocument.new() as whole:
        for kind, lines in pages:
            content = single.pdf([lines]) if kind == "typed" else as_file("pdf", lines)
            with pypdfium2.PdfDocument(content) as page:
                whole.import_pages(page)
        sink = io.BytesIO()
        whole.save(sink)
        return sink.getvalue()

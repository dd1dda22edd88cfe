"""Which function writes a story in which format; for tests and benchmarks alike."""

from __future__ import annotations

from collections.abc import Callable

from tests.extraction import office, outlook, single
from tests.extraction.stories import Story

DOCUMENTS: dict[str, Callable[[Story], bytes]] = {
    "docx": office.docx,
    "pptx": office.pptx,
    "xlsx": office.xlsx,
    "odt": office.odt,
    "ods": office.ods,
    "odp": office.odp,
    "rtf": single.rtf,
    "epub": office.epub,
    "html": single.page,
    "eml": single.eml,
    "msg": outlook.msg,
}

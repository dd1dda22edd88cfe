"""Writes the sample documents that are neither text nor a page, where they lie: `python -m tests.sample_documents`."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import sys
import tarfile
import textwrap
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import zstandard

from tests import sample_stories as told
from tests.extraction import office, outlook, scans, single
from tests.extraction.stories import Story

DOCUMENTS = Path(__file__).resolve().parents[1] / "sample_data" / "documents"
SCAN = "hostile/scanned-letter.pdf"
_ACROSS, _DOWN, _TOP, _LETTERS = (60, 250, 430), 15, 770, 88


def letter_pdf(story: Story) -> bytes:
    """A page in Western letters, with the table of the story in columns below its text."""
    lines = [story.title, "", *_wrapped(story.first), "", *_wrapped(story.second), "", *story.items, ""]
    rows = [*((line,) for line in lines), *story.table]
    drawn = b"\n".join(
        f"BT /F 11 Tf 1 0 0 1 {across} {_TOP - _DOWN * down} Tm ({_escaped(text)}) Tj ET".encode("cp1252")
        for down, row in enumerate(rows)
        for across, text in zip(_ACROSS, row, strict=False)
    )
    return single.one_page_pdf(f"<< /Length {len(drawn)} >>\nstream\n".encode() + drawn + b"\nendstream")


def _wrapped(section: tuple[str, str]) -> list[str]:
    return [section[0], *textwrap.wrap(section[1], _LETTERS)]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("(", "\\(").replace(")", "\\)")


def scan(lines: Sequence[str]) -> bytes:
    """A page that is a picture of the lines, in black and white."""
    picture = scans.picture(tuple(lines), 150).point(lambda grey: 255 * (grey > 160)).convert("1")
    pixels = zlib.compress(picture.tobytes(), 9)
    about = f"/Width {picture.width} /Height {picture.height} /BitsPerComponent 1"
    return single.scanned_pdf(picture=f"{about} /Filter /FlateDecode", pixels=pixels)


def tarred(files: Mapping[str, str]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as packed:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            packed.addfile(entry, io.BytesIO(text.encode()))
    return sink.getvalue()


WRITTEN: dict[str, Callable[[], bytes]] = {
    "accounts/energy-costs-fr.ods": lambda: office.ods(told.ENERGY),
    "accounts/open-invoices-de.xlsx": lambda: office.xlsx(told.INVOICES, sheet="Februar"),
    "accounts/orders-en.csv.gz": lambda: gzip.compress(told.ORDERS.encode(), mtime=0),
    "accounts/roof-offer-it.pdf": lambda: letter_pdf(told.OFFER),
    "accounts/stock-list-es.csv": told.STOCK.encode,
    "contracts/garage-tenancy-en.docx": lambda: office.docx(told.GARAGE, header="Brackwater Lettings"),
    "contracts/mooring-th.odt": lambda: office.odt(told.MOORING),
    "contracts/office-cleaning-de.pdf": lambda: letter_pdf(told.CLEANING),
    "hostile/cut-short.pdf": lambda: letter_pdf(told.OFFER)[:1500],
    "hostile/locked.pdf": single.locked_pdf,
    SCAN: lambda: scan(told.SCANNED_LETTER),
    "minutes/choir-committee-pt.rtf": lambda: single.rtf(told.CHOIR),
    "minutes/reading-room-hi.odp": lambda: office.odp(told.READING_ROOM),
    "minutes/water-board-es.tar": lambda: tarred({"acta.txt": told.WATER_BOARD, "turnos.md": told.WATER_TURNS}),
    "minutes/works-council-de.pptx": lambda: office.pptx(told.WORKS_COUNCIL, note="Zahlen vor der Pause nennen"),
    "news/garden-centre-fr.epub": lambda: office.epub(told.NEWSLETTER),
    "news/harbour-gazette-en.pdf": lambda: single.two_columns_pdf(*told.GAZETTE, compress=False),
    "reviews/cookery-course-th.html.bz2": lambda: bz2.compress(single.page(told.COURSE)),
    "reviews/guest-house-hi.txt.zst": lambda: zstandard.compress(told.GUEST_BOOK.encode()),
    "support/bicycle-tickets-pt.json": lambda: json.dumps(told.TICKETS, indent=1).encode(),
    "support/cold-flat-es.msg": lambda: outlook.msg(told.BOILER, ("temperaturas.csv", told.BOILER_READINGS.encode())),
    "support/damaged-parcel-fr.zip": lambda: office.zipped(
        {"lettre.txt": told.PARCEL_LETTER, "dommages.csv": told.PARCEL_DAMAGE}
    ),
    "support/tram-fine-it.eml": lambda: single.eml(told.TRAM, ("ricevuta.txt", told.TRAM_RECEIPT.encode())),
}


def main() -> int:
    for name, written in WRITTEN.items():
        path = DOCUMENTS / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(written())
        sys.stdout.write(f"{name} {path.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Writes PDF, RTF, mail, pages, CSV and JSON; equal stories give equal bytes."""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Sequence
from email.message import EmailMessage
from itertools import chain, repeat

from tests.extraction.stories import AUTHOR, CREATED, Story


def pdf(pages: Sequence[Sequence[str]], *, title: str = "", compress: bool = True, more: str = "") -> bytes:
    """A line of text below another on each page, in any script: the font is not there, but what its glyphs mean is."""
    letters = sorted({letter for page in pages for line in page for letter in line})
    glyphs = {letter: number for number, letter in enumerate(letters, start=1)}
    contents = [
        "BT /F 12 Tf 14 TL 50 780 Td "
        + " ".join(f"<{''.join(f'{glyphs[letter]:04x}' for letter in line)}> Tj T*" for line in page)
        + " ET"
        for page in pages
    ]
    mapped = "\n".join(f"<{number:04x}> <{letter.encode('utf-16-be').hex()}>" for letter, number in glyphs.items())
    meaning = (
        "/CIDInit /ProcSet findresource begin 12 dict begin begincmap /CMapName /M def /CMapType 2 def\n"
        "1 begincodespacerange <0000> <ffff> endcodespacerange\n"
        f"{len(glyphs)} beginbfchar\n{mapped}\nendbfchar\nendcmap end end"
    )
    count = len(pages)
    first = 7
    kids = " ".join(f"{first + 2 * n} 0 R" for n in range(count))
    objects: list[bytes] = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>".encode(),
        b"<< /Type /Font /Subtype /Type0 /BaseFont /None /Encoding /Identity-H "
        b"/DescendantFonts [4 0 R] /ToUnicode 6 0 R >>",
        b"<< /Type /Font /Subtype /CIDFontType2 /BaseFont /None "
        b"/CIDSystemInfo << /Registry (Adobe) /Ordering (Identity) "
        b"/Supplement 0 >> /FontDescriptor 5 0 R /DW 600 >>",
        b"<< /Type /FontDescriptor /FontName /None /Flags 4 /FontBBox [0 0 1000 1000] /ItalicAngle 0 /Ascent 800 "
        b"/Descent -200 /CapHeight 700 /StemV 80 >>",
        _stream(meaning.encode(), compress),
    ]
    for number, content in enumerate(contents):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources << /Font << /F 3 0 R >> >> "
            f"/Contents {first + 2 * number + 1} 0 R >>".encode()
        )
        objects.append(_stream(content.encode(), compress))
    info = {"Title": title, "Author": AUTHOR if title else "", "CreationDate": "D:20260314092653Z" if title else ""}
    entries = " ".join(f"/{name} <feff{value.encode('utf-16-be').hex()}>" for name, value in info.items() if value)
    objects.append(f"<< {entries} >>".encode())
    return _file(objects, f"/Info {len(objects)} 0 R {more}")


def scanned_pdf(
    pages: int = 1, text: str = "", *, picture: str = "/Width 1 /Height 1 /BitsPerComponent 8", pixels: bytes = b"\x80"
) -> bytes:
    """Pages that hold a picture and no text; behind them one with a line of text, where there is some."""
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] "
    scan = page + b"/Contents 4 0 R /Resources << /XObject << /I 3 0 R >> >> >>"
    typed = page + b"/Contents 5 0 R /Resources << /Font << /F 6 0 R >> >> >>"
    listed = [scan] * pages + [typed] * bool(text)
    kids = " ".join(f"{7 + number} 0 R" for number in range(len(listed)))
    about = f"<< /Type /XObject /Subtype /Image {picture} /ColorSpace /DeviceGray /Length {len(pixels)} >>\nstream\n"
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(listed)} >>".encode(),
        about.encode() + pixels + b"\nendstream",
        _stream(b"q 595 0 0 842 0 0 cm /I Do Q", compress=False),
        _stream(f"BT /F 12 Tf 50 780 Td ({text}) Tj ET".encode(), compress=False),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    return _file(objects + listed, "")


def one_page_pdf(content: bytes) -> bytes:
    """A page with a stream as its content, in a font that every reader has."""
    page = b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R "
    page += b"/Resources << /Font << /F 5 0 R >> >> >>"
    pages = b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>"
    font = b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"
    return _file([b"<< /Type /Catalog /Pages 2 0 R >>", pages, page, content, font], "")


def two_columns_pdf(left: Sequence[str], right: Sequence[str], *, compress: bool = True) -> bytes:
    """A page in two columns, which is drawn line by line across both."""
    lines = [
        f"BT /F 10 Tf 1 0 0 1 {across} {770 - 14 * down} Tm ({text}) Tj ET"
        for down, pair in enumerate(zip(left, right, strict=True))
        for across, text in zip((50, 320), pair, strict=True)
    ]
    return one_page_pdf(_stream("\n".join(lines).encode(), compress))


def locked_pdf() -> bytes:
    """As if encrypted with a password that nobody has."""
    lock = f"/Encrypt << /Filter /Standard /V 2 /R 3 /Length 128 /P -3904 /O <{'5a' * 32}> /U <{'a5' * 32}> >>"
    return pdf([["locked"]], compress=False, more=f"{lock} /ID [<{'01' * 16}> <{'01' * 16}>]")


def _stream(content: bytes, compress: bool) -> bytes:
    packed = zlib.compress(content, 9) if compress else content
    how = "/Filter /FlateDecode " if compress else ""
    return f"<< {how}/Length {len(packed)} >>\nstream\n".encode() + packed + b"\nendstream"


def _file(objects: Sequence[bytes], trailer: str) -> bytes:
    sink = io.BytesIO()
    sink.write(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n")
    places = []
    for number, content in enumerate(objects, start=1):
        places.append(sink.tell())
        sink.write(f"{number} 0 obj\n".encode() + content + b"\nendobj\n")
    start = sink.tell()
    sink.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n".encode())
    sink.write(b"".join(f"{place:010d} 00000 n \n".encode() for place in places))
    sink.write(f"trailer\n<< /Size {len(objects) + 1} /Root 1 0 R {trailer} >>\nstartxref\n{start}\n%%EOF\n".encode())
    return sink.getvalue()


def story_pdf(story: Story) -> bytes:
    rows = ["   ".join(row) for row in story.table]
    return pdf([story.first, [*story.second, *story.items, *rows]], title=story.title)


def rtf(story: Story) -> bytes:
    def coded(text: str) -> str:
        units = [int.from_bytes(text.encode("utf-16-le")[at : at + 2], "little") for at in range(0, 2 * len(text), 2)]
        return "".join(chr(u) if 32 <= u < 127 else f"\\u{u - 65536 if u > 32767 else u}?" for u in units)

    def line(text: str, about: str = "") -> str:
        return f"\\pard{about} {coded(text)}\\par\n"

    edges = "".join(f"\\cellx{2000 * number}" for number in range(1, story.columns + 1))
    rows = "".join(
        f"\\trowd{edges} " + "".join(f"\\pard\\intbl {coded(cell)}\\cell " for cell in row) + "\\row\n"
        for row in story.table
    )
    body = "".join(map(line, (*story.first, *story.second, *story.items)))
    about = f"{{\\info{{\\title {coded(story.title)}}}"
    about += f"{{\\author {coded(story.author)}}}{{\\creatim\\yr2026\\mo3\\dy14\\hr9\\min26\\sec53}}}}"
    fonts = "{\\fonttbl{\\f0 Times New Roman;}}{\\stylesheet{\\s0 Normal;}}"
    return f"{{\\rtf1\\ansi\\ansicpg1252\\uc1\\deff0{fonts}{about}\n{body}{rows}}}".encode("ascii")


def eml(story: Story, *attached: tuple[str, bytes], html: bool = False) -> bytes:
    message = EmailMessage()
    message["From"] = f'"{story.author}" <{story.address}>'
    message["To"] = "council@example.org"
    message["Subject"] = story.title
    message["Date"] = "Sat, 14 Mar 2026 09:26:53 +0000"
    if html:
        message.set_content(page(story).decode(), subtype="html")
    else:
        message.set_content("\n\n".join(story.in_order))
    for name, content in attached:
        message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    if message.is_multipart():
        message.set_boundary("=== a boundary ===")
    return message.as_bytes()


def page(story: Story) -> bytes:
    rows = "".join(
        "<tr>" + "".join(f"<{tag}>{cell}</{tag}>" for cell in row) + "</tr>"
        for tag, row in zip(chain(["th"], repeat("td")), story.table, strict=False)
    )
    items = "".join(f"<li>{item}</li>" for item in story.items)
    return (
        f'<!DOCTYPE html><html lang="{story.language}"><head><meta charset="utf-8"><title>{story.title}</title>'
        f'<meta name="author" content="{story.author}"><meta name="date" content="{CREATED}"></head><body>'
        "<nav>Home | Shop | Imprint</nav>"
        f"<main><h1>{story.first[0]}</h1><p>{story.first[1]}</p><h2>{story.second[0]}</h2><p>{story.second[1]}</p>"
        f"<ul>{items}</ul><table>{rows}</table></main><footer>We set cookies</footer></body></html>"
    ).encode()


def as_csv(story: Story) -> bytes:
    sink = io.StringIO()
    csv.writer(sink).writerows([("text", "note"), *((line, "") for line in story.in_order[:6]), *story.table])
    return sink.getvalue().encode()


def as_json(story: Story) -> bytes:
    told = {
        "title": story.title,
        "first": story.first,
        "second": story.second,
        "items": story.items,
        "table": story.table,
    }
    return json.dumps(told).encode()  # letters beyond ASCII are escaped

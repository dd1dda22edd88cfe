"""Writes Office, OpenDocument and EPUB files, as small as they may be; equal stories give equal bytes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from string import ascii_uppercase
from xml.sax.saxutils import escape

from tests.extraction.stories import CREATED, Story

_DECLARED = '<?xml version="1.0" encoding="UTF-8"?>'
_RELATED = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"
_CORE = f"""<cp:coreProperties xmlns:cp="{_PACKAGE}/metadata/core-properties"
 xmlns:dc="http://purl.org/dc/elements/1.1/"
 xmlns:dcterms="http://purl.org/dc/terms/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
<dc:title>{{title}}</dc:title>
<dc:creator>{{author}}</dc:creator>
<dcterms:created xsi:type="dcterms:W3CDTF">{CREATED}</dcterms:created></cp:coreProperties>"""


def zipped(files: Mapping[str, str | bytes]) -> bytes:
    """A ZIP of the files; one called `mimetype` lies there first and as it is, as OpenDocument and EPUB want it."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in files.items():
            info = zipfile.ZipInfo(name, (2026, 3, 14, 9, 26, 52))
            info.compress_type = zipfile.ZIP_STORED if name == "mimetype" else zipfile.ZIP_DEFLATED
            packed.writestr(info, content)
    return sink.getvalue()


def _ooxml(story: Story, parts: Mapping[str, tuple[str, str]], main: str, related: Mapping[str, str]) -> bytes:
    """`parts` by name: content type and XML; `main` is the one that the package points to."""
    types = "".join(f'<Override PartName="/{name}" ContentType="{kind}"/>' for name, (kind, _) in parts.items())
    files = {
        "[Content_Types].xml": f'{_DECLARED}<Types xmlns="{_PACKAGE}/content-types"><Default Extension="rels" '
        f'ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" '
        f'ContentType="application/xml"/><Override PartName="/docProps/core.xml" '
        f'ContentType="application/vnd.openxmlformats-package.core-properties+xml"/>{types}</Types>',
        "_rels/.rels": f'{_DECLARED}<Relationships xmlns="{_PACKAGE}/relationships">'
        f'<Relationship Id="r1" Type="{_RELATED}/officeDocument" Target="{main}"/><Relationship Id="r2" '
        f'Type="{_PACKAGE}/relationships/metadata/core-properties" Target="docProps/core.xml"/></Relationships>',
        "docProps/core.xml": _DECLARED + _CORE.format(title=escape(story.title), author=escape(story.author)),
    }
    files |= {name: _DECLARED + xml for name, (_, xml) in parts.items()}
    return zipped(files | related)


def _relationships(targets: Mapping[str, str]) -> str:
    """`targets`: kind of relationship -> the part, with ids r1, r2, …"""
    lines = (
        f'<Relationship Id="r{number}" Type="{_RELATED}/{kind.rstrip("0123456789")}" Target="{target}"/>'
        for number, (kind, target) in enumerate(targets.items(), start=1)
    )
    return f'{_DECLARED}<Relationships xmlns="{_PACKAGE}/relationships">{"".join(lines)}</Relationships>'


_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


def _w(text: str, style: str | None = None) -> str:
    about = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    half = len(text) // 2  # as Word does, a paragraph comes in pieces that begin anywhere
    runs = "".join(f'<w:r><w:t xml:space="preserve">{escape(part)}</w:t></w:r>' for part in (text[:half], text[half:]))
    return f"<w:p>{about}{runs}</w:p>"


def docx(story: Story, *, header: str = "", footnote: str = "") -> bytes:
    rows = "".join(
        "<w:tr>"
        + "".join(f'<w:tc><w:tcPr><w:tcW w:w="2000" w:type="dxa"/></w:tcPr>{_w(cell)}</w:tc>' for cell in row)
        + "</w:tr>"
        for row in story.table
    )
    note = '<w:p><w:r><w:t>see</w:t></w:r><w:r><w:footnoteReference w:id="2"/></w:r></w:p>' if footnote else ""
    grid = '<w:gridCol w:w="2000"/>' * story.columns
    body = (
        _w(story.title, "Title") + _w(story.first[0], "Heading1") + _w(story.first[1]) + note
        + _w(story.second[0], "Heading2") + _w(story.second[1])
        + "".join(_w(item, "ListBullet") for item in story.items)
        + f'<w:tbl><w:tblPr/><w:tblGrid>{grid}</w:tblGrid>{rows}</w:tbl><w:p/>'
    )  # fmt: skip
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{style}"><w:name w:val="{name}"/>{about}</w:style>'
        for style, name, about in (
            ("Title", "Title", ""),
            ("Heading1", "heading 1", '<w:pPr><w:outlineLvl w:val="0"/></w:pPr>'),
            ("Heading2", "heading 2", '<w:pPr><w:outlineLvl w:val="1"/></w:pPr>'),
            ("ListBullet", "List Bullet", '<w:pPr><w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr></w:pPr>'),
        )
    )
    numbering = (
        '<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:start w:val="1"/><w:numFmt w:val="bullet"/>'
        '<w:lvlText w:val="•"/></w:lvl></w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    )
    notes = f'<w:footnote w:id="2">{_w(footnote)}</w:footnote>' if footnote else ""
    parts = {
        "word/document.xml": (
            f"{_WORD}.document.main+xml",
            f'<w:document {_W} xmlns:r="{_RELATED}"><w:body>{body}<w:sectPr><w:headerReference w:type="default" '
            f'r:id="r4"/></w:sectPr></w:body></w:document>',
        ),
        "word/styles.xml": (f"{_WORD}.styles+xml", f"<w:styles {_W}>{styles}</w:styles>"),
        "word/numbering.xml": (f"{_WORD}.numbering+xml", f"<w:numbering {_W}>{numbering}</w:numbering>"),
        "word/footnotes.xml": (f"{_WORD}.footnotes+xml", f"<w:footnotes {_W}>{notes}</w:footnotes>"),
        "word/header1.xml": (f"{_WORD}.header+xml", f"<w:hdr {_W}>{_w(header)}</w:hdr>"),
    }
    related = {
        "styles": "styles.xml",
        "numbering": "numbering.xml",
        "footnotes": "footnotes.xml",
        "header": "header1.xml",
    }
    return _ooxml(story, parts, "word/document.xml", {"word/_rels/document.xml.rels": _relationships(related)})


_SHEET = "application/vnd.openxmlformats-officedocument.spreadsheetml"


def xlsx(story: Story, *, sheet: str = "Sheet one") -> bytes:
    """The sections of the story in the first column, its table below them, from a table of shared strings."""
    lines = [*((text,) for text in (*story.first, *story.second, *story.items)), *story.table]
    strings = list(dict.fromkeys(cell for row in lines for cell in row))
    rows = "".join(
        f'<row r="{at}">'
        + "".join(
            f'<c r="{ascii_uppercase[n]}{at}" t="s"><v>{strings.index(cell)}</v></c>' for n, cell in enumerate(row)
        )
        + "</row>"
        for at, row in enumerate(lines, start=1)
    )
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    last = f"{ascii_uppercase[max(map(len, lines)) - 1]}{len(lines)}"
    shared = "".join(f"<si><t>{escape(one)}</t></si>" for one in strings)
    parts = {
        "xl/workbook.xml": (
            f"{_SHEET}.sheet.main+xml",
            f'<workbook {main} xmlns:r="{_RELATED}"><sheets><sheet name="{escape(sheet)}" sheetId="1" r:id="r1"/>'
            f"</sheets></workbook>",
        ),
        "xl/worksheets/sheet1.xml": (
            f"{_SHEET}.worksheet+xml",
            f'<worksheet {main}><dimension ref="A1:{last}"/><sheetData>{rows}</sheetData></worksheet>',
        ),
        "xl/sharedStrings.xml": (f"{_SHEET}.sharedStrings+xml", f"<sst {main}>{shared}</sst>"),
    }
    related = {"worksheet": "worksheets/sheet1.xml", "sharedStrings": "sharedStrings.xml"}
    return _ooxml(story, parts, "xl/workbook.xml", {"xl/_rels/workbook.xml.rels": _relationships(related)})


_SLIDES = "application/vnd.openxmlformats-officedocument.presentationml"
_A = 'xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"'
_P = f'xmlns:p="http://schemas.openxmlformats.org/presentationml/2006/main" {_A} xmlns:r="{_RELATED}"'


def _a(text: str) -> str:
    return f"<a:p><a:r><a:t>{escape(text)}</a:t></a:r></a:p>"


def _shape(number: int, placeholder: str, texts: tuple[str, ...]) -> str:
    return (
        f'<p:sp><p:nvSpPr><p:cNvPr id="{number}" name="s{number}"/><p:cNvSpPr/><p:nvPr><p:ph type="{placeholder}"/>'
        f"</p:nvPr></p:nvSpPr><p:spPr/><p:txBody><a:bodyPr/>{''.join(map(_a, texts))}</p:txBody></p:sp>"
    )


def pptx(story: Story, *, note: str = "") -> bytes:
    """Three slides: a section each, then the list and the table."""
    rows = "".join(
        '<a:tr h="1">' + "".join(f"<a:tc><a:txBody><a:bodyPr/>{_a(cell)}</a:txBody></a:tc>" for cell in row) + "</a:tr>"
        for row in story.table
    )
    grid = '<a:gridCol w="1"/>' * story.columns
    frame = (
        '<p:graphicFrame><p:nvGraphicFramePr><p:cNvPr id="9" name="t"/><p:cNvGraphicFramePr/><p:nvPr/>'
        '</p:nvGraphicFramePr><p:xfrm><a:off x="0" y="9000000"/><a:ext cx="9" cy="9"/></p:xfrm>'
        "<a:graphic><a:graphicData "
        'uri="http://schemas.openxmlformats.org/drawingml/2006/table"><a:tbl><a:tblPr firstRow="1"/><a:tblGrid>'
        f"{grid}</a:tblGrid>{rows}</a:tbl></a:graphicData></a:graphic></p:graphicFrame>"
    )
    slides = [
        _shape(2, "title", (story.first[0],)) + _shape(3, "body", (story.first[1],)),
        _shape(2, "title", (story.second[0],)) + _shape(3, "body", (story.second[1],)),
        _shape(2, "body", story.items) + frame,
    ]
    tree = '<p:nvGrpSpPr><p:cNvPr id="1" name=""/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr><p:grpSpPr/>'
    order = "".join(f'<p:sldId id="{255 + n}" r:id="r{n}"/>' for n in range(1, 4))
    parts = {
        "ppt/presentation.xml": (
            f"{_SLIDES}.presentation.main+xml",
            f"<p:presentation {_P}><p:sldIdLst>{order}</p:sldIdLst>"
            '<p:sldSz cx="9144000" cy="6858000"/></p:presentation>',
        )
    }
    # The second slide's part has the last name: the presentation says the order, not the names.
    names = ["slide1", "slide3", "slide2"]
    for name, slide in zip(names, slides, strict=True):
        xml = f"<p:sld {_P}><p:cSld><p:spTree>{tree}{slide}</p:spTree></p:cSld></p:sld>"
        parts[f"ppt/slides/{name}.xml"] = (f"{_SLIDES}.slide+xml", xml)
    related = {
        "ppt/_rels/presentation.xml.rels": _relationships(
            {f"slide{n}": f"slides/{one}.xml" for n, one in enumerate(names)}
        )
    }
    layout = f"<p:sldLayout {_P}><p:cSld><p:spTree>{tree}</p:spTree></p:cSld></p:sldLayout>"
    parts["ppt/slideLayouts/slideLayout1.xml"] = (f"{_SLIDES}.slideLayout+xml", layout)
    targets = {one: {"slideLayout": "../slideLayouts/slideLayout1.xml"} for one in names}
    if note:
        xml = f"<p:notes {_P}><p:cSld><p:spTree>{tree}{_shape(2, 'body', (note,))}</p:spTree></p:cSld></p:notes>"
        parts["ppt/notesSlides/notesSlide1.xml"] = (f"{_SLIDES}.notesSlide+xml", xml)
        targets["slide1"]["notesSlide"] = "../notesSlides/notesSlide1.xml"
    related |= {f"ppt/slides/_rels/{one}.xml.rels": _relationships(listed) for one, listed in targets.items()}
    return _ooxml(story, parts, "ppt/presentation.xml", related)


_ODF = "urn:oasis:names:tc:opendocument:xmlns"
_SPACES = (
    f'xmlns:office="{_ODF}:office:1.0" xmlns:text="{_ODF}:text:1.0" xmlns:table="{_ODF}:table:1.0" '
    f'xmlns:draw="{_ODF}:drawing:1.0" xmlns:presentation="{_ODF}:presentation:1.0" '
    f'xmlns:meta="{_ODF}:meta:1.0" xmlns:dc="http://purl.org/dc/elements/1.1/" office:version="1.3"'
)


def _od_rows(story_rows: Iterable[Sequence[str]]) -> str:
    return "".join(
        "<table:table-row>"
        + "".join(
            f'<table:table-cell office:value-type="string">{_od_paragraph(cell)}</table:table-cell>' for cell in row
        )
        + "</table:table-row>"
        for row in story_rows
    )


def _od_paragraph(text: str) -> str:
    return f"<text:p>{escape(text)}</text:p>"


def _od_items(story: Story) -> str:
    items = "".join(f"<text:list-item>{_od_paragraph(item)}</text:list-item>" for item in story.items)
    return f"<text:list>{items}</text:list>"


def odt(story: Story) -> bytes:
    def section(number: int, texts: tuple[str, str]) -> str:
        return f'<text:h text:outline-level="{number}">{escape(texts[0])}</text:h>' + _od_paragraph(texts[1])

    body = section(1, story.first) + section(2, story.second) + _od_items(story)
    body += f'<table:table table:name="t"><table:table-column table:number-columns-repeated="{story.columns}"/>'
    return _opendocument(story, "text", f"{body}{_od_rows(story.table)}</table:table>")


def ods(story: Story) -> bytes:
    """The sections of the story in the first column of a sheet, its table on a second one."""
    lines = [(text,) for text in (*story.first, *story.second, *story.items)]
    sheets = "".join(
        f'<table:table table:name="{name}"><table:table-column table:number-columns-repeated="{columns}"/>'
        f"{_od_rows(rows)}</table:table>"
        for name, columns, rows in (("one", 1, lines), ("two", story.columns, story.table))
    )
    return _opendocument(story, "spreadsheet", sheets)


def odp(story: Story) -> bytes:
    """Three slides: a section each, then the list and the table."""

    def box(kind: str, content: str) -> str:
        return f'<draw:frame presentation:class="{kind}"><draw:text-box>{content}</draw:text-box></draw:frame>'

    table = f'<draw:frame><table:table table:name="t">{_od_rows(story.table)}</table:table></draw:frame>'
    slides = [
        *(box("title", _od_paragraph(head)) + box("outline", _od_paragraph(text)) for head, text in _sections(story)),
        box("outline", _od_items(story)) + table,
    ]
    pages = "".join(f'<draw:page draw:name="p{n}">{slide}</draw:page>' for n, slide in enumerate(slides, start=1))
    return _opendocument(story, "presentation", pages)


def _sections(story: Story) -> tuple[tuple[str, str], ...]:
    return story.first, story.second


def _opendocument(story: Story, kind: str, body: str) -> bytes:
    media = f"application/vnd.oasis.opendocument.{kind}"
    manifest = "".join(
        f'<manifest:file-entry manifest:full-path="{path}" manifest:media-type="{one}"/>'
        for path, one in (("/", media), ("content.xml", "text/xml"), ("meta.xml", "text/xml"))
    )
    return zipped(
        {
            "mimetype": media,
            "META-INF/manifest.xml": f'{_DECLARED}<manifest:manifest xmlns:manifest="{_ODF}:manifest:1.0">'
            f"{manifest}</manifest:manifest>",
            "meta.xml": f"{_DECLARED}<office:document-meta {_SPACES}><office:meta>"
            f"<dc:title>{escape(story.title)}</dc:title>"
            f"<meta:initial-creator>{escape(story.author)}</meta:initial-creator><meta:creation-date>{CREATED}</meta:creation-date>"
            "</office:meta></office:document-meta>",
            "content.xml": f"{_DECLARED}<office:document-content {_SPACES}><office:body><office:{kind}>{body}"
            f"</office:{kind}></office:body></office:document-content>",
        }
    )


def epub(story: Story) -> bytes:
    """Two chapters, the first of which has the last name; the spine says the order."""
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in story.table)
    items = "".join(f"<li>{escape(item)}</li>" for item in story.items)
    bodies = [
        f"<h1>{escape(story.first[0])}</h1><p>{escape(story.first[1])}</p>",
        f"<h2>{escape(story.second[0])}</h2><p>{escape(story.second[1])}</p><ul>{items}</ul><table>{rows}</table>",
    ]
    chapters = {
        f"OEBPS/{name}.xhtml": f'{_DECLARED}<html xmlns="http://www.w3.org/1999/xhtml">'
        f"<head><title>{escape(story.title)}"
        f"</title></head><body>{body}</body></html>"
        for name, body in zip(("z", "a"), bodies, strict=True)
    }
    listed = "".join(f'<item id="{n}" href="{n}.xhtml" media-type="application/xhtml+xml"/>' for n in ("a", "z"))
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": f'{_DECLARED}<container version="1.0" '
            'xmlns="urn:oasis:names:tc:opendocument:xmlns:container">'
            '<rootfiles><rootfile full-path="OEBPS/book.opf" '
            'media-type="application/oebps-package+xml"/></rootfiles></container>',
            "OEBPS/book.opf": f'{_DECLARED}<package xmlns="http://www.idpf.org/2007/opf" '
            'version="3.0" unique-identifier="i">'
            f'<metadata xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="i">x</dc:identifier>'
            f"<dc:title>{escape(story.title)}"
            f"</dc:title><dc:creator>{escape(story.author)}</dc:creator><dc:date>{CREATED}</dc:date>"
            f"<dc:language>{story.language}</dc:language>"
            f"</metadata><manifest>{listed}</manifest>"
            '<spine><itemref idref="z"/><itemref idref="a"/></spine></package>',
            **chapters,
        }
    )

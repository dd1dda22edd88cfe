"""Bytes -> text: encodings, forms, and documents without text."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain import Failure, Reason
from pipeline.extraction import Text, extract
from pipeline.extraction.plain import MOST_NESTED

GERMAN = "Grüße aus Köln: ein schöner, langer Satz über Straßen und Bäume. " * 3
QUOTED = "Sie sagte: „Grüße“ – und ging. Das war’s für 5 €. " * 3


def page(charset: str, text: str) -> bytes:
    return f'<html><head><meta charset="{charset}"></head><body><p>{text}</p></body></html>'.encode(charset)


ENCODED = [
    (GERMAN.encode(), "utf-8", GERMAN),
    (codecs.BOM_UTF8 + GERMAN.encode(), "utf-8-sig", GERMAN),
    (codecs.BOM_UTF16_LE + GERMAN.encode("utf-16-le"), "utf-16", GERMAN),
    (codecs.BOM_UTF16_BE + GERMAN.encode("utf-16-be"), "utf-16", GERMAN),
    (codecs.BOM_UTF32_LE + GERMAN.encode("utf-32-le"), "utf-32", GERMAN),
    (codecs.BOM_UTF32_BE + GERMAN.encode("utf-32-be"), "utf-32", GERMAN),
    (page("windows-1252", QUOTED), "windows-1252", QUOTED.strip()),
    (page("iso-8859-2", "Žluťoučký kůň"), "iso-8859-2", "Žluťoučký kůň"),
    (page("koi8-r", "Привет, мир"), "koi8-r", "Привет, мир"),
    (page("shift_jis", "これは文です"), "shift_jis", "これは文です"),
    (page("cp874", "สวัสดีครับ").replace(b"cp874", b"windows-874"), "cp874", "สวัสดีครับ"),
    (page("gb2312", "这是一个句子"), "gb2312", "这是一个句子"),
    (page("windows-1252", QUOTED).replace(b"windows-1252", b"iso-8859-1"), "cp1252", QUOTED.strip()),
    (page("utf-8", QUOTED).replace(b"utf-8", b"iso-8859-1"), "utf-8", QUOTED.strip()),
]


@pytest.mark.parametrize(("content", "encoding", "text"), ENCODED)
def test_encodings(content: bytes, encoding: str, text: str) -> None:
    """By mark, as UTF-8, then by what the page declares, of which Latin-1 means Windows-1252."""
    found = extract(content, "x")
    assert isinstance(found, Text)
    assert (found.content, found.encoding) == (text, encoding)


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_an_undeclared_encoding_is_guessed(encoding: str) -> None:
    """Western text without any mark or declaration is read with its umlauts."""
    found = extract((GERMAN * 5).encode(encoding), "brief.txt")
    assert isinstance(found, Text)
    assert found.content == GERMAN * 5


@pytest.mark.parametrize(
    "charset", ["idna", "unicode_escape", "undefined", "punycode", "utf-7", "utf-16", "rot13", "zip", "nonsense", "hex"]
)
def test_a_page_cannot_choose_a_decoder_that_is_no_charset(charset: str) -> None:
    """Python's other codecs raise, expand or take quadratic time: a page that names one is read by statistics."""
    content = f"<html><meta charset={charset}><body>\\ud800 {GERMAN}</body>".encode("latin-1")
    found = extract(content, "x")
    assert isinstance(found, Text)
    found.content.encode()
    assert "\\ud800" in found.content


PAGE = """<!DOCTYPE html>
<!-- made by hand -->
<html><head><title> The title </title><style>p { color: red }</style><script>var x = "<p>no</p>"</script></head>
<body><header><h1>Heading</h1><nav>Home | Shop</nav></header>
<main><p>First&nbsp;line<br>second &amp; <b>bold</b>word.</p>
<ul><li>one</li><li>two</li></ul>
<table><tr><th>a</th><th>b</th></tr><tr><td>1</td><td>2</td></tr></table>
<p>half &#xD800; done</p></main>
<aside>Advert</aside><form><button>Buy</button></form><noscript>Scripts!</noscript>
<footer>Imprint</footer></body></html>
"""


def test_html_without_its_boilerplate() -> None:
    """A page is its title and visible text, headings and tables as Markdown, without navigation, adverts and forms."""
    found = extract(PAGE.encode(), "page")
    assert isinstance(found, Text)
    assert found.form == "html"
    assert found.content.replace("\u00a0", " ").splitlines() == [
        *("The title", "# Heading", "First line", "second & boldword.", "one", "two"),
        *("| a | b |", "| --- | --- |", "| 1 | 2 |", "half \ufffd done"),
    ]


@pytest.mark.parametrize(
    ("content", "name", "form"),
    [
        (b"plain", "a.txt", "text"),
        (b"plain", "a", "text"),
        (b"# Title", "a.md", "markdown"),
        (b"# Title", "s3://b/A.MARKDOWN", "markdown"),
        (b"<p>x</p>", "a.html", "html"),
        (b"<p>x</p>", "a.txt", "text"),
        (b"  <!doctype HTML><p>x", "a.txt", "html"),
        (b"<HTML lang=de><p>x", "a.md", "html"),
        (b"<htmlx> is no page", "a.txt", "text"),
    ],
)
def test_forms(content: bytes, name: str, form: str) -> None:
    """What begins as a page is one; else the name's ending decides, and text is the default."""
    found = extract(content, name)
    assert isinstance(found, Text)
    assert found.form == form


def test_text_is_left_as_it_is() -> None:
    """Nothing is trimmed or joined in text and Markdown; line ends and letters are as everywhere."""
    text = "  a\r\n\tb\u00a0o\u0308 <b>&amp;</b>\n\n"
    for name in ("a.txt", "a.md"):
        kept = "  a\n\tb\u00a0ö <b>&amp;</b>\n\n"
        assert extract(text.encode(), name) == Text(kept, "utf-8", "markdown" if name.endswith("md") else "text")


NONE = [
    (b"", Reason.EMPTY, "0 bytes"),
    (b" \r\n\t", Reason.EMPTY, "4 bytes, nothing but white space"),
    ("\u3000\u00a0".encode(), Reason.EMPTY, "text without text"),
    (codecs.BOM_UTF16_LE, Reason.EMPTY, "text without text"),
    (b"<html><script>x</script></html>", Reason.EMPTY, "html without text"),
    (b"OggS\0", Reason.UNSUPPORTED, "a sound (Ogg), which is not read"),
    (b"\0\1\2", Reason.UNSUPPORTED, "binary content: a NUL byte"),
    (b"%PDF-1.7\n1 0 obj << >> endobj", Reason.DAMAGED, "pdf that cannot be opened"),
    (
        b"PK\x03\x04word/document.xml",
        Reason.DAMAGED,
        "ZIP or Office file that cannot be opened: it was cut",
    ),
    (codecs.BOM_UTF16_LE + b"a", Reason.UNDECODABLE, "not utf-16: the byte at position 2 cannot be read"),
    (codecs.BOM_UTF16_LE + b"\x00\xd8a\x00", Reason.UNDECODABLE, "not utf-16: "),
    (codecs.BOM_UTF8 + b"\xff", Reason.UNDECODABLE, "not utf-8-sig: "),
    (b"<html>" + b"<div>" * (MOST_NESTED + 1) + b"x", Reason.UNSUPPORTED, f"nested more than {MOST_NESTED} deep"),
]


@pytest.mark.parametrize(("content", "reason", "detail"), NONE)
def test_documents_without_text(content: bytes, reason: Reason, detail: str) -> None:
    """A failure has a reason from the list and says what was seen."""
    found = extract(content, "x")
    assert isinstance(found, Failure)
    assert found.reason is reason
    assert detail in found.detail


def test_a_long_flat_page_is_not_deep() -> None:
    """Unclosed paragraphs, items and rows end each other, so any number of them is read."""
    rows = "<p>a<li>b<tr><td>c<br>" * (MOST_NESTED + 1)
    found = extract(f"<html><body>{rows}".encode(), "x")
    assert isinstance(found, Text)


PIECES = [
    b"<html>",
    b"<meta charset=",
    b"gbk>",
    b"<p>",
    b"</div>",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    b"\0",
    b"\xc3\xa4",
    b"&#0;",
]


@given(
    st.lists(st.sampled_from(PIECES) | st.binary(max_size=6), max_size=12).map(b"".join),
    st.sampled_from(["a.txt", "a.html"]),
)
def test_no_bytes_stop_a_run(content: bytes, name: str) -> None:
    """Any bytes are a text that UTF-8 can hold and that is not blank, or a failure."""
    found = extract(content, name)
    if isinstance(found, Text):
        assert found.content.encode().strip()


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("latin-1", "Das Fräulein führt über die Brücke nach Österreich."),
        ("cp1252", "Très agréable… il réussira à améliorer l’été"),
        ("latin-1", "A tradução não foi boa."),
        ("cp1250", "Zażółć gęślą jaźń, dobry dzień"),
        ("shift_jis", "これは日本語のテキストです。"),
        ("utf-16-le", "Straße nach Österreich, ohne Marke"),
        ("utf-16-be", "A plain English text without a mark"),
    ],
)
def test_short_texts_in_old_encodings_come_out_as_written(encoding: str, text: str) -> None:
    """A sentence or two are enough; what statistics would take for Central European stays Western."""
    found = extract(text.encode(encoding), "letter.txt")
    assert isinstance(found, Text)
    assert found.content == text

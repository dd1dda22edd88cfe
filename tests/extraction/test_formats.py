"""Every format gives back what the tests wrote into it: in order, in eight languages, with headings and tables."""

from __future__ import annotations

import bz2
import datetime as dt
import gzip
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import zstandard

from pipeline.domain import Failure, Reason
from pipeline.extraction import Text, extract
from pipeline.extraction.forms import READ
from tests.extraction import office, outlook, single
from tests.extraction.stories import AUTHOR, STORIES, Story
from tests.extraction.writers import DOCUMENTS

WRITERS: dict[str, Callable[[Story], bytes]] = {
    "pdf": single.story_pdf,
    **DOCUMENTS,
    "csv": single.as_csv,
    "json": single.as_json,
}
CREATED = dt.datetime(2026, 3, 14, 9, 26, 53, tzinfo=dt.UTC)
ENGLISH = STORIES["en"]
# Formats that by their content might be any text: the name decides.
NAMED = {"csv": "x.csv", "json": "x.json"}


def text_of(content: bytes, name: str = "x") -> Text:
    found = extract(content, name)
    assert isinstance(found, Text), found
    return found


def squeezed(text: str) -> str:
    """Without white space: formats break lines, and Thai is broken anywhere."""
    return "".join(text.split())


def missing(text: str, parts: list[str]) -> list[str]:
    """The parts that do not stand in the text behind the parts before them."""
    found, at = [], 0
    text = squeezed(text)
    for part in map(squeezed, parts):
        place = text.find(part, at)
        if place < 0:
            found.append(part)
        else:
            at = place + len(part)
    return found


@pytest.mark.parametrize("form", WRITERS)
@pytest.mark.parametrize("language", STORIES)
def test_all_of_the_text_comes_out_in_order(form: str, language: str) -> None:
    """Every heading, paragraph, item and cell is there, in the order of reading, and the format is told by content."""
    story = STORIES[language]
    found = text_of(WRITERS[form](story), NAMED.get(form, "x"))
    assert missing(found.content, story.in_order) == []
    assert found.form == form


def test_the_check_above_can_fail() -> None:
    """A text in another order is missing something."""
    assert missing("b a", ["a", "b"]) == ["b"]


@pytest.mark.parametrize("form", ["docx", "odt", "epub", "html"])
def test_headings_are_marked(form: str) -> None:
    """A heading of the first level and one of the second have their marks."""
    lines = text_of(WRITERS[form](ENGLISH)).content.splitlines()
    assert "# What happened" in lines
    assert "## What it costs" in lines


@pytest.mark.parametrize("form", ["docx", "pptx", "odt", "rtf", "epub", "html"])
def test_tables_are_markdown(form: str) -> None:
    """A table is a head, a line of dashes, and a line for each row."""
    lines = text_of(WRITERS[form](ENGLISH)).content.splitlines()
    at = lines.index("| Item | Price |")
    assert lines[at : at + 4] == ["| Item | Price |", "| --- | --- |", "| Bearings | 1,250 |", "| Night shifts | 980 |"]


def test_columns_are_read_one_after_the_other() -> None:
    """A page in two columns reads down the first, then down the second, in whatever order it was drawn."""
    left = [f"left line {number} speaks about the harbour and" for number in range(30)]
    right = [f"right line {number} tells of the mountain so" for number in range(30)]
    assert missing(text_of(single.two_columns_pdf(left, right)).content, [*left, *right]) == []


def test_notes_are_read() -> None:
    """Footnotes of a text and speaker's notes of a slide are part of it."""
    assert "seen by nobody" in text_of(office.docx(ENGLISH, footnote="seen by nobody")).content
    assert "say it slowly" in text_of(office.pptx(ENGLISH, note="say it slowly")).content


def test_boilerplate_of_pages_is_left_out() -> None:
    """Navigation and footer of a page are no part of it, nor where the page is a message."""
    for content in (single.page(ENGLISH), single.eml(ENGLISH, html=True), outlook.msg(ENGLISH, html=True)):
        found = text_of(content)
        assert missing(found.content, ENGLISH.in_order[:4]) == []
        assert "Imprint" not in found.content
        assert "cookies" not in found.content


@pytest.mark.parametrize("form", ["pdf", "docx", "pptx", "xlsx", "odt", "ods", "odp", "epub", "html", "eml", "msg"])
@pytest.mark.parametrize("language", ["de", "hi", "th"])
def test_what_a_document_says_about_itself(form: str, language: str) -> None:
    """Title, author and time of making, in UTC."""
    found = text_of(WRITERS[form](STORIES[language]))
    assert found.title == STORIES[language].title
    assert found.author == AUTHOR
    assert found.created == CREATED


def test_pages_are_counted() -> None:
    """A PDF says how many pages it has; what a format does not say is unknown."""
    assert text_of(single.pdf([["one"], ["two"], ["three"]])).pages == 3
    assert text_of(b"plain") == Text("plain", "utf-8", "text", None, None, None, None)


def test_attachments_are_read_behind_the_message() -> None:
    """Each by its own format, under its name; one that cannot be read says why, and the rest is read."""
    attached = (("a b.docx", office.docx(STORIES["fr"])), ("scan.pdf", single.scanned_pdf()), ("n.txt", b"a note"))
    for content in (single.eml(ENGLISH, *attached), outlook.msg(ENGLISH, *attached)):
        text = text_of(content).content
        parts = [*ENGLISH.in_order, "Attachment a b.docx:", *STORIES["fr"].in_order, "Attachment scan.pdf: not read"]
        assert missing(text, [*parts, "Attachment n.txt:", "a note"]) == []


@pytest.mark.parametrize(
    ("ending", "packed"),
    [("gz", gzip.compress), ("bz2", bz2.compress), ("zst", zstandard.ZstdCompressor().compress)],
)
@pytest.mark.parametrize("form", ["docx", "html", "csv"])
def test_a_compressed_document_is_that_document(ending: str, packed: Callable[[bytes], bytes], form: str) -> None:
    """Its form and text are those of what was compressed, whose name decides as if it had not been."""
    content = WRITERS[form](ENGLISH)
    assert text_of(packed(content), f"x.{form}.{ending}") == text_of(content, f"x.{form}")


def test_json_has_its_letters() -> None:
    """Escapes of letters are undone, those of quotes, backslashes and control characters stay: it is JSON still."""
    raw = r'{"a": "\u00e9\ud83d\ude00 \u0022 \\u00e9 \u0000 \ud800"}'
    assert text_of(raw.encode(), "x.json").content == r'{"a": "é😀 \u0022 \\u00e9 \u0000 \ud800"}'


@pytest.mark.parametrize("form", [form for form in WRITERS if form not in NAMED])
def test_a_wrong_name_changes_nothing(form: str) -> None:
    """The content decides, whatever the name says."""
    content = WRITERS[form](ENGLISH)
    for name in ("s3://b/a.txt", "a.pdf", "a.docx", "a.html", "a.json", "a.gz", "a"):
        assert text_of(content, name) == text_of(content)


def test_a_letter_that_begins_like_mail_is_text() -> None:
    """Sender and subject alone make no mail, unless the name says so; what only mail has does."""
    letter = b"From: me\nSubject: you\n\nhello"
    assert text_of(letter, "a.txt").form == "text"
    assert text_of(letter, "a.eml").form == "eml"
    assert text_of(b"MIME-Version: 1.0\n" + letter, "a.txt").form == "eml"


@pytest.mark.parametrize(
    "text",
    [
        "GIF89 is a format",
        "ID3 tags",
        "Rar! it said",
        "BZhelp",
        "PAR1 is Parquet's mark",
        "OggS",
        "a %PDF-1.7 begins so",
    ],
)
def test_a_text_about_formats_is_text(text: str) -> None:
    """A mark that is letters alone makes no picture, sound or archive of a text."""
    assert text_of(text.encode()).form == "text"


def test_what_stands_before_a_pdf_is_no_matter() -> None:
    """As readers do, its mark is looked for in the first kilobyte."""
    assert text_of(b"HTTP/1.1 200 OK\r\n\r\n" + single.story_pdf(ENGLISH)).form == "pdf"


def test_the_readable_forms_are_tried() -> None:
    """Every format that the tables may name is written here, but the old and the rare ones, archives and pictures."""
    assert set(READ) - WRITERS.keys() == {
        "text",
        "markdown",
        "doc",
        "ppt",
        "zip",
        "tar",
        "png",
        "jpeg",
        "tiff",
    }


def test_a_page_of_text_among_scans_is_read() -> None:
    """Of a PDF that is scanned in part, the text that there is comes out."""
    found = text_of(single.scanned_pdf(5, "This page alone was typed"))
    assert (found.content.strip("# \n"), found.pages) == ("This page alone was typed", 6)


def test_same_bytes_each_time() -> None:
    """The writers of this corpus write the same bytes for the same story."""
    for write in WRITERS.values():
        assert write(ENGLISH) == write(ENGLISH)


HIDDEN = """
import importlib.metadata, sys
known = importlib.metadata.version
def version(name):
    if name == "tesserocr":
        raise importlib.metadata.PackageNotFoundError(name)
    return known(name)
importlib.metadata.version = version
from pathlib import Path
from pipeline.extraction import extract
print(*(repr(extract(Path(name).read_bytes(), name)) for name in sys.argv[1:]), sep="\\n")
"""


def test_without_the_extra_a_scan_says_that_it_is_one(tmp_path: Path) -> None:
    """A PDF of pictures and a picture are failures of their own kinds; of one scanned in part, the rest is read."""
    files = {
        "scan.pdf": single.scanned_pdf(2),
        "picture": b"\x89PNG\r\n\x1a\n\0\0",
        "part.pdf": single.scanned_pdf(5, "This page alone was typed"),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    command = [sys.executable, "-c", HIDDEN, *(str(tmp_path / name) for name in files)]
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert told[0] == repr(Failure(Reason.NO_TEXT, "pdf of 2 pages without text, as scans are"))
    assert told[1] == repr(Failure(Reason.UNSUPPORTED, "a picture (png), which is read with the extra `ocr` only"))
    assert "This page alone was typed" in told[2]
    assert "recognised_pages=None, unread_parts=5" in told[2]

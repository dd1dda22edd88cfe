"""Scans and pictures go through recognition where it is installed; without it they say that they are scans."""

from __future__ import annotations

from difflib import SequenceMatcher

import pytest

from pipeline.domain import Failure, Reason
from pipeline.extraction import Bounds, extract
from pipeline.extraction.recognising import about_recognition, installed
from pipeline.extraction.workers import Extractor
from tests.extraction import office, scans, single
from tests.extraction.stories import STORIES
from tests.extraction.test_formats import missing, squeezed, text_of
from tests.extraction.test_hostile import read

pytestmark = pytest.mark.skipif(
    installed() is None, reason="no language files of Tesseract (Debian: tesseract-ocr-script-latn)"
)
WESTERN = ("en", "de", "it", "es")
LINES = ("The bridge was closed on Monday", "because a bearing had cracked in the frost.")
OTHERS = ("The council has set aside money", "for the repair of the bridge.")


@pytest.mark.parametrize("language", WESTERN)
def test_a_scan_is_read(language: str) -> None:
    """Letters with their accents and umlauts, in order, but for a few; the row says that they were recognised."""
    story = STORIES[language]
    lines = [*story.first, *story.second, *story.items]
    found = text_of(scans.as_file("pdf", lines))
    alike = SequenceMatcher(None, squeezed("".join(lines)), squeezed(found.content), autojunk=False).ratio()
    assert alike > (0.97 if language != "en" else 0.999), found.content
    assert (found.form, found.pages, found.recognised_pages, found.unread_parts) == ("pdf", 1, 1, 0)


def test_only_pages_without_text_are_recognised() -> None:
    """Of a PDF that is scanned in part, each page comes at its place."""
    content = scans.mixed_pdf(
        ("typed", ["typed first"]), ("scanned", LINES), ("scanned", OTHERS), ("typed", ["typed last"])
    )
    found = text_of(content)
    assert missing(found.content, ["typed first", *LINES, *OTHERS, "typed last"]) == []
    assert (found.pages, found.recognised_pages, found.unread_parts) == (4, 2, 0)


def test_a_typed_pdf_is_not_recognised() -> None:
    """Nothing of it goes through recognition."""
    assert text_of(single.story_pdf(STORIES["de"])).recognised_pages is None


@pytest.mark.parametrize("form", ["png", "jpeg", "tiff"])
def test_pictures_are_read(form: str) -> None:
    """A picture is a document of one page, and so it is as an attachment or in an archive."""
    content = scans.as_file(form, LINES)
    found = text_of(content)
    assert missing(found.content, [*LINES]) == []
    assert (found.form, found.pages, found.recognised_pages) == (form, 1, 1)
    assert text_of(office.zipped({"a.bin": content})).recognised_pages == 1
    assert text_of(single.eml(STORIES["en"], ("a.bin", content))).recognised_pages == 1


def test_all_pages_of_a_tiff_are_read() -> None:
    """As fax machines send them."""
    found = text_of(scans.as_file("tiff", LINES, OTHERS))
    assert missing(found.content, [*LINES, *OTHERS]) == []
    assert (found.pages, found.recognised_pages) == (2, 2)


def test_a_picture_without_text_is_a_failure() -> None:
    """It says that nothing was recognised, for a page of grey as for a blank one."""
    assert extract(scans.as_file("png", []), "x") == Failure(Reason.NO_TEXT, "png in which no text was recognised")
    found = extract(single.scanned_pdf(2), "x")
    assert found == Failure(Reason.NO_TEXT, "pdf of 2 pages in which no text was recognised")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (scans.as_file("png", LINES)[:2_000], Reason.DAMAGED),
        (b"\x89PNG\r\n\x1a\n\0\0", Reason.DAMAGED),
        (b"\xff\xd8\xff\xe0 no picture", Reason.DAMAGED),
    ],
)
def test_broken_pictures_are_damaged(content: bytes, reason: Reason) -> None:
    """Cut short, or a beginning alone."""
    found = extract(content, "x")
    assert isinstance(found, Failure)
    assert found.reason is reason


def test_a_picture_of_too_many_pixels_is_not_unpacked() -> None:
    """What its head says is enough."""
    head = scans.as_file("png", LINES)
    huge = head[:16] + (60_000).to_bytes(4, "big") * 2 + head[24:]
    found = extract(huge, "x")
    assert isinstance(found, Failure)
    assert found.reason in (Reason.TOO_LARGE, Reason.DAMAGED)


def test_workers_recognise_within_their_limits() -> None:
    """Memory and time are those of the document; what comes behind one that takes too long is read."""
    content = scans.as_file("pdf", LINES)
    with Extractor(Bounds(), 1) as extractor:
        assert read(extractor, content) == extract(content, "x")
    with Extractor(Bounds(seconds=0.5), 1) as extractor:
        found = read(extractor, content)
        assert isinstance(found, Failure)
        assert found.reason is Reason.EXCEEDED


def test_what_recognises_is_in_the_key_of_kept_texts() -> None:
    """Another version or another language file may give another text."""
    assert about_recognition() != "none"

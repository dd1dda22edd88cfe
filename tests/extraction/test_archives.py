"""An archive is one document: the texts of its files under their names, and what could not be read."""

from __future__ import annotations

import bz2
import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import zstandard

from pipeline.domain import Failure
from pipeline.extraction import Bounds, Text, extract
from tests.extraction import hostile, office, single
from tests.extraction.stories import STORIES
from tests.extraction.test_formats import missing, text_of

FILES: dict[str, bytes] = {
    "b/report.docx": office.docx(STORIES["de"]),
    "a.txt": b"first",
    "c scan.pdf": single.scanned_pdf(),
    "d.zip": office.zipped({"inner.html": single.page(STORIES["fr"])}),
}


def tarred(files: Mapping[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as packed:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            packed.addfile(member, io.BytesIO(content))
    return sink.getvalue()


PACKERS: dict[str, Callable[[Mapping[str, bytes]], bytes]] = {
    "zip": office.zipped,
    "tar": tarred,
    "tar.gz": lambda files: gzip.compress(tarred(files)),
    "tar.bz2": lambda files: bz2.compress(tarred(files)),
    "tar.zst": lambda files: zstandard.compress(tarred(files)),
}


@pytest.mark.parametrize("ending", PACKERS)
def test_files_are_read_under_their_names_in_order(ending: str) -> None:
    """Each by its own format, archives in the archive too; what gives no text says why, and is counted."""
    found = text_of(PACKERS[ending](FILES), f"x.{ending}")
    parts = ["# a.txt", "first", "# b/report.docx", *STORIES["de"].in_order, "# c scan.pdf", "(not read: pdf of 1 page"]
    assert missing(found.content, [*parts, "# d.zip", "# inner.html", *STORIES["fr"].in_order[:4]]) == []
    assert (found.form, found.unread_parts, found.encoding, found.title) == (ending[:3], 1, None, None)


def test_names_are_headings_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Paths that climb, absolute ones, line ends, quotes, percent signs and emoji: nothing is written anywhere."""
    monkeypatch.chdir(tmp_path)
    names = ("../../up.txt", "/etc/absolute.txt", "a\nb.txt", "c'\"%2e%2e.txt", "\U0001f600.txt", "\u202etxt.exe")
    for packed in (office.zipped, tarred):
        found = text_of(packed({name: name.encode() + b" is read" for name in names}))
        assert found.content.count(" is read") == len(names)
        for heading in ("../../up.txt", "/etc/absolute.txt", "a b.txt", "c'\"%2e%2e.txt", "\U0001f600.txt", "txt.exe"):
            assert f"# {heading}\n" in found.content
    assert list(tmp_path.rglob("*")) == []


def test_links_folders_and_attributes_of_macs_are_passed_over() -> None:
    """They are no documents: they give no text and no failure."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as packed:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        for name, content in ((link, "/etc/passwd"), ("folder/", ""), ("__MACOSX/._a.txt", "\0"), ("a.txt", "read")):
            packed.writestr(name, content)
    rolled = io.BytesIO()
    with tarfile.open(fileobj=rolled, mode="w") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE, tarfile.DIRTYPE):
            member = tarfile.TarInfo(f"special {kind!r}")
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        member = tarfile.TarInfo("a.txt")
        member.size = 4
        tar.addfile(member, io.BytesIO(b"read"))
    for content in (sink.getvalue(), rolled.getvalue()):
        found = text_of(content)
        assert (found.content, found.unread_parts) == ("# a.txt\n\nread", 0)


def test_two_files_of_one_name_are_both_read() -> None:
    """In the order in which they were packed."""
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as packed:
        packed.writestr("a.txt", "one")
        packed.writestr("b.txt", "two")
    twice = sink.getvalue().replace(b"b.txt", b"a.txt")
    assert text_of(twice).content == "# a.txt\n\none\n\n# a.txt\n\ntwo"


def test_archives_in_archives_end() -> None:
    """Three within one another are read; what lies deeper says so, and the rest is read."""
    found = text_of(hostile.nested_zip(9))
    assert found.content.count("What it costs") == 3
    assert "the first: more than 3 documents within one another)" in found.content
    assert found.unread_parts == 1


def test_one_damaged_file_costs_itself() -> None:
    """The sum of another is wrong; the others are read."""
    content = office.zipped({"a.txt": "first" * 50, "b.txt": "second" * 50})
    at = content.index(b"b.txt") + 5
    found = text_of(content[:at] + b"\xff" * 4 + content[at + 4 :])
    assert "first" in found.content
    assert "# b.txt\n\n(not read: cannot be unpacked: " in found.content


def test_sizes_that_are_said_are_not_believed() -> None:
    """All files together may unpack to so much, whatever the directory says."""
    content = office.zipped({"a.txt": "a" * 3_000, "b.txt": "b" * 3_000})
    assert isinstance(extract(content, "x", Bounds(unpacked_bytes=6_000)), Text)
    assert isinstance(extract(content, "x", Bounds(unpacked_bytes=5_999)), Failure)

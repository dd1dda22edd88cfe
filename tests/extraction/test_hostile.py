"""Whatever a document is made of, reading it gives a text or a failure that a person understands."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import psutil
import pytest
import zstandard

from pipeline.domain import Failure, Reason
from pipeline.extraction import Bounds, Text, extract
from pipeline.extraction.workers import Extractor
from tests.extraction import hostile, office, outlook, single
from tests.extraction.stories import STORIES
from tests.extraction.test_formats import WRITERS, missing

STORY = STORIES["en"]
BOUNDS = Bounds(seconds=60, memory_bytes=1_000_000_000, output_bytes=1_000_000, unpacked_bytes=10_000_000)
PATIENCE_SECONDS = 60
STARTED_SECONDS = 0.5  # of CPU, which is more than starting takes
SLOW = hostile.slow_pdf(3_000_000)


@pytest.fixture(scope="module")
def extractor() -> Iterator[Extractor]:
    with Extractor(BOUNDS, 1) as extractor:
        yield extractor


def read(extractor: Extractor, content: bytes, name: str = "x") -> Text | Failure:
    found = extractor.begin(content, name)
    return found.result(PATIENCE_SECONDS) if isinstance(found, Future) else found


def tarred(*names: str, size: int = 1) -> bytes:
    sink = io.BytesIO()
    with tarfile.open(fileobj=sink, mode="w") as packed:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = size
            packed.addfile(member, io.BytesIO(b"x" * size))
    return sink.getvalue()


def compressed(content: bytes, times: int) -> bytes:
    return content if not times else gzip.compress(compressed(content, times - 1))


FAILURES: dict[str, tuple[bytes, Reason, str]] = {
    "an encrypted PDF": (single.locked_pdf(), Reason.ENCRYPTED, "password"),
    "an encrypted Office file": (outlook.locked_office(), Reason.ENCRYPTED, "password"),
    "a scan": (single.scanned_pdf(3), Reason.NO_TEXT, "pdf of 3 pages"),
    "a ZIP bomb in a DOCX": (hostile.swollen_docx(150_000_000), Reason.EXCEEDED, "unpacks to more"),
    "a DOCX nested in itself": (hostile.deep_docx(50_000), Reason.EXCEEDED, "max_xml_depth"),
    "a table of 16 thousand million cells": (hostile.repeating_odt(), Reason.EXCEEDED, "unpacks to more"),
    "a sheet of 17 thousand million cells": (hostile.far_xlsx(), Reason.EXCEEDED, "unpacks to more"),
    "a PDF page of 500 MB": (hostile.swollen_pdf(500_000_000), Reason.EXCEEDED, "1000000000 bytes of memory"),
    "a PDF that holds itself": (hostile.looping_pdf(), Reason.DAMAGED, "cannot be opened"),
    "more text than is wanted": (hostile.swollen_docx(1_000_001), Reason.EXCEEDED, "more than 1000000 bytes"),
    "a gzip bomb": (gzip.compress(bytes(20_000_000)), Reason.TOO_LARGE, "unpacks to more than 10000000"),
    "a bzip2 bomb": (bz2.compress(bytes(20_000_000)), Reason.TOO_LARGE, "unpacks to more than 10000000"),
    "a zstd bomb": (zstandard.compress(bytes(20_000_000)), Reason.TOO_LARGE, "unpacks to more than 10000000"),
    "compressed again and again": (compressed(b"x", 5), Reason.UNSUPPORTED, "within one another"),
    "compressed nothing": (gzip.compress(b""), Reason.EMPTY, "0 bytes"),
    "a cut gzip": (gzip.compress(os.urandom(9_000))[:4_000], Reason.DAMAGED, "gz that cannot be unpacked"),
    "an empty ZIP": (office.zipped({"a/": ""}), Reason.EMPTY, "zip of 0 files"),
    "a ZIP of what is not read": (
        office.zipped({"a": b"7z\xbc\xaf\x27\x1c", "b": b"Rar!\x1a\x07\0"}),
        Reason.UNSUPPORTED,
        "zip of 2 files, none of which gave a text; the first: an archive (7z)",
    ),
    "a locked ZIP": (hostile.locked_zip(), Reason.ENCRYPTED, "zip of 1 file, none of which"),
    "a ZIP bomb": (hostile.bomb_zip(20_000_000), Reason.TOO_LARGE, "zip that unpacks to more than 10000000 bytes"),
    "a ZIP whose files overlap": (hostile.overlapping_zip(300), Reason.TOO_LARGE, "unpacks to more than 10000000"),
    "a ZIP of too many files": (
        office.zipped({str(number): "x" for number in range(1_001)}),
        Reason.UNSUPPORTED,
        "zip of 1001 files; more than 1000 are not read",
    ),
    "a tar bomb": (gzip.compress(tarred("a", size=20_000_000)), Reason.TOO_LARGE, "unpacks to more than 10000000"),
    "half a tar": (tarred("a", "b", size=9_000)[:15_000], Reason.DAMAGED, "tar that cannot be opened"),
    "a page of 400,000 levels": (b"<html>" + b"<div>" * 400_000, Reason.UNSUPPORTED, "nested more than 5000 deep"),
    "an Outlook message in a loop": (hostile.looping_msg(), Reason.DAMAGED, "msg that cannot be read"),
    "a sound": (b"OggS\0", Reason.UNSUPPORTED, "a sound (Ogg), which is not read"),
    "half a PDF": (single.story_pdf(STORY)[:1_000], Reason.DAMAGED, "pdf that cannot be opened"),
    **{
        f"half a {form}": (WRITERS[form](STORY)[:1_200], Reason.DAMAGED, "ZIP or Office file that cannot be opened")
        for form in ("docx", "pptx", "xlsx", "odt", "epub")
    },
}


@pytest.mark.parametrize("case", FAILURES)
def test_what_cannot_be_read_says_why(extractor: Extractor, case: str) -> None:
    """A failure with its reason and what was seen; a good document behind it is read."""
    content, reason, detail = FAILURES[case]
    found = read(extractor, content)
    assert isinstance(found, Failure)
    assert (found.reason, detail in found.detail) == (reason, True), found
    assert isinstance(read(extractor, office.docx(STORY)), Text)


TEXTS: dict[str, bytes] = {
    "a thousand million laughs": hostile.with_entity(hostile.LAUGHING),
    "an entity of a file": hostile.with_entity(hostile.PEEPING),
    "a book with a chapter outside it": hostile.climbing_epub(),
    "a million groups": b"{\\rtf1 " + b"{" * 1_000_000 + b"What it costs" + b"}" * 1_000_001,
    "a page of 4,000 levels": b"<html>" + b"<div>" * 4_000 + b"What it costs",
    "mail in mail": hostile.nested_mail(8),
}


@pytest.mark.parametrize("case", TEXTS)
def test_tricks_are_not_fallen_for(extractor: Extractor, case: str) -> None:
    """The text that is there is read; entities are not expanded, no other file is read, nothing nests without end."""
    found = read(extractor, TEXTS[case])
    assert isinstance(found, Text), found
    assert "What it costs" in found.content
    assert "root:" not in found.content
    assert "lollol" not in found.content
    assert len(found.content) < 20_000


@pytest.mark.parametrize("form", WRITERS)
def test_a_document_cut_anywhere_is_a_text_or_a_failure(extractor: Extractor, form: str) -> None:
    """No prefix of a document breaks anything, nor one whose middle is zeros."""
    whole = WRITERS[form](STORY)
    for cut in range(0, len(whole), max(1, len(whole) // 25)):
        for content in (whole[:cut], whole[:cut] + bytes(50) + whole[cut + 50 :]):
            found = read(extractor, content)
            if isinstance(found, Failure):
                assert found.reason is not Reason.CRASHED, (cut, found)
                assert STORY.first[1] not in found.detail


def test_a_parser_that_hangs_costs_one_document() -> None:
    """After its seconds it is killed, and what comes next is read."""
    with Extractor(Bounds(seconds=1), 1) as extractor:
        assert read(extractor, SLOW) == Failure(Reason.EXCEEDED, "reading it takes more than 1 seconds")
        assert isinstance(read(extractor, office.docx(STORY)), Text)


def test_a_parser_that_crashes_costs_one_document() -> None:
    """What ended it is told, and what comes next is read."""
    before = workers_of(psutil.Process())
    with Extractor(BOUNDS, 1) as extractor:
        slow = extractor.begin(SLOW, "x")
        assert isinstance(slow, Future)
        busy(psutil.Process(), before).send_signal(signal.SIGSEGV)
        assert slow.result(PATIENCE_SECONDS) == Failure(Reason.CRASHED, "the parser ended: SIGSEGV")
        assert isinstance(read(extractor, office.docx(STORY)), Text)


def workers_of(parent: psutil.Process) -> list[psutil.Process]:
    alive = [child for child in parent.children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if "pipeline.extraction.worker" in " ".join(child.cmdline())]


def parsing(extractor: Extractor) -> psutil.Process:
    """The worker that begins to parse what takes long."""
    before = workers_of(psutil.Process())
    extractor.begin(SLOW, "x")
    return busy(psutil.Process(), before)


def busy(parent: psutil.Process, before: list[psutil.Process]) -> psutil.Process:
    """The new worker of a process, once it has done more than to start."""
    while True:
        for child in workers_of(parent):
            if child not in before and child.cpu_times().user > STARTED_SECONDS:
                return child


def test_plain_text_needs_no_process() -> None:
    """Text, Markdown, pages, CSV and JSON are read at once, and no worker is started for them."""
    before = workers_of(psutil.Process())
    with Extractor(BOUNDS, 1) as extractor:
        for form in ("html", "csv", "json"):
            assert isinstance(extractor.begin(WRITERS[form](STORY), f"x.{form}"), Text)
        assert workers_of(psutil.Process()) == before


def test_a_worker_can_write_no_file_and_sees_no_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its limit on files is zero bytes, and its environment is empty."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    with Extractor(BOUNDS, 1) as extractor:
        worker = parsing(extractor)
        assert "AWS_SECRET_ACCESS_KEY" not in worker.environ()
        if sys.platform == "linux":
            assert worker.rlimit(psutil.RLIMIT_FSIZE) == (0, 0)
            assert worker.rlimit(psutil.RLIMIT_AS) == (BOUNDS.memory_bytes, BOUNDS.memory_bytes)
    assert not worker.is_running()


def test_texts_of_workers_are_those_of_reading_here(extractor: Extractor) -> None:
    """Whether a document is read here or elsewhere makes no difference."""
    for write in WRITERS.values():
        for language in ("de", "hi"):
            content = write(STORIES[language])
            assert read(extractor, content) == extract(content, "x")


SCRIPT = """
import sys
from pathlib import Path
from pipeline.extraction import Bounds
from pipeline.extraction.workers import Extractor
with Extractor(Bounds(seconds=600), 1) as extractor:
    slow = extractor.begin(Path(sys.argv[1]).read_bytes(), "x")
    print("begun", flush=True)
    slow.result()
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_nothing_stays_behind(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C ends the workers at once, and so does a kill -9 of who reads: long before the limits do."""
    slow = tmp_path / "slow.pdf"
    slow.write_bytes(SLOW)
    command = [sys.executable, "-c", SCRIPT, str(slow)]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with run:
        assert run.stdout is not None
        assert run.stdout.readline() == b"begun\n"
        worker = busy(psutil.Process(run.pid), [])
        run.send_signal(number)
        run.wait(PATIENCE_SECONDS)
    psutil.wait_procs([worker], 3)  # parsing it to the end takes longer
    assert not worker.is_running()


def test_order_is_kept_by_many_workers() -> None:
    """A slow document among quick ones: each future has its own text."""
    with Extractor(BOUNDS, 2) as extractor:
        stories = [*STORIES.values()] * 3
        begun = [extractor.begin(office.docx(story), "x") for story in stories]
        for story, future in zip(stories, begun, strict=True):
            assert isinstance(future, Future)
            found = future.result(PATIENCE_SECONDS)
            assert isinstance(found, Text)
            assert missing(found.content, story.in_order) == []

"""A source of many formats: what the tables say of each document, in the order of the listing."""

from __future__ import annotations

import datetime as dt

import pytest

from pipeline.steps import RunSummary
from pipeline.steps.reading import MOST_WAITING
from tests.extraction import hostile, office, single
from tests.extraction.stories import AUTHOR, STORIES
from tests.extraction.test_formats import WRITERS
from tests.world import ANALYSES, World

BROKEN = {
    "locked.pdf": (single.locked_pdf(), "encrypted"),
    "scan.pdf": (single.scanned_pdf(), "no_text"),
    "half.docx": (office.docx(STORIES["en"])[:1_200], "damaged"),
    "bomb.docx": (hostile.swollen_docx(150_000_000), "exceeded"),
    "slow.pdf": (hostile.slow_pdf(5_000_000), "exceeded"),
    "three.zip": (office.zipped({"a": "x", "b": "y", "c": "z"}), "unsupported"),
    "empty.docx": (b"", "empty"),
}
LANGUAGES = ("de", "hi")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, RunSummary]:
    """A run over a document of every format, broken ones, and texts between them."""
    world = World(tmp_path_factory.mktemp("formats") / "a world", extract_seconds=3, extract_workers=2)
    for language in LANGUAGES:
        for form, write in WRITERS.items():
            world.put(f"{form} {language}.{form}", write(STORIES[language]))
    for name, (content, _) in BROKEN.items():
        world.put(name, content)
    for number in range(MOST_WAITING + 20):
        world.put(f"m{number:03d}.txt", f"This is the text of document number {number}, and it is plain.")
    return world, world.run()


def test_every_document_ends_once_whatever_its_format(finished: tuple[World, RunSummary]) -> None:
    """Results for what can be read, failures with a reason for the rest; the counts add up."""
    world, summary = finished
    documents = world.rows("documents")
    assert summary.documents == len(documents) == len(LANGUAGES) * len(WRITERS) + len(BROKEN) + MOST_WAITING + 20
    failed = {row["uri"].rpartition("/")[2]: row["failure"] for row in documents if row["failure"]}
    assert failed == {name: reason for name, (_, reason) in BROKEN.items()}
    for analysis in ANALYSES:
        failures = [row for row in world.rows("failures") if row["analysis"] == analysis]
        assert len(world.rows(analysis)) + len(failures) == len(documents)
        assert all(row["advice"] for row in failures)


def test_documents_say_what_is_known_of_them(finished: tuple[World, RunSummary]) -> None:
    """Format, language, title, author and time are columns; what is not known is null."""
    world, _ = finished
    rows = {row["uri"].rpartition("/")[2].replace("%20", " "): row for row in world.rows("documents")}
    for language in LANGUAGES:
        for form in WRITERS:
            row = rows[f"{form} {language}.{form}"]
            assert (row["format"], row["language"]) == (form, language)
        row = rows[f"docx {language}.docx"]
        created = dt.datetime(2026, 3, 14, 9, 26, 53, tzinfo=dt.UTC)
        assert (row["title"], row["author"], row["created"]) == (STORIES[language].title, AUTHOR, created)
        assert rows[f"pdf {language}.pdf"]["pages"] == 2
        assert row["encoding"] is None
    plain, locked = rows["m000.txt"], rows["locked.pdf"]
    assert (plain["format"], plain["encoding"], plain["language"], plain["title"]) == ("text", "utf-8", "en", None)
    assert {locked[name] for name in ("format", "language", "title", "author", "created", "pages", "characters")} == {
        None
    }


def test_texts_come_in_the_order_of_the_listing(finished: tuple[World, RunSummary]) -> None:
    """A slow document holds back those behind it; none overtakes it."""
    world, _ = finished
    uris = [row["uri"] for row in world.rows("documents")]
    assert uris == sorted(uris)


def test_a_second_night_reads_nothing_again(finished: tuple[World, RunSummary]) -> None:
    """What was read holds; what failed is tried again."""
    world, first = finished
    second = world.run("second")
    assert second.requests == 0
    assert second.failures == first.failures

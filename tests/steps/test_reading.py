"""A source of many formats: what the tables say of each document, in the order of the listing."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from pipeline.steps import RunSummary
from pipeline.steps.forecasting import PlanOrder, forecast_source
from pipeline.steps.progress import unseen
from pipeline.steps.reading import MOST_WAITING
from pipeline.storage.objects import absolute_uri
from pipeline.tidying import OldTexts, tidy_texts
from pipeline.tokens import load_counter
from tests.extraction import hostile, office, single
from tests.extraction.stories import AUTHOR, STORIES
from tests.extraction.test_formats import WRITERS
from tests.tidying.scenes import bucket, later
from tests.world import ANALYSES, WORK_URI, World

BROKEN = {
    "locked.pdf": (single.locked_pdf(), "encrypted"),
    "blank.pdf": (single.pdf([[]]), "no_text"),
    "half.docx": (office.docx(STORIES["en"])[:1_200], "damaged"),
    "bomb.docx": (hostile.swollen_docx(150_000_000), "exceeded"),
    "slow.pdf": (hostile.slow_pdf(5_000_000), "exceeded"),
    "sounds.zip": (office.zipped({"a": b"OggS\0"}), "unsupported"),
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
        assert 0 < row["tokens"] < 4 * row["characters"]
        assert (row["recognised_pages"], row["unread_parts"], row["removed_characters"]) == (None, 0, 0)
    plain, locked = rows["m000.txt"], rows["locked.pdf"]
    assert (plain["format"], plain["encoding"], plain["language"], plain["title"]) == ("text", "utf-8", "en", None)
    assert {
        locked[name] for name in ("format", "language", "title", "author", "created", "pages", "characters", "tokens")
    } == {None}


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


def test_a_changed_prompt_parses_nothing_again(tmp_path: Path) -> None:
    """The texts of PDFs are those of the first run, also where no parser could read one in time."""
    world = World(tmp_path / "world", analyses=("sentiment",))
    for language, story in STORIES.items():
        world.put(f"{language}.pdf", single.story_pdf(story))
    world.put("locked.pdf", single.locked_pdf())
    first = world.run("first")
    before = world.rows("documents", "first")
    world.with_settings(extract_seconds=0.001)
    world.own_prompts("sentiment", chunk_tokens=3_000)
    second = world.run("second")
    assert (first.results, first.failures) == (second.results, second.failures) == (8, 1)
    assert second.requests == 8
    own = ("run_key", "change")
    assert [{**row, **dict.fromkeys(own)} for row in world.rows("documents", "second")] == [
        {**row, **dict.fromkeys(own)} for row in before
    ]
    world.put("new.pdf", single.pdf([["new"]]))
    world.run("third")
    failed = [row["uri"].rpartition("/")[2] for row in world.rows("documents", "third") if row["failure"] == "exceeded"]
    assert failed == ["new.pdf"]


def test_a_plan_takes_kept_texts_and_keeps_none(tmp_path: Path) -> None:
    """`plan` writes nothing, and needs no parser for what a run has parsed."""
    world = World(tmp_path / "world", analyses=("sentiment",))
    world.put("a.pdf", single.story_pdf(STORIES["de"]))
    order = PlanOrder(absolute_uri(str(world.source)), None, WORK_URI)
    forecast_source(world.services, order, unseen)
    assert texts_of(world) == []
    world.run()
    assert len(texts_of(world)) == 1
    world.with_settings(extract_seconds=0.001)
    assert forecast_source(world.services, order, unseen).unreadable.expected == 0


def test_old_texts_are_tidied(tmp_path: Path) -> None:
    """After their days they go, and nothing else of the work store with them; a dry run only says so."""
    world = World(tmp_path / "world", analyses=("sentiment",))
    world.put("a.pdf", single.story_pdf(STORIES["de"]))
    world.run()
    assert tidy_texts(world.services, WORK_URI) == OldTexts(0, 0)
    later(world, 91)
    others = set(bucket(world)) - set(texts_of(world))
    assert tidy_texts(world.services, WORK_URI, dry_run=True).files == 1
    assert len(texts_of(world)) == 1
    assert tidy_texts(world.services, WORK_URI).files == 1
    assert set(bucket(world)) == others


def texts_of(world: World) -> list[str]:
    return [key for key in bucket(world) if key.startswith("work/texts/")]


def test_tokens_are_counted_where_that_is_cheap(tmp_path: Path) -> None:
    """In small runs, and with fast counting in all; else they are unknown, which is null."""
    counter = load_counter(fast=False)
    large = "It rains in the valley. " * 25_000
    for fast in (False, True):
        world = World(tmp_path / str(fast), analyses=("sentiment",), fast_counting=fast)
        world.put("a.txt", "It rains in the valley.")
        small = world.run("small")
        assert [row["tokens"] for row in world.rows("documents", "small")] == [counter.count("It rains in the valley.")]
        world.put("b.txt", large)
        world.run("large", force=True)
        found = [row["tokens"] for row in world.rows("documents", "large")]
        assert found == ([counter.count("It rains in the valley."), counter.count(large)] if fast else [None, None])
        assert small.results == 1

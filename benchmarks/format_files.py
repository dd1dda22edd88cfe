"""Files of every format with a known text: the stories that the tests write, made longer, in eight languages."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import zip_longest

from tests.extraction import single
from tests.extraction.stories import STORIES, Story
from tests.extraction.writers import DOCUMENTS

SENTENCES = 20  # of each of the two paragraphs: about 3,000 letters a file, and more lines than fit on one page
LINES_A_PAGE = 50
EDITIONS = 2  # files of each language, which differ in their numbers
COLUMN_LETTERS = 45
_ENCODINGS = {"hi": "utf-16", "th": "tis-620"}


@dataclass(frozen=True, slots=True)
class Made:
    """A file, the name that it has, and what it says in the order of reading."""

    content: bytes
    name: str
    text: str


def files(form: str) -> list[Made]:
    """Those of one row of the table, the same ones every time."""
    languages = ["en"] if form == "pdf, two columns" else list(STORIES)
    return [_made(form, longer(STORIES[one], edition)) for one in languages for edition in range(EDITIONS)]


def longer(story: Story, edition: int) -> Story:
    """With many sentences a paragraph, each of which says where it stands."""

    def many(sentence: str) -> str:
        return " ".join(f"{edition * 100 + number} {sentence}" for number in range(SENTENCES))

    first, second = ((heading, many(sentence)) for heading, sentence in (story.first, story.second))
    return replace(story, first=first, second=second)


def _made(form: str, story: Story) -> Made:
    ending = form.partition(",")[0]
    text = "\n".join(_rows_in_order(story) if form == "csv" else story.in_order)
    return Made(WRITERS[form](story), f"document.{ENDINGS.get(form, ending)}", text)


def _lines(story: Story) -> list[str]:
    """As a page has them: wrapped, with a table whose cells stand in columns."""
    texts = [*story.first, *story.second, *story.items]
    rows = ["   ".join(row) for row in story.table]
    return [line for text in [*texts, *rows] for line in textwrap.wrap(text, 80)]


def _pdf(story: Story) -> bytes:
    lines = _lines(story)
    pages = [lines[at : at + LINES_A_PAGE] for at in range(0, len(lines), LINES_A_PAGE)]
    return single.pdf(pages, title=story.title)


def _two_columns(story: Story) -> bytes:
    lines = [line for text in story.in_order for line in textwrap.wrap(text, COLUMN_LETTERS)]
    half = -(-len(lines) // 2)
    left, right = zip(*zip_longest(lines[:half], lines[half:], fillvalue=""), strict=True)
    return single.two_columns_pdf(left, right)


def _text(story: Story) -> bytes:
    """As many files are: in the encoding of a country."""
    return "\n\n".join(story.in_order).encode(_ENCODINGS.get(story.language, "cp1252"))


def _markdown(story: Story) -> bytes:
    rows = [f"| {' | '.join(row)} |" for row in story.table]
    rows.insert(1, "| --- | --- |")
    parts = [f"# {story.first[0]}", story.first[1], f"## {story.second[0]}", story.second[1]]
    return "\n\n".join([*parts, "\n".join(f"- {item}" for item in story.items), "\n".join(rows)]).encode()


def _rows_in_order(story: Story) -> list[str]:
    """What `single.as_csv` writes: all that there is, and the table as rows of their own."""
    return [*story.in_order[:6], *(cell for row in story.table for cell in row)]


WRITERS: dict[str, Callable[[Story], bytes]] = {
    "pdf": _pdf,
    "pdf, two columns": _two_columns,
    **DOCUMENTS,
    "text, old encodings": _text,
    "markdown": _markdown,
    "csv": single.as_csv,
    "json": single.as_json,
}
ENDINGS = {"text, old encodings": "txt", "markdown": "md"}

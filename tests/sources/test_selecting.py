"""Which documents are wanted."""

from __future__ import annotations

import datetime as dt

import pytest

from pipeline.domain import Document
from pipeline.sources.selecting import Selection

NOON = dt.datetime(2026, 11, 23, 12, tzinfo=dt.UTC)


def document(size_bytes: int = 10, modified: dt.datetime = NOON) -> Document:
    return Document("s3://b/in/x", "1", size_bytes, modified)


@pytest.mark.parametrize(
    ("pattern", "matched", "unmatched"),
    [
        ("*.pdf", ["a.pdf", "deep/er/a.pdf", ".pdf"], ["a.pdf2", "a.PDF", "apdf"]),
        ("**/*.pdf", ["a.pdf", "deep/er/a.pdf"], ["a.txt"]),
        ("/*.pdf", ["a.pdf"], ["deep/a.pdf"]),
        ("in/*.pdf", ["in/a.pdf"], ["a.pdf", "in/deep/a.pdf", "out/in/a.pdf"]),
        ("in/**/*.pdf", ["in/a.pdf", "in/deep/er/a.pdf"], ["a.pdf", "on/a.pdf"]),
        ("in/**", ["in/a", "in/deep/a"], ["in", "inn/a"]),
        ("drafts/", ["drafts/a", "x/drafts/a/b"], ["drafts", "x/drafts"]),
        ("drafts", ["drafts", "drafts/a", "x/drafts"], ["draftsman"]),
        ("a?c", ["abc", "x/abc"], ["ac", "a/c"]),
        ("[a-c]1", ["a1", "c1"], ["d1"]),
        ("[!a-c]1", ["d1"], ["a1", "/1"]),
        ("**", ["a", "a/b"], []),
        ("a+(b)$.txt", ["a+(b)$.txt"], ["aab.txt"]),
        ("[x", ["[x"], ["x"]),
        ("é*", ["école", "x/été"], ["e"]),
        ("a\\b", ["a\\b"], ["ab"]),
    ],
)
def test_patterns_are_those_of_gitignore(pattern: str, matched: list[str], unmatched: list[str]) -> None:
    """Stars stop at a slash, two do not; a slash within a pattern ties it to the root."""
    for selection, takes in ((Selection(include=(pattern,)), True), (Selection(exclude=(pattern,)), False)):
        assert [path for path in matched if selection.takes(document(), path) is not takes] == []
        assert [path for path in unmatched if selection.takes(document(), path) is takes] == []


@pytest.mark.parametrize(
    ("selection", "one", "taken"),
    [
        (Selection(), document(0), True),
        (Selection(min_bytes=10), document(10), True),
        (Selection(min_bytes=11), document(10), False),
        (Selection(max_bytes=10), document(10), True),
        (Selection(max_bytes=9), document(10), False),
        (Selection(modified_since=NOON), document(), True),
        (Selection(modified_since=NOON + dt.timedelta(seconds=1)), document(), False),
        (Selection(include=("*.md", "*.txt"), exclude=("b*",)), document(), True),
    ],
)
def test_bounds_are_inclusive(selection: Selection, one: Document, taken: bool) -> None:
    """Sizes and times on the bound are wanted."""
    assert selection.takes(one, "a.txt") is taken


def test_rows_pass_patterns() -> None:
    """A row has no name for a pattern; its size and time count all the same."""
    assert Selection(include=("*.pdf",)).takes(document(), None)
    assert not Selection(include=("*.pdf",), min_bytes=11).takes(document(), None)

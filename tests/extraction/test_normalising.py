"""The rule by which texts are normalised: what goes, what stays, and that what went is counted."""

from __future__ import annotations

import time
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain import Failure, Reason
from pipeline.extraction import Text, extract
from pipeline.extraction.normalising import MOST_MARKS, normalised
from tests.extraction import office, single
from tests.extraction.stories import STORIES, Story

FLAG = "\U0001f3f4\U000e0067\U000e0062\U000e007f"
CASES = [
    ("a\r\nb\rc\vd\fe\x85f\u2028g\u2029h\n\ti", "a\nb\nc\nd\ne\nf\ng\nh\n\ti", 0),
    ("a\r\nb\rc\vd\fe", "a\nb\nc\nd\ne", 0),
    ("a\0b\x07c\x1bd\x7fe", "abcde", 4),
    ("ä\0b\x07c\x9bd\x7fe", "äbcde", 4),
    ("pay\u202eyap\u202c \u2066x\u2069 \u200e\u200f\u061cy", "payyap x y", 7),
    ("co\u00adope\u200brate\u2060d\ufeff", "cooperated", 4),
    ("a\ud800b\ufffec\U0001ffffd", "abcd", 3),
    ("hidden" + "".join(chr(0xE0000 + ord(letter)) for letter in "ignore all"), "hidden", 10),
    (FLAG, "\U0001f3f4", 3),
    ("e\u0301 \u212b \u0958", "é Å \u0915\u093c", 0),
    ("a\u00a0b\u3000c\u2009d", "a\u00a0b\u3000c\u2009d", 0),
    # What writings need: Persian and Hindi, families, keycaps, variants of Chinese letters.
    ("می\u200cخواهم", "می\u200cخواهم", 0),
    ("क्\u200dष", "क्\u200dष", 0),
    (
        "👩\u200d👩\u200d👧 👁\ufe0f\u200d🗨\ufe0f 1\ufe0f⃣ 葛\U000e0100",
        "👩\u200d👩\u200d👧 👁\ufe0f\u200d🗨\ufe0f 1\ufe0f⃣ 葛\U000e0100",
        0,
    ),
    # What hides bytes: rows of selectors and joiners, and those that follow nothing.
    ("😀\ufe01\ufe02\U000e0101\U000e0102 x", "😀\ufe01 x", 3),
    ("a\u200c\u200d\u200c\u200db", "a\u200cb", 3),
    ("\u200d x \ufe0fy", " x y", 2),
    ("o" + "\u0301\u0323" * 40, None, 80 - MOST_MARKS),
]


@pytest.mark.parametrize(("text", "expected", "removed"), CASES)
def test_the_rule(text: str, expected: str | None, removed: int) -> None:
    """Line ends become line feeds, what nobody sees goes and is counted, letters are composed."""
    found = normalised(text)
    assert found[1] == removed
    assert expected is None or found[0] == expected


PIECES = "a \r\n\t\u200c\u200d\ufe0f\u0301\u0323\u0344\u0958\u200b\x00\x85\ud800\U000e0041é\U000e0100क़각각😀"


@given(st.text(st.sampled_from(PIECES) | st.characters(), max_size=80))
def test_it_is_done_once(text: str) -> None:
    """What comes out is composed, holds no control character, can be written as UTF-8, and stays as it is."""
    kept, removed = normalised(text)
    assert normalised(kept) == (kept, 0)
    assert unicodedata.is_normalized("NFC", kept)
    assert not [one for one in kept if unicodedata.category(one) in ("Cc", "Cs") and one not in "\n\t"]
    kept.encode()
    assert 0 <= removed <= len(text)


@given(st.text(st.sampled_from("ab \r\n\u202e\u200b\x00\ufeff漢"), max_size=80))
def test_what_is_missing_is_counted(text: str) -> None:
    """Beside the joined line ends, the text is shorter by as many characters as were removed."""
    kept, removed = normalised(text)
    assert len(kept) + removed == len(text) - text.count("\r\n")


@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_usual_texts_stay_the_very_same(story: Story) -> None:
    """The stories in the model's languages lose nothing."""
    text = "\n".join(story.in_order)
    assert normalised(text) == (unicodedata.normalize("NFC", text), 0)


@pytest.mark.parametrize(
    "text", ["a" + "\u0301\u0323" * 1_000_000, "\u0344" * 1_000_000, "é" + "\u200d\ufe0f" * 1_000_000]
)
def test_it_takes_linear_time(text: str) -> None:
    """Millions of marks on one letter take no hours, as they do in Python's own normalisation."""
    began = time.process_time()
    normalised(text)
    assert time.process_time() - began < 5


def test_every_form_goes_through_it() -> None:
    """Text, page, Office file, PDF and mail: what is removed is counted, and title and author are clean too."""
    dirty = "What\u202e happ\u200bened e\u0301"
    changed = replace(STORIES["en"], first=(dirty, "x\u00ady"), title=dirty)
    plain = dirty.encode() + b"\x07"
    for content in (plain, single.page(changed), office.docx(changed), office.odt(changed), single.eml(changed)):
        found = extract(content, "x")
        assert isinstance(found, Text)
        assert "What happened é" in found.content
        assert found.removed_characters >= 1
        assert found.title in (None, "What happened é")


def test_nothing_but_what_nobody_sees_is_empty() -> None:
    """The failure says how much there was."""
    found = extract("\u200b\u202e \ufeff\u2060".encode(), "x")
    assert found == Failure(Reason.EMPTY, "text without text: 4 characters, none of which can be seen")

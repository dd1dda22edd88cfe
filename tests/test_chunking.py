"""Chunks: lossless, within the budget by exact count, balanced, cut where a reader would."""

from __future__ import annotations

import itertools
import random

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.chunking import chunk
from pipeline.domain import Chunk
from pipeline.graphemes import LONGEST_GRAPHEME, best_cut, is_boundary
from pipeline.tokens import TokenCounter, load_counter

HOSTILE = [
    *(" ", "  ", "\n", "\n\n", "\r\n", "\t", "\x00", "\x85", "\u00a0", "\u2028", "\u3000"),
    *("a", "é", "word ", " wort", "Satz. ", "? ", "ll", "'", "'s", "12", "٣", "๑", ".", "!", "—", "、", "。"),
    *("中", "文", "あ", "\u0301", "\u0e34", "ก", "ข", "क", "ि", "्", "한"),
    *("👍", "\U0001f3fd", "\u200d", "👩", "🇩", "🇪", "<|eot_id|>"),
]
texts = st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=6).flatmap(
    lambda kinds: st.lists(st.sampled_from(kinds), max_size=150).map("".join)
) | st.lists(st.sampled_from(HOSTILE), max_size=80).map("".join)

SENTENCES = {
    "en": "The council met on Monday and approved the new budget. ",
    "de": "Der Stadtrat tagte am Montag und billigte den neuen Haushalt. ",
    "fr": "Le conseil s'est réuni lundi et a approuvé le nouveau budget. ",
    "it": "Il consiglio si è riunito lunedì e ha approvato il bilancio. ",
    "pt": "O conselho reuniu-se na segunda-feira e aprovou o orçamento. ",
    "es": "¿El consejo se reunió el lunes y aprobó el presupuesto? ",
    "hi": "परिषद की बैठक सोमवार को हुई और नए बजट को मंजूरी दी गई। ",
    "th": "สภาประชุมเมื่อวันจันทร์และอนุมัติงบประมาณใหม่ ",
    "zh": "市议会星期一开会,批准了新的预算。",
    "ja": "市議会は月曜日に会合を開き、新しい予算を承認した。",
}


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return load_counter(fast=False)


class CharactersSeen:
    """A counter that adds up how many characters it was asked to read."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self.total = 0

    def encode(self, text: str) -> list[int]:
        self.total += len(text)
        return self._counter.encode(text)

    def count(self, text: str) -> int:
        self.total += len(text)
        return self._counter.count(text)

    def decode(self, ids: list[int]) -> bytes:
        return self._counter.decode(ids)


def report(words: int) -> str:
    """Paragraphs of some ten sentences."""
    source = random.Random(words)
    sentences = (
        "The " + " ".join(source.choices(("river", "town", "plan", "water", "cost", "year"), k=12)) + ". "
        for _ in range(words // 13)
    )
    return "".join(text.rstrip() + "\n\n" if source.random() < 0.1 else text for text in sentences)


def assert_sound(text: str, chunks: tuple[Chunk, ...], limit_tokens: int, counter: TokenCounter) -> None:
    assert "".join(text[part.start : part.end] for part in chunks) == text
    assert [part.position for part in chunks] == list(range(len(chunks)))
    assert all(before.end == after.start for before, after in itertools.pairwise(chunks))
    for part in chunks:
        assert 0 < part.tokens <= limit_tokens
        assert part.tokens == counter.count(text[part.start : part.end])


def ratio(chunks: tuple[Chunk, ...]) -> float:
    return max(part.tokens for part in chunks) / min(part.tokens for part in chunks)


@settings(max_examples=500, deadline=None)
@given(text=texts, limit_tokens=st.integers(1, 50) | st.sampled_from([100, 400]))
def test_hostile_text_is_split_soundly(counter: TokenCounter, text: str, limit_tokens: int) -> None:
    """Chunks join to the text, keep the budget by exact count and cut no grapheme that fits."""
    if any(counter.count(character) > limit_tokens for character in set(text)):
        return
    chunks = chunk(text, limit_tokens, counter)
    assert_sound(text, chunks, limit_tokens, counter)
    assert (len(chunks) <= 1) == (counter.count(text) <= limit_tokens)
    cuts = {part.end for part in chunks}
    for grapheme in regex.finditer(r"\X", text):
        whole = counter.count(grapheme.group()) <= limit_tokens
        assert not (whole and cuts & set(range(grapheme.start() + 1, grapheme.end())))


@pytest.mark.parametrize("seed", range(60))
def test_long_hostile_text_is_split_soundly(counter: TokenCounter, seed: int) -> None:
    """The same holds for texts of many blocks."""
    source = random.Random(seed)
    text = "".join(source.choices(source.sample(HOSTILE, 1 + seed % 12), k=4_000))
    limit_tokens = source.randint(50, 2_000)
    assert_sound(text, chunk(text, limit_tokens, counter), limit_tokens, counter)


@pytest.mark.parametrize("unit", ["a", " ", "\n", "-", "的", "7", "\u0301", "👩\u200d🔬", "x1", "a\u0301"])
@pytest.mark.parametrize("limit_tokens", [50, 3_000])
def test_runs_without_spaces_are_split_soundly(counter: TokenCounter, unit: str, limit_tokens: int) -> None:
    """A run without any place to cut is split exactly too, and balanced."""
    text = unit * (60_000 // len(unit) if limit_tokens > 50 else 4_000 // len(unit))
    chunks = chunk(text, limit_tokens, counter)
    assert_sound(text, chunks, limit_tokens, counter)
    if limit_tokens > 256 and len(chunks) > 1:
        assert ratio(chunks) <= 4 / 3


def test_an_empty_text_has_no_chunks(counter: TokenCounter) -> None:
    """Nothing is split into nothing."""
    assert chunk("", 10, counter) == ()


def test_a_text_that_just_fits_is_one_chunk(counter: TokenCounter) -> None:
    """A text of exactly the budget is one chunk, and two with one token less."""
    text = report(5_000)
    tokens = counter.count(text)
    assert chunk(text, tokens, counter) == (Chunk(0, 0, len(text), tokens),)
    assert len(chunk(text, tokens - 1, counter)) == 2


def test_a_little_too_long_becomes_two_halves(counter: TokenCounter) -> None:
    """130 parts of text with room for 125 become two halves, not 125 and 5."""
    text = report(13_000)
    tokens = counter.count(text)
    chunks = chunk(text, tokens * 125 // 130, counter)
    assert len(chunks) == 2
    assert ratio(chunks) < 1.15


@pytest.mark.parametrize("language", SENTENCES)
@pytest.mark.parametrize("limit_tokens", [256, 1_000, 4_000])
def test_chunks_are_balanced_and_end_with_sentences(counter: TokenCounter, language: str, limit_tokens: int) -> None:
    """In each language, chunks end where sentences end, and the largest has at most 4/3 of the smallest's tokens."""
    sentence = SENTENCES[language]
    text = sentence * 400
    chunks = chunk(text, limit_tokens, counter)
    assert_sound(text, chunks, limit_tokens, counter)
    assert len(chunks) > 1
    if limit_tokens > 256:  # where the window for a cut is longer than the sentence
        assert {part.end % len(sentence) for part in chunks} == {0}
    assert ratio(chunks) <= 4 / 3


@pytest.mark.parametrize("limit_tokens", [256, 300, 777, 2_000, 9_000])
def test_mixed_prose_is_balanced(counter: TokenCounter, limit_tokens: int) -> None:
    """Stretches of different density (prose, digits, Thai) do not unbalance the chunks."""
    source = random.Random(limit_tokens)
    text = "".join(
        source.choice(list(SENTENCES.values())) * source.randint(1, 30) + "0123 " * source.randint(0, 99)
        for _ in range(60)
    )
    chunks = chunk(text, limit_tokens, counter)
    assert_sound(text, chunks, limit_tokens, counter)
    assert ratio(chunks) <= 4 / 3


def test_chunks_are_few(counter: TokenCounter) -> None:
    """No more chunks are made than one above the least possible number."""
    text = report(30_000)
    tokens = counter.count(text)
    for limit_tokens in range(1_000, 9_000, 500):
        least = -(-tokens // limit_tokens)
        assert least <= len(chunk(text, limit_tokens, counter)) <= least + 1


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("One two. Three\n\nFour five. Six seven.", "\n\n"),
        ("One two\r\n\r\nfour. Five. Six seven eight", "\r\n\r\n"),
        ("one two three. Four five\nsix seven", ". "),
        ("He said \u201cno, never again.\u201d Then he left", "\u201d "),
        ("first line here\nsecond line here too", "\n"),
        ("see e. g. word after word after word", " "),
        ("某某某某某某。某某某某，某某某", "。"),
        ("某某某某某某某，某某某某某某某", "，"),
        ("यह वाक्य है। यह दूसरा वाक्य है", "। "),
        ("ประโยคแรก ประโยคที่สอง", " "),
    ],
)
def test_the_best_kind_of_place_is_taken(text: str, kind: str) -> None:
    """Paragraphs come before sentences, then lines, then words; the cut lies behind the white space."""
    cut = best_cut(text, 1, len(text) // 2, len(text) - 1)
    assert cut is not None
    assert text[:cut].endswith(kind)


def test_of_equal_places_the_nearest_is_taken() -> None:
    """Of several sentence ends, the one nearest to the wanted place is taken."""
    text = "Here is one. " * 100
    assert best_cut(text, 1, 655, len(text) - 1) == 650


@pytest.mark.parametrize(
    "grapheme", ["e\u0301", "👩\u200d👩\u200d👧", "🇩🇪", "\r\n", "क्षि", "한", "👍\U0001f3fd", "น้ำ"[:2]]
)
def test_boundaries_are_where_unicode_has_them(grapheme: str) -> None:
    """Inside a grapheme is no boundary, around it is one, also in a long run of it."""
    text = grapheme * 40
    places = {place for place in range(len(text) + 1) if is_boundary(text, place)}
    assert places == set(range(0, len(text) + 1, len(grapheme)))


def test_a_grapheme_above_the_budget_is_cut_between_characters(counter: TokenCounter) -> None:
    """A grapheme of more tokens than the budget is cut, and still nothing is lost."""
    family = "👩\u200d👩\u200d👧\u200d👦"
    limit_tokens = counter.count(family) - 1
    chunks = chunk(family, limit_tokens, counter)
    assert len(chunks) == 2
    assert_sound(family, chunks, limit_tokens, counter)


def test_a_grapheme_longer_than_the_bound_is_cut(counter: TokenCounter) -> None:
    """A letter under 100,000 accents is split like any other text."""
    text = "e" + "\u0301" * 100_000
    assert len(text) > LONGEST_GRAPHEME
    assert_sound(text, chunk(text, 5_000, counter), 5_000, counter)


def test_a_character_above_the_budget_is_an_error(counter: TokenCounter) -> None:
    """A character that needs more tokens than the budget ends in an error with both figures."""
    with pytest.raises(ValueError, match=r"Character 2 of the text.*3 tokens and the budget is 1"):
        chunk("ab\U0001d4d0", 1, counter)


@pytest.mark.parametrize("limit_tokens", [0, -5])
def test_a_budget_below_one_is_an_error(counter: TokenCounter, limit_tokens: int) -> None:
    """There is no chunk of no tokens."""
    with pytest.raises(ValueError, match="must be at least 1"):
        chunk("text", limit_tokens, counter)


@pytest.mark.parametrize("unit", ["a", " ", "的", "\u0301", "The river town. "])
@pytest.mark.parametrize("limit_tokens", [100, 1_000])
def test_work_grows_with_the_text_alone(counter: TokenCounter, unit: str, limit_tokens: int) -> None:
    """Four times the text asks the counter for at most five times the characters, at small and large budgets."""
    seen = []
    units = 1_024 * 3_000 // counter.count(unit * 1_024)
    for text in (unit * units, unit * units * 4):
        reader = CharactersSeen(counter)
        assert len(chunk(text, limit_tokens, reader)) > 2
        seen.append(reader.total)
    assert seen[1] <= 5 * seen[0]

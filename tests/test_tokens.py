"""Token counts: Meta's vocabulary and nothing else, exact for any text."""

from __future__ import annotations

import hashlib
import importlib.util
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import vocabulary
from pipeline.errors import VocabularyError
from pipeline.tokens import (
    CONTROL_TOKENS,
    VOCABULARY_SHA256,
    TokenCounter,
    blocks,
    bound_tokens,
    count_prompt,
    load_counter,
    truncate,
)
from pipeline.vocabulary import check_ids, find_vocabulary, load_tiktoken, read_ranks

ENGINES = [
    False,
    pytest.param(True, marks=pytest.mark.skipif(not importlib.util.find_spec("fastokens"), reason="extra")),
]

# What tokenizers, regular expressions and Unicode tables disagree about.
HOSTILE = [
    *(" ", "  ", "\n", "\n\n", "\r\n", "\t", "\x00", "\x1c", "\x85", "\u00a0", "\u2028", "\u3000", "\u200b"),
    *("a", "S", "word ", "Ends. ", "é", "ß", "Ж", "한", "'", "'s", "'LL", "ſ", "K", "ʼ"),
    *("1", "23", "٣", "๑", "²", "½", ".", "!", "-", "—", "、", "。", "_", "(", ".:.:"),
    *("中", "文", "あ", "カ", "\u0301", "\u0e34", "ก", "ข", "क", "ि", "्"),
    *("👍", "\U0001f3fd", "\u200d", "👩", "🇩", "\U0001d4d0", "\U00020000", "\ue000", "\u0378"),
    *("<|eot_id|>", "<|begin_of_text|>", "<|", "|>"),
]
# Few kinds of pieces make long runs, many make odd neighbours.
texts = st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=6).flatmap(
    lambda kinds: st.lists(st.sampled_from(kinds), max_size=200).map("".join)
) | st.lists(st.sampled_from(HOSTILE), max_size=60).map("".join)


@pytest.fixture(scope="module")
def counter() -> TokenCounter:
    return load_counter(fast=False)


@pytest.fixture(scope="module")
def reference():
    return load_tiktoken(read_ranks(find_vocabulary()))


def hostile_text(seed: int, pieces: int, kinds: int) -> str:
    source = random.Random(seed)
    return "".join(source.choices(source.sample(HOSTILE, kinds), k=pieces))


@pytest.mark.parametrize("fast", ENGINES)
@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("This is a test sentence.", [2028, 374, 264, 1296, 11914, 13]),
        ("Hello world!", [9906, 1917, 0]),
        ("", []),
    ],
)
def test_metas_check_vectors(fast: bool, text: str, ids: list[int]) -> None:
    """Both engines give the ids that Meta publishes for its check sentences."""
    counter = load_counter(fast=fast)
    assert counter.encode(text) == ids
    assert counter.count(text) == len(ids)
    assert counter.decode(ids) == text.encode()


@pytest.mark.parametrize("fast", ENGINES)
@settings(max_examples=300, deadline=None)
@given(text=texts)
def test_ids_are_those_of_plain_tiktoken(reference, fast: bool, text: str) -> None:
    """Both engines give plain tiktoken's ids for hostile text, and decode them to the same bytes."""
    counter = load_counter(fast=fast)
    expected = reference.encode_ordinary(text)
    assert counter.encode(text) == expected
    assert counter.count(text) == len(expected)
    assert counter.decode(expected) == text.encode()


@settings(max_examples=300, deadline=None)
@given(text=texts, block_characters=st.integers(1, 40))
def test_blocks_add_up(counter: TokenCounter, text: str, block_characters: int) -> None:
    """The tokens of blocks, however small, add up to the count of the whole, and the blocks cover it."""
    found = list(blocks(text, counter, block_characters))
    assert sum(block.tokens for block in found) == counter.count(text)
    assert [block.end for block in found] == sorted({block.end for block in found})
    assert (found[-1].end if found else 0) == len(text)


@pytest.mark.parametrize("seed", range(40))
def test_safe_blocks_add_up_in_any_stretch(counter: TokenCounter, seed: int) -> None:
    """Where a safe block ends, counts add up in every stretch of the text around that place."""
    text = hostile_text(seed, pieces=300, kinds=12) + " end"
    source = random.Random(seed)
    places = [block.end for block in blocks(text, counter, 5) if block.safe][:-1]
    assert places
    for place in places:
        start, end = source.randrange(place), source.randint(place + 1, len(text))
        whole = counter.count(text[start:end])
        assert counter.count(text[start:place]) + counter.count(text[place:end]) == whole


@pytest.mark.parametrize("fast", ENGINES)
@pytest.mark.parametrize(
    "unit",
    [
        "a",
        " ",
        "\n",
        "\t",
        "7",
        "-",
        "é",
        "的",
        "๑๒",
        "\u0301",
        "👩\u200d🔬",
        "abc",
        "क्ष",
        "\u3000",
        " " * 9_999 + "\n",
    ],
)
def test_long_runs_without_a_safe_place_are_counted_exactly(reference, fast: bool, unit: str) -> None:
    """A run that is cut inside one piece of the split pattern has the tokens that plain tiktoken gives all of it."""
    text = "x" + unit * (100_003 // len(unit)) + "x."
    counter = load_counter(fast=fast)
    expected = reference.encode_ordinary(text)
    assert counter.count(text) == len(expected)
    assert counter.encode(text) == expected


@pytest.mark.parametrize("seed", range(60))
def test_runs_are_cut_at_token_boundaries(counter: TokenCounter, seed: int) -> None:
    """Windows of 1,024 characters give exact counts on hostile runs too."""
    text = hostile_text(seed, pieces=3_000, kinds=1 + seed % 4)
    found = list(blocks(text, counter, 8, 1_024))
    assert sum(block.tokens for block in found) == counter.count(text)


@pytest.mark.parametrize("fast", ENGINES)
def test_a_million_blanks_are_counted(fast: bool) -> None:
    """A million blanks, on which plain tiktoken gives up, are 128 to the token."""
    assert load_counter(fast=fast).count(" " * 1_000_000) == 7_813


@pytest.mark.parametrize("fast", ENGINES)
def test_lone_surrogates_are_refused(fast: bool) -> None:
    """A lone surrogate ends in a ValueError that says what to do, with both engines."""
    with pytest.raises(ValueError, match=r"lone surrogate.*Decode the source as UTF-8"):
        load_counter(fast=fast).count("a\ud800b")


@settings(max_examples=300, deadline=None)
@given(prompt=texts)
def test_prompts_count_control_tokens_as_one(counter: TokenCounter, reference, prompt: str) -> None:
    """A prompt has the tokens that tiktoken gives it with every special token allowed."""
    assert count_prompt(prompt, counter) == len(reference.encode(prompt, allowed_special="all"))


def test_control_tokens_are_metas() -> None:
    """There are 256 control tokens, with Meta's ids, and each counts 7 or more as plain text but 1 in a prompt."""
    assert sorted(CONTROL_TOKENS.values()) == list(range(128_000, 128_256))
    named = {"begin_of_text": 0, "end_of_text": 1, "start_header_id": 6, "end_header_id": 7, "eom_id": 8, "eot_id": 9}
    assert {name: CONTROL_TOKENS[f"<|{name}|>"] - 128_000 for name in named} == named
    counter = load_counter(fast=False)
    assert counter.count("<|eot_id|>") == 7
    assert {count_prompt(spelling, counter) for spelling in CONTROL_TOKENS} == {1}


def test_a_user_turn_costs_ten_tokens(counter: TokenCounter) -> None:
    """The Llama 3 template around one user text of one token is 10 tokens."""
    header = "<|start_header_id|>{}<|end_header_id|>\n\n"
    prompt = "<|begin_of_text|>" + header.format("user") + "Hello<|eot_id|>" + header.format("assistant")
    assert count_prompt(prompt, counter) == 10 + 1


@settings(max_examples=200, deadline=None)
@given(text=texts.filter(lambda text: len(text) <= 300), limit_tokens=st.integers(0, 30))
def test_truncation_is_the_longest_prefix(counter: TokenCounter, text: str, limit_tokens: int) -> None:
    """No longer prefix of the text is within the limit."""
    fitting = [end for end in range(len(text) + 1) if counter.count(text[:end]) <= limit_tokens]
    assert truncate(text, limit_tokens, counter) == text[: max(fitting)]


def test_truncation_of_a_long_text_fills_the_limit(counter: TokenCounter) -> None:
    """A long text is cut to exactly the limit."""
    text = "The quick brown fox jumps over the lazy dog. " * 5_000
    assert counter.count(truncate(text, 10_000, counter)) == 10_000


@given(text=st.text(max_size=200))
def test_bytes_bound_tokens(counter: TokenCounter, text: str) -> None:
    """No text has more tokens than UTF-8 bytes."""
    assert counter.count(text) <= bound_tokens(text) == len(text.encode())


def test_the_bound_accepts_surrogates() -> None:
    """The bound never fails: a surrogate is three bytes."""
    assert bound_tokens("\ud800") == 3


def test_the_counter_is_loaded_once() -> None:
    """The same vocabulary and engine give the same counter, named or found."""
    assert load_counter(fast=False) is load_counter(find_vocabulary(), fast=False)


def test_a_missing_vocabulary_is_an_error(tmp_path: Path) -> None:
    """A path without a file ends in an error that names it."""
    missing = tmp_path / "tokenizer.model"
    with pytest.raises(VocabularyError, match=r"tokenizer\.model cannot be read.*Give the path"):
        load_counter(missing, fast=False)


def test_a_wrong_vocabulary_is_an_error(tmp_path: Path) -> None:
    """One changed byte ends in an error with the path, both checksums and what to do."""
    content = bytearray(find_vocabulary().read_bytes())
    content[-2] ^= 1
    wrong = tmp_path / "wrong.model"
    wrong.write_bytes(content)
    with pytest.raises(VocabularyError) as caught:
        load_counter(wrong)
    message = str(caught.value)
    assert all(
        part in message for part in (str(wrong), hashlib.sha256(content).hexdigest(), VOCABULARY_SHA256, "Reinstall")
    )


def test_a_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the search ends in an error that says what to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(VocabularyError, match="Install the package llama-models"):
        find_vocabulary()


@pytest.mark.parametrize("place", ["llama3/tokenizer.model", "llama3/api/tokenizer.model"])
def test_the_vocabulary_is_found_in_either_release(place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is found where old and new releases of the package keep it, and the package is not imported."""
    package = tmp_path / "llama_models"
    file = package / place
    file.parent.mkdir(parents=True)
    file.touch()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert find_vocabulary() == file


def test_an_engine_with_wrong_ids_is_an_error(reference) -> None:
    """An engine that differs in one id of one check text is refused with that text and its name."""
    with pytest.raises(VocabularyError, match=r"other encodes .* counts would be wrong"):
        check_ids(
            lambda text: reference.encode_ordinary(text.replace("\u200b", "")), reference.encode_ordinary, "other"
        )


def test_fastokens_is_required_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """fast=True without fastokens is an error, not a fallback."""

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(VocabularyError, match=r"Install docbatch\[fast\]"):
        vocabulary.load_fastokens({})

"""Exact Llama 3 token counts of texts of any length, in linear time."""

from __future__ import annotations

import importlib.util
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Protocol

from pipeline.vocabulary import (
    CONTROL_TOKENS,
    VOCABULARY_SHA256,
    check_ids,
    find_vocabulary,
    load_fastokens,
    load_tiktoken,
    read_ranks,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = [
    "BLOCK_CHARACTERS",
    "CONTROL_TOKENS",
    "VOCABULARY_SHA256",
    "WINDOW_CHARACTERS",
    "Block",
    "TokenCounter",
    "blocks",
    "bound_tokens",
    "count_prompt",
    "load_counter",
    "truncate",
]

BLOCK_CHARACTERS = 16_000

# A piece without a safe place is encoded in overlapping windows of this size. tiktoken's regex runs out of stack on
# a few hundred thousand blanks in a row; 48,000 characters are far from that.
WINDOW_CHARACTERS = 32_000
_OVERLAP_TOKENS = 128
_CUT_ATTEMPTS = 256
_TRUNCATE_CHARACTERS = 1_000

# No token of the vocabulary is longer, so no shorter stretch of text can turn back into fewer tokens.
_LONGEST_TOKEN_BYTES = 128

# Letters and punctuation on which every Unicode version agrees; elsewhere engines may see different classes.
_LETTER = "A-Za-zÀ-ÖØ-öø-ɏα-ωА-яぁ-ゖァ-ヺ一-鿋가-힣"
_NO_LETTER = r"\x00-@\[-`{-\x7f、。〈-】！（），：；？"

# Where the counts of both sides add up, whatever stands further left or right: the split pattern always ends a piece
# there, and what ends it does not look ahead. White space as Python sees it includes what the pattern sees.
_SAFE_PLACE = re.compile(
    r"(?<=\n)(?=\S)"  # after a line, unless white space goes on
    r"|(?<=\S)(?= )"  # before a space, unless white space stands before it
    rf"|(?<=[{_LETTER}])(?=[{_NO_LETTER}])"
    r"|(?<=[0-9])(?=[\x00-/:-\x7f])"
)

_CONTROL = re.compile("|".join(map(re.escape, CONTROL_TOKENS)))


class TokenCounter(Protocol):
    """Llama 3's view of a text. Spelled control tokens are plain text here; no begin_of_text is added."""

    def encode(self, text: str) -> list[int]:
        """The token ids of a text of any length. Raises ValueError for a lone surrogate."""

    def count(self, text: str) -> int:
        """Exactly len(encode(text)), without building the list."""

    def decode(self, ids: list[int]) -> bytes:
        """The UTF-8 bytes that ordinary tokens stand for; may begin or end inside a character."""


@dataclass(frozen=True, slots=True)
class Block:
    """The characters of a text up to `end` from where the block before ended, and their tokens.

    Tokens of consecutive blocks add up. At the end of a `safe` block they do so in any stretch of the text that holds
    the characters on both sides; otherwise only in stretches that begin where the blocks began.
    """

    end: int
    tokens: int
    safe: bool


def load_counter(vocabulary: Path | None = None, *, fast: bool | None = None) -> TokenCounter:
    """The counter with Meta's vocabulary, loaded once per process and path; safe to share between threads.

    `vocabulary`: path of Meta's tokenizer.model; None finds it in the package llama-models.
    `fast`: True counts with fastokens, False with tiktoken, None with fastokens if it is installed. Both give the same
    ids. tiktoken loads in 0.3 s, fastokens in 4 s: it pays from some 50 MB of text on.
    Raises VocabularyError when the vocabulary is missing or not Meta's, or when the engine's ids are not the expected.
    """
    path = find_vocabulary() if vocabulary is None else vocabulary
    if fast is None:
        fast = importlib.util.find_spec("fastokens") is not None
    return _load(path.absolute(), fast)


@lru_cache(maxsize=4)
def _load(path: Path, fast: bool) -> _BlockCounter:
    ranks = read_ranks(path)
    reference = load_tiktoken(ranks).encode_ordinary
    check_ids(reference, reference, "tiktoken")
    spelled = {rank: token for token, rank in ranks.items()}
    if not fast:
        return _BlockCounter(reference, lambda text: len(reference(text)), spelled)
    tokenizer = load_fastokens(ranks)
    counter = _BlockCounter(
        lambda text: list(tokenizer.encode_ordinary(text).ids),
        lambda text: len(tokenizer.encode_ordinary(text)),
        spelled,
    )
    check_ids(counter.encode, reference, "fastokens")
    return counter


class _BlockCounter:
    """Either engine behind the seam. The engine itself never sees more than one window at once."""

    def __init__(
        self, encode_piece: Callable[[str], list[int]], count_piece: Callable[[str], int], spelled: dict[int, bytes]
    ) -> None:
        self._encode_piece = encode_piece
        self._count_piece = count_piece
        self._spelled = spelled

    def encode(self, text: str) -> list[int]:
        if len(text) <= WINDOW_CHARACTERS:
            return self._encode_piece(_no_surrogates(text))
        ids: list[int] = []
        start = 0
        for block in blocks(text, self):
            ids += self._encode_piece(_no_surrogates(text[start : block.end]))
            start = block.end
        return ids

    def count(self, text: str) -> int:
        if len(text) <= WINDOW_CHARACTERS:
            return self._count_piece(_no_surrogates(text))
        return sum(block.tokens for block in blocks(text, self))

    def decode(self, ids: list[int]) -> bytes:
        return b"".join(map(self._spelled.__getitem__, ids))


def _no_surrogates(text: str) -> str:
    """The same text. Engines differ on lone surrogates: one replaces them, the other raises."""
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"The text holds a lone surrogate, {text[error.start]!r}, which is no character and has no tokens. "
            "Decode the source as UTF-8 with errors='replace'."
        ) from error
    return text


def blocks(
    text: str,
    counter: TokenCounter,
    block_characters: int = BLOCK_CHARACTERS,
    window_characters: int = WINDOW_CHARACTERS,
) -> Iterator[Block]:
    """Split the text where counts add up: at the first safe place after `block_characters`, so a little later.

    A run without a safe place for `window_characters` (letters, blanks or signs only) is cut at token boundaries of
    overlapping windows; at least 1,024 characters, so that a window holds several tokens. Linear in time; lazy; yields
    nothing for an empty text.
    """
    start = 0
    while start < len(text):
        block = _next_block(text, start, counter, block_characters, window_characters)
        yield block
        start = block.end


def _next_block(text: str, start: int, counter: TokenCounter, block_characters: int, window_characters: int) -> Block:
    window_end = start + window_characters
    place = _SAFE_PLACE.search(text, start + block_characters, window_end)
    if place is None and window_end < len(text):
        return _cut_run(text, start, window_end, counter)
    end = place.start() if place else len(text)
    return Block(end, counter.count(text[start:end]), safe=True)


def _cut_run(text: str, start: int, end: int, counter: TokenCounter) -> Block:
    """Cut a run some tokens before `end`, where both sides alone have the same tokens as together.

    Byte pair encoding is decided by neighbouring tokens: a sequence of tokens is the encoding of its bytes if each
    pair of neighbours is (github/rust-gems, crate bpe). The next window begins with the tokens compared here.
    """
    ids = counter.encode(text[start:end])
    overlap = min(_OVERLAP_TOKENS, len(ids) // 4)
    for kept in range(len(ids) - overlap, max(0, len(ids) - overlap - _CUT_ATTEMPTS), -1):
        tail = counter.decode(ids[kept:])
        if tail[0] & 0xC0 == 0x80:  # the token before ends inside a character
            continue
        cut = end - len(tail.decode())
        if counter.encode(text[cut:end]) == ids[kept:] and counter.encode(text[start:cut]) == ids[:kept]:
            return Block(cut, kept, safe=False)
    raise ValueError(
        f"Characters {start} to {end} of the text are one run that cannot be counted in parts. "
        "Break the run with a space or a new line."
    )


def count_prompt(prompt: str, counter: TokenCounter) -> int:
    """Tokens of a rendered prompt: each control token that is spelled in it is 1, the rest counts as text.

    No begin_of_text is added. Text that comes from outside must not spell control tokens where this is used.
    """
    controls = _CONTROL.findall(prompt) if "<|" in prompt else []
    if not controls:
        return counter.count(prompt)
    return len(controls) + sum(counter.count(piece) for piece in _CONTROL.split(prompt) if piece)


def truncate(text: str, limit_tokens: int, counter: TokenCounter) -> str:
    """The longest prefix of at most `limit_tokens` tokens by exact count, never ending in half a character.

    Reads no further than it must. A grapheme of several characters may be cut.
    """
    start = spent_tokens = 0
    for block in blocks(text, counter, _TRUNCATE_CHARACTERS):
        if spent_tokens + block.tokens > limit_tokens:
            stretch = text[start : block.end + _LONGEST_TOKEN_BYTES]
            return text[: start + _fitting(stretch, limit_tokens - spent_tokens, counter)]
        spent_tokens += block.tokens
        start = block.end
    return text


def _fitting(text: str, limit_tokens: int, counter: TokenCounter) -> int:
    """The length of the longest prefix within the limit: by halving, then further on, as counts do not always grow."""
    fits, exceeds = 0, len(text)
    while exceeds - fits > 1:
        middle = (fits + exceeds) // 2
        if counter.count(text[:middle]) <= limit_tokens:
            fits = middle
        else:
            exceeds = middle
    longer = min(len(text), fits + _LONGEST_TOKEN_BYTES)
    while longer > fits and limit_tokens > 0:
        if counter.count(text[:longer]) <= limit_tokens:
            fits, longer = longer, min(len(text), longer + _LONGEST_TOKEN_BYTES)
        else:
            longer -= 1
    return fits


def safe_place(text: str, start: int, most_characters: int = 200) -> int:
    """The first place from `start` on where counts of both sides add up; `start` itself when none is near."""
    place = _SAFE_PLACE.search(text, start, start + most_characters)
    return place.start() if place else start


def bound_tokens(text: str) -> int:
    """UTF-8 bytes of the text: no token is shorter than a byte, so never fewer than its tokens. Linear and cheap."""
    return len(text.encode("utf-8", "surrogatepass"))

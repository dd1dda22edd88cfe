"""Meta's Llama 3 vocabulary: found, checked by sha256, and loaded offline into an encoder."""

from __future__ import annotations

import base64
import hashlib
import importlib
import importlib.util
import json
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import tiktoken

from pipeline.errors import VocabularyError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

VOCABULARY_SHA256 = "82e9d31979e92ab929cd544440f129d9ecd797b69e327f80f17e1c50d5551b55"

# Where releases of the package `llama-models` keep the file: 0.1 and later, and up to 0.0.63.
_PACKAGE = "llama_models"
_PLACES = ("llama3/tokenizer.model", "llama3/api/tokenizer.model")

_SPLIT_PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)

_NAMED_CONTROLS = (
    "begin_of_text",
    "end_of_text",
    "reserved_special_token_0",
    "reserved_special_token_1",
    "finetune_right_pad_id",
    "step_id",
    "start_header_id",
    "end_header_id",
    "eom_id",
    "eot_id",
    "python_tag",
    "image",
)
_ORDINARY_TOKENS = 128_000
_ALL_CONTROLS = (*_NAMED_CONTROLS, *(f"reserved_special_token_{number}" for number in range(2, 246)))

CONTROL_TOKENS: Mapping[str, int] = MappingProxyType(
    {f"<|{name}|>": _ORDINARY_TOKENS + position for position, name in enumerate(_ALL_CONTROLS)}
)
"""Meta's special tokens: spelling -> id, 128000 to 128255 (names as in llama-models 0.0.63)."""

# The first two are Meta's own check vectors; the rest is what other engines were seen to get wrong.
_META_VECTORS = {
    "This is a test sentence.": [2028, 374, 264, 1296, 11914, 13],
    "Hello world!": [9906, 1917, 0],
}
_HOSTILE = (
    "a" * 100 + "  5   x\n \n\t\r\n  " + " " * 300,
    "it's IT'S we'Re 'll' ''s 1234567 12a345 .:.:.:",
    "<|eot_id|><|begin_of_text|> <|reserved_special_token_7|",
    "นี่คือข้อความทดสอบ ภาษาไทย यह एक परीक्षण वाक्य है। 这是一个测试句子。これはテスト",
    "e\u0301\u0301\u0301 👨‍👩‍👧‍👦🇩🇪🇫🇷 ½²Ⅷ٣٤٥६७८ \u2028\u00a0\u3000\u200b\ufeff",
    "\x00\x1c\x85é̈\U0001d4d0\U00020000\ue000\u0378",
)


def find_vocabulary() -> Path:
    """The vocabulary file of the installed package `llama-models`, found without importing that package.

    Raises VocabularyError when the package or the file in it is missing.
    """
    spec = importlib.util.find_spec(_PACKAGE)
    roots = [Path(root) for root in (spec.submodule_search_locations or ())] if spec else []
    found = next((root / place for root in roots for place in _PLACES if (root / place).is_file()), None)
    if found is None:
        where = f"not under {', '.join(map(str, roots))}" if roots else f"the package {_PACKAGE} is not installed"
        raise VocabularyError(
            f"Meta's Llama 3 vocabulary was not found ({where}). Install the package llama-models, "
            "or give the path of Meta's tokenizer.model."
        )
    return found


def read_ranks(path: Path) -> dict[bytes, int]:
    """The 128,000 ordinary tokens of the vocabulary at `path`: their bytes -> id.

    Raises VocabularyError unless the file can be read and is Meta's, byte for byte.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise VocabularyError(
            f"The vocabulary {path} cannot be read ({error.strerror}). Give the path of Meta's tokenizer.model."
        ) from error
    found = hashlib.sha256(content).hexdigest()
    if found != VOCABULARY_SHA256:
        raise VocabularyError(
            f"The vocabulary {path} is not Meta's Llama 3: its sha256 is {found}, expected {VOCABULARY_SHA256}. "
            "Reinstall llama-models, or give the path of Meta's tokenizer.model."
        )
    lines = (line.split() for line in content.splitlines() if line)
    return {base64.b64decode(token): int(rank) for token, rank in lines}


def load_tiktoken(ranks: dict[bytes, int]) -> tiktoken.Encoding:
    """A tiktoken encoder with Meta's ranks, split pattern and control tokens."""
    return tiktoken.Encoding(
        "llama3",
        pat_str=_SPLIT_PATTERN,
        mergeable_ranks=ranks,
        special_tokens=dict(CONTROL_TOKENS),
        explicit_n_vocab=_ORDINARY_TOKENS + len(CONTROL_TOKENS),
    )


def load_fastokens(ranks: dict[bytes, int]) -> Any:
    """A fastokens tokenizer with the same ranks and no control tokens; takes some 4 s and 250 MB.

    Raises VocabularyError when fastokens is not installed or refuses the vocabulary.
    """
    try:
        fastokens = importlib.import_module("fastokens")
    except ImportError as error:
        raise VocabularyError(
            "fastokens was asked for and cannot be imported. Install docbatch[fast], or use tiktoken (fast=False)."
        ) from error
    try:
        return fastokens.Tokenizer.from_json_str(json.dumps(_tokenizer_json(ranks)))
    except (ValueError, TypeError, AttributeError) as error:
        raise VocabularyError(
            f"fastokens does not accept Meta's vocabulary ({error}). Install fastokens 0.3.5, or count with tiktoken "
            "(fast=False)."
        ) from error


def check_ids(encode: Callable[[str], list[int]], reference: Callable[[str], list[int]], engine: str) -> None:
    """Raise VocabularyError unless `encode` gives Meta's ids for the vectors, the reference's for hostile text."""
    expected = _META_VECTORS | {text: reference(text) for text in _HOSTILE}
    for text, ids in expected.items():
        if (found := encode(text)) != ids:
            raise VocabularyError(
                f"{engine} encodes {text[:40]!r} as {found[:12]}, expected {ids[:12]}: its counts would be wrong. "
                f"Install the versions of requirements.lock, or count with tiktoken (fast=False)."
            )


def _tokenizer_json(ranks: dict[bytes, int]) -> dict[str, Any]:
    """The ranks in the format of Hugging Face tokenizers, with `ignore_merges`: a known piece is one token."""
    spelled = {token: token.decode("latin-1").translate(_BYTE_LETTERS) for token in ranks}
    split = {"type": "Split", "pattern": {"Regex": _SPLIT_PATTERN}, "behavior": "Isolated", "invert": False}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}
    return {
        "version": "1.0",
        "added_tokens": [],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [split, byte_level]},
        "decoder": byte_level,
        "model": {
            "type": "BPE",
            "ignore_merges": True,
            "vocab": {spelled[token]: rank for token, rank in ranks.items()},
            "merges": [[spelled[left], spelled[right]] for left, right in _merges(ranks)],
        },
    }


def _merges(ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """Every way to join two tokens into a third, by the rank of the third: tiktoken joins any such pair."""
    merges: list[tuple[bytes, bytes]] = []
    for token in ranks:
        pairs = ((token[:cut], token[cut:]) for cut in range(1, len(token)))
        known = [(ranks[left], left, right) for left, right in pairs if left in ranks and right in ranks]
        merges.extend((left, right) for _, left, right in sorted(known))
    return merges


def _byte_letters() -> dict[int, int]:
    """GPT-2's byte alphabet: printable Latin-1 stands for itself, the other 68 bytes for U+0100 and up."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    hidden = [byte for byte in range(256) if byte not in printable]
    return {byte: 0x100 + position for position, byte in enumerate(hidden)}


_BYTE_LETTERS = _byte_letters()

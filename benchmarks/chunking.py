"""What splitting costs in CPU time, against one plain tiktoken encode, and that it is linear on text without spaces.

Run `python benchmarks/chunking.py`. Packages of the dependency group `bench` are compared where they are installed.
"""

from __future__ import annotations

import base64
import importlib.util
import multiprocessing
import random
import time
from functools import partial
from statistics import median
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pipeline.chunking import chunk
from pipeline.tokens import load_counter
from pipeline.vocabulary import find_vocabulary, load_tiktoken, read_ranks

if TYPE_CHECKING:
    from collections.abc import Callable

MEGABYTE = 1_000_000
LIMIT_TOKENS = 100_000
TIME_BOUND_SECONDS = 25
ROUNDS = 3

LINEARITY_LIMIT_TOKENS = 20_000

COMMON = """
    the of and to in a is that it for was on are with as at be this have from or by not but they which you one were all
    their there been if more when will would who so no out up what about its time into than only some could these two
""".split()  # noqa: SIM905 - a list literal of 60 words would be 60 lines
SYLLABLES = [first + last for first in "bcdfghjklmnprstvwz" for last in ("a", "en", "i", "or", "u", "st")]
ENDINGS = ("", "", "s", "ed", "ing", "ly", "tion", "er")
IDEOGRAPHS = "的一是不了在人有我他这个们中来上大为和国地到以说时要就出会可也你对生能而子那得于着下自之年过发后作里"


def prose(size_bytes: int, seed: int = 1) -> str:
    """English-like paragraphs: frequent words from a list, 20,000 invented rare ones, the same for the same seed."""
    source = random.Random(seed)
    rare = ["".join(source.choices(SYLLABLES, k=source.randint(2, 4))) + source.choice(ENDINGS) for _ in range(20_000)]
    pieces: list[str] = []
    size = 0
    while size < size_bytes:
        piece = _sentence(source, rare) + ("\n\n" if source.random() < 0.15 else " ")
        pieces.append(piece)
        size += len(piece)
    return "".join(pieces)[:size_bytes]


def _sentence(source: random.Random, rare: list[str]) -> str:
    words = [
        source.choice(COMMON) if source.random() < 0.7 else rare[int(len(rare) * source.random() ** 3)]
        for _ in range(source.randint(5, 28))
    ]
    return " ".join(words).capitalize() + source.choice((".", ".", ".", "?", "!"))


def without_spaces(size_bytes: int) -> dict[str, str]:
    """Texts of about the size in UTF-8, on which splitters that look for a space take quadratic time."""
    source = random.Random(2)
    return {
        "one letter": "a" * size_bytes,
        "spaces": " " * size_bytes,
        "base64": base64.b64encode(source.randbytes(size_bytes * 3 // 4)).decode(),
        "Chinese": "".join(source.choices(IDEOGRAPHS, k=size_bytes // 3)),
    }


def cpu_seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def _langchain(text: str) -> Callable[[], object]:
    from langchain_text_splitters import RecursiveCharacterTextSplitter

    count = _plain_count()
    splitter = RecursiveCharacterTextSplitter(chunk_size=LIMIT_TOKENS, chunk_overlap=0, length_function=count)
    return lambda: splitter.split_text(text)


def _langchain_tokens(text: str) -> Callable[[], object]:
    from langchain_text_splitters import Tokenizer, split_text_on_tokens

    encoding = load_tiktoken(read_ranks(find_vocabulary()))
    tokenizer = Tokenizer(
        chunk_overlap=0, tokens_per_chunk=LIMIT_TOKENS, decode=encoding.decode, encode=encoding.encode_ordinary
    )
    return lambda: split_text_on_tokens(text=text, tokenizer=tokenizer)


def _semchunk(text: str) -> Callable[[], object]:
    import semchunk

    splitter = semchunk.chunkerify(_plain_count(), LIMIT_TOKENS)
    return lambda: splitter(text)


def _chonkie_tokens(text: str) -> Callable[[], object]:
    from chonkie import TokenChunker

    splitter = TokenChunker(tokenizer=load_tiktoken(read_ranks(find_vocabulary())), chunk_size=LIMIT_TOKENS)
    return lambda: splitter.chunk(text)


def _chonkie_sentences(text: str) -> Callable[[], object]:
    from chonkie import SentenceChunker

    encoding = load_tiktoken(read_ranks(find_vocabulary()))
    splitter = SentenceChunker(tokenizer=encoding, chunk_size=LIMIT_TOKENS, chunk_overlap=0)
    return lambda: splitter.chunk(text)


def _plain_count() -> Callable[[str], int]:
    encode = load_tiktoken(read_ranks(find_vocabulary())).encode_ordinary
    return lambda text: len(encode(text))


def _ours(fast: bool) -> Callable[[str], Callable[[], object]]:
    def prepared(text: str) -> Callable[[], object]:
        counter = load_counter(fast=fast)
        return lambda: chunk(text, LIMIT_TOKENS, counter)

    return prepared


def _plain(text: str) -> Callable[[], object]:
    encode = load_tiktoken(read_ranks(find_vocabulary())).encode_ordinary
    return lambda: encode(text)


TOOLS: dict[str, tuple[str, Callable[[str], Callable[[], object]]]] = {
    "docbatch": ("tiktoken", _ours(fast=False)),
    "docbatch[fast]": ("fastokens", _ours(fast=True)),
    "langchain split_text_on_tokens": ("langchain_text_splitters", _langchain_tokens),
    "langchain Recursive": ("langchain_text_splitters", _langchain),
    "chonkie TokenChunker": ("chonkie", _chonkie_tokens),
    "chonkie SentenceChunker": ("chonkie", _chonkie_sentences),
    "semchunk": ("semchunk", _semchunk),
}


def _measure(name: str, results: Any) -> None:
    """In a process of its own, so that no tool profits from another's caches; the text is new in each round."""
    _, prepare = TOOLS[name]
    for seed in range(ROUNDS):
        text = prose(10 * MEGABYTE, seed)
        plain, work = _plain(text), prepare(text)
        results.put((cpu_seconds(plain), cpu_seconds(work)))


def rounds_of(name: str) -> list[tuple[float, float]] | str:
    """CPU seconds of a plain encode and of the tool for 10 MB, of each round ended in time; or why there is none."""
    package, _ = TOOLS[name]
    if importlib.util.find_spec(package) is None:
        return "not installed"
    context = multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    worker = context.Process(target=_measure, args=(name, results))
    worker.start()
    worker.join(TIME_BOUND_SECONDS)
    if worker.is_alive():
        worker.kill()
        worker.join()
    rounds = []
    while not results.empty():
        rounds.append(results.get())
    return rounds or f"nothing within {TIME_BOUND_SECONDS} s"


def compare() -> Table:
    """Each tool's CPU time over that of one plain encode of the same 10 MB, measured next to it; medians."""
    title = "10 MB of prose, chunks of 100K tokens; CPU time, one plain tiktoken encode = 1"
    table = Table("tool", "plain, s", "tool, s", "ratio", title=title)
    for name in TOOLS:
        rounds = rounds_of(name)
        if isinstance(rounds, str):
            table.add_row(escape(name), "", rounds, "")
            continue
        plain, tool = (median(column) for column in zip(*rounds, strict=True))
        ratio = median(after / before for before, after in rounds)
        table.add_row(escape(name), f"{plain:.2f}", f"{tool:.2f}", f"{ratio:.2f}")
    return table


def linearity(fast: bool) -> Table:
    """CPU seconds of docbatch for 5 and 10 MB of text without spaces: twice the text takes about twice the time."""
    counter = load_counter(fast=fast)
    title = f"Chunks of 20K tokens of text without words, CPU s, {'fastokens' if fast else 'tiktoken'}"
    table = Table("text", "5 MB", "10 MB", "ratio", title=title)
    whole = without_spaces(10 * MEGABYTE)
    for name, text in without_spaces(5 * MEGABYTE).items():
        half = cpu_seconds(partial(chunk, text, LINEARITY_LIMIT_TOKENS, counter))
        full = cpu_seconds(partial(chunk, whole[name], LINEARITY_LIMIT_TOKENS, counter))
        table.add_row(name, f"{half:.2f}", f"{full:.2f}", f"{full / half:.2f}")
    return table


def main() -> None:
    console = Console()
    console.print(compare())
    console.print(linearity(fast=False))
    if importlib.util.find_spec("fastokens"):
        console.print(linearity(fast=True))


if __name__ == "__main__":
    main()

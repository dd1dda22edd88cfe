"""Documents in the model's eight languages, any number: sentences of the sample documents, put together anew."""

from __future__ import annotations

import random
import re
from functools import cache
from pathlib import Path

from pipeline.extraction import Text, extract

SAMPLES = Path(__file__).resolve().parents[1] / "sample_data" / "documents"
EIGHT = ("en", "de", "fr", "it", "pt", "hi", "es", "th")
_PLAIN = (".txt", ".md", ".html")
_SENTENCE = re.compile(r"[^.!?।\n]+[.!?।\n]*\s*")
_THAI_PIECE = re.compile(r"\S+\s*")  # Thai has no full stops: a blank ends a clause


@cache
def sources(language: str) -> list[list[str]]:
    """The sentences of each sample document in a language."""
    found = []
    for path in sorted(path for path in SAMPLES.rglob(f"*-{language}.*") if path.suffix in _PLAIN):
        text = extract(path.read_bytes(), path.name)
        if isinstance(text, Text):
            found.append((_THAI_PIECE if language == "th" else _SENTENCE).findall(text.content))
    return found


def documents(language: str, count: int, seed: int = 0) -> list[str]:
    """Texts of 100 to 20,000 characters, most of them short; each about one or two things, some full of numbers."""
    source = random.Random(f"{language} {seed}")
    return [_document(source, sources(language)) for _ in range(count)]


def _document(source: random.Random, pools: list[list[str]]) -> str:
    sentences = [one for pool in source.sample(pools, min(2, len(pools))) for one in pool]
    numbers = source.random() ** 4  # of few documents a table, of most a figure here and there
    wanted = min(20_000, max(100, int(source.lognormvariate(7, 1))))
    pieces: list[str] = []
    while wanted > 0:
        table = source.random() < numbers
        pieces.append(f"{source.randint(1, 99_999)}; {source.random():.4f}\n" if table else source.choice(sentences))
        wanted -= len(pieces[-1])
    return "".join(pieces)

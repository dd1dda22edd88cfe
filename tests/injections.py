"""The corpus of attempts in injections.toml, by name."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

CORPUS = Path(__file__).parent / "injections.toml"


def _text(attempt: Any) -> str:
    return attempt if isinstance(attempt, str) else attempt["text"] * attempt["times"]


ATTEMPTS = {
    f"{kind}.{name}": _text(attempt)
    for kind, attempts in tomllib.loads(CORPUS.read_text("utf-8")).items()
    for name, attempt in attempts.items()
}

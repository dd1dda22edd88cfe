"""Which language a text is in: by its script where that decides, else by py3langid."""

from __future__ import annotations

import re
import threading
from functools import lru_cache

import py3langid  # type: ignore[import-untyped]  # it ships no types

_SAMPLE_CHARACTERS = 4000
_LETTERS = re.compile(r"[^\W\d_]")
_SCRIPTS = {"hi": re.compile(r"[\u0900-\u097f]"), "th": re.compile(r"[\u0e00-\u0e7f]")}
_MAJORITY = 0.5
# The model is loaded by the first call; threads that call first together would each load it, 100 MB every time.
_LOADING = threading.Lock()


@lru_cache(maxsize=16)
def language(text: str) -> str | None:
    """An ISO 639-1 code, None for a text without letters. Of a long text only the start is read."""
    sample = text[:_SAMPLE_CHARACTERS]
    letters = len(_LETTERS.findall(sample))
    if not letters:
        return None
    for code, script in _SCRIPTS.items():
        if len(script.findall(sample)) > _MAJORITY * letters:
            return code
    with _LOADING:
        code, _ = py3langid.classify(sample)
    return str(code)

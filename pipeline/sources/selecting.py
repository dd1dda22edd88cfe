"""Which listed documents are wanted: patterns of names, sizes, times of change."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from functools import cached_property

from pipeline.domain import Document


@dataclass(frozen=True)
class Selection:
    """Documents must match one pattern of `include` (if there are any) and none of `exclude`; bounds are inclusive.

    Patterns are those of .gitignore without `!`: `*` and `?` stop at a `/`, `**` does not. One that has a `/` before
    its end is matched from the source's root, any other at every depth. One that matches a folder matches what is in
    it; `drafts/` matches folders alone. Upper and lower case differ.
    """

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    min_bytes: int | None = None
    max_bytes: int | None = None
    modified_since: dt.datetime | None = None

    def takes(self, document: Document, path: str | None) -> bool:
        """Whether a document is wanted. `path` is what patterns see; rows of tables have none, and pass them."""
        if path is not None and not self._takes_path(path):
            return False
        if self.min_bytes is not None and document.size_bytes < self.min_bytes:
            return False
        if self.max_bytes is not None and document.size_bytes > self.max_bytes:
            return False
        return self.modified_since is None or document.last_modified >= self.modified_since

    def _takes_path(self, path: str) -> bool:
        if self._included and not self._included.fullmatch(path):
            return False
        return not (self._excluded and self._excluded.fullmatch(path))

    @cached_property
    def _included(self) -> re.Pattern[str] | None:
        return _any_of(self.include)

    @cached_property
    def _excluded(self) -> re.Pattern[str] | None:
        return _any_of(self.exclude)


def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(as_expression, patterns)), re.DOTALL) if patterns else None


def as_expression(pattern: str) -> str:
    """A pattern as a regular expression that matches whole paths."""
    body = pattern.strip("/")
    anchored = "/" in pattern.rstrip("/")
    inside = "/.*" if pattern.endswith("/") else "(?:/.*)?"
    return f"{'' if anchored else '(?:.*/)?'}{_translated(body)}{inside}"


_PARTS = re.compile(r"\*\*/|/\*\*$|\*\*|\*|\?|\[[!^]?\]?[^\]/]*\]|.", re.DOTALL)
_MEANINGS = {"**/": "(?:.*/)?", "/**": "/.*", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def _translated(body: str) -> str:
    return "".join(_meaning(part) for part in _PARTS.findall(body))


def _meaning(part: str) -> str:
    if part in _MEANINGS:
        return _MEANINGS[part]
    if len(part) > 1:  # a set of letters
        negated = part[1] in "!^"
        letters = part[2 if negated else 1 : -1].replace("\\", r"\\").replace("[", r"\[").replace("]", r"\]")
        return f"(?!/)[{'^' if negated else ''}{letters.replace('^', chr(92) + '^')}]"
    return re.escape(part)

"""What a source lists."""

from __future__ import annotations

from dataclasses import dataclass

from pipeline.domain import Document


@dataclass(frozen=True, slots=True)
class Entry:
    """A document that a source lists, by which it is known in later runs, and whether the selection takes it."""

    document: Document
    origin: str = ""
    selected: bool = True

"""Gold labels: what people say of answers, kept in a table of its own to which rows are only ever added."""

from __future__ import annotations

import datetime as dt
import hashlib
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.catalog.files import opened
from pipeline.domain import short_hash
from pipeline.parquet import write_rows
from pipeline.schemas import GOLD, GOLD_ABOUT, GOLD_TABLE, arrow_schema
from pipeline.storage.objects import ObjectStore

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

PART_DIGITS = 15  # hexadecimal ones of a file's hash: the sweep knows parts by their numbers


class Verdict(StrEnum):
    """What a person says of an answer."""

    RIGHT = "right"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Label:
    """One mark. The fields are the columns of the table, in their order; answers are JSON as `canonical` writes it."""

    document_id: str
    uri: str
    analysis: str
    verdict: Verdict
    answer: str | None
    corrected: str | None
    note: str | None
    marked: dt.datetime
    marked_by: str | None
    content_hash: str
    model: str | None
    prompt_fingerprint: str | None
    method_id: str | None
    run_key: str

    @property
    def about(self) -> tuple[str, str, str]:
        """What the newest label holds for."""
        return self.document_id, self.analysis, self.content_hash

    @property
    def mark_id(self) -> str:
        """What tells it from any other label about the same."""
        said = (self.verdict, self.answer, self.corrected, self.note, self.marked_by)
        return short_hash(self.marked.isoformat(), *(one or "" for one in said))

    def says_as(self, other: Label) -> bool:
        """Whether the same person said the same of the same answer, whenever that was."""
        return replace(self, marked=other.marked) == other

    @property
    def truth(self) -> str | None:
        """The right answer, as far as the person said it."""
        return self.answer if self.verdict is Verdict.RIGHT else self.corrected

    def on(self, answer: str | None) -> Verdict | None:
        """What the label says of an answer to the same question, which may be another than the one that was seen."""
        if answer == self.answer:
            return self.verdict
        if self.truth is None:
            return None
        return Verdict.RIGHT if answer == self.truth else Verdict.WRONG


SCHEMA: pa.Schema = arrow_schema(GOLD_TABLE, GOLD_ABOUT, GOLD)


def canonical(answer: Mapping[str, Any] | None) -> str | None:
    """An answer as JSON: equal answers give equal texts, whatever the order of their fields."""
    if answer is None:
        return None
    return json.dumps(_whole(dict(answer)), ensure_ascii=False, sort_keys=True, separators=(",", ":"))


def _whole(value: Any) -> Any:
    """Without fields that are null, and 1.0 as 1: a table does not tell these from what the model wrote."""
    if isinstance(value, dict):
        return {name: _whole(part) for name, part in value.items() if part is not None}
    if isinstance(value, list):
        return [_whole(part) for part in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def add_label(catalog: Catalog, output: ObjectStore, label: Label) -> None:
    """Store a label: a file of its own, which one commit makes visible. Raises StorageError with nothing stored."""
    sink = io.BytesIO()
    write_rows(SCHEMA, [astuple(label)], sink)
    content = sink.getvalue()
    number = int(hashlib.sha256(content).hexdigest()[:PART_DIGITS], 16)
    key = f"tables/{GOLD_TABLE}/{label.run_key}/part-{number:04d}.parquet"
    output.write(key, content)
    catalog.add(GOLD_TABLE, SCHEMA, key)


def read_labels(catalog: Catalog) -> list[Label]:
    """Every label, the oldest first."""
    return read_more(catalog, frozenset())[1]


def read_more(catalog: Catalog, known: frozenset[str]) -> tuple[frozenset[str], list[Label]]:
    """All files of the table, and the labels of those that are not known, the oldest first: no file ever changes."""
    if GOLD_TABLE not in catalog.tables():
        return known, []
    look = catalog.look(GOLD_TABLE)
    files = [one.file.file_path for one in look.files]
    rows = opened(look.found, [one for one in files if one not in known]).to_table().to_pylist()
    labels = [Label(**{**row, "verdict": Verdict(row["verdict"])}) for row in rows]
    return frozenset(files), sorted(labels, key=lambda label: label.marked)


def holding(labels: Iterable[Label]) -> dict[tuple[str, str, str], Label]:
    """The newest label of each document, analysis and text; `labels` are the oldest first."""
    return {label.about: label for label in labels}

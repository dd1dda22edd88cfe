"""What the tables and the source say of one answer: its row, its document, its requests and their cost, the text."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.browsing.searching import Key
from pipeline.domain import Change, Failure
from pipeline.known.comparison import ListedDocument
from pipeline.steps import Services
from pipeline.steps.listing import Contents
from pipeline.steps.reading import read_documents

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """Rows as the tables have them: of the analysis or of `failures`, of `documents` and of `runs`; empty for none."""

    row: Row
    document: Row
    run: Row

    @property
    def content_hash(self) -> str | None:
        found = self.row.get("content_hash") or self.document.get("content_hash")
        return None if found is None else str(found)


@dataclass(frozen=True, slots=True)
class SourceText:
    """A document's text as the source has it now; `is_same` says whether it is the text that was asked about."""

    text: str
    is_same: bool


def read_facts(catalog: Catalog, key: Key, *, failed: bool) -> Facts:
    of_document = pc.field("document_id") == key.document_id
    table = "failures" if failed else key.analysis
    wanted = of_document & (pc.field("analysis") == key.analysis) if failed else of_document
    return Facts(
        _first(catalog, table, key.run_key, wanted),
        _first(catalog, "documents", key.run_key, of_document),
        _first(catalog, "runs", key.run_key, None),
    )


def read_ledger(catalog: Catalog, run_key: str, document_id: str, record_ids: Collection[str]) -> list[Row]:
    """The requests that a run paid for a document, or for one with the same text, in the order of sending."""
    wanted = _among(record_ids) | (pc.field("document_id") == document_id)
    rows = catalog.dataset("ledger", [run_key]).to_table(filter=wanted).to_pylist()
    return sorted(rows, key=lambda row: (row["round"], row["level"], row["position"], row["analysis"]))


def read_payers(catalog: Catalog, record_ids: Collection[str], but: str) -> dict[str, str]:
    """The runs that paid for records which this one did not, by record."""
    wanted = _among(record_ids) & (pc.field("run_key") != but)
    rows = catalog.dataset("ledger").to_table(columns=["record_id", "run_key"], filter=wanted).to_pylist()
    return {row["record_id"]: row["run_key"] for row in rows}


def read_source(services: Services, facts: Facts) -> SourceText | Failure:
    """The text of the document, read again as a run reads it. Raises StorageError."""
    row = facts.document
    listed = ListedDocument(
        row["uri"], row["etag"], row["size_bytes"], row["last_modified"], Change(row.get("change") or Change.NEW), ""
    )
    (found,) = read_documents(Contents(services, lambda _listed: None), [listed], services.settings)
    if isinstance(found.text, Failure):
        return found.text
    return SourceText(found.text.content, found.content_hash == facts.content_hash)


def _among(record_ids: Collection[str]) -> pc.Expression:
    return pc.field("record_id").isin(pa.array(list(record_ids), pa.string()))


def _first(catalog: Catalog, table: str, run_key: str, wanted: Any) -> Row:
    rows = catalog.dataset(table, [run_key]).to_table(filter=wanted).slice(0, 1).to_pylist()
    return dict(rows[0]) if rows else {}

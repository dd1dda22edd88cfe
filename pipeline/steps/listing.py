"""What the sources of a run list, put into a comparison; texts of rows as working files; the reading of both."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pipeline.domain import Change, Failure, Reason
from pipeline.extraction import Text
from pipeline.extraction.values import by_the_rule
from pipeline.known.comparison import Comparison, ListedDocument
from pipeline.manifest import content_digest, rows_key
from pipeline.records import from_parquet, to_parquet
from pipeline.settings import Settings
from pipeline.sources.listing import list_sources
from pipeline.sources.reaching import Reach
from pipeline.sources.selecting import Selection
from pipeline.sources.spelling import Kind, parse_sources
from pipeline.sources.spool import Row, Spool
from pipeline.steps.run import Services
from pipeline.storage.objects import ObjectStore

PIECE_BYTES = 4_000_000  # of texts of rows in one working file
PIECES_HELD = 4  # by whoever reads them


@dataclass(frozen=True, slots=True)
class RowText:
    """The text of a row as a working file holds it, or why there is none."""

    document_id: str
    text: str | None
    problem: str | None


def selection_of(settings: Settings) -> Selection:
    """Which documents are wanted."""
    bounds = (settings.min_bytes, settings.max_bytes, settings.modified_since)
    return Selection(settings.include, settings.exclude, *bounds)


def add_listing(services: Services, source_uri: str, comparison: Comparison, spool: Spool) -> None:
    """List every source; the texts of rows go to the spool. Raises StorageError, SettingsError."""
    sources = parse_sources(source_uri)
    found = list_sources(services.open, sources, selection_of(services.settings), spool)
    alone = len(sources) == 1 and sources[0].kind in (Kind.PREFIX, Kind.ROWS)  # which list nothing twice
    comparison.add_listing(found, repeats=not alone)


def put_texts(
    store: ObjectStore, shard: int, documents: Sequence[ListedDocument], spool: Spool
) -> list[ListedDocument]:
    """The documents of a shard, rows among them with their extra columns and the working file that holds their text."""
    if spool.empty:
        return list(documents)
    done: list[ListedDocument] = []
    texts: list[RowText] = []
    waiting: list[ListedDocument] = []
    size, part = 0, 0
    for one in documents:
        row = None if one.change is Change.DELETED else spool.row(one.document.document_id)
        if row is None:
            done.append(one)
            continue
        texts.append(RowText(one.document.document_id, row.text, row.problem))
        waiting.append(replace(one, extra=row.extra))
        size += one.size_bytes
        if size >= PIECE_BYTES:
            done += _put_piece(store, shard, part, waiting, texts)
            texts, waiting, size, part = [], [], 0, part + 1
    done += _put_piece(store, shard, part, waiting, texts) if waiting else []
    return sorted(done, key=lambda one: one.uri)


def _put_piece(
    store: ObjectStore, shard: int, part: int, rows: list[ListedDocument], texts: list[RowText]
) -> list[ListedDocument]:
    content = to_parquet(RowText, texts)
    key = rows_key(shard, part, content_digest(content))
    store.write(key, content)
    return [replace(one, piece=key) for one in rows]


def prefix_of(listed: ListedDocument) -> str | None:
    """The source below which the document lies; None where something else names it."""
    return listed.source if listed.source and listed.uri.startswith(f"{listed.source}/") else None


class Contents:
    """What listed documents hold, for several threads: the bytes of objects, the texts of rows."""

    def __init__(self, services: Services, row_of: Callable[[ListedDocument], Row | None]) -> None:
        self._reach = Reach(services.open)
        self._row_of = row_of

    def read(self, listed: ListedDocument, most_bytes: int) -> bytes | Text | Failure | None:
        """None for an object with more bytes. What looks like a page or a table in a row is a text all the same.

        Raises StorageError.
        """
        row = self._row_of(listed)
        if row is None:
            return self._reach.read_document(listed.uri, most_bytes, prefix_of(listed))
        if row.problem is not None:
            return Failure(Reason.DAMAGED, row.problem)
        return by_the_rule(Text(row.text or "", None, "text"))


def put_contents(services: Services, store: ObjectStore) -> Contents:
    """What the documents of a run hold, whose rows `put_texts` has put into its working files."""
    pieces = _Pieces(store)
    return Contents(services, pieces.row)


def spooled_contents(services: Services, spool: Spool) -> Contents:
    """The same while the spool is there."""
    return Contents(services, lambda listed: None if spool.empty else spool.row(listed.document.document_id))


class _Pieces:
    """The last few working files with texts: documents are read in the order in which these were written."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._held: OrderedDict[str, dict[str, Row]] = OrderedDict()
        self._lock = threading.Lock()

    def row(self, listed: ListedDocument) -> Row | None:
        if listed.piece is None:
            return None
        with self._lock:  # whoever comes second for a file waits for it, and does not read it too
            if listed.piece not in self._held:
                rows = from_parquet(RowText, self._store.read(listed.piece))
                self._held[listed.piece] = {one.document_id: Row(one.text, problem=one.problem) for one in rows}
                while len(self._held) > PIECES_HELD:
                    self._held.popitem(last=False)
            return self._held[listed.piece][listed.document.document_id]

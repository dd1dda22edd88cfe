"""Everything that the sources of a run list, and which of it the selection takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from urllib.parse import unquote

from pipeline.domain import Document
from pipeline.errors import ObjectMissing, SettingsError
from pipeline.sources.lists import inventory_documents, list_documents
from pipeline.sources.reaching import Reach
from pipeline.sources.rows import row_documents
from pipeline.sources.selecting import Selection
from pipeline.sources.spelling import MANIFEST, Kind, Source
from pipeline.sources.spool import Spool
from pipeline.sources.values import Entry
from pipeline.storage.objects import Listed, ObjectStore

Opener = Callable[[str], ObjectStore]


def list_sources(open_store: Opener, sources: Sequence[Source], selection: Selection, spool: Spool) -> Iterator[Entry]:
    """Every document of every source, one that several of them list as often; texts of rows go to the spool.

    A file that a run reads as a list or a table is no document of it. Raises StorageError, SettingsError.
    """
    reach = Reach(open_store)
    files = {one.uri for one in sources if one.kind is not Kind.PREFIX}
    for source in sources:
        if source.kind is Kind.PREFIX:
            store = open_store(source.uri)
            found = (one for one in listed_documents(store) if one.uri not in files)
            yield from _selected(source, found, selection, store.key)
        elif source.kind is Kind.INVENTORY:
            yield from _selected(source, inventory_documents(source, reach), selection, path_of)
        else:
            file = _described(source, reach)
            if source.kind is Kind.ROWS:
                yield from row_documents(source, reach.store_of(source.uri), file, spool, selection)
            else:
                named = list_documents(source, reach, file, spool)
                yield from _selected(source, named, selection, path_of)


def listed_documents(store: ObjectStore) -> Iterator[Document]:
    """The documents below a prefix; what ends in `/` and holds nothing is a folder that some tools write."""
    for entry in store.list_any():
        if entry.size_bytes or not entry.key.endswith("/"):
            yield Document(store.uri(entry.key), entry.etag, entry.size_bytes, entry.last_modified)


def refuse_missing(open_store: Opener, sources: Iterable[Source]) -> None:
    """Raises SettingsError for a source that is not there: the argument is wrong, not the storage."""
    reach = Reach(open_store)
    for source in sources:
        if source.kind is Kind.PREFIX:
            try:
                open_store(source.uri)
            except ObjectMissing as error:
                raise SettingsError(f"{error}; SOURCE is the folder or s3:// prefix that holds the documents") from None
        elif source.kind is not Kind.INVENTORY or source.uri.endswith(MANIFEST):
            _described(source, reach)


def _selected(
    source: Source, documents: Iterable[Document], selection: Selection, path_of: Callable[[str], str]
) -> Iterator[Entry]:
    """A row of a list that names no document is there whatever is selected."""
    rows = f"{source.uri}#"
    for one in documents:
        yield Entry(one, source.origin, one.uri.startswith(rows) or selection.takes(one, path_of(one.uri)))


def path_of(uri: str) -> str:
    """What patterns see of a document that a list names: its key in the bucket, or its full path."""
    parts = uri.split("/", 3)
    return unquote(parts[-1]) if uri.startswith("file:") else parts[-1]


def _described(source: Source, reach: Reach) -> Listed:
    store = reach.store_of(source.uri)
    try:
        return store.describe(store.key(source.uri))
    except ObjectMissing:
        raise SettingsError(f"{source}: there is no such file") from None

"""Listed documents with their texts, in order: many read and parsed at once, within bounds."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from pipeline.domain import Failure, Reason, short_hash
from pipeline.errors import AccessDenied, BucketMissing, ObjectMissing
from pipeline.extraction import Bounds, Text
from pipeline.extraction.keeping import KeptTexts
from pipeline.extraction.workers import Extractor
from pipeline.forecasts.languages import OTHER, guess_language
from pipeline.known.comparison import ListedDocument
from pipeline.records import DocumentRecord
from pipeline.settings import Settings
from pipeline.steps.listing import Contents, prefix_of
from pipeline.storage.any_key import KeyRefused
from pipeline.storage.folders import BrokenLink, NoFile
from pipeline.storage.objects import ObjectStore

# Documents on their way from the source are at most so many bytes together (and at least one document).
READ_AHEAD_BYTES = 64_000_000
# A thread reads so many small documents in a row: handing over each of them would cost more than reading it.
GROUP_DOCUMENTS = 16
GROUP_BYTES = 1_000_000
# A listing may say less than there is. What is more than it says and than this is read again, alone.
UNDERSTATED_BYTES = GROUP_BYTES // GROUP_DOCUMENTS
# Behind a document that takes long to parse, so many others wait with their texts.
MOST_WAITING = 64
_OF_TEXTS = ("form", "encoding", "characters", "tokens", "language", "title", "author", "created", "pages")
_OF_READING = ("recognised_pages", "unread_parts", "removed_characters")

Found = Text | Failure
Read = Generator[tuple[ListedDocument, bytes | Found], None, None]


@dataclass(frozen=True, slots=True)
class ReadDocument:
    """A listed document with its text, the text's hash and language, or why it has none."""

    listed: ListedDocument
    document_id: str
    text: Found
    content_hash: str
    language: str | None

    def record(self, duplicate_of: str | None, tokens: int | None = None) -> DocumentRecord:
        text = self.text
        if isinstance(text, Failure):
            return record_of(self.listed, failure=text)
        return record_of(self.listed, text, tokens, self.language, self.content_hash, duplicate_of)


def record_of(
    listed: ListedDocument,
    text: Text | None = None,
    tokens: int | None = None,
    language: str | None = None,
    content_hash: str | None = None,
    duplicate_of: str | None = None,
    failure: Failure | None = None,
) -> DocumentRecord:
    """What is kept of a document: with its text, why it has none, or (deleted) with neither."""
    about: dict[str, Any] = dict.fromkeys(_OF_TEXTS + _OF_READING)
    if text is not None:
        own = {"characters": len(text.content), "tokens": tokens, "language": language}
        about = {name: own[name] if name in own else getattr(text, name) for name in about}
    return DocumentRecord(
        document_id=listed.document.document_id,
        uri=listed.uri,
        size_bytes=listed.size_bytes,
        last_modified=listed.last_modified,
        etag=listed.etag,
        **about,
        content_hash=content_hash,
        duplicate_of=duplicate_of,
        failure=failure.reason if failure else None,
        detail=failure.detail if failure else None,
        change=listed.change,
        held=listed.held,
        source=listed.source,
        extra=listed.extra,
    )


def read_documents(
    source: Contents,
    documents: Iterable[ListedDocument],
    settings: Settings,
    work: ObjectStore | None = None,
    *,
    add: bool = True,
) -> Iterator[ReadDocument]:
    """Every document with its text, in order, many at once within READ_AHEAD_BYTES.

    What was parsed before is taken from the work store; with `add`, what is parsed now is kept there.
    """
    bounds = Bounds(
        settings.extract_seconds,
        settings.extract_memory_bytes,
        settings.extract_output_bytes,
        settings.max_document_bytes,
    )
    with (
        KeptTexts(work, bounds, add=add) as kept,
        Extractor(bounds, settings.extract_workers, kept.keep) as extractor,
        closing(_contents(_Source(source, settings.max_document_bytes, kept), documents, settings)) as read,
    ):
        for listed, text in _extracted(read, extractor):
            document_id = listed.document.document_id
            if isinstance(text, Failure):
                yield ReadDocument(listed, document_id, text, document_id, None)
                continue
            guessed = guess_language(text.content)
            language = None if guessed == OTHER else guessed
            yield ReadDocument(listed, document_id, text, short_hash(text.content), language)


def _extracted(read: Read, extractor: Extractor) -> Iterator[tuple[ListedDocument, Found]]:
    """The texts in the order of the documents. While one is parsed elsewhere, those behind it are begun."""
    begun: deque[tuple[ListedDocument, Found | Future[Found]]] = deque()
    elsewhere = 0
    for listed, content in read:
        found = extractor.begin(content, listed.uri) if isinstance(content, bytes) else content
        elsewhere += isinstance(found, Future)
        begun.append((listed, found))
        full = elsewhere > extractor.most_begun or len(begun) > MOST_WAITING
        while begun and (full or not _is_pending(begun[0][1])):
            head, first = begun.popleft()
            elsewhere -= isinstance(first, Future)
            full = False
            yield head, _text_of(first)
    for listed, found in begun:
        yield listed, _text_of(found)


def _is_pending(found: Found | Future[Found]) -> bool:
    return isinstance(found, Future) and not found.done()


def _text_of(found: Found | Future[Found]) -> Found:
    return found.result() if isinstance(found, Future) else found


@dataclass(frozen=True, slots=True)
class _Source:
    """Where documents are read from, and where the texts of some are known."""

    contents: Contents
    max_bytes: int
    kept: KeptTexts

    def read(self, document: ListedDocument) -> bytes | Found | None:
        """None for a document that is much larger than it is listed."""
        if document.size_bytes > self.max_bytes:
            return Failure(Reason.TOO_LARGE, f"{document.size_bytes} bytes; the limit is {self.max_bytes}")
        most = max(document.size_bytes, UNDERSTATED_BYTES)
        return self._known(document, _read(self.contents, document, min(self.max_bytes, most)))

    def read_alone(self, document: ListedDocument) -> bytes | Found:
        """Whatever the listing says of its size."""
        content = self._known(document, _read(self.contents, document, self.max_bytes))
        if content is None:
            return Failure(
                Reason.TOO_LARGE,
                f"more than the {document.size_bytes} bytes that are listed, and more than "
                f"the limit of {self.max_bytes}",
            )
        return content

    def _known(self, document: ListedDocument, content: bytes | Found | None) -> bytes | Found | None:
        known = self.kept.find(content, document.uri) if isinstance(content, bytes) else None
        return content if known is None else known


def _contents(source: _Source, documents: Iterable[ListedDocument], settings: Settings) -> Read:
    """The bytes of every document, in order, or its text where that is known, or why it could not be read."""
    with closing(_grouped(source, documents, settings)) as read:
        for document, content in read:
            yield document, source.read_alone(document) if content is None else content


def _grouped(
    source: _Source, documents: Iterable[ListedDocument], settings: Settings
) -> Generator[tuple[ListedDocument, bytes | Found | None]]:
    pending: deque[tuple[list[ListedDocument], Future[list[bytes | Found | None]]]] = deque()
    ahead_bytes = 0
    with ThreadPoolExecutor(settings.read_threads) as pool:
        for group in _groups(documents):
            pending.append((group, pool.submit(_read_group, source, group)))
            ahead_bytes += _size_bytes(group)
            while len(pending) > 2 * settings.read_threads or (ahead_bytes > READ_AHEAD_BYTES and len(pending) > 1):
                ahead_bytes -= _size_bytes(pending[0][0])
                done, contents = pending.popleft()
                yield from zip(done, contents.result(), strict=True)
        while pending:
            done, contents = pending.popleft()
            yield from zip(done, contents.result(), strict=True)


def _groups(documents: Iterable[ListedDocument]) -> Iterator[list[ListedDocument]]:
    """The documents in runs of at most GROUP_DOCUMENTS; only a single document may have more than GROUP_BYTES."""
    group: list[ListedDocument] = []
    group_bytes = 0
    for document in documents:
        full = len(group) == GROUP_DOCUMENTS or group_bytes + document.size_bytes > GROUP_BYTES
        if group and full:
            yield group
            group, group_bytes = [], 0
        group.append(document)
        group_bytes += document.size_bytes
    if group:
        yield group


def _size_bytes(group: list[ListedDocument]) -> int:
    return sum(document.size_bytes for document in group)


def _read_group(source: _Source, group: list[ListedDocument]) -> list[bytes | Found | None]:
    return [source.read(document) for document in group]


def _read(source: Contents, document: ListedDocument, most_bytes: int) -> bytes | Found | None:
    try:
        return source.read(document, most_bytes)
    except ObjectMissing as error:
        link = isinstance(error.__cause__, BrokenLink)
        seen = "a link to a file that is not there" if link else "listed, but no longer there when it was read"
        return Failure(Reason.VANISHED, seen)
    except BucketMissing as error:
        if prefix_of(document):  # which is wrong with all of them
            raise
        return Failure(Reason.VANISHED, str(error))
    except AccessDenied as error:
        cause = error.__cause__
        said = cause.strerror or str(cause) if isinstance(cause, KeyRefused | NoFile) else "not for us to read"
        return Failure(Reason.FORBIDDEN, f"listed, but {said}")

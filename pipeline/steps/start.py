"""Begin a run: list the documents into shards, and fix what the run intends."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson

from pipeline import __version__
from pipeline.domain import Document, Mode, short_hash
from pipeline.errors import ObjectExists, SettingsError
from pipeline.manifest import MANIFEST, RunManifest, listing_key, shard_of, shards_for
from pipeline.models import find_model
from pipeline.records import to_parquet
from pipeline.steps.run import Services
from pipeline.storage import ObjectStore, refuse_unwritable


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What a run is asked to do. `run_date` decides which prices hold."""

    run_key: str
    run_date: dt.date
    source_uri: str
    output_uri: str
    work_uri: str


def start(services: Services, order: RunOrder) -> str:
    """List the source and write the run's manifest; the uri of the run. A run that was begun already is left as it is.

    Raises SettingsError for unknown analyses or models, DeclarationError for broken prompts, StorageError, and
    RunError when the key is that of a run between other places.
    """
    _refuse_overlap(order)
    refuse_unwritable(order.output_uri)
    store = services.open(f"{order.work_uri}/runs/{order.run_key}")
    if store.exists(MANIFEST):
        _refuse_another_run(services, order, RunManifest.model_validate_json(store.read(MANIFEST)))
    else:
        analyses = services.analyses(services.settings.analyses, services.settings.output_language)
        with tempfile.TemporaryDirectory(prefix="docbatch-") as folder:
            listing = Listing(Path(folder))
            listing.read(services.open(order.source_uri))
            shards = shards_for(listing.documents, services.settings.shard_documents)
            for shard in range(shards):
                store.write(listing_key(shard), to_parquet(Document, listing.shard(shard, shards)))
            fingerprints = {name: analysis.fingerprint for name, analysis in analyses.items()}
            manifest = _manifest(services, order, fingerprints, shards, listing.documents)
        _write_once(store, manifest)
    return store.uri()


class Listing:
    """Listed documents, spread over one local file for each of 256 buckets, so that any number fits in memory."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.documents = 0

    def read(self, source: ObjectStore) -> None:
        """Take in every object of the source but folder markers."""
        spools: dict[int, IO[bytes]] = {}
        try:
            for document in listed_documents(source):
                bucket = shard_of(document.document_id, 256)
                if bucket not in spools:
                    spools[bucket] = self._path(bucket).open("wb")
                spools[bucket].write(orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE))
                self.documents += 1
        finally:
            for spool in spools.values():
                spool.close()

    def shard(self, shard: int, shards: int) -> list[Document]:
        """The documents of one shard, in the order of their uris."""
        size = 256 // shards
        paths = [self._path(bucket) for bucket in range(shard * size, (shard + 1) * size)]
        lines = [line for path in paths if path.exists() for line in path.read_bytes().splitlines()]
        return sorted((_document(line) for line in lines), key=lambda document: document.uri)

    def _path(self, bucket: int) -> Path:
        return self._folder / f"{bucket:02x}.jsonl"


def listed_documents(source: ObjectStore) -> Iterator[Document]:
    for entry in source.list():
        if not entry.key.endswith("/"):
            yield Document(source.uri(entry.key), entry.etag, entry.size_bytes, entry.last_modified)


def new_run_key(services: Services, source_uri: str, output_uri: str) -> str:
    """A key for a run that nobody named: when it began, and from where to where."""
    return f"{services.clock():%Y%m%dT%H%M%SZ}-{short_hash(source_uri, output_uri)[:8]}"


def _document(line: bytes) -> Document:
    found = orjson.loads(line)
    return Document(**{**found, "last_modified": dt.datetime.fromisoformat(found["last_modified"])})


def _manifest(
    services: Services, order: RunOrder, fingerprints: dict[str, str], shards: int, documents: int
) -> RunManifest:
    settings = services.settings
    model, sent_id = find_model(settings.model)
    return RunManifest(
        docbatch_version=__version__,
        run_key=order.run_key,
        run_date=order.run_date,
        started=services.clock(),
        source_uri=order.source_uri,
        output_uri=order.output_uri,
        model=sent_id,
        priced_as=model.id,
        batch_price=model.price_on(Mode.BATCH, order.run_date),
        on_demand_price=model.price_on(Mode.ON_DEMAND, order.run_date),
        analyses=fingerprints,
        output_language=settings.output_language,
        max_rounds=settings.max_rounds,
        budget_usd=settings.budget_usd,
        shards=shards,
        documents=documents,
    )


def _write_once(store: ObjectStore, manifest: RunManifest) -> None:
    try:
        store.write(MANIFEST, manifest.model_dump_json(indent=2).encode(), create=True)
    except ObjectExists:
        return  # another process began the same run at the same moment; both listed, its manifest holds


def _refuse_overlap(order: RunOrder) -> None:
    """Tables or working files inside the source would be read as documents the next time."""
    for name, uri in (("output", order.output_uri), ("work_uri", order.work_uri)):
        if f"{uri}/".startswith(f"{order.source_uri}/"):
            raise SettingsError(f"{name} = {uri}: lies inside the source {order.source_uri}; choose a place beside it")


def _refuse_another_run(services: Services, order: RunOrder, begun: RunManifest) -> None:
    """Whoever takes a used key for something else would get the tables of the first."""
    settings = services.settings
    wanted = {
        "source": (order.source_uri, begun.source_uri),
        "output": (order.output_uri, begun.output_uri),
        "model": (find_model(settings.model)[1], begun.model),
        "output_language": (settings.output_language, begun.output_language),
        "analyses": (sorted(settings.analyses or begun.analyses), sorted(begun.analyses)),
    }
    for name, (asked, fixed) in wanted.items():
        if asked != fixed:
            raise SettingsError(
                f"run {order.run_key}: was begun with {name} = {fixed}, not {asked}; "
                "say the same to continue it, or choose another run key"
            )

"""Begin a run: list what is new, changed or deleted into shards, and fix what the run intends."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections import Counter
from collections.abc import Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.dataset as ds

from pipeline import __version__
from pipeline.analyses import Analysis
from pipeline.catalog.reading import usual_output_tokens
from pipeline.domain import Change, Mode, short_hash
from pipeline.errors import ObjectExists
from pipeline.forecasts.drawing import draw, strata_of
from pipeline.known.comparison import Comparison, ListedDocument
from pipeline.manifest import (
    MANIFEST,
    PUBLISHED,
    Held,
    RunManifest,
    claimed_key,
    content_digest,
    listing_key,
    open_key,
    shards_for,
)
from pipeline.planning import method_id
from pipeline.records import to_parquet
from pipeline.schemas import table_schemas
from pipeline.sources.spelling import parse_sources, scope_of
from pipeline.sources.spool import Spool
from pipeline.steps.listing import add_listing, put_texts
from pipeline.steps.orders import (
    SELECTING,
    RunOrder,
    refuse_another_run,
    refuse_model_without_batch,
    refuse_overlap,
    refuse_unfusable,
)
from pipeline.steps.run import Run, Services, limits_for
from pipeline.steps.tombstones import refuse_tidied
from pipeline.storage.objects import READ_BYTES, ObjectStore, refuse_unwritable

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

# Arrow would read 16 batches of 131,072 rows of 4 files ahead, and hold whole row groups: memory by what is published.
AHEAD: dict[str, Any] = {
    "batch_size": 20_000,
    "batch_readahead": 0,
    "fragment_readahead": 0,
    "use_threads": False,
    "fragment_scan_options": ds.ParquetFragmentScanOptions(
        use_buffered_stream=True, buffer_size=READ_BYTES, pre_buffer=False
    ),
}


def start(services: Services, order: RunOrder) -> str:
    """List the source and write the run's manifest; the uri of the run. A run that was begun already is left as it is.

    Raises SettingsError for unknown analyses or models, DeclarationError for broken prompts, StorageError, and
    RunError when the key is that of a run between other places.
    """
    refuse_overlap(order.source_uri, order.output_uri, order.work_uri)
    refuse_model_without_batch(services)
    refuse_unwritable(order.output_uri)
    store = services.open(f"{order.work_uri}/runs/{order.run_key}")
    if store.exists(MANIFEST):
        refuse_another_run(services, order, Run(services, store.uri()).manifest)
        if not store.exists(PUBLISHED):
            refuse_tidied(Run(services, store.uri()))
            _open(services, order)
    else:
        analyses = services.analyses(services.settings.analyses, services.settings.output_language)
        refuse_unfusable(services, analyses)
        manifest = _list(services, order, store, analyses)
        _open(services, order)  # first: a run that has a manifest and is not open was refused
        _write_once(store, manifest)
    return store.uri()


def _open(services: Services, order: RunOrder) -> None:
    services.open(order.work_uri).write(open_key(order.run_key), b"")


def _list(services: Services, order: RunOrder, store: ObjectStore, analyses: Mapping[str, Analysis]) -> RunManifest:
    """List the source beside what the output holds, put the listing by shard, and say what the run intends."""
    limits = limits_for(services, services.settings.model)
    methods = {name: method_id(one, limits, services.fused) for name, one in analyses.items()}
    with (
        tempfile.TemporaryDirectory(prefix="docbatch-") as folder,
        closing(Spool(Path(folder))) as spool,
        Comparison(Path(folder)) as comparison,
    ):
        add_listing(services, order.source_uri, comparison, spool)
        with services.catalog(order.output_uri, make=True) as catalog:
            catalog.prepare(table_schemas(analyses))  # what would refuse the tables does so before anything is paid
            add_published(comparison, catalog, {} if order.force else methods, order.run_key)
            usual = usual_output_tokens(catalog, methods)
        comparison.compare(scope_of(parse_sources(order.source_uri)), methods)
        sample = _drawn(comparison, order)
        documents = comparison.documents - len(sample.left_out)
        shards = shards_for(documents, services.settings.shard_documents)
        listing, unchanged, deleted = [], Counter[str](), 0
        for shard in range(shards):
            found = comparison.shard(shard, shards).without(sample.left_out)
            content = to_parquet(ListedDocument, put_texts(store, shard, found.documents, spool))
            listing.append(listing_key(shard, content_digest(content)))
            store.write(listing[-1], content)
            unchanged.update(found.unchanged)
            deleted += sum(one.change is Change.DELETED for one in found.documents)
        counts = {name: unchanged[name] for name in methods}
        held = None if sample.left_out else comparison.held()  # those left out may hold some
        listed = Listing(documents, comparison.not_selected, counts, held, deleted, listing, usual, sample)
        return _manifest(services, order, analyses, methods, listed)


@dataclass(frozen=True, slots=True)
class Sample:
    """The uris that a sampled run leaves out, and what they were drawn from: documents and bytes by size class."""

    left_out: frozenset[str] = frozenset()
    strata: Mapping[int, tuple[int, int]] = field(default_factory=dict)


def _drawn(comparison: Comparison, order: RunOrder) -> Sample:
    """Nothing is left out without a sample. The listing is held in memory for it, a kilobyte a document."""
    if order.sample is None:
        return Sample()
    documents = [one for one in comparison.shard(0, 1).documents if one.change is not Change.DELETED]
    chosen = {one.uri for one in draw(documents, order.sample, order.seed)}
    strata = {key: (one.members, one.size) for key, one in strata_of(documents).items()}
    return Sample(frozenset(one.uri for one in documents) - chosen, strata)


@dataclass(frozen=True, slots=True)
class Listing:
    """What was listed: documents, those that are not wanted, by analysis those whose result still holds and what these
    had used, deleted ones; the keys, and by analysis the output tokens that a request had in earlier runs."""

    documents: int
    not_selected: int
    unchanged: dict[str, int]
    held: Held | None
    deleted: int
    keys: list[str]
    usual_output_tokens: dict[str, float | None]
    sample: Sample


def add_published(comparison: Comparison, catalog: Catalog, methods: Mapping[str, str], run_key: str) -> None:
    """What the output holds: its documents, and of every analysis the results that were asked by the same method."""
    tables = set(catalog.tables())
    ended = catalog.dataset("runs").to_table(columns=["run_key", "ended"]).to_pydict()
    runs = dict(zip(ended["run_key"], ended["ended"], strict=True))
    runs.pop(run_key, None)  # a run whose work store is gone: publishing this one will replace it
    comparison.add_runs(runs)
    columns = ["document_id", "uri", "etag", "size_bytes", "last_modified", "content_hash", "change", "run_key"]
    documents = catalog.dataset("documents")
    columns += ["source"] if "source" in documents.schema.names else []  # not before a run of this version
    comparison.add_published(documents.scanner(columns=columns, **AHEAD).to_reader())
    for name, method in methods.items():
        if name in tables:
            columns = ["document_id", "content_hash", "method_id", "input_tokens", "output_tokens", "run_key"]
            held = catalog.dataset(name).scanner(columns=columns, **AHEAD)
            comparison.add_held(name, method, held.to_reader())


def new_run_key(services: Services, source_uri: str, output_uri: str, work_uri: str) -> str:
    """A key for a run that nobody named. Raises SettingsError when the places overlap."""
    refuse_overlap(source_uri, output_uri, work_uri)
    return claim_run_key(services.open(work_uri), services.clock(), source_uri, output_uri)


def claim_run_key(work: ObjectStore, began: dt.datetime, *places: str) -> str:
    """When a run began, and between which places; `-2`, `-3` and so on for others that begin in the same second.

    Never given twice by a work store: whoever creates the claim has the key.
    """
    first = f"{began:%Y%m%dT%H%M%SZ}-{short_hash(*places)[:8]}"
    for key in chain([first], (f"{first}-{number}" for number in count(2))):
        with suppress(ObjectExists):
            work.write(claimed_key(key), b"", create=True)
            break
    return key


def _manifest(
    services: Services,
    order: RunOrder,
    analyses: Mapping[str, Analysis],
    methods: dict[str, str],
    listing: Listing,
) -> RunManifest:
    settings = services.settings
    model, sent_id = services.find_model(settings.model)
    prices = {mode: model.price_on(mode, order.run_date, services.region, sent_id=sent_id) for mode in Mode}
    return RunManifest(
        docbatch_version=__version__,
        run_key=order.run_key,
        run_date=order.run_date,
        started=services.clock(),
        sources=tuple(map(str, parse_sources(order.source_uri))),
        **{name: getattr(settings, name) for name in SELECTING},
        output_uri=order.output_uri,
        model=sent_id,
        priced_as=model.id,
        batch_price=prices[Mode.BATCH],
        on_demand_price=prices[Mode.ON_DEMAND],
        billing=model.billing,
        time_price=model.time_price_on(order.run_date),
        on_demand_only=settings.mode == "on-demand",
        analyses={name: one.fingerprint for name, one in analyses.items()},
        fused=services.fused,
        methods=methods,
        usual_output_tokens=listing.usual_output_tokens,
        output_language=settings.output_language,
        max_rounds=settings.max_rounds,
        budget_usd=settings.budget_usd,
        budget_day_usd=settings.budget_day_usd,
        budget_month_usd=settings.budget_month_usd,
        allow_unknown_price=settings.allow_unknown_price,
        force=order.force,
        shards=len(listing.keys),
        documents=listing.documents,
        not_selected=listing.not_selected,
        unchanged=listing.unchanged,
        held=listing.held,
        deleted=listing.deleted,
        left_out=len(listing.sample.left_out),
        seed=None if order.sample is None else order.seed,
        strata=dict(listing.sample.strata),
        listing=tuple(listing.keys),
    )


def _write_once(store: ObjectStore, manifest: RunManifest) -> None:
    try:
        store.write(MANIFEST, manifest.model_dump_json(indent=2).encode(), create=True)
    except ObjectExists:
        return  # another process began the same run at the same moment; both listed, its manifest holds

"""The requests of a document with the exact prompts that were sent, from the files of the run that asked."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice

import pyarrow.parquet as pq

from pipeline.domain import Generation, Request
from pipeline.errors import RunError, StorageError
from pipeline.manifest import run_folder, shard_of
from pipeline.records import from_parquet, table_to_parquet
from pipeline.steps import Services
from pipeline.steps.rounds import planned_rounds
from pipeline.steps.run import Run
from pipeline.steps.state import read_prepared
from pipeline.steps.tombstones import read_tombstone
from pipeline.storage.objects import ObjectStore
from pipeline.wire import read_record


@dataclass(frozen=True, slots=True)
class Place:
    """Where a line of input lies: which file, and how many lines stand before it. None where it was rendered anew."""

    key: str
    line: int


@dataclass(frozen=True, slots=True)
class Asked:
    """One request of a document in one round, with its prompt if it was made again, or the place of its line."""

    request: Request
    round_number: int
    place: Place | None
    prompt: str | None = None

    @property
    def name(self) -> str:
        """What names it among the requests of a document, in addresses."""
        return f"{self.round_number}-{self.request.record_id}"


@dataclass(frozen=True, slots=True)
class Shown:
    """A prompt with the parameters that went with it."""

    prompt: str
    generation: Generation


def find_run(services: Services, work_uri: str, run_key: str) -> Run:
    """Raises StorageError, among them ObjectMissing for a run that is not in the work store, and RunError."""
    return Run(services, f"{work_uri}/{run_folder(run_key)}")


def find_asked(run: Run, document_id: str, analysis: str) -> list[Asked]:
    """The requests of a document for an analysis, fused ones too, in the order of the rounds.

    Raises RunError when the files are deleted.
    """
    if tombstone := read_tombstone(run.store):
        raise RunError(
            f"the working files of run {run.manifest.run_key} were deleted on {tombstone.tidied:%Y-%m-%d} "
            "(DOCBATCH_KEEP_WORK_DAYS), and the prompts with them"
        )
    shard = shard_of(document_id, run.manifest.shards)
    return [
        Asked(request, number, place)
        for number in range(planned_rounds(run))
        for segment in read_prepared(run.store, number, shard)[0]
        for request, place in _of_document(run.store, segment.index_key, segment.key, document_id)
        if analysis in request.analyses
    ]


def _of_document(store: ObjectStore, index_key: str, key: str, document_id: str) -> Iterator[tuple[Request, Place]]:
    """The lines stand in the order of the index."""
    index = pq.read_table(io.BytesIO(store.read(index_key)))
    lines = [line for line, one in enumerate(index["document_id"].to_pylist()) if one == document_id]
    if not lines:
        return
    requests = from_parquet(Request, table_to_parquet(index.take(lines)))
    yield from ((request, Place(key, line)) for request, line in zip(requests, lines, strict=True))


def read_asked(store: ObjectStore, asked: Asked) -> Shown:
    """The prompt as it was sent. Raises StorageError."""
    assert asked.place is not None
    line = next(islice(store.lines(asked.place.key), asked.place.line, None), b"{}")
    record_id, body = read_record(line)
    if record_id != asked.request.record_id:
        raise StorageError(f"{store.uri(asked.place.key)}: line {asked.place.line + 1} is not the one of its index")
    return Shown(body["prompt"], Generation(body["max_gen_len"], body["temperature"], body["top_p"]))


def render_again(
    run: Run, document_id: str, content_hash: str, text: str, analysis: str, asked_with: Collection[str]
) -> list[Asked]:
    """The first requests about a text, made as the run made them; `asked_with` are the analyses that it asked for.

    A request's id follows from all that was sent, so that an id which the ledger holds proves that it is the same.
    Raises RunError when the prompts are no longer what they were, VocabularyError, SettingsError.
    """
    together = [name for name in run.manifest.analyses if name in {analysis, *asked_with}]
    fused = run.manifest.fused is not None and len(together) > 1
    mapper = run.fused_planner(together) if fused else run.planners[analysis]
    rendered = mapper.map_requests(document_id, content_hash, text)
    return [Asked(request, 0, None, prompt) for request, prompt in rendered]

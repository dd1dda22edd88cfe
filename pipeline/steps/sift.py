"""What of a round's prepared requests is to be sent: not what any run has answered, has sent, or asks twice."""

from __future__ import annotations

import io
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from pipeline.batching import Segment
from pipeline.domain import Batch, BatchPlace, Request
from pipeline.errors import ObjectExists, ObjectMissing, RunError
from pipeline.forecasts.outlooks import Outlook, Tally
from pipeline.known.recall import answer_lists, as_outcomes, read_answers, read_ids
from pipeline.known.sieve import Sieve, Why
from pipeline.manifest import (
    OPEN_RUNS,
    awaited_key,
    collected_key,
    content_digest,
    intent_key,
    kept_folder,
    known_key,
    run_folder,
)
from pipeline.records import table_to_parquet, to_parquet
from pipeline.segments import SegmentWriter, read_index
from pipeline.steps.intents import REVOKED_BY, revoked_by
from pipeline.steps.rounds import planned_rounds, read_plan
from pipeline.steps.run import Run
from pipeline.steps.state import read_prepared

IDS = ["record_id", "question_id"]


@dataclass(frozen=True, slots=True)
class Flight:
    """A batch that another run of the work store has planned, and not collected yet."""

    place: BatchPlace
    batch: Batch
    record_ids: pa.ChunkedArray[Any] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Sifted:
    """What a round sends, and what it need not.

    `sharing` are requests for records that some segment holds already, `awaited` the batches of other runs that this
    one waits for; `owed` counts all requests of the round, `known` those that were answered at once.
    """

    segments: list[Segment]
    outlook: Outlook
    sharing: list[Request]
    awaited: list[Batch]
    owed: int
    known: int


def sift(run: Run, round_number: int) -> Sifted:
    """Decide what is sent, and write down the outcomes that are known. One planner of a work store at a time."""
    prepared = [read_prepared(run.store, round_number, shard) for shard in range(run.manifest.shards)]
    segments = [segment for found, _ in prepared for segment in found]
    outlooks = [outlook for _, outlook in prepared]
    with tempfile.TemporaryDirectory(prefix="docbatch-") as folder, Sieve(Path(folder)) as sieve:
        for number, segment in enumerate(segments):
            sieve.add_wanted(number, _read_columns(run, [segment.index_key], IDS))
        lists = [] if run.manifest.force or not segments else list(answer_lists(run.work))
        for number, key in enumerate(lists):
            sieve.add_known(number, read_ids(run.work, key))
        flights = [] if run.manifest.force or not segments else list(_flights(run, round_number))
        for number, flight in enumerate(flights):
            sieve.add_awaited(number, flight.record_ids)
        sieve.sift(take_over=lambda number: take_over(run, flights[number].place))
        for number in sieve.sources(Why.KNOWN):
            answered = sieve.answered(number, read_answers(run.work, lists[number]))
            _keep_known(run, round_number, segments, answered, lists[number])
        return _Remainder(run, round_number, sieve, segments, flights).sifted(outlooks)


def take_over(run: Run, place: BatchPlace) -> bool:
    """Take a batch from the run that planned it, unless it was begun: whoever writes its intent first decides."""
    other = run.services.open(place.run_uri)
    try:
        intent = orjson.dumps({REVOKED_BY: run.manifest.run_key})
        other.write(intent_key(place.round_number, place.batch_key), intent, create=True)
    except ObjectExists:
        return False
    return True


class _Remainder:
    """The segments of a round without what the sieve left out."""

    def __init__(
        self, run: Run, round_number: int, sieve: Sieve, segments: Sequence[Segment], flights: Sequence[Flight]
    ) -> None:
        self._run, self._round, self._sieve = run, round_number, sieve
        self._segments, self._flights = segments, flights
        self._touched = {segments[number].shard for number in sieve.segments()}
        self._sharing: list[Request] = []
        self._awaited: dict[int, list[Request]] = defaultdict(list)

    def sifted(self, outlooks: Sequence[Outlook]) -> Sifted:
        kept: list[Segment] = []
        expected = Outlook()
        for shard in sorted({segment.shard for segment in self._segments}):
            if shard in self._touched:
                found, outlook = self._rewritten(shard, outlooks[shard])
            else:
                found, outlook = [one for one in self._segments if one.shard == shard], outlooks[shard]
            kept, expected = kept + found, expected + outlook
        owed = sum(segment.records for segment in self._segments)
        awaited = [self._await(place, number) for place, number in enumerate(sorted(self._awaited))]
        return Sifted(kept, expected, self._sharing, awaited, owed, self._sieve.count(Why.KNOWN))

    def _rewritten(self, shard: int, before: Outlook) -> tuple[list[Segment], Outlook]:
        """The segments of a shard anew, with the forecast of what is left in them: its texts are like all of it."""
        tally = Tally(before.bases)
        folder = kept_folder(self._round, shard)
        with SegmentWriter(self._run.store, folder, shard, self._run.services.quotas) as writer:
            for number, segment in enumerate(self._segments):
                if segment.shard == shard:
                    for request, line in self._kept(number, segment):
                        writer.add(request, line + b"\n")
                        tally.add(request)
        return writer.segments, Outlook(tally.forecasts(), before.densities, before.bases)

    def _kept(self, number: int, segment: Segment) -> Iterator[tuple[Request, bytes]]:
        """What is sent of a segment; the other requests are put where they are answered."""
        left_out = {one.place: one for one in self._sieve.left_out(number)}
        requests = read_index(self._run.store, [segment.index_key])
        for place, (request, line) in enumerate(zip(requests, self._run.store.lines(segment.key), strict=True)):
            found = left_out.get(place)
            if found is None:
                yield request, line
            elif found.why is Why.REPEATED:
                self._sharing.append(request)
            elif found.why is Why.AWAITED:
                self._awaited[found.source].append(request)

    def _await(self, place: int, number: int) -> Batch:
        flight = self._flights[number]
        batch_key = f"r{self._round:02d}-a{place:04d}"
        content = to_parquet(Request, self._awaited[number])
        key = awaited_key(self._round, batch_key, content_digest(content))
        self._run.store.write(key, content)
        records = len({request.record_id for request in self._awaited[number]})
        return replace(flight.batch, batch_key=batch_key, records=records, index_keys=(key,), awaits=flight.place)


def _flights(run: Run, round_number: int) -> Iterator[Flight]:
    """Every batch of another open run that is not collected yet, but for records that this run waited for before.

    Those came to nothing there, and are not waited for again; the batch may hold others that this run gets to later,
    such as a reduction.
    """
    waited_for = _waited_for(run, round_number)
    for entry in sorted(run.work.list(OPEN_RUNS), key=lambda entry: entry.key):
        run_key = entry.key.rpartition("/")[2]
        if run_key == run.manifest.run_key:
            continue
        other = _open_run(run, run_key)
        if other is None:
            continue
        for number in range(planned_rounds(other)):
            for batch in read_plan(other, number).batches:
                place = BatchPlace(other.store.uri(), number, batch.batch_key)
                closed = batch.awaits is not None or other.store.exists(collected_key(number, batch.batch_key))
                if not closed and revoked_by(other, number, batch.batch_key) is None:
                    ids = _read_columns(other, batch.index_keys, ["record_id"])["record_id"]
                    before = pa.array(waited_for[place], pa.string())
                    yield Flight(place, batch, ids.filter(pc.invert(pc.is_in(ids, before))))


def _waited_for(run: Run, round_number: int) -> defaultdict[BatchPlace, list[str | None]]:
    """The records that this run waited for in earlier rounds, by the batch of the other run."""
    found = defaultdict[BatchPlace, list[str | None]](list)
    for number in range(round_number):
        for batch in read_plan(run, number).batches:
            if batch.awaits is not None:
                found[batch.awaits] += _read_columns(run, batch.index_keys, ["record_id"])["record_id"].to_pylist()
    return found


def _open_run(run: Run, run_key: str) -> Run | None:
    """Another run; None if it cannot be read: a run of another version stands in nobody's way."""
    try:
        return Run(run.services, run.work.uri(run_folder(run_key)))
    except (ObjectMissing, RunError):
        return None


def _keep_known(run: Run, round_number: int, segments: Sequence[Segment], answered: pa.Table, key: str) -> None:
    """The outcomes of what the list of answers at `key` answers, by shard."""
    shards = [segments[segment].shard for segment in answered.to_pydict()["segment"]]
    for shard in sorted(set(shards)):
        outcomes = as_outcomes(answered.filter(pa.array([one == shard for one in shards])), round_number)
        run.store.write(known_key(round_number, shard, key), table_to_parquet(outcomes))


def _read_columns(run: Run, index_keys: Sequence[str], columns: list[str]) -> pa.Table:
    tables = [pq.read_table(io.BytesIO(run.store.read(key)), columns=columns) for key in index_keys]
    return pa.concat_tables(tables)

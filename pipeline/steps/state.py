"""What is known of one shard: its requests and outcomes in all rounds so far, and what follows from them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

import orjson

from pipeline.batching import Segment
from pipeline.domain import Failure, Outcome, Request, Usage
from pipeline.errors import ObjectExists
from pipeline.forecasts.densities import Density
from pipeline.forecasts.outlooks import Base, Forecast, Outlook
from pipeline.manifest import outcomes_folder, prepared_key
from pipeline.records import DocumentRecord, OutcomeRecord, from_parquet
from pipeline.segments import read_index
from pipeline.settling import Again, Reduce, Settled, for_want_of_budget, give_up, settle
from pipeline.steps.run import Run
from pipeline.storage.objects import ObjectStore

Key = tuple[str, str]
"""document_id and analysis."""


@dataclass(frozen=True)
class ShardState:
    """Requests by document and analysis, the newest outcome of each, and every outcome in the order of the rounds.

    Of fused requests there are the parts, each with its own outcome under the record_id that they share; `fused` holds
    them whole, by document_id and record_id. `outcomes` are by analysis and record_id.
    """

    requests: dict[Key, dict[str, Request]]
    outcomes: dict[str, dict[str, Outcome]]
    records: list[OutcomeRecord]
    fused: dict[tuple[str, str], Request]

    def positions(self, run: Run) -> Iterator[tuple[Key, Settled | Again | Reduce]]:
        """Where every document and analysis that asked anything stands, sorted by key."""
        for key in sorted(self.requests):
            requests, outcomes = list(self.requests[key].values()), self.outcomes[key[1]]
            yield key, settle(run.analyses[key[1]], requests, outcomes, run.limits)

    def ends(self, run: Run, over_budget: str | None) -> Iterator[tuple[Key, Settled]]:
        """The same when no round is left: whatever is still owed is given up, for want of budget if that is why."""
        for key, position in self.positions(run):
            if isinstance(position, Settled):
                yield key, position
            else:
                requests, outcomes = list(self.requests[key].values()), self.outcomes[key[1]]
                end = give_up(run.analyses[key[1]], requests, outcomes)
                yield key, for_want_of_budget(end, over_budget) if over_budget else end


def load_state(run: Run, shard: int, rounds: int) -> ShardState:
    """The state of a shard after its first `rounds` rounds."""
    requests: dict[Key, dict[str, Request]] = defaultdict(dict)
    records: list[OutcomeRecord] = []
    fused: dict[tuple[str, str], Request] = {}
    for round_number in range(rounds):
        segments, _ = read_prepared(run.store, round_number, shard)
        for request in read_index(run.store, [segment.index_key for segment in segments]):
            parts = request.parts()
            if len(parts) > 1:
                fused.setdefault((request.document_id, request.record_id), request)
            for part in parts:
                requests[part.document_id, part.analysis].setdefault(part.record_id, part)
        for entry in sorted(run.store.list(outcomes_folder(round_number, shard)), key=lambda entry: entry.key):
            records += from_parquet(OutcomeRecord, run.store.read(entry.key))
    return ShardState(dict(requests), _newest(requests, records), records, fused)


def _newest(
    requests: Mapping[Key, Mapping[str, Request]], records: list[OutcomeRecord]
) -> dict[str, dict[str, Outcome]]:
    """The last outcome of each analysis and record; a question is of one analysis only."""
    asked = {one.question_id: analysis for (_, analysis), found in requests.items() for one in found.values()}
    outcomes: dict[str, dict[str, Outcome]] = {analysis: {} for _, analysis in requests}
    for record in records:
        outcomes[asked[record.question_id]][record.record_id] = _outcome(record)
    return outcomes


Prepared = tuple[list[Segment], Outlook]
"""The segments of a shard and round, and the forecast of what is in them."""


def read_prepared(store: ObjectStore, round_number: int, shard: int) -> Prepared:
    """What was prepared. Raises ObjectMissing when nothing was yet."""
    found = orjson.loads(store.read(prepared_key(round_number, shard)))
    outlook = Outlook(
        {name: Forecast(**one) for name, one in found["outlook"]["analyses"].items()},
        {name: Density(**one) for name, one in found["outlook"]["densities"].items()},
        {name: Base(**one) for name, one in found["outlook"]["bases"].items()},
    )
    return [Segment(**segment) for segment in found["segments"]], outlook


def write_prepared(
    store: ObjectStore, round_number: int, shard: int, prepared: Prepared, documents: str | None = None
) -> None:
    """Its presence says that the shard is prepared; of several processes that prepare it at once, the first wins.

    `documents` is the key of the file that tells, for the first round, what became of reading the shard's documents.
    """
    segments, outlook = prepared
    content = orjson.dumps({"segments": segments, "outlook": outlook, "documents": documents})
    with suppress(ObjectExists):
        store.write(prepared_key(round_number, shard), content, create=True)


def read_document_records(run: Run, shard: int) -> Iterator[DocumentRecord]:
    """What became of reading every document of a shard."""
    key = orjson.loads(run.store.read(prepared_key(0, shard)))["documents"]
    return from_parquet(DocumentRecord, run.store.read(key))


def _outcome(record: OutcomeRecord) -> Outcome:
    return Outcome(
        record.record_id,
        record.fate,
        answer=None if record.answer is None else orjson.loads(record.answer),
        failure=None if record.reason is None else Failure(record.reason, record.detail or ""),
        retryable=record.retryable,
        usage=usage_of(record),
        model=record.model,
        truncated=record.truncated,
        raw=record.raw,
    )


def usage_of(record: OutcomeRecord) -> Usage | None:
    """The tokens of a record; None when Bedrock reported none."""
    return record.usage

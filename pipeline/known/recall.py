"""The answers that the runs of a work store have paid for, so that no run pays for one again."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.domain import Fate, Mode
from pipeline.manifest import ANSWERS, answers_key
from pipeline.records import OutcomeRecord, schema_of, to_parquet
from pipeline.storage.objects import ObjectStore

# The ids of all answers are looked through for every round; they lie apart from the answers, which are much larger.
_IDS = ".ids.parquet"
_WHOLE = ".parquet"


@dataclass(frozen=True, slots=True)
class AnswerRecord:
    """One answer, known by the first wording of its question; the tokens are those of the wording that it came to."""

    question_id: str
    mode: Mode
    job_arn: str | None
    answer: str
    truncated: bool
    model: str | None
    paid_by: str
    input_tokens: int | None
    output_tokens: int | None


@dataclass(frozen=True, slots=True)
class _AnswerId:
    question_id: str


def remember(work: ObjectStore, run_key: str, batch_key: str, outcomes: Iterable[OutcomeRecord]) -> None:
    """Keep the answers among a batch's outcomes. Failures are not kept, and neither is what another run paid for."""
    answers = [
        AnswerRecord(
            one.question_id,
            one.mode,
            one.job_arn,
            one.answer,
            one.truncated,
            one.model,
            run_key,
            one.input_tokens,
            one.output_tokens,
        )
        for one in outcomes
        if one.answer is not None and one.paid_by is None
    ]
    if answers:
        key = answers_key(run_key, batch_key)
        work.write(key, to_parquet(AnswerRecord, answers))
        ids = [_AnswerId(one.question_id) for one in answers]
        work.write(key.removesuffix(_WHOLE) + _IDS, to_parquet(_AnswerId, ids))


def answer_lists(work: ObjectStore) -> Iterator[str]:
    """The keys of all lists of answers, in the order of their names."""
    for entry in sorted(work.list(ANSWERS), key=lambda entry: entry.key):
        if entry.key.endswith(_IDS):
            yield entry.key.removesuffix(_IDS) + _WHOLE


def read_ids(work: ObjectStore, key: str) -> pa.ChunkedArray[Any]:
    """The question_ids of one list."""
    content = work.read(key.removesuffix(_WHOLE) + _IDS)
    return pq.read_table(io.BytesIO(content))["question_id"]


def read_answers(work: ObjectStore, key: str) -> pa.Table:
    """One list whole; its columns are the fields of AnswerRecord."""
    return pq.read_table(io.BytesIO(work.read(key)))


def as_outcomes(answered: pa.Table, round_number: int) -> pa.Table:
    """Known answers as outcomes of the requests in column record_id: of this round, and paid for by another run."""
    rows = answered.num_rows
    given: dict[str, Any] = {
        "fate": [Fate.ANSWERED] * rows,
        "round_number": [round_number] * rows,
        "retryable": [False] * rows,
    }
    schema = schema_of(OutcomeRecord)
    columns = [
        answered[field.name] if field.name in answered.column_names else pa.array(given.get(field.name, [None] * rows))
        for field in schema
    ]
    return pa.table(dict(zip(schema.names, columns, strict=True))).cast(schema)

"""The frozen values that the pipeline is about: documents, chunks, requests, batches, jobs, outcomes, usage."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

FUSED_BY = "+"  # joins the names and questions of a fused request; no name of an analysis holds it


class Stage(StrEnum):
    """What a request is for: reading a text, or joining the answers of its chunks."""

    MAP = "map"
    REDUCE = "reduce"


class Mode(StrEnum):
    """How a request was sent, and so at which price."""

    BATCH = "batch"
    ON_DEMAND = "on-demand"


class Change(StrEnum):
    """How a document differs from what an earlier run published of it."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    DELETED = "deleted"


class Fate(StrEnum):
    """What became of one request in one round."""

    ANSWERED = "answered"
    FAILED = "failed"
    MISSING = "missing"


class Reason(StrEnum):
    """Why a document has no result. `advice` says what to do about it."""

    EMPTY = "empty"
    UNDECODABLE = "undecodable"
    UNSUPPORTED = "unsupported"
    NO_TEXT = "no_text"
    ENCRYPTED = "encrypted"
    DAMAGED = "damaged"
    EXCEEDED = "exceeded"
    CRASHED = "crashed"
    TOO_LARGE = "too_large"
    VANISHED = "vanished"
    FORBIDDEN = "forbidden"
    REFUSED = "refused"
    MISSING = "missing"
    MALFORMED = "malformed"
    INVALID = "invalid"
    BUDGET = "budget"

    @property
    def advice(self) -> str:
        return _ADVICE[self]


_ADVICE = {
    Reason.EMPTY: "Remove the document from the source, or put text into it.",
    Reason.UNDECODABLE: "Save the document as UTF-8 text.",
    Reason.UNSUPPORTED: "Convert the document to a format that is read; README lists them.",
    Reason.NO_TEXT: "A scan: put a version with recognised text in its place, or install the extra `ocr` (README).",
    Reason.ENCRYPTED: "Save the document without its password.",
    Reason.DAMAGED: "Mend what the detail names, or save or send the document anew: it may have been cut short.",
    Reason.EXCEEDED: "Split the document, or raise DOCBATCH_EXTRACT_SECONDS, _MEMORY_BYTES or _OUTPUT_BYTES.",
    Reason.CRASHED: "The parser cannot read the document: save it anew, or in another format.",
    Reason.TOO_LARGE: "Split the document, or raise DOCBATCH_MAX_DOCUMENT_BYTES.",
    Reason.VANISHED: "The document is not there any more, or a link or list names what is not (mend it, or leave it "
    "out); the next run lists afresh.",
    Reason.FORBIDDEN: "Let docbatch read the document, copy it to another key or into the folder, or leave it out.",
    Reason.REFUSED: "Bedrock refused the record; the detail holds its message.",
    Reason.MISSING: "Every round ended before Bedrock answered; run again, or raise DOCBATCH_MAX_ROUNDS.",
    Reason.MALFORMED: "The answer was not JSON; raw_answer holds what was written. Look at the prompt's examples.",
    Reason.BUDGET: "The budget was used up; raise it and run again: only what has no result is asked.",
    Reason.INVALID: "The answer does not fit the schema; raw_answer holds it. Look at the labels and examples.",
}


@dataclass(frozen=True, slots=True)
class Failure:
    """Why one record or document failed: a reason from the fixed list, and what was seen."""

    reason: Reason
    detail: str


@dataclass(frozen=True, slots=True)
class Document:
    """One text as the source lists it. Nothing here says what is in it."""

    uri: str
    etag: str
    size_bytes: int
    last_modified: datetime

    @property
    def document_id(self) -> str:
        """24 hexadecimal digits, derived from the uri alone: a changed document keeps its id."""
        return short_hash(self.uri)


@dataclass(frozen=True, slots=True)
class Chunk:
    """The characters [start, end) of a text, and how many tokens they are by exact count."""

    position: int
    start: int
    end: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Generation:
    """The parameters of one model call. `temperature` and `top_p` are 0 to 1."""

    max_output_tokens: int
    temperature: float
    top_p: float


@dataclass(frozen=True, slots=True)
class Request:
    """One model call of a run, without its prompt: who asks, for which part of which text.

    `level` is 0 for map requests and counts the reductions after that; `position` counts from 0 to `siblings` - 1
    within a level. `text_tokens` weighs the answer in a merge; it is None where the text needed no count.
    `input_tokens` is the exact size of the prompt, None where its bytes alone showed that it fits.
    `question_id` is the record_id of the first wording, by which an answer is known whatever it took to get it.
    `attempt` is 0 for that wording and counts the rewordings: corrections and longer limits. The very same line sent
    again keeps its record_id and attempt. `language` is the guess for a text whose tokens are not counted.

    A fused request asks for several analyses at once: `analysis` and `question_id` then hold those of its parts,
    joined by FUSED_BY, and `record_id` follows from all questions.
    """

    record_id: str
    question_id: str
    document_id: str
    content_hash: str
    analysis: str
    stage: Stage
    level: int
    position: int
    siblings: int
    text_tokens: int | None
    input_tokens: int | None
    prompt_bytes: int
    max_output_tokens: int
    attempt: int
    language: str | None = None

    @property
    def analyses(self) -> list[str]:
        """The analyses that are asked for; one, unless the request is fused."""
        return self.analysis.split(FUSED_BY)

    @property
    def shares_record(self) -> bool:
        """Whether the record holds other questions too, as that of a part of a fused request does."""
        return self.attempt == 0 and self.record_id != self.question_id

    def parts(self) -> list[Request]:
        """A request for each analysis and question of a fused one, all with its record_id; else the request alone."""
        if FUSED_BY not in self.analysis:
            return [self]
        pairs = zip(self.analyses, self.question_id.split(FUSED_BY), strict=True)
        return [replace(self, analysis=name, question_id=question_id) for name, question_id in pairs]


@dataclass(frozen=True, slots=True)
class Span:
    """From one moment to another, both with a zone; the same one twice for a moment."""

    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens as Bedrock reported them for one record."""

    input_tokens: int
    output_tokens: int

    def __add__(self, other: Usage) -> Usage:
        return Usage(self.input_tokens + other.input_tokens, self.output_tokens + other.output_tokens)


@dataclass(frozen=True, slots=True)
class Outcome:
    """The fate of one request in one round.

    `answer` is the parsed content, with an answered request only. `usage` is None where Bedrock reported none.
    `model` is what produced the answer: the model's id, or the embedded engine's name.
    `raw` is what the model wrote, kept where it could not be used.
    """

    record_id: str
    fate: Fate
    answer: dict[str, Any] | None = None
    failure: Failure | None = None
    retryable: bool = False
    usage: Usage | None = None
    model: str | None = None
    truncated: bool = False
    raw: str | None = None


@dataclass(frozen=True, slots=True)
class BatchPlace:
    """A batch of some run."""

    run_uri: str
    round_number: int
    batch_key: str


@dataclass(frozen=True, slots=True)
class Batch:
    """The requests of one input file: where they lie, and how many there are.

    With `awaits`, the file is another run's, which has begun to send it; this run waits for the answers, pays nothing.
    """

    batch_key: str
    mode: Mode
    records: int
    input_bytes: int
    input_uri: str
    output_uri: str
    index_keys: tuple[str, ...]
    awaits: BatchPlace | None = None


class JobStatus(StrEnum):
    """Bedrock's own statuses of a batch inference job (botocore, ModelInvocationJobStatus)."""

    SUBMITTED = "Submitted"
    VALIDATING = "Validating"
    SCHEDULED = "Scheduled"
    IN_PROGRESS = "InProgress"
    COMPLETED = "Completed"
    PARTIALLY_COMPLETED = "PartiallyCompleted"
    FAILED = "Failed"
    STOPPING = "Stopping"
    STOPPED = "Stopped"
    EXPIRED = "Expired"

    @property
    def ended(self) -> bool:
        return self in _ENDED


_ENDED = {
    JobStatus.COMPLETED,
    JobStatus.PARTIALLY_COMPLETED,
    JobStatus.FAILED,
    JobStatus.STOPPED,
    JobStatus.EXPIRED,
}


@dataclass(frozen=True, slots=True)
class Job:
    """One Bedrock job as it was last described. Counts are 0 until processing starts."""

    arn: str
    name: str
    status: JobStatus
    message: str | None
    records_total: int
    records_done: int
    records_failed: int = 0

    @property
    def job_id(self) -> str:
        """The 12 characters behind the ARN's last slash; the name of the output folder."""
        return self.arn.rpartition("/")[2]


def short_hash(*parts: str) -> str:
    """24 hexadecimal digits of the sha256 over the parts; the parts cannot run into each other."""
    digest = hashlib.sha256()
    for part in parts:
        encoded = part.encode("utf-8", "surrogatepass")
        digest.update(len(encoded).to_bytes(8, "big"))
        digest.update(encoded)
    return digest.hexdigest()[:24]

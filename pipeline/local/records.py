"""One line of a batch job's input becomes one line of its output; lines leave in another order than they came."""

from __future__ import annotations

import json
import logging
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from pipeline.domain import Mode
from pipeline.errors import ServiceBusy, ServiceError
from pipeline.local import llama
from pipeline.local.bill import Charge, prompt_sha256
from pipeline.local.faults import Fault, invalid, planned_refusal
from pipeline.local.spoiling import Spoiled, is_of_answer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pipeline.local.engine import Engine
    from pipeline.local.fault_plan import RecordKind

_log = logging.getLogger(__name__)
_WINDOW_LINES = 1000
_WINDOW_BYTES = 32_000_000
_STRANGER = "nobody-asked-for-this"


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts of a job's manifest.json.out, and the records that a fault plan skipped, which it does not tell."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    skipped: int = 0

    @property
    def taken(self) -> int:
        """The records that are done with."""
        return self.succeeded + self.failed + self.skipped

    def plus(self, other: Totals) -> Totals:
        return Totals(
            self.total + other.total,
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
            self.skipped + other.skipped,
        )

    def manifest(self) -> bytes:
        return json.dumps(
            {
                "totalRecordCount": self.total,
                "processedRecordCount": self.succeeded + self.failed,
                "successRecordCount": self.succeeded,
                "errorRecordCount": self.failed,
                "inputTokenCount": self.input_tokens,
                "outputTokenCount": self.output_tokens,
            }
        ).encode()


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the input file called `file`. `position` starts at 1."""

    content: bytes
    position: int
    file: str

    def read(self) -> tuple[Any, Any]:
        """The record's id, as wrong as it may be, and its modelInput; Bedrock gives an id to a record that has none."""
        record: dict[str, Any] = json.loads(self.content)
        return record.get("recordId", f"CALL{self.position:07d}"), record["modelInput"]


@dataclass(frozen=True, slots=True)
class Answered:
    """What an input line becomes: output lines, what it adds to the totals, what it costs, and a last line cut off."""

    lines: tuple[bytes, ...] = ()
    totals: Totals = field(default_factory=Totals)
    charge: Charge | None = None
    torn: bytes = b""


def kept_name(record_id: object) -> str:
    """An id as a database can keep it: a record may call itself by a number, or by half a surrogate pair."""
    return str(record_id).encode("utf-8", "backslashreplace").decode()


def check_line(line: bytes, where: str) -> None:
    """Refuse a line that is no JSON object with a modelInput. What modelInput holds is the record's own affair."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise invalid(f"The input file is not in JSONL format: {where} is not JSON ({error}).") from error
    if not isinstance(record, dict) or "modelInput" not in record:
        raise invalid(f"The input file is not in the expected format: {where} has no modelInput.")


def answer_line(
    engine: Engine, vocabulary: llama.Vocabulary, job_id: str, hits: Mapping[str, RecordKind], line: Line
) -> Answered:
    """The output of an input line. `hits` names the records that a fault plan spoils, and how.

    Never raises: a record fails as a value.
    """
    record_id, model_input = line.read()
    echo, hit = {"recordId": record_id, "modelInput": model_input}, hits.get(kept_name(record_id))
    if hit == "skipped":
        return Answered(totals=Totals(skipped=1))
    asked = Spoiled(engine, hit) if is_of_answer(hit) else engine
    try:
        if refusal := planned_refusal(hit):
            raise refusal
        completion = llama.answer(asked, vocabulary, llama.check_body(model_input))
    except Fault as fault:
        return _error(echo, fault.status, fault.message)
    except ServiceBusy as error:
        return _error(echo, 503, str(error))
    except ServiceError as error:
        return _error(echo, 424, str(error))
    except Exception:  # noqa: BLE001 - one document must not end the other records' job
        _log.exception("record %s", record_id)
        return _error(echo, 500, "Internal error; the endpoint's log says which.")
    used = (completion.prompt_tokens, completion.generation_tokens)
    place = f"{line.file}:{line.position}"
    charge = Charge(job_id, place, Mode.BATCH, kept_name(record_id), prompt_sha256(model_input), *used)
    written = _encode(echo | {"modelOutput": completion.body()})
    answered = Answered((written,), Totals(succeeded=1, input_tokens=used[0], output_tokens=used[1]), charge)
    return _with_lines_spoiled(answered, hit)


def _with_lines_spoiled(answered: Answered, hit: RecordKind | None) -> Answered:
    (line,) = answered.lines
    if hit == "dropped":
        return replace(answered, lines=())
    if hit == "duplicated":
        return replace(answered, lines=(line, line))
    if hit == "unknown":
        return replace(answered, lines=(line, _encode(json.loads(line) | {"recordId": _STRANGER})))
    if hit == "half-line":
        return replace(answered, lines=(), torn=line[: len(line) // 2])
    return answered


def _error(echo: dict[str, Any], code: int, message: str) -> Answered:
    return Answered((_encode(echo | {"error": {"errorCode": code, "errorMessage": message}}),), Totals(failed=1))


def _encode(record: dict[str, Any]) -> bytes:
    try:
        return json.dumps(record, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half of a surrogate pair is JSON, but not UTF-8
        return json.dumps(record).encode() + b"\n"


class Shuffle:
    """Lines come in, and leave in an order that only `seed` decides; at most a bounded window of them is held."""

    def __init__(self, seed: str) -> None:
        self._order = random.Random(seed)  # noqa: S311 - an order, not a secret
        self._window: list[bytes] = []
        self._held_bytes = 0

    def exchange(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """Take `lines` in; give out whatever no longer fits the window."""
        for line in lines:
            self._window.append(line)
            self._held_bytes += len(line)
            while len(self._window) > _WINDOW_LINES or self._held_bytes > _WINDOW_BYTES:
                yield self._leave()

    def rest(self) -> Iterator[bytes]:
        """Everything that is still held."""
        while self._window:
            yield self._leave()

    def _leave(self) -> bytes:
        position = self._order.randrange(len(self._window))
        self._window[position], self._window[-1] = self._window[-1], self._window[position]
        leaving = self._window.pop()
        self._held_bytes -= len(leaving)
        return leaving

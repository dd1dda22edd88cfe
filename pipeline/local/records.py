"""One line of a batch job's input becomes one line of its output; lines leave in another order than they came."""

from __future__ import annotations

import json
import logging
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.errors import ServiceBusy, ServiceError
from pipeline.local import llama
from pipeline.local.faults import Fault, invalid

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pipeline.local.engine import Engine

_log = logging.getLogger(__name__)
_WINDOW_LINES = 1000
_WINDOW_BYTES = 32_000_000


@dataclass(frozen=True, slots=True)
class Totals:
    """The counts of a job's manifest.json.out."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def plus(self, other: Totals) -> Totals:
        return Totals(
            self.total + other.total,
            self.succeeded + other.succeeded,
            self.failed + other.failed,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
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
    """One line of an input file. `position` starts at 1."""

    content: bytes
    position: int


def check_line(line: bytes, where: str) -> None:
    """Refuse a line that is no JSON object with a modelInput. What modelInput holds is the record's own affair."""
    try:
        record = json.loads(line)
    except ValueError as error:
        raise invalid(f"The input file is not in JSONL format: {where} is not JSON ({error}).") from error
    if not isinstance(record, dict) or "modelInput" not in record:
        raise invalid(f"The input file is not in the expected format: {where} has no modelInput.")


def answer_line(engine: Engine, vocabulary: llama.Vocabulary, line: Line) -> tuple[bytes, Totals]:
    """The output line of an input line, and what it adds to the totals. Never raises: a record fails as a value."""
    record: dict[str, Any] = json.loads(line.content)
    # Bedrock gives an id to a record that has none.
    echo = {"recordId": record.get("recordId", f"CALL{line.position:07d}"), "modelInput": record["modelInput"]}
    try:
        completion = llama.answer(engine, vocabulary, llama.check_body(record["modelInput"]))
    except Fault as fault:
        return _error(echo, fault.status, fault.message)
    except ServiceBusy as error:
        return _error(echo, 503, str(error))
    except ServiceError as error:
        return _error(echo, 424, str(error))
    except Exception:  # noqa: BLE001 - one document must not end the other records' job
        _log.exception("record %s", echo["recordId"])
        return _error(echo, 500, "Internal error; the endpoint's log says which.")
    counted = Totals(succeeded=1, input_tokens=completion.prompt_tokens, output_tokens=completion.generation_tokens)
    return _encode(echo | {"modelOutput": completion.body()}), counted


def _error(echo: dict[str, Any], code: int, message: str) -> tuple[bytes, Totals]:
    return _encode(echo | {"error": {"errorCode": code, "errorMessage": message}}), Totals(failed=1)


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

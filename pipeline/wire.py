"""Requests and replies as Bedrock's JSONL for Llama's native body; the only place that says recordId."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from pipeline.domain import Generation, Usage


@dataclass(frozen=True, slots=True)
class Reply:
    """One output record as Bedrock wrote it: a text, or an error."""

    record_id: str
    text: str | None = None
    usage: Usage | None = None
    reached_limit: bool = False
    engine: str | None = None
    error_code: int | None = None
    error_message: str | None = None

    @property
    def retryable(self) -> bool:
        """Whether the same record may succeed later: throttled, or an error on the service's side."""
        return self.error_code is not None and (self.error_code == 429 or self.error_code >= 500)


@dataclass(frozen=True, slots=True)
class JobSummary:
    """Bedrock's own totals of a job, from manifest.json.out. None where it gives none."""

    total_records: int | None
    success_records: int | None
    error_records: int | None
    input_tokens: int | None
    output_tokens: int | None


def body(prompt: str, generation: Generation) -> dict[str, Any]:
    """The native body: exactly these four keys, Llama refuses any other (Bedrock user guide, Meta Llama models)."""
    return {
        "prompt": prompt,
        "max_gen_len": generation.max_output_tokens,
        "temperature": generation.temperature,
        "top_p": generation.top_p,
    }


def write_record(record_id: str, prompt: str, generation: Generation) -> bytes:
    """One input line, with its line end."""
    return orjson.dumps(
        {"recordId": record_id, "modelInput": body(prompt, generation)}, option=orjson.OPT_APPEND_NEWLINE
    )


def read_record_id(line: bytes) -> str:
    """The id of an input line that `write_record` made, without parsing the prompt behind it."""
    return line[len(b'{"recordId":"') : line.index(b'"', len(b'{"recordId":"'))].decode("ascii")


def read_record(line: bytes) -> tuple[str, dict[str, Any]]:
    """The id and the native body of an input line."""
    record = orjson.loads(line)
    return record["recordId"], record["modelInput"]


def write_reply(record_id: str, output: Mapping[str, Any]) -> bytes:
    """An on-demand answer as an output line, so that both modes are collected alike."""
    return orjson.dumps({"recordId": record_id, "modelOutput": output}, option=orjson.OPT_APPEND_NEWLINE)


def write_error(record_id: str, code: int, message: str) -> bytes:
    """An on-demand error as an output line."""
    error = {"errorCode": code, "errorMessage": message}
    return orjson.dumps({"recordId": record_id, "error": error}, option=orjson.OPT_APPEND_NEWLINE)


def read_reply(line: bytes) -> Reply | None:
    """An output line; None when it is not a record at all (cut off, or without an id)."""
    try:
        record = orjson.loads(line)
        record_id = record["recordId"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
    if not isinstance(record_id, str):
        return None
    error = record.get("error")
    if error is not None or not isinstance(record.get("modelOutput"), dict):
        return _error(record_id, error)
    return _answer(record_id, record["modelOutput"])


def _answer(record_id: str, output: Mapping[str, Any]) -> Reply:
    tokens_in, tokens_out = output.get("prompt_token_count"), output.get("generation_token_count")
    reported = isinstance(tokens_in, int) and isinstance(tokens_out, int)
    engine = output.get("engine")
    return Reply(
        record_id,
        text=str(output.get("generation") or ""),
        usage=Usage(tokens_in, tokens_out) if reported else None,  # type: ignore[arg-type] # both are int here
        reached_limit=output.get("stop_reason") == "length",
        engine=engine if isinstance(engine, str) else None,
    )


def _error(record_id: str, error: Any) -> Reply:
    """`errorCode` is an int in the user guide and a string in AWS's samples; anything else counts as 500."""
    found = error if isinstance(error, dict) else {}
    code = str(found.get("errorCode", ""))
    message = str(found.get("errorMessage") or error or "neither modelOutput nor error in the record")
    known = code.isascii() and code.isdigit() and len(code) < 10
    return Reply(record_id, error_code=int(code) if known else 500, error_message=message)


def read_job_summary(content: bytes) -> JobSummary | None:
    """manifest.json.out; None when it cannot be read."""
    try:
        found = orjson.loads(content)
        names = ("totalRecordCount", "successRecordCount", "errorRecordCount", "inputTokenCount", "outputTokenCount")
        return JobSummary(*(found.get(name) for name in names))
    except (orjson.JSONDecodeError, AttributeError):
        return None

"""Requests and replies as Bedrock's JSONL for Llama's native body; the only place that says recordId."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import orjson

from pipeline.domain import Generation, Span, Usage

# Codes of error records that pass: timeout, conflict, a model that failed or was not ready (botocore, bedrock-runtime:
# ModelTimeout 408, Conflict 400 or 409, ModelError 424, ModelNotReady and Throttling 429), and everything from 500 on.
_PASSING_CODES = {408, 409, 424, 425, 429}
# Messages that say the same under another code: ServiceQuotaExceeded and Conflict are 400, a job that runs out of time
# is rumoured to leave `expired` records (bedrock.md).
_PASSING = re.compile(
    r"too many (requests|tokens)|throttl|rate exceeded|quota\w*\s*exceeded|timed?[ -]?out|expired|unavailable"
    r"|temporar|not ready|conflict|try again later|internal\s*(server|service)?\s*(error|failure|exception)",
    re.IGNORECASE,
)
# Messages that say that this very record will never do, where no number says so.
_LASTING = re.compile(
    r"malformed input|validation|too long|maximum context length|invalid|access\s*denied|not authorized|not\s*found",
    re.IGNORECASE,
)
MOST_TOKENS = 2**53  # beyond any window: such a count is damage
MOST_SAID_CHARACTERS = 2_000


@dataclass(frozen=True, slots=True)
class Reply:
    """One output record as Bedrock wrote it: a text, or an error. `called` is known of calls whose time is billed."""

    record_id: str
    text: str | None = None
    usage: Usage | None = None
    reached_limit: bool = False
    engine: str | None = None
    error_code: int | None = None
    error_message: str | None = None
    called: Span | None = None

    @property
    def retryable(self) -> bool:
        """Whether the same record may succeed later, by code and message.

        Only a refusal that is clearly the record's own is permanent: an error record costs nothing and the rounds are
        bounded, while a record that is given up for a passing trouble is lost.
        """
        if self.error_code is None:
            return False
        refused = 400 <= self.error_code < 500 and self.error_code not in _PASSING_CODES
        return not refused or _PASSING.search(self.error_message or "") is not None


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


def read_prompt(line: bytes) -> str:
    """The prompt of an input line, as it was sent."""
    prompt: str = read_record(line)[1]["prompt"]
    return prompt


def write_reply(record_id: str, output: Mapping[str, Any], called: Span | None = None) -> bytes:
    """An on-demand answer as an output line, so that both modes are collected alike; with its time if it is billed."""
    times = {"called": [called.first, called.last]} if called else {}
    return orjson.dumps({"recordId": record_id, "modelOutput": output, **times}, option=orjson.OPT_APPEND_NEWLINE)


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
    return replace(_answer(record_id, record["modelOutput"]), called=_span(record.get("called")))


def _answer(record_id: str, output: Mapping[str, Any]) -> Reply:
    tokens_in, tokens_out = output.get("prompt_token_count"), output.get("generation_token_count")
    engine = output.get("engine")
    written = output.get("generation")
    text = written if isinstance(written, str) else ""
    reported = _is_count(tokens_in, least=1) and _is_count(tokens_out, least=1 if text else 0)
    return Reply(
        record_id,
        text=text,
        usage=Usage(tokens_in, tokens_out) if reported else None,  # type: ignore[arg-type] # both are int here
        reached_limit=output.get("stop_reason") == "length",
        engine=engine if isinstance(engine, str) else None,
    )


def _span(times: Any) -> Span | None:
    """The time of a call as `write_reply` wrote it; None where there is none, or it is damaged."""
    try:
        first, last = map(datetime.fromisoformat, times)
        return Span(first, last) if first.tzinfo and last.tzinfo else None
    except (TypeError, ValueError):
        return None


def _is_count(value: object, least: int) -> bool:
    """Whether a number of tokens can be one: whoever reads a prompt and writes an answer uses some."""
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= MOST_TOKENS


def _error(record_id: str, error: Any) -> Reply:
    """`errorCode` is an int in the user guide and a string in AWS's samples; for another one, the words decide."""
    found = error if isinstance(error, dict) else {}
    code = _words(found.get("errorCode", ""))
    message = _words(found.get("errorMessage") or error or "neither modelOutput nor error in the record")
    if code.isascii() and code.isdigit() and len(code) < 10:
        return Reply(record_id, error_code=int(code), error_message=message)
    said = f"{code} {message}"
    lasting = _LASTING.search(said) is not None and _PASSING.search(said) is None
    return Reply(record_id, error_code=400 if lasting else 500, error_message=message)


def _words(said: Any) -> str:
    """What an error record says, whatever it is; no more of it than a message needs."""
    try:
        return str(said)[:MOST_SAID_CHARACTERS]
    except RecursionError:
        return "an error record that is nested too deep to be read"


def read_job_summary(content: bytes) -> JobSummary | None:
    """manifest.json.out; None when it cannot be read."""
    try:
        found = orjson.loads(content)
        names = ("totalRecordCount", "successRecordCount", "errorRecordCount", "inputTokenCount", "outputTokenCount")
        counts = (found.get(name) for name in names)
        return JobSummary(*(count if _is_count(count, least=0) else None for count in counts))
    except (orjson.JSONDecodeError, AttributeError):
        return None

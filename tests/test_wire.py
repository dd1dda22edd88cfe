"""The JSONL of Bedrock: written to the byte, read with tolerance."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain import Generation, Usage
from pipeline.wire import (
    JobSummary,
    Reply,
    read_job_summary,
    read_record,
    read_record_id,
    read_reply,
    write_error,
    write_record,
    write_reply,
)
from tests.conftest import Golden

GENERATION = Generation(max_output_tokens=16, temperature=0.0, top_p=0.9)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
IDS = st.text("abcdefABCDEF0123456789-", min_size=1, max_size=64)


def test_lines(golden: Golden) -> None:
    """Input and output lines are these bytes."""
    output = {"generation": 'positive"}', "prompt_token_count": 5, "generation_token_count": 3, "stop_reason": "stop"}
    lines = [
        write_record("a1-B2", 'Grüße "zitiert"\n<|eot_id|>\u2028', GENERATION),
        write_reply("a1-B2", output),
        write_error("a1-B2", 400, "Malformed input request"),
    ]
    golden("wire.jsonl", b"".join(lines).decode())


@given(IDS, TEXT)
def test_a_record_comes_back(record_id: str, prompt: str) -> None:
    """Any text is one line, from which the id can be read without parsing it, and the body with."""
    line = write_record(record_id, prompt, GENERATION)
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    assert read_record_id(line) == record_id
    body = {"prompt": prompt, "max_gen_len": 16, "temperature": 0.0, "top_p": 0.9}
    assert read_record(line) == (record_id, body)


@given(IDS, TEXT, st.integers(1, 2**40), st.integers(1, 2**40), st.sampled_from(["stop", "length", None]))
def test_a_reply_comes_back(record_id: str, text: str, tokens_in: int, tokens_out: int, stop: str | None) -> None:
    """An on-demand reply is read as a job's output line would be."""
    output = {
        "generation": text,
        "prompt_token_count": tokens_in,
        "generation_token_count": tokens_out,
        "stop_reason": stop,
    }
    found = read_reply(write_reply(record_id, output))
    assert found == Reply(record_id, text, Usage(tokens_in, tokens_out), reached_limit=stop == "length")
    assert not found.retryable


def answer(**changes: Any) -> bytes:
    output = {"generation": "x", "prompt_token_count": 5, "generation_token_count": 3, "stop_reason": "stop"} | changes
    return json.dumps({"modelInput": {}, "modelOutput": output, "recordId": "r"}).encode()


def error(code: object, message: object = "m") -> bytes:
    return json.dumps({"recordId": "r", "error": {"errorCode": code, "errorMessage": message}}).encode()


READ: list[tuple[bytes, Reply | None]] = [
    (answer(), Reply("r", "x", Usage(5, 3))),
    (answer(engine="baseline"), Reply("r", "x", Usage(5, 3), engine="baseline")),
    (answer(engine={"name": "x"}), Reply("r", "x", Usage(5, 3))),
    (answer(prompt_token_count=0), Reply("r", "x")),
    (answer(prompt_token_count=-5), Reply("r", "x")),
    (answer(prompt_token_count=True), Reply("r", "x")),
    (answer(generation_token_count=0), Reply("r", "x")),
    (answer(generation_token_count=-1), Reply("r", "x")),
    (answer(generation_token_count=2**63), Reply("r", "x")),
    (answer(generation="", generation_token_count=0), Reply("r", "", Usage(5, 0))),
    (answer(prompt_token_count=None), Reply("r", "x")),
    (answer(generation_token_count="3"), Reply("r", "x")),
    (answer(generation=None), Reply("r", "", Usage(5, 3))),
    (b'{"recordId":"r","modelOutput":{}}', Reply("r", "")),
    (answer(generation={"a": 1}), Reply("r", "", Usage(5, 3))),
    (b'{"recordId":"r","modelOutput":{"generation":' + b"[" * 1_000 + b"]" * 1_000 + b"}}", Reply("r", "")),
    (
        b'{"recordId":"r","error":' + b"[" * 1_000 + b"]" * 1_000 + b"}",
        Reply("r", error_code=500, error_message="an error record that is nested too deep to be read"),
    ),
    (b'{"recordId":"r","modelOutput":{},"called":7}', Reply("r", "")),
    (b'{"recordId":"r","modelOutput":{},"called":["yesterday","today"]}', Reply("r", "")),
    (b'{"recordId":"r","modelOutput":{},"called":["2026-11-28T01:00:00","2026-11-28T01:00:01"]}', Reply("r", "")),
    (b'{"recordId":"r","modelOutput":{"generation":"x"},"error":null}', Reply("r", "x")),
    (error(400), Reply("r", error_code=400, error_message="m")),
    (error("429"), Reply("r", error_code=429, error_message="m")),
    (error("ThrottlingException"), Reply("r", error_code=500, error_message="m")),
    (error("²"), Reply("r", error_code=500, error_message="m")),
    (error("9" * 5000), Reply("r", error_code=500, error_message="m")),
    (error(None), Reply("r", error_code=500, error_message="m")),
    (error(400, {"a": 1}), Reply("r", error_code=400, error_message="{'a': 1}")),
    (b'{"recordId":"r","error":"expired"}', Reply("r", error_code=500, error_message="expired")),
    (b'{"recordId":"r"}', Reply("r", error_code=500, error_message="neither modelOutput nor error in the record")),
    (
        b'{"recordId":"r","modelOutput":[1]}',
        Reply("r", error_code=500, error_message="neither modelOutput nor error in the record"),
    ),
    (b'{"modelOutput":{"generation":"x"}}', None),
    (b'{"recordId":7,"modelOutput":{}}', None),
    (b'{"recordId":"r","modelOutput":{"gener', None),
    (b'{"recordId":"r","modelOutput":{"generation":"\xff"}}', None),
    (b"[1,2]", None),
    (b'"text"', None),
    (b"null", None),
    (b"7", None),
    (b"", None),
]


@pytest.mark.parametrize(("line", "reply"), READ)
def test_reading_replies(line: bytes, reply: Reply | None) -> None:
    """Error codes may be numbers or texts, keys may be missing, and what is no record is None."""
    assert read_reply(line) == reply


@given(st.binary(max_size=60))
def test_no_bytes_make_reading_raise(line: bytes) -> None:
    """Whatever stands in a job's output, reading goes on."""
    for content in (line, b'{"recordId":"r","modelOutput":' + line + b"}", b'{"recordId":"r","error":' + line + b"}"):
        read_reply(content)
        read_job_summary(content)


MALFORMED = "Malformed input request: #/max_gen_len: 8192 is too much, please reformat your input and try again."
WINDOW = "This model's maximum context length is 128000 tokens"
CLASSES: list[tuple[object, str, bool]] = [
    (400, MALFORMED, False),
    ("400", MALFORMED, False),
    (400, "Input is too long for requested model.", False),
    (400, WINDOW, False),
    (400, "The provided model identifier is invalid.", False),
    (403, "ValidationException:http://internal.amazon.com/coral/com.amazon.bedrock/", False),
    (403, "You don't have access to the model with the specified model ID.", False),
    (404, "no", False),
    (413, "no", False),
    (400, "ThrottlingException: Rate exceeded", True),
    (400, "Too many requests, please wait before trying again.", True),
    (400, "Too many tokens, please wait before trying again.", True),
    (400, "ServiceQuotaExceededException", True),
    (400, "The request timed out.", True),
    (400, "Model invocation timeout", True),
    (400, "InternalServerException", True),
    (400, "An internal server error occurred.", True),
    (400, "The job expired before this record was processed.", True),
    (408, "no", True),
    (409, "no", True),
    (424, "no", True),
    (429, "no", True),
    (500, "no", True),
    (503, MALFORMED, True),
    (599, "no", True),
    (0, "no", True),
    (302, "no", True),
    ("ThrottlingException", "no", True),
    ("ModelTimeoutException", "no", True),
    ("ServiceUnavailableException", "no", True),
    ("ValidationException", "no", False),
    ("ValidationException", "Too many requests", True),
    ("AccessDeniedException", "no", False),
    ("ResourceNotFoundException", "no", False),
    (None, MALFORMED, False),
    (None, WINDOW, False),
    (None, "no", True),
]


@pytest.mark.parametrize(("code", "message", "again"), CLASSES)
def test_what_may_be_asked_again(code: object, message: str, again: bool) -> None:
    """By code and message: what may pass is asked again, a record that is refused for itself is not."""
    reply = read_reply(error(code, message))
    assert reply is not None
    assert reply.retryable is again


@pytest.mark.parametrize(
    ("content", "summary"),
    [
        (
            b'{"totalRecordCount":4,"processedRecordCount":4,"successRecordCount":3,"errorRecordCount":1,'
            b'"inputTokenCount":70,"outputTokenCount":9}',
            JobSummary(4, 3, 1, 70, 9),
        ),
        (b'{"totalRecordCount":4}', JobSummary(4, None, None, None, None)),
        (b"{}", JobSummary(None, None, None, None, None)),
        (b"[]", None),
        (b"{", None),
    ],
)
def test_job_summaries(content: bytes, summary: JobSummary | None) -> None:
    """What Bedrock leaves out is None; what cannot be read is no summary."""
    assert read_job_summary(content) == summary

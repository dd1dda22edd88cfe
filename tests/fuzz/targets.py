"""The targets: any bytes go in; what is wrong comes out as an exception. With the seeds that a fuzzer begins from."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cache

from pipeline.analyses import Analysis, load_analyses, shipped_prompts
from pipeline.answers import parse_answer
from pipeline.chunking import chunk
from pipeline.domain import Failure
from pipeline.extraction import Text
from pipeline.extraction.plain import MOST_NESTED, read
from pipeline.fusing import read_parts
from pipeline.neutralising import marks, neutralise
from pipeline.tokens import CONTROL_TOKENS, TokenCounter, load_counter
from pipeline.wire import read_job_summary, read_reply
from tests.injections import ATTEMPTS

NAMES = ("a.txt", "a.html", "a.json", "a.md", "a.csv", "a")
COUNTS = ("total_records", "success_records", "error_records", "input_tokens", "output_tokens")


@cache
def counter() -> TokenCounter:
    return load_counter(fast=False)


@cache
def analyses() -> tuple[Analysis, ...]:
    return tuple(load_analyses(shipped_prompts(), output_language="English").values())


def decoder(content: bytes) -> None:
    """Any bytes are a text that UTF-8 can hold and that is not blank, or a failure; the first byte chooses the name."""
    found = read(content[1:], NAMES[content[0] % len(NAMES)] if content else "a", MOST_NESTED)
    if isinstance(found, Text):
        assert found.content.encode().strip()
    else:
        assert found is None or isinstance(found, Failure)


def chunker(content: bytes) -> None:
    """Any text is cut into chunks that join to it and keep the budget, which the first two bytes give."""
    limit = 8 + int.from_bytes(content[:2], "big") % 600
    text = content[2:].decode("utf-8", "replace")
    chunks = chunk(text, limit, counter())
    assert "".join(text[one.start : one.end] for one in chunks) == text
    assert all(before.end == after.start for before, after in itertools.pairwise(chunks))
    for one in chunks:
        assert 0 < one.tokens == counter().count(text[one.start : one.end]) <= limit


def answers(content: bytes) -> None:
    """Whatever a model wrote, alone or fused, is an answer of the schema that can be stored, or a failure."""
    written = content.decode("utf-8", "replace")
    for analysis in analyses():
        for begun in ("", analysis.map.begun):
            parsed = parse_answer(written, begun, analysis.validator, analysis.declaration.labels)
            assert (parsed.answer is None) == (parsed.failure is not None)
            if parsed.answer is not None:
                assert analysis.validator.is_valid(parsed.answer)
                json.dumps(parsed.answer, allow_nan=False, ensure_ascii=False).encode()
    for analysis, part in zip(analyses(), read_parts(written, "", analyses()), strict=True):
        assert (part.parsed.answer is None) == (part.parsed.failure is not None)
        assert part.parsed.answer is None or analysis.validator.is_valid(part.parsed.answer)


def wire(content: bytes) -> None:
    """Any line is a reply whose parts are what they are declared to be, or none; so is a job's summary."""
    reply = read_reply(content)
    if reply is not None:
        assert isinstance(reply.record_id, str)
        assert isinstance(reply.retryable, bool)
        assert (reply.text is None) == (reply.error_code is not None)
        (reply.text or reply.error_message or "").encode()
        assert reply.usage is None or reply.usage.input_tokens > 0
    summary = read_job_summary(content)
    if summary is not None:
        assert all(value is None or (type(value) is int and value >= 0) for value in asdict(summary).values())


def prompts(content: bytes) -> None:
    """Any text is made safe by spaces alone, at once and for good, as a whole and in pieces."""
    text = content.decode("utf-8", "replace")
    safe = neutralise(text)
    assert safe.replace(" ", "") == text.replace(" ", "")
    assert marks(safe) == 0
    assert neutralise(safe) == safe
    assert not any(token in safe for token in CONTROL_TOKENS)
    half = len(safe) // 2
    assert marks(safe[:half]) == marks(safe[half:]) == 0


TARGETS: Mapping[str, Callable[[bytes], None]] = {
    one.__name__: one for one in (decoder, chunker, answers, wire, prompts)
}

_HTML = b'<html><head><meta charset="latin-1"><title>T</title></head><body><p>Gr\xfc\xdfe</p><td>1</td></body></html>'
_JSON = b'{"a": "\\u00e9\\ud83d\\ude00"}'
_WORDS = "Das Fräulein reiste nach Österreich. これは文。 ภาษาไทย 👩‍🔬🇩🇪 e\u0301 12345\n\n\t"
_RUNS = (_WORDS * 9, "a" * 900, "\u0301" * 99)
_LINES = [
    '{"recordId":"r","modelOutput":{"generation":"x\\"}","prompt_token_count":5,"generation_token_count":3,'
    '"stop_reason":"length","engine":"e"},"called":["2026-11-28T01:00:00+00:00","2026-11-28T01:00:01+00:00"]}',
    '{"recordId":"r","error":{"errorCode":429,"errorMessage":"Too many requests"}}',
    '{"recordId":"r","error":{"errorCode":"ValidationException","errorMessage":null}}',
    '{"recordId":"r","error":"expired","modelInput":{}}',
    '{"recordId":"r","modelOutput":{"generation":{"a":[1]},"prompt_token_count":-1}}',
    '{"totalRecordCount":3,"successRecordCount":2,"errorRecordCount":1,"inputTokenCount":9,"outputTokenCount":null}',
    '{"recordId":"r","modelOutput":{},"called":7}',
    '{"recordId":"r","modelOutput":{"generation":' + "[" * 1_000 + "]" * 1_000 + "}}",
    '{"recordId":"r","error":' + "[" * 1_000 + "]" * 1_000 + "}",
    '{"totalRecordCount":"3","successRecordCount":-2,"errorRecordCount":1.5,"inputTokenCount":true}',
]
_ANSWERS = [
    'review"}',
    '{"category": "Review",}',
    '```json\n{"sentiment": "mixed", "score": 0.5}\n```',
    '{"sentiment": "mixed", "score": 1e999}',
    '{"summary": "A \\ud800", "key_points": ["a", "b',
    '{"classification": {"category": "news"}, "sentiment": {"sentiment": "neutral", "score": null}, "summarization": {',
    '{"summary": ' + "[" * 2_000,
    '{"category": ' + "9" * 5_000 + "}",
]

SEEDS: Mapping[str, list[bytes]] = {
    "decoder": [
        *(
            bytes([place]) + body
            for place, body in enumerate([_WORDS.encode(), _HTML, b'{"a": "\\u00e9\\ud83d\\ude00"}'])
        ),
        *(b"\0" + _WORDS.encode(name, "replace") for name in ("utf-16", "utf-16-le", "utf-32", "cp1252", "shift_jis")),
        b"\1" + b"<div>" * 6_000,
        b"\0",
    ],
    "chunker": [
        bytes([0, limit]) + text.encode() for limit in (0, 40) for text in (_WORDS * 9, "a" * 900, "\u0301" * 99)
    ],
    "answers": [text.encode() for text in _ANSWERS],
    "wire": [line.encode() for line in _LINES],
    "prompts": [text.encode()[:2_000] for text in ATTEMPTS.values()],
}

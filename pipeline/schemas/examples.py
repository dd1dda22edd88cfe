"""An example of every column, as the data dictionary shows it; one name has one example in all tables."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

_HASH = "9d1f0c6f2b7a4e6c8f3d5b1a7c9e2f4d6a8b0c1e3f5a7b9c1d3e5f7a9b1c3d5e"
_MORNING = dt.datetime(2026, 11, 23, 2, 0, tzinfo=dt.UTC)
_DAY = _MORNING.date()

EXAMPLES: Mapping[str, Any] = {
    # the document
    "document_id": "d7b9a3f4c2e816059a0b7c3d",
    "uri": "s3://letters/2026/11/lease.pdf",
    "extra": '{"flat":12,"signed":true}',
    "title": "Lease of a flat",
    "author": "Letting office",
    "created": dt.datetime(2026, 3, 2, 9, 30, tzinfo=dt.UTC),
    "pages": 4,
    "language": "en",
    "characters": 8_120,
    "tokens": 2_013,
    "recognised_pages": 1,
    "unread_parts": 0,
    "removed_characters": 2,
    "failure": "no_text",
    "change": "new",
    "duplicate_of": "41c09be27a5d3f68b2e07c95",
    "format": "pdf",
    "encoding": "utf-8",
    "size_bytes": 48_211,
    "last_modified": dt.datetime(2026, 11, 22, 17, 5, 12, tzinfo=dt.UTC),
    "etag": "5d41402abc4b2a76b9719d911017c592",
    "source": "s3://letters/2026",
    "content_hash": _HASH[:24],
    # answers of the shipped analyses
    "category": "contract",
    "sentiment": "neutral",
    "score": 0.0,
    "summary": "A lease of a flat for two years. The rent is due on the third of each month.",
    "key_points": ["The rent is 900 euros.", "Either side may give notice of three months."],
    "truncated": False,
    # why there is no result
    "reason": "malformed",
    "detail": "the answer is no JSON: Expecting value at character 0",
    "advice": "see raw_answer; correct the template of the analysis, or try a larger model",
    "raw_answer": "I am sorry, but",
    # requests
    "analysis": "classification",
    "stage": "map",
    "level": 0,
    "position": 0,
    "round": 0,
    "attempt": 0,
    "status": "answered",
    "used": True,
    "mode": "batch",
    "job_arn": "arn:aws:bedrock:us-west-2:123456789012:model-invocation-job/abc123def456",
    "record_id": "0c8fd3a1b2e49576f10d8e2b",
    # runs
    "run_key": "20261123T020000Z-813f6701",
    "run_date": _DAY,
    "started": _MORNING,
    "ended": _MORNING + dt.timedelta(minutes=47),
    "source_uri": "s3://letters/2026/",
    "output_uri": "s3://analytics/docbatch",
    "documents": 73,
    "results": 213,
    "failures": 6,
    "unchanged": 0,
    "deleted": 0,
    "duplicates": 1,
    "not_selected": 0,
    "left_out": 0,
    "quality": "suspect",
    "departures": ["sentiment: label 'negative' 82.4% (412 of 500); usual in 12 runs is 20.1% to 35.0%"],
    "over_budget": "round 2 would cost up to $0.40, and $0.13 are left of the budget of the run",
    "disagreements": ["r00-b0000: 2 lines of its output were left out: 2 unreadable"],
    "analyses": [
        {
            "analysis": "classification",
            "prompt_fingerprint": _HASH,
            "results": 71,
            "failures": 2,
            "unchanged": 0,
            "cost_usd": Decimal("0.0419360000"),
            "failures_again": 0,
            "empty": 0,
            "labels": [{"label": "contract", "results": 9}, {"label": "letter", "results": 62}],
        }
    ],
    "output_language": "English",
    "docbatch_version": "0.1.0",
    "rounds": 2,
    "requests": 221,
    "known": 0,
    # what people say of answers
    "verdict": "wrong",
    "answer": '{"score":0,"sentiment":"neutral"}',
    "corrected": '{"score":-0.5,"sentiment":"negative"}',
    "note": "The writer complains about the heating.",
    "marked": dt.datetime(2026, 11, 24, 8, 12, tzinfo=dt.UTC),
    "marked_by": "ada",
    # provenance
    "model": "meta.llama3-1-8b-instruct-v1:0",
    "priced_as": "meta.llama3-1-8b-instruct-v1:0",
    "prompt_fingerprint": _HASH,
    "method_id": "5e0b8c7d1f2a39464b6d8f0c",
    "chunks": 1,
    # tokens and money
    "input_tokens": 412,
    "output_tokens": 3,
    "input_usd_per_million": Decimal("0.1100000000"),
    "output_usd_per_million": Decimal("0.1100000000"),
    "price_since": dt.date(2024, 7, 23),
    "cost_usd": Decimal("0.0000456500"),
    "forecast_usd": Decimal("0.1317240000"),
    "unused_requests": 3,
    "unused_usd": Decimal("0.0199870000"),
    "savings": [
        {
            "way": "batch",
            "against": "the same tokens at the on-demand price",
            "requests": 221,
            "usd": Decimal("0.1285790000"),
            "unknown_requests": 0,
        }
    ],
    "billing": "tokens",
    "units": 1,
    "billed_minutes": 60,
    "time_cost_usd": Decimal("21.1800000000"),
    "budget_usd": Decimal("1.0000000000"),
    "budget_day_usd": Decimal("5.0000000000"),
    "budget_month_usd": Decimal("60.0000000000"),
}
# Of the columns that `<analysis>_latest` adds; `deleted` counts documents in `runs`.
LATEST_EXAMPLES: Mapping[str, Any] = {"deleted": False, "current_prompt": True}

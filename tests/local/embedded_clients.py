"""Real boto3 clients for an embedded stack, input for a job, and waiting for its end."""

from __future__ import annotations

import json
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

if TYPE_CHECKING:
    from pipeline.local.stack import Stack

MODEL = "meta.llama3-1-8b-instruct-v1:0"
ROLE = "arn:aws:iam::123456789012:role/batch"


@cache
def make_client(stack: Stack, service: str, **changed: str) -> Any:
    """A boto3 client, the same one for the same stack; without retries, so that a refusal is seen at once."""
    variables = stack.environment()
    session: Any = boto3.Session(
        aws_access_key_id=changed.get("access_key_id", variables["AWS_ACCESS_KEY_ID"]),
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_REGION"],
    )
    url = changed.get("url") or variables[f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"]
    return session.client(service, endpoint_url=url, config=Config(retries={"total_max_attempts": 1}))


def input_lines(count: int, **body: Any) -> bytes:
    """JSONL of `count` records named r0, r1, ..., each with a prompt of its own."""
    records = ({"recordId": f"r{n}", "modelInput": {"prompt": f"Count to {n}."} | body} for n in range(count))
    return b"".join(json.dumps(record).encode() + b"\n" for record in records)


def wait_for_end(bedrock: Any, arn: str) -> dict[str, Any]:
    """The job once it has ended; fails the test after a minute."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        job: dict[str, Any] = bedrock.get_model_invocation_job(jobIdentifier=arn)
        if job["status"] in {"Completed", "PartiallyCompleted", "Failed", "Stopped", "Expired"}:
            return job
        time.sleep(0.02)
    pytest.fail(f"{arn} did not end in a minute: {job['status']}")

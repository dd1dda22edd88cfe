"""One embedded stack for the session, and real boto3 clients for it."""

from __future__ import annotations

import json
import time
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from pipeline.local.stack import Stack, down, up
from pipeline.local.vocabulary import LlamaVocabulary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MODEL = "meta.llama3-1-8b-instruct-v1:0"
ROLE = "arn:aws:iam::123456789012:role/batch"


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack whose home has blanks in its name."""
    home = tmp_path_factory.mktemp("stack") / "a home with blanks"
    yield up(home)
    down(home)


@pytest.fixture(scope="session")
def client(stack: Stack) -> Callable[..., Any]:
    """A factory of boto3 clients that know the stack only through its environment."""
    return lambda service, **changed: make_client(stack, service, **changed)


@cache
def make_client(stack: Stack, service: str, **changed: str) -> Any:
    """A boto3 client, the same one for the same stack; without retries, so that a refusal is seen at once."""
    variables = stack.environment()
    session: Any = boto3.Session(
        aws_access_key_id=changed.get("access_key_id", variables["AWS_ACCESS_KEY_ID"]),
        aws_secret_access_key=variables["AWS_SECRET_ACCESS_KEY"],
        region_name=variables["AWS_REGION"],
    )
    url = variables[f"AWS_ENDPOINT_URL_{service.upper().replace('-', '_')}"]
    return session.client(service, endpoint_url=url, config=Config(retries={"total_max_attempts": 1}))


@pytest.fixture(scope="session")
def bedrock(client: Callable[..., Any]) -> Any:
    return client("bedrock")


@pytest.fixture(scope="session")
def s3(client: Callable[..., Any]) -> Any:
    return client("s3")


@pytest.fixture(scope="session")
def vocabulary() -> LlamaVocabulary:
    """The real vocabulary, loaded once."""
    return LlamaVocabulary.load()


@pytest.fixture
def job_request(request: pytest.FixtureRequest) -> dict[str, Any]:
    """A CreateModelInvocationJob request in which everything is right; its folder is the test's own."""
    folder = "".join(letter if letter.isalnum() else "-" for letter in request.node.name)
    return {
        "jobName": "nightly",
        "roleArn": ROLE,
        "modelId": MODEL,
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": f"s3://docbatch/{folder}/in.jsonl"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"s3://docbatch/{folder}/out/"}},
    }


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

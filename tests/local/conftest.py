"""One embedded stack for the session, and real boto3 clients for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pipeline.local.stack import Stack, down, up
from pipeline.local.vocabulary import LlamaVocabulary
from tests.local.embedded_clients import MODEL, ROLE, make_client

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def home_of_stack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with blanks in its name."""
    return tmp_path_factory.mktemp("stack") / "a home with blanks"


@pytest.fixture(scope="session")
def stack(home_of_stack: Path) -> Iterator[Stack]:
    """A running stack."""
    yield up(home_of_stack)
    down(home_of_stack)


@pytest.fixture(scope="session")
def client(stack: Stack) -> Callable[..., Any]:
    """A factory of boto3 clients that know the stack only through its environment."""
    return lambda service, **changed: make_client(stack, service, **changed)


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

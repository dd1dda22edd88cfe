"""What is repeated and what is not: an answer for every error of the tree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from airflow.sdk import RetryAction

from pipeline import errors
from pipeline.airflow.retrying import DEFAULT_ARGS
from pipeline.errors import DocbatchError

POLICY = DEFAULT_ARGS["retry_policy"]
# Whether a task that failed by it is repeated: a new error has to find its place here.
REPEATED = {
    "DocbatchError": True,
    "SettingsError": False,
    "DeclarationError": False,
    "VocabularyError": False,
    "StorageError": True,
    "ObjectMissing": True,
    "AccessDenied": False,
    "BucketRefused": False,
    "BucketMissing": False,
    "ObjectExists": True,
    "ObjectChanged": True,
    "ServiceError": True,
    "ServiceRejected": False,
    "PromptRefused": False,
    "ServiceBusy": True,
    "NoFreeSlot": True,
    "StackError": True,
    "RunError": False,
    "RunStopped": False,
    "BudgetExceeded": False,
    "ApprovalRefused": False,
    "JobFailed": False,
    "AccountingError": False,
}


def tree(kind: type[DocbatchError] = DocbatchError) -> Iterator[type[DocbatchError]]:
    yield kind
    for child in kind.__subclasses__():
        yield from tree(child)


KINDS = [kind for kind in tree() if kind.__module__ == errors.__name__]


def test_every_error_has_its_place() -> None:
    """The table is about all errors that there are."""
    assert {kind.__name__ for kind in KINDS} >= REPEATED.keys()
    assert [kind.__name__ for kind in KINDS if kind.__name__ not in REPEATED] == []


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_only_what_may_pass_is_repeated(kind: type[DocbatchError]) -> None:
    """Validation, access and what a run cannot go on from fail at once, with a reason; the rest is repeated."""
    decision = POLICY.evaluate(kind("what happened"), 1, 3)
    assert (decision.action is not RetryAction.FAIL) is REPEATED[kind.__name__]
    assert decision.reason or decision.action is RetryAction.DEFAULT


@pytest.mark.parametrize("kind", [errors.ServiceBusy, errors.NoFreeSlot])
def test_throttling_waits_long(kind: type[DocbatchError]) -> None:
    """A step has waited for long itself before it says so; the task waits longer."""
    assert POLICY.evaluate(kind("busy"), 1, 3).retry_delay == timedelta(minutes=15)


def test_what_is_not_ours_is_repeated_as_usual() -> None:
    """A worker that was killed, or a lost connection to Airflow, says nothing of the work."""
    assert POLICY.evaluate(ConnectionError("lost"), 1, 3).action is RetryAction.DEFAULT

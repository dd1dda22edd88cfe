"""When a task is repeated, how long it may take, where it waits: what all tasks of the DAGs have in common."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import ParamValidationError

from pipeline.errors import (
    AccessDenied,
    BucketRefused,
    DeclarationError,
    RunError,
    ServiceBusy,
    ServiceRejected,
    SettingsError,
    VocabularyError,
)

FINAL = [
    SettingsError,
    DeclarationError,
    VocabularyError,
    AccessDenied,
    BucketRefused,
    ServiceRejected,
    RunError,
    ParamValidationError,
]

_POLICY = ExceptionRetryPolicy(
    [
        *(RetryRule(exception=kind, action=RetryAction.FAIL, reason="asking again cannot help") for kind in FINAL),
        RetryRule(
            exception=ServiceBusy,
            action=RetryAction.RETRY,
            retry_delay=timedelta(minutes=15),
            reason="Bedrock was throttled or down for longer than a step waits",
        ),
    ]
)

# A timeout is of one stretch of work on a worker: Airflow does not count the time that a task is deferred.
DEFAULT_ARGS = {
    "owner": "docbatch",
    "retries": 2,
    "retry_delay": timedelta(minutes=1),
    "retry_policy": _POLICY,
    "execution_timeout": timedelta(hours=6),
    "show_return_value_in_logs": False,  # the log has one line of its own, XCom the whole
}
LONG = {"execution_timeout": timedelta(hours=24)}  # a batch may be asked on demand, at the pace of Bedrock's quotas
POOL = "docbatch_jobs"
JOBS = {"pool": POOL}  # counts deferred tasks: as many jobs as the pool has slots

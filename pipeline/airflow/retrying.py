"""Which errors a task may repeat: what asking again cannot change fails at once, throttling waits long."""

from __future__ import annotations

from datetime import timedelta

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from pipeline.errors import DeclarationError, RunError, ServiceBusy, ServiceRejected, SettingsError, VocabularyError

FINAL = [SettingsError, DeclarationError, VocabularyError, ServiceRejected, RunError]

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

DEFAULT_ARGS = {"owner": "docbatch", "retries": 2, "retry_delay": timedelta(minutes=1), "retry_policy": _POLICY}

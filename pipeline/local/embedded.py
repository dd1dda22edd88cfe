"""The settings and the connection with which the pipeline reaches the embedded stack instead of AWS."""

from __future__ import annotations

from pydantic import SecretStr

from pipeline.local.stack import Stack
from pipeline.settings import AwsEnvironment, Settings

# The endpoint wants a role of the right form, as Bedrock does, and lets it do everything.
ROLE_ARN = "arn:aws:iam::000000000000:role/docbatch-embedded"
POLL_SECONDS = 0.2
LEASE_SECONDS = 2.0


def embedded_settings(settings: Settings, stack: Stack) -> Settings:
    """The user's settings with what only the embedded stack can know."""
    quick = {
        "poll_seconds": min(settings.poll_seconds, POLL_SECONDS),
        "lease_seconds": min(settings.lease_seconds, LEASE_SECONDS),
    }
    work_uri = settings.work_uri or f"s3://{stack.bucket}/work"
    return settings.model_copy(update={"role_arn": ROLE_ARN, "work_uri": work_uri, **quick})


def embedded_environment(stack: Stack) -> AwsEnvironment:
    """The stack as if the AWS variables named it."""
    return AwsEnvironment(
        signs=(),
        region=stack.region,
        s3_url=stack.s3_url,
        bedrock_url=stack.bedrock_url,
        bedrock_runtime_url=stack.bedrock_url,
        access_key_id=stack.access_key_id,
        secret_access_key=SecretStr(stack.secret_access_key),
    )


def shell_variables(stack: Stack) -> dict[str, str]:
    """Everything a shell, Airflow or the AWS command line needs to use the stack."""
    return {
        **stack.environment(),
        "DOCBATCH_ROLE_ARN": ROLE_ARN,
        "DOCBATCH_WORK_URI": f"s3://{stack.bucket}/work",
        "DOCBATCH_POLL_SECONDS": str(POLL_SECONDS),
        "DOCBATCH_LEASE_SECONDS": str(LEASE_SECONDS),
    }

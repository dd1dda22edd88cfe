"""What the standard AWS variables say of where docbatch connects."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, SecretStr

# Any of these in the environment means that the user has an AWS account in mind (AWS SDKs reference).
AWS_SIGNS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_BEDROCK",
)


class AwsEnvironment(BaseModel):
    """What the standard AWS variables say. Without keys, credentials are those of `session`, a boto3 session of the
    caller's own that renews them, or left to boto3."""

    model_config = ConfigDict(frozen=True)

    signs: tuple[str, ...]
    region: str | None
    s3_url: str | None
    bedrock_url: str | None
    bedrock_runtime_url: str | None
    pricing_url: str | None = None
    cloudwatch_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None
    session: Any = Field(None, repr=False)


def read_aws_environment(environ: Mapping[str, str] | None = None) -> AwsEnvironment:
    """The AWS variables that decide where docbatch connects."""
    environ = os.environ if environ is None else environ
    everywhere = environ.get("AWS_ENDPOINT_URL")
    return AwsEnvironment(
        signs=tuple(name for name in AWS_SIGNS if environ.get(name)),
        region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"),
        s3_url=environ.get("AWS_ENDPOINT_URL_S3") or everywhere,
        bedrock_url=environ.get("AWS_ENDPOINT_URL_BEDROCK") or everywhere,
        bedrock_runtime_url=environ.get("AWS_ENDPOINT_URL_BEDROCK_RUNTIME")
        or environ.get("AWS_ENDPOINT_URL_BEDROCK")
        or everywhere,
        pricing_url=environ.get("AWS_ENDPOINT_URL_PRICING") or everywhere,
        cloudwatch_url=environ.get("AWS_ENDPOINT_URL_CLOUDWATCH") or everywhere,
    )

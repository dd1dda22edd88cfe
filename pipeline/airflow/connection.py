"""With what the tasks and triggers of this process reach Bedrock and S3."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.bedrock.client import BedrockAccess


def access() -> BedrockAccess:
    """Where Bedrock is, and the keys: read again whenever a triggerer connects. Raises SettingsError."""
    from pipeline.bedrock.client import bedrock_access
    from pipeline.settings import load_settings, read_aws_environment

    return bedrock_access(load_settings(), read_aws_environment())

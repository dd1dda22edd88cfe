"""What a user can set, from DOCBATCH_… variables and a TOML file; the only reader of the environment."""

from pipeline.settings.aws import AwsEnvironment, read_aws_environment
from pipeline.settings.fields import Settings
from pipeline.settings.loading import load_settings

__all__ = ["AwsEnvironment", "Settings", "load_settings", "read_aws_environment"]

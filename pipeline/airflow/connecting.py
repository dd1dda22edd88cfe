"""How tasks reach S3 and Bedrock: as the settings say, and for a run with the settings with which it was begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.steps import Services
    from pipeline.steps.run import Run


def services(settings: Settings | None = None) -> Services:
    """What tasks and triggers work with; the settings are those of the process where none are given."""
    from pipeline.settings import load_settings, read_aws_environment
    from pipeline.steps import connect

    return connect(settings or load_settings(), read_aws_environment())


def open_run(run_uri: str) -> Run:
    """A run, whose services have the settings with which it was begun: its Params hold for every task."""
    from pipeline.steps.run import Run, as_begun

    found = services()
    begun = Run(found, run_uri).manifest
    return Run(services(as_begun(found.settings, begun)), run_uri)

"""What the commands share: their common options, and how they reach AWS or the embedded stack."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from pipeline.local.borrowing import borrowed
from pipeline.local.embedded import ROLE_ARN, embedded_environment, embedded_settings
from pipeline.settings import Settings, read_aws_environment
from pipeline.steps import Services, connect

Fuse = Annotated[
    bool | None,
    typer.Option("--fuse/--no-fuse", help="All analyses of a document in one request; its tokens are paid once"),
]
Output = Annotated[str | None, typer.Option(help="Folder or s3:// prefix of the tables; default: ./output")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object for programs, and no progress")]


def _as_date(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day, which has no zone
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day of the calendar written as YYYY-MM-DD, like 2026-11-23") from None


RunDate = Annotated[
    dt.date | None, typer.Option(parser=_as_date, metavar="YYYY-MM-DD", help="Date of the run; default: today, UTC")
]


@contextmanager
def connected(settings: Settings, *, quiet: bool) -> Iterator[Services]:
    """Services on AWS where the environment has AWS settings, else on the embedded stack, started for as long."""
    environment = read_aws_environment()
    if settings.backend == "aws" or (settings.backend == "auto" and environment.signs):
        yield connect(settings, environment)
        return
    with borrowed(settings.home, settings.engine) as running:
        if not quiet:
            honest = ", not by Llama" if running.engine == "baseline" else ""
            place = f"{settings.home} (answers by {running.engine}{honest})"
            say(f"No AWS settings: using the embedded stack in {place}.")
        yield connect(embedded_settings(settings, running), embedded_environment(running))


@contextmanager
def reading(uri: str, settings: Settings, *, quiet: bool) -> Iterator[Services]:
    """Services for a command that only reads below `uri`; a local folder needs neither AWS nor the stack."""
    if uri.startswith("file:"):
        yield connect(sending_nothing(settings), read_aws_environment())
        return
    with connected(settings, quiet=quiet) as services:
        yield services


def sending_nothing(settings: Settings) -> Settings:
    """The settings for a command that starts no job: it needs no role to start one with."""
    return settings.model_copy(update={"role_arn": settings.role_arn or ROLE_ARN})


def tell_lifecycle(services: Services, day: dt.date) -> None:
    """A line when the model's end of life is near or over: whoever may choose another model has to know in time."""
    model, _ = services.find_model(services.settings.model)
    if warning := model.lifecycle_warning(day):
        say(f"Warning: {warning}")


def say(text: str) -> None:
    """To the person who typed the command."""
    print(text, file=sys.stderr, flush=True)

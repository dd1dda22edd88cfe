"""The command `plan`: what a source would cost, as a table for people and as one object for programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Annotated

import typer

from pipeline.cli.choosing import Exclude, Include, MaxBytes, MinBytes, ModifiedSince, Sources, selected
from pipeline.cli.connecting import AsJson, Fuse, Output, RunDate, connected, sending_nothing, tell_lifecycle
from pipeline.errors import SettingsError
from pipeline.forecasts.drawing import SEED
from pipeline.local import stack
from pipeline.local.embedded import embedded_environment, embedded_settings
from pipeline.models import find_model, load_catalogue
from pipeline.settings import Settings, load_settings, read_aws_environment
from pipeline.sources.spelling import absolute_sources, parse_sources
from pipeline.steps import Services, connect, work_uri_for
from pipeline.steps.forecasting import PlanOrder, forecast_source
from pipeline.steps.orders import refuse_missing, refuse_model_without_batch
from pipeline.steps.quoting import quote
from pipeline.storage.objects import absolute_uri
from pipeline.terminal import console
from pipeline.terminal.progress import watch_for
from pipeline.terminal.quotes import print_quote


def plan(
    sources: Sources,
    output: Output = None,
    run_date: RunDate = None,
    analyses: Annotated[str | None, typer.Option(help="Analyses to run, comma-separated; default: all")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Model or inference profile of the catalogue")] = None,
    output_language: Annotated[str | None, typer.Option(help="Language of summaries, in English words")] = None,
    fuse: Fuse = None,
    include: Include = None,
    exclude: Exclude = None,
    min_bytes: MinBytes = None,
    max_bytes: MaxBytes = None,
    modified_since: ModifiedSince = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Read so many documents, and extrapolate")] = None,
    seed: Annotated[int, typer.Option(help="Which documents a sample takes")] = SEED,
    force: Annotated[bool, typer.Option("--force", help="As if nothing were known")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what would be sent for every SOURCE and what it would cost. Writes nothing, sends nothing."""
    chosen = {"analyses": analyses, "model": model, "output_language": output_language, "output": output, "fuse": fuse}
    settings = load_settings(chosen | selected(include, exclude, min_bytes, max_bytes, modified_since))
    find_model(settings.model, load_catalogue(settings.models))  # a wrong name is told before anything is started
    source_uri, output_uri = absolute_sources(*sources), absolute_uri(settings.output)
    with _looking_on(source_uri, settings, quiet=as_json) as (services, work_uri):
        refuse_missing(services, source_uri)
        refuse_model_without_batch(services)
        day = run_date or services.clock().date()
        tell_lifecycle(services, day)
        order = PlanOrder(source_uri, output_uri, work_uri, sample, seed, force)
        with watch_for(sys.stderr, quiet=as_json).step("plan") as step:
            forecast = forecast_source(services, order, step.read)
            step.note(f"{forecast.read:,} of {forecast.to_do:,} documents read")
        found = quote(services, forecast, day)
    if as_json:
        print(console.to_json(found))
    else:
        print_quote(found, sys.stdout)


@contextmanager
def _looking_on(source_uri: str, settings: Settings, *, quiet: bool) -> Iterator[tuple[Services, str | None]]:
    """Services that start nothing for a local folder, and the work store, where there is one to be reached."""
    environment = read_aws_environment()
    on_aws = settings.backend == "aws" or (settings.backend == "auto" and environment.signs)
    if on_aws or any(not source.uri.startswith("file:") for source in parse_sources(source_uri)):
        with connected(sending_nothing(settings), quiet=quiet) as services:
            yield services, _work_uri(services)
    elif running := stack.status(settings.home):
        services = connect(embedded_settings(settings, running), embedded_environment(running))
        yield services, _work_uri(services)
    else:
        yield replace(connect(sending_nothing(settings), environment), engine=settings.engine), None


def _work_uri(services: Services) -> str | None:
    try:
        return work_uri_for(services.settings, absolute_uri(services.settings.output))
    except SettingsError:
        return None

"""The command of whoever looks at a run: draw its page, or the one over all runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from pipeline.catalog.reading import committed_runs, newest_run
from pipeline.cli.connecting import Output, reading
from pipeline.cli.operating import resume_command, some_of
from pipeline.errors import ObjectMissing, SettingsError
from pipeline.parquet import set_aside_list
from pipeline.reports.writing import write_report, write_trend
from pipeline.schemas.views import LATEST
from pipeline.settings import load_settings
from pipeline.steps import Services
from pipeline.storage.objects import absolute_uri
from pipeline.terminal.console import shown_place, to_json

if TYPE_CHECKING:
    from pipeline.catalog import Catalog


def report(
    run_key: Annotated[
        str | None,
        typer.Argument(metavar="RUN", help="Name of a published run; default: the newest", show_default=False),
    ] = None,
    trend: Annotated[bool, typer.Option("--trend", help="The page over all runs instead")] = False,
    output: Output = None,
) -> None:
    """Draw the page of a run from its published tables, and print where it is. Every run draws its own at its end."""
    if trend and run_key is not None:
        raise SettingsError("--trend: is about all runs; leave the name of a run out")
    settings = load_settings({"output": output})
    output_uri = absolute_uri(settings.output)
    with reading(output_uri, settings, quiet=True) as services:
        services.open(output_uri)  # a folder that is not there is told as such
        if trend:
            drawn = write_trend(services, output_uri)
        else:
            with services.catalog(output_uri) as catalog:
                found = run_key or newest_run(catalog)
                if found is None:
                    raise ObjectMissing(f"{output_uri}: no run is published there; begin one with: docbatch run")
                refuse_unpublished(services, catalog, found, output, tables_too=False)
            drawn = write_report(services, output_uri, found)
    print(shown_place(drawn))


def refuse_unpublished(
    services: Services, catalog: Catalog, name: str, output: str | None, *, tables_too: bool = True
) -> None:
    """Raises ObjectMissing for the name of no published run (and of no table), naming those that there are.

    Of a withdrawn run it is told while its files lie beside the tables: a local output is read without the work store.
    """
    runs, tables = committed_runs(catalog), catalog.tables() if tables_too else []
    if name in runs or name in tables or name.removesuffix(LATEST) in tables:
        return
    kind = "neither a table nor a published run is" if tables_too else "no published run is"
    known = [f"tables are {', '.join(tables) or 'none'}"] if tables_too and runs else []
    known.append(f"the newest runs are {some_of(runs)}" if runs else "no run is published")
    gone = f"it was withdrawn; to bring it back: {resume_command(services, name, output)}. Else "
    withdrawn = services.open(catalog.place.uri).exists(set_aside_list(name))
    raise ObjectMissing(f"{catalog.place.uri}: {kind} called {name}: {gone if withdrawn else ''}{'; '.join(known)}")


def refuse_options_of_rows(run_key: str, given: Mapping[str, object]) -> None:
    """Raises SettingsError for an option that chooses rows, since the figures of a run are of all its rows."""
    for name, value in given.items():
        if value is not None and value is not False:
            told = name if value is True else f"{name} = {value}"
            raise SettingsError(
                f"{told}: {run_key} is a run and no table, and its figures are of all its rows; leave "
                f"--{name.replace('_', '-')} out, or name a table: docbatch show documents --run-key {run_key}"
            )


def print_run(catalog: Catalog, run_key: str, form: str, stream: TextIO) -> None:
    """The figures of a run, for people or programs. Raises SettingsError for CSV, which they are none."""
    from pipeline.reports.counting import run_figures
    from pipeline.reports.printing import print_figures

    if form == "csv":
        raise SettingsError(f"format = csv: {run_key} is a run and no table; take table or json, or name a table")
    figures = run_figures(catalog, run_key, samples=0)
    if form == "json":
        print(to_json(figures), file=stream)
    else:
        print_figures(figures, stream)

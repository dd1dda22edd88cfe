"""The command line: run and what operates runs, plan, show, and the embedded stack."""

from __future__ import annotations

import shlex
import sys
from contextlib import ExitStack
from enum import StrEnum
from typing import Annotated

import typer

from pipeline import __version__
from pipeline.catalog.reading import is_run, list_tables, shown_rows, whose_rows
from pipeline.cli import auditing, foretelling, maintaining, operating, pricing, reporting, tabling, withdrawing
from pipeline.cli.browsing import browse
from pipeline.cli.choosing import Exclude, Include, MaxBytes, MinBytes, ModifiedSince, Sources, selected
from pipeline.cli.connecting import AsJson, Fuse, Output, RunDate, connected, reading, tell_lifecycle
from pipeline.cli.operating import carry_out, nothing_begun
from pipeline.cli.tabling import AsOf, Where
from pipeline.errors import StackError
from pipeline.forecasts.drawing import SEED
from pipeline.local import stack
from pipeline.local.borrowing import give_up, keep
from pipeline.local.embedded import shell_variables
from pipeline.loop import counted
from pipeline.manifest import refuse_illegal
from pipeline.settings import load_settings
from pipeline.sources.spelling import absolute_sources
from pipeline.steps import RunOrder, work_uri_for
from pipeline.steps.orders import refuse_missing
from pipeline.steps.start import new_run_key
from pipeline.storage.objects import absolute_uri
from pipeline.terminal import console

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__
)
local = typer.Typer(no_args_is_help=True, help="The embedded S3 and Bedrock on this machine.")
app.add_typer(local, name="local")

Analyses = Annotated[str | None, typer.Option(help="Analyses to run, comma-separated; default: all declared")]
ModelName = Annotated[str | None, typer.Option("--model", help="Model or inference profile of the catalogue")]
Budget = Annotated[str | None, typer.Option(help="Submit nothing when the forecast is above this, in USD")]
DayBudget = Annotated[str | None, typer.Option(help="The same for all runs of a day (UTC), paid or in flight")]
MonthBudget = Annotated[str | None, typer.Option(help="The same for all runs of a month (UTC)")]
AnyPrice = Annotated[
    bool | None, typer.Option("--allow-unknown-price", help="Do not check a budget where the price is unknown")
]
Language = Annotated[str | None, typer.Option(help="Language of summaries, in English words")]
Force = Annotated[bool, typer.Option("--force", help="Ask again what an earlier run has answered, and pay for it")]


class Form(StrEnum):
    """How `show` prints."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"docbatch {__version__}")
        raise typer.Exit


@app.callback()
def _begin(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version")
    ] = False,
) -> None:
    pass


@app.command()
def run(
    sources: Sources,
    output: Output = None,
    run_key: Annotated[
        str | None, typer.Option(help="Name of the run; with the name of a run that was broken off, continue it")
    ] = None,
    run_date: RunDate = None,
    analyses: Analyses = None,
    model: ModelName = None,
    budget_usd: Budget = None,
    budget_day_usd: DayBudget = None,
    budget_month_usd: MonthBudget = None,
    allow_unknown_price: AnyPrice = None,
    output_language: Language = None,
    fuse: Fuse = None,
    include: Include = None,
    exclude: Exclude = None,
    min_bytes: MinBytes = None,
    max_bytes: MaxBytes = None,
    modified_since: ModifiedSince = None,
    force: Force = False,
    sample: Annotated[int | None, typer.Option(min=1, help="Only so many documents, drawn by chance")] = None,
    seed: Annotated[int, typer.Option(help="Which documents a sample takes")] = SEED,
    as_json: AsJson = False,
) -> None:
    """Analyse the documents of every SOURCE that are new or changed, and publish the tables."""
    chosen = {"analyses": analyses, "model": model, "output_language": output_language, "output": output, "fuse": fuse}
    budgets = {"budget_usd": budget_usd, "budget_day_usd": budget_day_usd, "budget_month_usd": budget_month_usd}
    selection = selected(include, exclude, min_bytes, max_bytes, modified_since)
    settings = load_settings({**chosen, **budgets, **selection, "allow_unknown_price": allow_unknown_price})
    if run_key is not None:
        refuse_illegal(run_key)
    source_uri, output_uri = absolute_sources(*sources), absolute_uri(settings.output)
    with ExitStack() as until_the_end:
        with nothing_begun():
            services = until_the_end.enter_context(connected(settings, quiet=as_json))
            refuse_missing(services, source_uri)  # before there is anything to continue
            work_uri = work_uri_for(services.settings, output_uri)
            key = new_run_key(services, source_uri, output_uri, work_uri) if run_key is None else run_key
            day = run_date or services.clock().date()
            tell_lifecycle(services, day)
            order = RunOrder(key, day, source_uri, output_uri, work_uri, force, sample, seed)
        carry_out(services, order, output, as_json=as_json)


for operate in (operating.resume, operating.status, operating.stop, foretelling.plan, maintaining.tidy):
    app.command()(operate)
app.command()(withdrawing.withdraw)
app.command()(browse)
for account in (pricing.prices, auditing.costs, auditing.reconcile, reporting.report):
    app.command()(account)


for tell in (tabling.export, tabling.views):
    app.command()(tell)


@app.command()
def show(
    table: Annotated[
        str | None,
        typer.Argument(metavar="[TABLE|RUN]", help="Table or run to print; without it, the tables that there are"),
    ] = None,
    output: Output = None,
    run_key: Annotated[
        str | None, typer.Option(help="Rows of this run; default: each document's newest row, else of the newest run")
    ] = None,
    all_runs: Annotated[bool, typer.Option(help="Rows of every run")] = False,
    as_of: AsOf = None,
    where: Where = None,
    limit: Annotated[int | None, typer.Option(min=0, help="Print at most so many rows")] = None,
    form: Annotated[Form, typer.Option("--format", help="For people, spreadsheets or programs")] = Form.TABLE,
) -> None:
    """Print a published table or the figures of a run, or list the published tables."""
    settings = load_settings({"output": output})
    output_uri = absolute_uri(settings.output)
    with reading(output_uri, settings, quiet=True) as services:
        services.open(output_uri)  # a folder that is not there is told as such
        with services.catalog(output_uri) as catalog:
            if table is None:
                for name, runs in list_tables(catalog, as_of).items():
                    last = f", the last is {runs[-1]}" if runs else ""
                    print(f"{name:<20} {counted(len(runs), 'run')}{last}")
                return
            if is_run(catalog, table):
                chosen = {"run_key": run_key, "all_runs": all_runs, "as_of": as_of, "where": where, "limit": limit}
                reporting.refuse_options_of_rows(table, chosen)
                reporting.print_run(catalog, table, form, sys.stdout)
                return
            reporting.refuse_unpublished(services, catalog, table, output)
            rows = shown_rows(catalog, table, run_key, all_runs=all_runs, limit=limit, as_of=as_of, where=where)
            whose = whose_rows(catalog, table, run_key, all_runs=all_runs, as_of=as_of)
    console.print_table(rows, form, sys.stdout, whose)


@local.command()
def up() -> None:
    """Start the embedded stack and leave it running."""
    settings = load_settings()
    running = keep(settings.home, settings.engine)
    print(f"S3 at {running.s3_url}, Bedrock at {running.bedrock_url}, answers by {running.engine}")
    print('To use it from this shell: eval "$(docbatch local env)"')


@local.command()
def down() -> None:
    """Stop the embedded stack; what it stored stays."""
    print("stopped" if give_up(load_settings().home) else "was not running")


@local.command()
def status() -> None:
    """Say whether the embedded stack runs, and where. Exit code 1 when it does not."""
    running = stack.status(load_settings().home)
    if running is None:
        print("not running; start it with: docbatch local up")
        raise typer.Exit(1)
    print(f"S3 at {running.s3_url}, Bedrock at {running.bedrock_url}, answers by {running.engine}")


@local.command()
def env() -> None:
    """Print the variables that make boto3, the AWS command line and docbatch use the embedded stack."""
    running = stack.status(load_settings().home)
    if running is None:
        raise StackError("the embedded stack is not running; start it with: docbatch local up")
    for name, value in shell_variables(running).items():
        print(f"export {name}={shlex.quote(value)}")

"""The command line: run and what operates runs, plan, show, and the embedded stack."""

from __future__ import annotations

import datetime as dt
import shlex
import sys
from enum import StrEnum
from functools import reduce
from operator import add
from typing import Annotated

import typer

from pipeline import __version__, auditing, console, operating, pricing
from pipeline.batching import choose_mode
from pipeline.connecting import AsJson, Output, connected, reading, tell_lifecycle
from pipeline.errors import ObjectMissing, SettingsError, StackError
from pipeline.ledger import NOTHING, Forecast, cost_of
from pipeline.local import stack
from pipeline.local.borrowing import give_up, keep
from pipeline.local.embedded import shell_variables
from pipeline.manifest import refuse_illegal
from pipeline.models import find_model, load_catalogue
from pipeline.operating import carry_out
from pipeline.prices import Price
from pipeline.reading import list_tables, shown_rows
from pipeline.settings import load_settings
from pipeline.steps import RunOrder, Services, work_uri_for
from pipeline.steps.forecasting import forecast_source
from pipeline.steps.start import new_run_key
from pipeline.storage import absolute_uri

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__
)
local = typer.Typer(no_args_is_help=True, help="The embedded S3 and Bedrock on this machine.")
app.add_typer(local, name="local")

Source = Annotated[str, typer.Argument(help="Folder or s3:// prefix that holds the documents", show_default=False)]
Analyses = Annotated[str | None, typer.Option(help="Analyses to run, comma-separated; default: all declared")]
ModelName = Annotated[str | None, typer.Option("--model", help="Model or inference profile of the catalogue")]
Budget = Annotated[str | None, typer.Option(help="Submit nothing when the forecast is above this, in USD")]
Language = Annotated[str | None, typer.Option(help="Language of summaries, in English words")]


def _as_date(text: str) -> dt.date:
    try:
        return dt.datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007 - a day, which has no zone
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no day of the calendar written as YYYY-MM-DD, like 2026-11-23") from None


RunDate = Annotated[
    dt.date | None, typer.Option(parser=_as_date, metavar="YYYY-MM-DD", help="Date of the run; default: today, UTC")
]
Fuse = Annotated[
    bool | None,
    typer.Option("--fuse/--no-fuse", help="All analyses of a document in one request; its tokens are paid once"),
]
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
    source: Source,
    output: Output = None,
    run_key: Annotated[
        str | None, typer.Option(help="Name of the run; with the name of a run that was broken off, continue it")
    ] = None,
    run_date: RunDate = None,
    analyses: Analyses = None,
    model: ModelName = None,
    budget_usd: Budget = None,
    output_language: Language = None,
    fuse: Fuse = None,
    force: Force = False,
    as_json: AsJson = False,
) -> None:
    """Analyse the documents under SOURCE that are new or changed, and publish the tables."""
    chosen = {"analyses": analyses, "model": model, "budget_usd": budget_usd, "output_language": output_language}
    settings = load_settings({**chosen, "output": output, "fuse": fuse})
    if run_key is not None:
        refuse_illegal(run_key)
    source_uri, output_uri = absolute_uri(source), absolute_uri(settings.output)
    with connected(settings, quiet=as_json) as services:
        _refuse_missing(services, source_uri)  # before there is anything to continue
        work_uri = work_uri_for(services.settings, output_uri)
        key = new_run_key(services, source_uri, output_uri, work_uri) if run_key is None else run_key
        day = run_date or services.clock().date()
        tell_lifecycle(services, day)
        carry_out(services, RunOrder(key, day, source_uri, output_uri, work_uri, force), output, as_json=as_json)


for operate in (operating.resume, operating.status, operating.stop):
    app.command()(operate)
for account in (pricing.prices, auditing.costs, auditing.reconcile):
    app.command()(account)


@app.command()
def plan(
    source: Source,
    run_date: RunDate = None,
    analyses: Analyses = None,
    model: ModelName = None,
    output_language: Language = None,
    fuse: Fuse = None,
    as_json: AsJson = False,
) -> None:
    """Say what would be sent for SOURCE and what it would cost. Writes nothing, sends nothing."""
    chosen = {"analyses": analyses, "model": model, "output_language": output_language, "fuse": fuse}
    settings = load_settings(chosen)
    found, sent_id = find_model(settings.model, load_catalogue(settings.models))
    source_uri = absolute_uri(source)
    with reading(source_uri, settings, quiet=as_json) as services:
        _refuse_missing(services, source_uri)
        day = run_date or services.clock().date()
        tell_lifecycle(services, day)
        with console.watch_for(sys.stderr, quiet=as_json).step("plan") as step:
            forecasts, documents, unreadable = forecast_source(services, source_uri, step.advance)
            step.note(f"{documents} documents, {unreadable} without readable text")
        total = reduce(add, forecasts.values(), NOTHING)
        mode = choose_mode(total.requests, services.quotas)
        price = found.price_on(mode, day, services.region, sent_id=sent_id)
        rows = [_forecast_row(name, one, price) for name, one in [*forecasts.items(), ("in all", total)]]
    if as_json:
        names = ("analysis", "requests", "input_tokens", "output_tokens", "cost_usd")
        forecast = [dict(zip(names, row, strict=True)) for row in rows]
        print(console.to_json({"mode": mode, "model": found.id, "forecast": forecast}))
    else:
        console.print_forecast(rows, sys.stdout)
        print(f"{mode} prices of {found.id} on {day}; rounds after the first (long documents) are not included.")


@app.command()
def show(
    table: Annotated[str | None, typer.Argument(help="Table to print; without it, the tables that there are")] = None,
    output: Output = None,
    run_key: Annotated[
        str | None, typer.Option(help="Rows of this run; default: each document's newest row, else of the newest run")
    ] = None,
    all_runs: Annotated[bool, typer.Option(help="Rows of every run")] = False,
    limit: Annotated[int | None, typer.Option(min=0, help="Print at most so many rows")] = None,
    form: Annotated[Form, typer.Option("--format", help="For people, spreadsheets or programs")] = Form.TABLE,
) -> None:
    """Print a published table, or list the published tables."""
    settings = load_settings({"output": output})
    output_uri = absolute_uri(settings.output)
    with reading(output_uri, settings, quiet=True) as services:
        services.open(output_uri)  # a folder that is not there is told as such
        with services.catalog(output_uri) as catalog:
            if table is None:
                for name, runs in list_tables(catalog).items():
                    last = f", the last is {runs[-1]}" if runs else ""
                    print(f"{name:<20} {len(runs)} runs{last}")
                return
            rows = shown_rows(catalog, table, run_key, all_runs=all_runs, limit=limit)
    console.print_table(rows, form, sys.stdout)


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


def _refuse_missing(services: Services, source_uri: str) -> None:
    """Raises SettingsError for a local folder that is not there: the argument is wrong, not the storage."""
    try:
        services.open(source_uri)
    except ObjectMissing as error:
        raise SettingsError(f"{error}; SOURCE is the folder or s3:// prefix that holds the documents") from None


def _forecast_row(name: str, one: Forecast, price: Price | None) -> console.ForecastRow:
    return (name, one.requests, one.usage.input_tokens, one.usage.output_tokens, cost_of(one.usage, price))

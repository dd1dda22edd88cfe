"""The commands of whoever audits the money: what the runs cost, and whether AWS says the same."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Annotated

import typer

from pipeline.catalog.reading import refuse_unknown
from pipeline.cli.connecting import AsJson, Output, connected, reading, sending_nothing
from pipeline.errors import SettingsError
from pipeline.money.booked import booked_days, booked_jobs, spans
from pipeline.money.spending import By, Question, account
from pipeline.settings import load_settings
from pipeline.steps import work_uri_for
from pipeline.steps.reconcile import bill_checks, job_checks, metric_checks
from pipeline.storage.objects import absolute_uri
from pipeline.terminal.statement import AccountForm, print_account, print_checks

Day = Annotated[dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only runs of this day and later")]
LastDay = Annotated[dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only runs of this day and earlier")]


def costs(
    by: Annotated[
        list[str] | None, typer.Option(help=f"What a line is about: {', '.join(By)}; several with commas or repeated")
    ] = None,
    since: Day = None,
    until: LastDay = None,
    depth: Annotated[
        int | None, typer.Option(min=0, help="With --by source: so many folders of each document's uri")
    ] = None,
    form: Annotated[
        AccountForm, typer.Option("--format", help="For people, spreadsheets, programs, or as a chart")
    ] = AccountForm.TABLE,
    output: Output = None,
) -> None:
    """Say what the published runs cost, by day or whatever --by names."""
    wanted = _dimensions(by or [By.DAY])
    if depth is not None and By.SOURCE not in wanted:
        raise SettingsError("depth: divides sources; say --by source as well")
    if since and until and until < since:
        raise SettingsError(f"until = {until:%Y-%m-%d}: is before since = {since:%Y-%m-%d}; no day lies between them")
    question = Question(wanted, since.date() if since else None, until.date() if until else None, depth)
    settings = load_settings({"output": output})
    output_uri = absolute_uri(settings.output)
    with reading(output_uri, settings, quiet=True) as services:
        services.open(output_uri)  # a folder that is not there is told as such
        with services.catalog(output_uri) as catalog:
            lines = account(catalog, question)
    print_account(wanted, lines, form, sys.stdout)


def _dimensions(named: list[str]) -> tuple[By, ...]:
    """Every dimension once, in the order in which they were named. Raises SettingsError for an unknown one."""
    names = [name.strip() for text in named for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in list(By)]
    if unknown or not names:
        raise SettingsError(f"by = {','.join(unknown) or 'nothing'}: is none of {', '.join(By)}")
    return tuple(dict.fromkeys(By(name) for name in names))


def reconcile(
    run_key: Annotated[
        str | None, typer.Argument(metavar="RUN", help="Name of a published run; default: all", show_default=False)
    ] = None,
    cur: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A Cost and Usage Report to compare with: Parquet or CSV")
    ] = None,
    cloudwatch: Annotated[
        bool, typer.Option("--cloudwatch", help="Compare with CloudWatch's token counts too")
    ] = False,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Compare the ledger with what AWS says, and tell what differs and by how much.

    Exit code 1 when anything does, or nothing could be compared, or nothing with the report that was named.
    """
    settings = load_settings({"output": output})
    output_uri = absolute_uri(settings.output)
    with connected(sending_nothing(settings), quiet=as_json) as services:
        services.open(output_uri)  # a folder that is not there is told as such
        with services.catalog(output_uri) as catalog:
            refuse_unknown(catalog, "ledger", run_key)
            jobs, days, periods = booked_jobs(catalog, run_key), booked_days(catalog, None), spans(catalog, run_key)
        work_uri = work_uri_for(services.settings, output_uri)
        checks = job_checks(services, work_uri, [one.run_key for one in periods], jobs)
        billed = bill_checks(cur, days, run_key) if cur else []
        checks += billed
        checks += metric_checks(services, days, periods) if cloudwatch else []
    print_checks(checks, sys.stdout, as_json=as_json)
    silent = bool(cur) and all(check.not_compared for check in billed)  # a bill was named, and says nothing of the runs
    if silent or any(check.differences for check in checks) or all(check.not_compared for check in checks):
        raise typer.Exit(1)

"""The commands of whoever audits the money: what the runs cost, and whether AWS says the same."""

from __future__ import annotations

import datetime as dt
import sys
from typing import Annotated

import typer

from pipeline.connecting import Output, reading
from pipeline.errors import SettingsError
from pipeline.settings import load_settings
from pipeline.spending import By, Question, account
from pipeline.statement import AccountForm, print_account
from pipeline.storage import absolute_uri

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

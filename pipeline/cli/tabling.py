"""What analysts type: tables as files for spreadsheets, and the views over them as SQL."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import pyarrow.dataset as ds
import typer

from pipeline.catalog.reading import condition, filtered, list_tables, open_views, shown, whose_rows
from pipeline.cli.connecting import Output, reading, say, sending_nothing
from pipeline.errors import ObjectMissing, SettingsError
from pipeline.loop import counted
from pipeline.schemas.views import athena_views, duckdb_views, external_tables
from pipeline.settings import load_settings
from pipeline.storage.objects import absolute_uri
from pipeline.tables.spreadsheets import ENDINGS, write_spreadsheet

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

Where = Annotated[
    str | None,
    typer.Option(metavar="CONDITION", help="Only rows for which it holds, in DuckDB's SQL: uri like '%.pdf'"),
]
AsOf = Annotated[
    str | None, typer.Option(metavar="RUN|TIME", help="As the tables were after a run, or at a time: 2026-11-20T00:00Z")
]


def export(
    table: Annotated[str, typer.Argument(help="Table to export", show_default=False)],
    to: Annotated[Path, typer.Option(metavar="FILE", help="File to write, *.csv or *.xlsx", show_default=False)],
    output: Output = None,
    run_key: Annotated[
        str | None, typer.Option(help="Rows of this run; default: each document's newest row, else of the newest run")
    ] = None,
    all_runs: Annotated[bool, typer.Option(help="Rows of every run")] = False,
    as_of: AsOf = None,
    where: Where = None,
    bom: Annotated[bool, typer.Option(help="Begin a CSV with a mark by which Excel knows UTF-8")] = True,
) -> None:
    """Write a table for spreadsheets: types are kept, and no text of a document can become a formula."""
    if to.suffix.lower() not in ENDINGS:
        raise SettingsError(f"to = {to}: the name must end in {' or '.join(ENDINGS)}")
    settings = load_settings({"output": output})
    output_uri = absolute_uri(settings.output)
    with reading(output_uri, sending_nothing(settings), quiet=True) as services:
        services.open(output_uri)  # a folder that is not there is told as such
        with services.catalog(output_uri) as catalog, open_views(catalog, as_of) as views:
            rows = shown(catalog, views, table, run_key, all_runs=all_runs, as_of=as_of)
            whose = whose_rows(catalog, table, run_key, all_runs=all_runs, as_of=as_of)
            with condition(where, rows.columns):
                batches = filtered(views, rows, where).to_arrow_reader(20_000)
                try:
                    count = write_spreadsheet(to, batches.schema, batches, bom=bom)
                except OSError as error:
                    raise SettingsError(f"to = {to}: cannot be written: {error.strerror}") from None
    say(f"{counted(count, 'row')} of {table} in {to} ({whose})")


class _Asked(StrEnum):
    DUCKDB = "duckdb"
    ATHENA = "athena"
    ATHENA_FILES = "athena-files"


def views(
    for_: Annotated[_Asked, typer.Option("--for", help="Whose SQL; athena-files: tables without Iceberg")],
    output: Output = None,
    as_of: AsOf = None,
) -> None:
    """Print SQL that makes each document's newest rows a view: for DuckDB over the files, for Athena over Glue."""
    settings = load_settings({"output": output})
    output_uri = absolute_uri(settings.output)
    with reading(output_uri, sending_nothing(settings), quiet=True) as services:
        services.open(output_uri)
        with services.catalog(output_uri) as catalog:
            for statement in _statements(catalog, for_, settings.catalog_namespace, as_of):
                print(f"{statement};\n")


def _statements(catalog: Catalog, asked: _Asked, database: str, as_of: str | None) -> Iterator[str]:
    tables = list_tables(catalog, as_of)
    if not tables:
        raise ObjectMissing(f"{catalog.place.uri}: nothing is published there, so there is nothing to make views of")
    schemas = {name: catalog.dataset(name, []).schema for name in tables}
    if asked is _Asked.DUCKDB:
        yield f"-- As of run {tables['runs'][-1]}; print this anew when another is published\nset timezone = 'UTC'"
        yield from duckdb_views(schemas, {name: _files(catalog, name, runs) for name, runs in tables.items()})
        return
    if asked is _Asked.ATHENA_FILES:
        yield from external_tables(schemas, database, f"{catalog.place.root}/tables")
    yield from athena_views(schemas, database)


def _files(catalog: Catalog, table: str, run_keys: list[str]) -> list[str]:
    found = catalog.dataset(table, run_keys)
    if not isinstance(found, ds.FileSystemDataset):
        return []  # no run has a row in it
    return [f"s3://{one}" if catalog.place.uri.startswith("s3:") else one for one in found.files]

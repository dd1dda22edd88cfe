"""Opens the tables of an output: what was published when they were opened, or as of an earlier run or time."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from pipeline.catalog.reading import open_views
from pipeline.errors import ObjectMissing, SettingsError
from pipeline.schemas.views import LATEST, has_latest
from pipeline.settings import Settings, load_settings, read_aws_environment
from pipeline.steps import connect
from pipeline.storage.objects import absolute_uri
from pipeline.tables.rows import Rows

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

_NO_ROLE = "none, since reading starts no job"


@dataclass(frozen=True)
class Tables:
    """The tables of an output as they were at one moment; a run is in all of them or in none.

    A context: at its end the connection is closed, and relations of DuckDB's with it.
    """

    uri: str
    names: Sequence[str]
    runs: Sequence[str]
    views: DuckDBPyConnection

    def __getitem__(self, name: str) -> Rows:
        """A table with its history, the rows of every run, or one of the `_latest`. Raises ObjectMissing."""
        table = name.removesuffix(LATEST)
        if name not in self.names and not (name.endswith(LATEST) and table in self.names and has_latest(table)):
            known = ", ".join(self.names) or "none"
            raise ObjectMissing(f"{self.uri}/tables/{name}: nothing is published there; published tables are {known}")
        return Rows(self.views.table(name))

    def table(self, name: str, *, run_key: str | None = None) -> Rows:
        """The rows of one run, or of every run. Raises ObjectMissing."""
        rows = self[name]
        if run_key is None:
            return rows
        if run_key not in self.runs:
            known = ", ".join(self.runs) or "none"
            raise ObjectMissing(f"{self.uri}: no run {run_key} is published there; published runs are {known}")
        return Rows(rows.relation.filter("run_key = '" + run_key.replace("'", "''") + "'"))

    def latest(self, table: str) -> Rows:
        """Each document's newest row of an analysis, with `deleted` and `current_prompt`, or of `documents`.

        Raises ObjectMissing.
        """
        if table in self.names and not has_latest(table):
            known = ", ".join(filter(has_latest, self.names)) or "none"
            raise SettingsError(f"{table}: is no analysis, so no row replaces another; others are {known}")
        return self[f"{table}{LATEST}"] if table in self.names else self[table]

    def sql(self, query: str) -> Rows:
        """A query of one's own over the tables and their `_latest`, in DuckDB's SQL."""
        return Rows(self.views.sql(query))

    def close(self) -> None:
        self.views.close()

    def __enter__(self) -> Tables:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_tables(
    output: str | Path, *, as_of: str | dt.datetime | None = None, settings: Settings | None = None
) -> Tables:
    """The published tables of an output: a folder, which needs nothing that runs, or an `s3://` prefix.

    `as_of` is the key of a published run, or a moment with its zone: runs that ended later are not there. Settings and
    credentials are found as the command line finds them. Raises ObjectMissing where nothing was published.
    """
    found = settings or load_settings({"output": str(output)})
    reading = found.model_copy(update={"role_arn": found.role_arn or _NO_ROLE})
    uri = absolute_uri(str(output))
    with connect(reading, read_aws_environment()).catalog(uri) as catalog:
        views = open_views(catalog, as_of)
    names = [name for (name,) in views.sql("show tables").fetchall() if not name.endswith(LATEST)]
    runs = views.sql("select run_key from runs order by ended, run_key").fetchall() if names else []
    return Tables(uri, names, [run_key for (run_key,) in runs], views)

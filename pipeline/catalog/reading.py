"""Published tables, read through the catalog: only runs that are in `runs`, whole or not at all."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import ObjectMissing, SettingsError
from pipeline.schemas import GOLD_TABLE
from pipeline.schemas.views import LATEST, Dialect, has_latest, latest_query

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection, DuckDBPyRelation

    from pipeline.catalog import Catalog

_WHOLE = ("runs", GOLD_TABLE)  # what is always shown of every run
NEWEST_RUNS = 5  # that tell how long answers usually are
# Nothing is downloaded, and a misspelt table is no Python variable of ours.
_ALONE = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": "false",
}


_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
AsOf = str | dt.datetime | None
"""The key of a published run, a moment with its zone (as text: 2026-11-20T00:00Z), or None for now."""


def committed_runs(catalog: Catalog) -> list[str]:
    """The keys of the published runs, in the order in which they ended."""
    return [run_key for _, run_key in _ends(catalog)]


def runs_as_of(catalog: Catalog, as_of: str | dt.datetime) -> list[str]:
    """The keys of the published runs up to a run, that one included, or up to a moment; in the order of their ends.

    The rows of a run never change, so those of these runs are what the tables held then, in every table alike, and
    whatever snapshots have been expired since. A run counts from when it ended. One that was withdrawn since is not
    there: it is withdrawn for every moment. Raises ObjectMissing for the key of another run than those that are
    published, SettingsError for a moment without a zone.
    """
    ends = _ends(catalog)
    limits = [end for end in ends if end[1] == as_of]
    if limits:
        return [run_key for ended, run_key in ends if (ended, run_key) <= limits[0]]
    moment = _moment(as_of) if isinstance(as_of, str) else as_of
    if moment is None:
        known = ", ".join(run_key for _, run_key in ends) or "none"
        raise ObjectMissing(
            f"{catalog.place.uri}: no run {as_of} is published there, and it is no moment such as 2026-11-20T00:00Z; "
            f"published runs are {known}"
        )
    if moment.tzinfo is None:
        raise SettingsError(f"as_of = {as_of}: has no zone; write for example {moment:%Y-%m-%dT%H:%M}Z for UTC")
    return [run_key for ended, run_key in ends if ended <= moment]


def _moment(text: str) -> dt.datetime | None:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        return None


def _ends(catalog: Catalog) -> list[tuple[dt.datetime, str]]:
    """When each published run ended, and its key; sorted. A file of `runs` has one row, so its statistics tell it."""
    if "runs" not in catalog.tables():
        return []
    known = catalog.least("runs", "ended")
    if known is not None:
        return sorted((_EPOCH + dt.timedelta(microseconds=ended), run_key) for run_key, ended in known)
    rows = catalog.dataset("runs").to_table(columns=["ended", "run_key"]).to_pylist()
    return sorted((row["ended"], str(row["run_key"])) for row in rows)


def _runs(catalog: Catalog, as_of: AsOf) -> list[str]:
    return committed_runs(catalog) if as_of is None else runs_as_of(catalog, as_of)


def usual_output_tokens(catalog: Catalog, methods: Mapping[str, str]) -> dict[str, float | None]:
    """The mean output tokens of a request in the newest runs that asked by the same method, by analysis.

    `methods` are the method_ids. None where no such run was published, or none that paid for an answer.
    """
    tables, newest = set(catalog.tables()), committed_runs(catalog)[-NEWEST_RUNS:]
    return {
        name: _mean_output(catalog, name, method, newest) if name in tables and newest else None
        for name, method in methods.items()
    }


def _mean_output(catalog: Catalog, table: str, method: str, run_keys: list[str]) -> float | None:
    dataset = catalog.dataset(table, run_keys)
    paid = (pc.field("method_id") == method) & (pc.field("output_tokens") > 0)  # another run's answers count none here
    rows = dataset.to_table(columns=["output_tokens", "chunks"], filter=paid)
    tokens, requests = pc.sum(rows["output_tokens"]).as_py(), pc.sum(rows["chunks"]).as_py()
    return round(tokens / requests, 3) if requests else None


def newest_run(catalog: Catalog) -> str | None:
    """The key of the run that was published last; None before the first."""
    runs = committed_runs(catalog)
    return runs[-1] if runs else None


def list_tables(catalog: Catalog, as_of: AsOf = None) -> dict[str, list[str]]:
    """The tables, each with the keys of the published runs that have rows in it, in the order in which they ended."""
    runs = _runs(catalog, as_of)
    found = {table: catalog.run_keys(table) for table in catalog.tables()}
    return {table: [run for run in runs if run in keys] for table, keys in found.items()} if runs else {}


def read_table(catalog: Catalog, table: str, run_key: str | None = None, as_of: AsOf = None) -> pa.Table:
    """The rows of a table, of one run or of all (up to `as_of`), in the order of runs and parts; all in memory.

    Raises ObjectMissing for a table or run that was not published.
    """
    runs = _runs(catalog, as_of)
    refuse_unknown(catalog, table, run_key, as_of)
    return catalog.dataset(table, runs if run_key is None else [run_key]).to_table()


def latest(catalog: Catalog, table: str, limit: int | None = None, as_of: AsOf = None) -> pa.Table:
    """The newest published row of each document in an analysis or in `documents`; all in memory.

    Those of an analysis have `deleted` and `current_prompt`. With `as_of`, newest is what was so then.
    """
    refuse_unknown(catalog, table, as_of=as_of)
    with open_views(catalog, as_of) as views:
        newest = views.table(f"{table}{LATEST}").order("uri, document_id")
        rows: pa.Table = (newest if limit is None else newest.limit(limit)).to_arrow_table()
    return rows


def shown_rows(
    catalog: Catalog,
    table: str,
    run_key: str | None = None,
    *,
    all_runs: bool = False,
    limit: int | None = None,
    as_of: AsOf = None,
    where: str | None = None,
) -> pa.Table:
    """The rows of one run or of every run, at most `limit`; without either, what is valid now, or was `as_of`.

    That is each document's newest row for an analysis and `documents`, every run for `runs` and `gold`, and the newest
    run for other tables; `whose_rows` says it.
    `where` is a condition in DuckDB's SQL; more than a condition it cannot say. Raises SettingsError for a wrong one.
    """
    with open_views(catalog, as_of) as views:
        rows = shown(catalog, views, table, run_key, all_runs=all_runs, as_of=as_of)
        with condition(where, rows.columns):
            found: pa.Table = filtered(views, rows, where, limit).to_arrow_table()
    return found


def shown(
    catalog: Catalog,
    views: DuckDBPyConnection,
    table: str,
    run_key: str | None = None,
    *,
    all_runs: bool = False,
    as_of: AsOf = None,
) -> DuckDBPyRelation:
    """What `shown_rows` shows, to be read from these views. Raises ObjectMissing."""
    runs = _runs(catalog, as_of)
    newest = run_key is None and not all_runs
    if newest and table not in (known := catalog.tables()) and table.removesuffix(LATEST) in known:
        table = table.removesuffix(LATEST)  # called by the name of the view that is shown
    if newest and table not in _WHOLE and not has_latest(table):
        run_key = runs[-1] if runs else None
    refuse_unknown(catalog, table, run_key, as_of)
    if newest and has_latest(table):
        return views.table(f"{table}{LATEST}").order("uri, document_id")
    if run_key is not None:
        views.register(table, catalog.dataset(table, [run_key]))
    return views.table(table)


def whose_rows(
    catalog: Catalog, table: str, run_key: str | None = None, *, all_runs: bool = False, as_of: AsOf = None
) -> str:
    """Whose rows `shown` gives, and how to get others."""
    if run_key is not None:
        return f"of run {run_key}"
    if all_runs or table in _WHOLE:
        return "of all runs"
    if has_latest(table.removesuffix(LATEST)):
        return "the newest of each document; --all-runs for all"
    return f"of the newest run {_runs(catalog, as_of)[-1]}; --all-runs for all"


def filtered(
    views: DuckDBPyConnection, rows: DuckDBPyRelation, where: str | None, limit: int | None = None
) -> DuckDBPyRelation:
    """The rows for which a condition holds. It reads no file, changes no setting, and is no second statement."""
    if where is not None:
        views.execute("set enable_external_access = false")
        views.execute("set lock_configuration = true")
        rows = rows.filter(where)
    return rows if limit is None else rows.limit(limit)


@contextmanager
def condition(where: str | None, columns: Sequence[str]) -> Iterator[None]:
    """What DuckDB says against somebody's condition, while it is read or as rows are, as a SettingsError."""
    import duckdb

    try:
        yield
    except duckdb.Error as error:
        if where is None:
            raise
        said = str(error).split("\n\n")[0].splitlines()[0]
        raise SettingsError(
            f"where = {where}: {said}. It is one condition in DuckDB's SQL, such as uri like '%.pdf'; "
            f"columns are {', '.join(columns)}"
        ) from None


def is_run(catalog: Catalog, name: str) -> bool:
    """Whether a run of that name is published, and no table is called so."""
    return name not in catalog.tables() and name in committed_runs(catalog)


def refuse_unknown(catalog: Catalog, table: str, run_key: str | None = None, as_of: AsOf = None) -> None:
    """Raises ObjectMissing for a table or run that was not published (by then), naming those that were."""
    runs = _runs(catalog, as_of)
    tables = catalog.tables() if runs else []
    if table in tables and (run_key is None or run_key in runs):
        return
    known = ", ".join(runs if table in tables else tables) or "none"
    folder = f"{catalog.place.uri}/tables/{table}" + (f"/{run_key}" if run_key else "")
    kind = "runs" if table in tables else "tables"
    when = "nothing is published there" if as_of is None else f"nothing was published there as of {as_of}"
    raise ObjectMissing(f"{folder}: {when}; published {kind} are {known}")


def open_views(catalog: Catalog, as_of: AsOf = None, run_keys: Collection[str] | None = None) -> DuckDBPyConnection:
    """A DuckDB connection with a view for each table, `<analysis>_latest` and `documents_latest`.

    With `run_keys`, of the rows of these runs alone: no file of another is opened.
    The views show what was published when they were opened, or `as_of` then. Rows are read from the files when a query
    asks for them, by column and piece by piece, so that a table of any size fits; nothing is downloaded but the tables.
    """
    import duckdb

    runs = [one for one in _runs(catalog, as_of) if run_keys is None or one in run_keys]
    tables = catalog.tables() if runs else []  # a first run that is being published is no run yet
    views = duckdb.connect(config={**_ALONE, "temp_directory": tempfile.gettempdir()})
    views.execute("set timezone = 'UTC'; set enable_progress_bar = false")  # a bar would go to stdout, among the rows
    for table in tables:
        views.register(table, catalog.dataset(table, runs))
    for table in filter(has_latest, tables):
        deletions = "change" in _columns(views, "documents")
        query = latest_query(table, Dialect.DUCKDB, _columns(views, table), deletions=deletions)
        views.execute(f'create view "{table}{LATEST}" as {query}')
    return views


def _columns(views: DuckDBPyConnection, table: str) -> list[str]:
    return [str(row[0]) for row in views.execute(f'describe "{table}"').fetchall()]

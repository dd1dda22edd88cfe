"""Views over the tables in SQL, for DuckDB and Athena: each document's newest row, and plain files as tables."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa

from pipeline.schemas.columns import FIXED, GOLD_TABLE, Column

LATEST = "_latest"  # the suffix of the view with one row per document
LATEST_COLUMNS: list[Column] = [
    ("deleted", pa.bool_(), "Whether the document is gone from the source, as its newest row in `documents` says"),
    (
        "current_prompt",
        pa.bool_(),
        "Whether the row is by the prompt of the newest run that ran the analysis. Where it is false, the document has "
        "no result of that prompt yet: it failed, or was left out; null when no run says by which prompt it asked",
    ),
]


class Dialect(StrEnum):
    """Whose SQL it is."""

    DUCKDB = "duckdb"
    ATHENA = "athena"


def is_analysis(table: str) -> bool:
    return table not in FIXED and table != GOLD_TABLE


def has_latest(table: str) -> bool:
    """Whether a newer row of the table takes the place of an older one of the same document."""
    return is_analysis(table) or table == "documents"


def latest_query(
    table: str, dialect: Dialect, columns: Collection[str], *, deletions: bool = True, database: str = ""
) -> str:
    """Each document's newest row of an analysis, with `LATEST_COLUMNS` behind it; or of `documents`, as it is.

    `columns` are those of the table; `deletions` says that `documents` knows what is gone. Which run is newest is
    decided on two narrow columns, before the wide rows are read.
    """
    rows, runs, documents = (
        f'"{database}"."{name}"' if database else f'"{name}"' for name in (table, "runs", "documents")
    )
    gone = "max_by(d.change, row(r.ended, r.run_key)) = 'deleted'" if deletions else "false"
    current = (
        "a.prompt_fingerprint = p.prompt_fingerprint" if "prompt_fingerprint" in columns else "cast(null as boolean)"
    )
    newest = f"""\
with newest as (
    select a.document_id, max_by(a.run_key, row(r.ended, r.run_key)) as run_key
    from {rows} as a join {runs} as r on r.run_key = a.run_key group by a.document_id
)"""  # noqa: S608 - names of tables and columns are identifiers, and all texts are ours
    chosen = ", ".join(f'a."{name}"' for name in columns)
    if table == "documents":
        return f"""{newest}
select {chosen}
from {rows} as a
join newest as n on n.document_id = a.document_id and n.run_key = a.run_key"""  # noqa: S608 - as above
    return f"""{newest}, gone as (
    select d.document_id, {gone} as deleted
    from {documents} as d join {runs} as r on r.run_key = d.run_key group by d.document_id
), asked as (
    select run_key, ended, {_prompt_of(table, dialect)} as prompt_fingerprint from {runs}
), prompt as (
    select max_by(prompt_fingerprint, row(ended, run_key)) as prompt_fingerprint
    from asked where prompt_fingerprint is not null
)
select {chosen},
    coalesce(g.deleted, false) as deleted, {current} as current_prompt
from {rows} as a
join newest as n on n.document_id = a.document_id and n.run_key = a.run_key
left join gone as g on g.document_id = a.document_id
cross join prompt as p"""  # noqa: S608 - as above


def _prompt_of(table: str, dialect: Dialect) -> str:
    """The prompt by which a run asked an analysis; null when it did not ask it."""
    if dialect is Dialect.DUCKDB:
        return f"list_filter(analyses, lambda one: one.analysis = '{table}')[1].prompt_fingerprint"
    return f"element_at(filter(analyses, one -> one.analysis = '{table}'), 1).prompt_fingerprint"


def duckdb_views(schemas: Mapping[str, pa.Schema], files: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """The statements that make every table a view over exactly these files, and each document's newest rows."""
    for table, schema in schemas.items():
        typed = ", ".join(f'cast(null as {_spelled(one.type, _DUCKDB)}) as "{one.name}"' for one in schema)
        query = f"select {typed} where false"
        if files[table]:
            listed = ",\n    ".join("'" + path.replace("'", "''") + "'" for path in files[table])
            query += f"\nunion all by name select * from read_parquet([\n    {listed}\n], union_by_name = true)"  # noqa: S608
        yield f'create or replace view "{table}" as\n{query}'
    for table in filter(has_latest, schemas):
        yield f'create or replace view "{table}{LATEST}" as\n{_latest_of(table, schemas, Dialect.DUCKDB)}'


def athena_views(schemas: Mapping[str, pa.Schema], database: str) -> Iterator[str]:
    """The statements that make each document's newest rows a view, in the SQL of Athena's engine 3, Trino's."""
    for table in filter(has_latest, schemas):
        query = _latest_of(table, schemas, Dialect.ATHENA, database)
        yield f'create or replace view "{database}"."{table}{LATEST}" as\n{query}'


def external_tables(schemas: Mapping[str, pa.Schema], database: str, tables_uri: str) -> Iterator[str]:
    """The statements, in Hive's SQL, that make each folder of Parquet files a table of Athena's, without Iceberg."""
    yield f"create database if not exists `{database}`"
    for table, schema in schemas.items():
        columns = ",\n".join(f"    `{one.name}` {_spelled(one.type, _HIVE)}" for one in schema)
        place = f"{tables_uri}/{table}/".replace("'", "''")
        yield (
            f"create external table if not exists `{database}`.`{table}` (\n{columns}\n)\n"
            f"stored as parquet\nlocation '{place}'"
        )


def _latest_of(table: str, schemas: Mapping[str, pa.Schema], dialect: Dialect, database: str = "") -> str:
    """Views name their tables in full in Athena: whoever opens one may have another database chosen."""
    deletions = "change" in schemas["documents"].names
    return latest_query(table, dialect, schemas[table].names, deletions=deletions, database=database)


@dataclass(frozen=True, slots=True)
class _Spelling:
    """How an SQL writes types; the names of a structure's parts are quoted."""

    array: str
    structure: str
    part: str
    simple: Mapping[pa.DataType, str]


def _spelled(kind: pa.DataType, how: _Spelling) -> str:
    if pa.types.is_list(kind):
        return how.array.format(_spelled(kind.value_type, how))
    if pa.types.is_struct(kind):
        return how.structure.format(", ".join(how.part.format(one.name, _spelled(one.type, how)) for one in kind))
    if pa.types.is_decimal(kind):
        return f"decimal({kind.precision}, {kind.scale})"
    return how.simple[kind]


_MOMENT = pa.timestamp("us", "UTC")
_DUCKDB_SIMPLE: Mapping[pa.DataType, str] = {
    pa.string(): "varchar",
    pa.int32(): "integer",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    _MOMENT: "timestamptz",
}
_HIVE_SIMPLE: Mapping[pa.DataType, str] = {
    pa.string(): "string",
    pa.int32(): "int",
    pa.int64(): "bigint",
    pa.float64(): "double",
    pa.bool_(): "boolean",
    pa.date32(): "date",
    _MOMENT: "timestamp",
}
_DUCKDB = _Spelling("{}[]", "struct({})", '"{}" {}', _DUCKDB_SIMPLE)
_HIVE = _Spelling("array<{}>", "struct<{}>", "`{}`: {}", _HIVE_SIMPLE)

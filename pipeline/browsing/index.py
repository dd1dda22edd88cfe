"""Every published answer and failure as one narrow row in a file of DuckDB's, so that a search looks at no table."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb

from pipeline.browsing.gold import Label, Verdict, canonical
from pipeline.browsing.searching import SORT, Key, Search
from pipeline.catalog.reading import open_views
from pipeline.declared import PROVENANCE
from pipeline.errors import StorageError
from pipeline.schemas.views import is_analysis

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

MEMORY = "400MB"  # of DuckDB; what exceeds it lies in the folder of the index
THREADS = 2
SHOWN_CHARACTERS = 280  # of an answer in a list
_COLUMNS = """
    document_id varchar, uri varchar, name varchar, title varchar, language varchar, analysis varchar, run_key varchar,
    ended timestamptz, content_hash varchar, labels varchar[], words varchar, found varchar, answer json,
    truncated boolean, reason varchar, cost_usd decimal(20, 10), input_tokens bigint, output_tokens bigint,
    newest boolean, deleted boolean, verdict varchar
"""
_LINE = f"""
    document_id, analysis, run_key, uri, name, title, language, labels, left(words, {SHOWN_CHARACTERS}),
    length(words) > {SHOWN_CHARACTERS}, reason, cost_usd, input_tokens, output_tokens, deleted, verdict
"""
_OPTIONAL = {  # that a table of an older version may lack
    "content_hash": "varchar",
    "truncated": "boolean",
    "cost_usd": "decimal(20, 10)",
    "input_tokens": "bigint",
    "output_tokens": "bigint",
}
_IS = "document_id = ? and analysis = ? and run_key = ?"
_NEWEST = """
update answers set newest = true from (
    select document_id, analysis, arg_max(run_key, (ended, run_key)) as run_key from answers group by all
) as last where answers.document_id = last.document_id and answers.analysis = last.analysis
    and answers.run_key = last.run_key;
"""
_GONE = """
update answers set deleted = true from (
    select document_id from documents join runs using (run_key) group by document_id
    having arg_max(change, (ended, run_key)) = 'deleted'
) as gone where answers.document_id = gone.document_id;
"""


@dataclass(frozen=True, slots=True)
class Line:
    """One answer or failure in a list. `words` are the beginning of the answer; `cut` says that there are more."""

    key: Key
    uri: str
    name: str
    title: str | None
    language: str | None
    labels: list[str]
    words: str | None
    cut: bool
    reason: str | None
    cost_usd: Decimal | None
    input_tokens: int | None
    output_tokens: int | None
    deleted: bool
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Choices:
    """What filters may be set to, each with how many newest rows it finds; runs with all of theirs."""

    analyses: dict[str, int]
    labels: dict[str, int]
    reasons: dict[str, int]
    languages: dict[str, int]
    runs: dict[str, int]


class Index:
    """Searches over one file. Any number of threads may ask at the same time."""

    def __init__(self, file: Path) -> None:
        settings = {"memory_limit": MEMORY, "threads": str(THREADS), "temp_directory": str(file.parent)}
        self._base = duckdb.connect(str(file), config={**settings, "python_enable_replacements": "false"})

    def close(self) -> None:
        self._base.close()

    def count(self, search: Search) -> int:
        return int(self._select("count(*)", *search.condition())[0][0])

    def lines(self, search: Search, limit: int, after: Key | None = None, *, before: bool = False) -> list[Line]:
        """The first lines, or those next to a row: after it, or before it.

        A row that is not there is taken for none.
        """
        condition, values = search.condition()
        order = (f"({SORT[search.order]})", "uri", "analysis", "run_key")
        place = self._select(", ".join(order), _IS, _of(after)) if after else []
        if place:
            condition += f" and ({', '.join(order)}) {'<' if before else '>'} (?, ?, ?, ?)"
            values += [*place[0]]
        by = ", ".join(f"{one} desc" if before else one for one in order)
        rows = [_line(row) for row in self._select(_LINE, condition, values, f"order by {by} limit {limit}")]
        return rows[::-1] if before else rows

    def siblings(self, key: Key) -> list[Line]:
        """The newest rows of the same document in all analyses."""
        rows = self._select(_LINE, "document_id = ? and newest", [key.document_id], "order by analysis")
        return [_line(row) for row in rows]

    def find(self, key: Key) -> Line | None:
        rows = self._select(_LINE, _IS, _of(key))
        return _line(rows[0]) if rows else None

    def has(self, key: Key) -> bool:
        return self.find(key) is not None

    def answer(self, key: Key) -> str | None:
        """The answer as JSON; None for a failure."""
        rows = self._select("answer", _IS, _of(key))
        return str(rows[0][0]) if rows and rows[0][0] is not None else None

    @cached_property
    def choices(self) -> Choices:
        return Choices(
            self._counted("analysis", "newest"),
            self._counted("unnest(labels)", "newest"),
            self._counted("reason", "newest and reason is not null"),
            self._counted("language", "newest and language is not null"),
            self._counted("run_key", "true", "max(ended) desc"),
        )

    def mark(self, labels: Iterable[Label]) -> None:
        """Note what labels say of the rows with the same document, analysis and text; of several, the last one's."""
        found = (
            "select document_id, analysis, run_key, answer from answers "
            "where document_id = ? and analysis = ? and content_hash = ? and answer is not null"
        )
        noted = f"update answers set verdict = ? where {_IS}"  # noqa: S608 - ours
        with self._base.cursor() as cursor:
            for label in labels:
                for *key, answer in cursor.execute(found, [*label.about]).fetchall():
                    cursor.execute(noted, [label.on(canonical(json.loads(answer))), *key])

    def _counted(self, what: str, condition: str, order: str = "name") -> dict[str, int]:
        inner = f"select {what} as name, ended from answers where {condition}"  # noqa: S608 - ours
        query = f"select name, count(*) from ({inner}) group by name order by {order}"  # noqa: S608 - ours
        return {str(name): int(count) for name, count in self._rows(query, [])}

    def _select(self, what: str, condition: str, values: Sequence[object], then: str = "") -> list[tuple[Any, ...]]:
        return self._rows(f"select {what} from answers where {condition} {then}", values)  # noqa: S608 - names are ours

    def _rows(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        with self._base.cursor() as cursor:
            return cursor.execute(query, values).fetchall()


def build(catalog: Catalog, file: Path, label_properties: Mapping[str, str | None]) -> None:
    """Write the index of what is published; `label_properties` names, by analysis, the column that holds its labels.

    Raises StorageError, also where files leave while they are read, since their run is being withdrawn.
    """
    try:
        _build(catalog, file, label_properties)
    except duckdb.Error as error:  # its text may be that of a document
        kind = type(error).__name__
        told = f"{catalog.place.uri}: the tables cannot be read as they are now ({kind}); try again in a moment"
        raise StorageError(told) from None


def _build(catalog: Catalog, file: Path, label_properties: Mapping[str, str | None]) -> None:
    with open_views(catalog) as views:
        views.execute(f"set memory_limit = '{MEMORY}'; set threads = {THREADS}; set preserve_insertion_order = false")
        views.execute(f"set temp_directory = '{_quoted(file.parent)}'")
        views.execute(f"attach '{_quoted(file)}' as kept; create table kept.answers ({_COLUMNS})")
        tables = [str(row[0]) for row in views.execute("show tables").fetchall()]
        if "runs" not in tables:
            return
        about = _about_documents(views)
        for table in catalog.tables():
            if table in tables and is_analysis(table):
                views.execute(_results(views, table, label_properties.get(table), about))
        if "failures" in tables:
            views.execute(_failures(about))
        views.execute(_NEWEST.replace("answers", "kept.answers", 1).replace("from answers", "from kept.answers"))
        if "change" in _columns(views, "documents"):
            views.execute(_GONE.replace("answers", "kept.answers", 1))
        views.execute("detach kept")


def _about_documents(views: duckdb.DuckDBPyConnection) -> str:
    """What `documents` knows of each; a table that an older version made lacks some of it."""
    has = _columns(views, "documents")
    wanted = [name if name in has else f"null::varchar as {name}" for name in ("title", "language")]
    return f"(select document_id, run_key, {', '.join(wanted)} from documents)"  # noqa: S608 - names are ours


def _results(views: duckdb.DuckDBPyConnection, table: str, label_property: str | None, about: str) -> str:
    has = _columns(views, table)
    columns = {name: kind for name, kind in has.items() if name not in PROVENANCE}
    labels = "null"
    if label_property in columns:
        labels = f'"{label_property}"' if columns[label_property].endswith("[]") else f'["{label_property}"]'
    texts = ", ".join(["null", *(_words(name, kind) for name, kind in columns.items() if name != label_property)])
    fields = ", ".join(f'"{name}" := rows."{name}"' for name in columns)
    own_labels = f"case when list_aggregate({labels}, 'count') > 0 then {labels} end"
    lacking = [f"null::{kind} as {name}" for name, kind in _OPTIONAL.items() if name not in has]
    return _insertion(
        f'(select {", ".join(["*", *lacking])} from "{table}")',  # noqa: S608 - names are ours
        about,
        analysis=f"'{table}'",
        labels=own_labels,
        text=f"nullif(concat_ws(' · ', {texts}), '')",
        answer=f"to_json(struct_pack({fields}))",
        rest="content_hash, truncated, null as reason",
    )


def _failures(about: str) -> str:
    rest = "null as content_hash, null as truncated, reason"
    return _insertion("failures", about, "analysis", "null::varchar[]", "detail", "null", rest)


def _insertion(table: str, about: str, analysis: str, labels: str, text: str, answer: str, rest: str) -> str:
    """The rows of a published table as those of the index; `found` is what searches look at."""
    return f"""
        insert into kept.answers by name
        with told as (
            select document_id, uri, {_NAME} as name, title, language, {analysis} as analysis, run_key, ended,
                {labels} as labels, {text} as text, {answer} as answer, {rest},
                cost_usd, input_tokens, output_tokens, false as newest, false as deleted
            from {table} as rows join (select run_key, ended from runs) using (run_key)
            left join {about} using (document_id, run_key)
        )
        select * exclude (text), left(text, {SHOWN_CHARACTERS + 1}) as words,
            concat_ws(' ', uri, name, title, array_to_string(labels, ' '), text) as found
        from told
    """  # noqa: S608 - names of analyses and columns are identifiers


# As people read it; what is not UTF-8 stays as it is.
_NAME = "case when starts_with(uri, 'file:') then coalesce(try(url_decode(uri)), uri) else uri end"


def _words(name: str, kind: str) -> str:
    """A column as text: what a list holds, one after the other; anything else as DuckDB writes it."""
    return f"array_to_string(rows.\"{name}\", ' · ')" if kind == "VARCHAR[]" else f'rows."{name}"::varchar'


def _columns(views: duckdb.DuckDBPyConnection, table: str) -> dict[str, str]:
    return {str(row[0]): str(row[1]) for row in views.execute(f'describe "{table}"').fetchall()}


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _of(key: Key) -> list[object]:
    return [key.document_id, key.analysis, key.run_key]


def _line(row: tuple[Any, ...]) -> Line:
    key, (uri, name, title, language, labels, *rest) = Key(*row[:3]), row[3:]
    words, cut, reason, cost, tokens_in, tokens_out, deleted, verdict = rest
    said = Verdict(verdict) if verdict else None
    about = (uri, name, title, language, list(labels or []), words, bool(cut), reason)
    return Line(key, *about, cost, tokens_in, tokens_out, deleted, said)

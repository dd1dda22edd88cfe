"""The figures of one run, counted by DuckDB over its published rows; what comes back is small, whatever the run was."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from itertools import product
from typing import TYPE_CHECKING, Any

from pipeline.catalog.reading import committed_runs, open_views, refuse_unknown
from pipeline.declared import PROVENANCE
from pipeline.domain import Change
from pipeline.money.costs import Amount
from pipeline.reports.figures import (
    Arrivals,
    Ends,
    Example,
    FailureKind,
    Labels,
    Named,
    RunFigures,
    Sample,
    SentRound,
    Share,
    Spread,
    Stream,
)
from pipeline.schemas.views import LATEST, is_analysis

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

    from pipeline.catalog import Catalog

MEMORY, THREADS = "300MB", 2  # DuckDB keeps to this and spills to disk beyond it
EARLIER_RUNS = 5
MOST_NAMED = 10  # documents in a list of those that stand out
MOST_EXAMPLES = 3
MOST_LABELS, LONGEST_LABEL = 20, 40  # a column of text with more values, or longer ones, holds no labels
MOST_CHARACTERS = 600  # of one value of a sample
MOST_POINTS = 5  # of a list in a sample
SIZES = (0, 1_000, 4_000, 16_000, 64_000, 256_000, 1_000_000)  # from so many bytes on
# documents.change as Arrivals calls it; a version that did not compare took every document for new.
ARRIVALS = {Change.NEW: "new", None: "new", Change.CHANGED: "changed", Change.UNCHANGED: "again"}
_AMOUNT = "count(*), coalesce(sum(cost_usd), 0), count(*) - count(cost_usd)"


def run_figures(catalog: Catalog, run_key: str, samples: int) -> RunFigures:
    """The figures of a published run, with those of the runs that ended before it. Raises ObjectMissing.

    `samples` are the results of each analysis to be shown; the same ones every time.
    """
    refuse_unknown(catalog, "runs", run_key)
    runs = committed_runs(catalog)
    before = runs[: runs.index(run_key)][-EARLIER_RUNS:]
    with open_views(catalog, run_keys=[*before, run_key]) as views:
        prepare(views)
        return _Counting(views, run_key, before[::-1]).figures(samples)


def prepare(views: DuckDBPyConnection) -> None:
    """Bounded memory; order where a query says so and nowhere else."""
    views.execute(f"SET memory_limit = '{MEMORY}'; SET threads = {THREADS}; SET preserve_insertion_order = false")


class _Counting:
    """The views of a run and of the few before it."""

    def __init__(self, views: DuckDBPyConnection, run_key: str, earlier: Sequence[str]) -> None:
        self._views, self._run_key, self._earlier = views, run_key, tuple(earlier)
        tables = {str(row[0]) for row in views.execute("show tables").fetchall()}
        self._analyses = sorted(name for name in tables if is_analysis(name) and not name.endswith(LATEST))
        self._columns = {name: column_types(views, name) for name in tables if not name.endswith(LATEST)}
        views.execute(self._ends_view())

    def figures(self, samples: int) -> RunFigures:
        row = self._row()
        arrivals, ends = self._arrivals(row["documents"]), tuple(_ends(one) for one in row["analyses"] or ())
        return RunFigures(
            row,
            self._earlier,
            arrivals,
            ends,
            tuple(self._streams(arrivals, ends)),
            tuple(self._rounds()),
            tuple(self._shares()),
            tuple(self._spreads()),
            tuple(found for name in self._analyses for found in label_counts(self._views, name, self._runs)),
            tuple(self._named("input_tokens")),
            tuple(self._named("cost_usd")),
            tuple(self._failures()),
            tuple(one for name in self._analyses for one in self._samples(name, samples)),
        )

    @property
    def _runs(self) -> list[str]:
        return [self._run_key, *self._earlier]

    def _ask(self, query: str) -> list[tuple[Any, ...]]:
        named = {"run_key": self._run_key} if "$run_key" in query else {}
        return self._views.execute(query, named).fetchall()

    def _of(self, table: str, name: str, kind: str = "VARCHAR") -> str:
        """A column, or null where the table is of a version that had none."""
        return name if name in self._columns.get(table, {}) else f"NULL::{kind} AS {name}"

    def _row(self) -> dict[str, Any]:
        found = self._views.execute("select * from runs where run_key = ?", [self._run_key])
        names = [str(one[0]) for one in found.description or ()]
        return dict(zip(names, found.fetchall()[0], strict=True))

    def _ends_view(self) -> str:
        """Every result and failure of the run, with the size and language of its document."""
        needed = "document_id, uri, input_tokens, output_tokens, cost_usd, run_key"
        tables = [("analysis", name) if name == "failures" else (f"'{name}'", name) for name in self._with_ends()]
        start = "select {} as analysis, '{}' as source, " + needed
        parts = [f'{start.format(analysis, name)} from "{name}"' for analysis, name in tables]
        key = self._run_key.replace("'", "''")
        columns = [self._of("documents", *one) for one in (("size_bytes", "BIGINT"), ("language",), ("change",))]
        about = ", ".join(["document_id", *columns])
        return f"""
            create temp view ends as
            select ends.*, size_bytes, language, change from ({" union all ".join(parts)}) as ends
            left join (select {about} from documents where run_key = '{key}') using (document_id)
            where ends.run_key = '{key}'
        """  # noqa: S608 - names of analyses are identifiers, and a quote in a key is doubled

    def _with_ends(self) -> list[str]:
        return [*self._analyses, *(["failures"] if "failures" in self._columns else [])]

    def _arrivals(self, documents: int) -> Arrivals:
        change = self._of("documents", "change")
        query = f"""
            select change, count(*) from (select {change} from documents where run_key = $run_key)
            where change is distinct from '{Change.DELETED}' group by change
        """  # noqa: S608 - ours
        found = dict(self._ask(query))
        came = Counter({"new": 0, "changed": 0, "again": 0})
        for change, count in found.items():
            came[ARRIVALS[change]] += int(count)
        return Arrivals(**came, unread=documents - came.total())

    def _streams(self, arrivals: Arrivals, ends: Sequence[Ends]) -> Iterator[Stream]:
        """By the rows; what came in and has neither result nor failure is unchanged."""
        query = "select change, analysis, if(source = 'failures', source, 'results'), count(*) from ends group by all"
        found: Counter[tuple[str, str, str]] = Counter()
        for change, analysis, end, count in self._ask(query):
            found[ARRIVALS[change], analysis, end] += count
        for arrival, one in product(("new", "changed", "again", "unread"), ends):
            results, failures = (found[arrival, one.analysis, end] for end in ("results", "failures"))
            rest = max(0, getattr(arrivals, arrival) - results - failures)
            for end, count in (("results", results), ("failures", failures), ("unchanged", rest)):
                if count:
                    yield Stream(arrival, one.analysis, end, count)

    def _rounds(self) -> list[SentRound]:
        if "ledger" not in self._columns:
            return []
        used = self._of("ledger", "used", "BOOLEAN")
        query = f"""
            select round, mode, count(*) filter (status = 'answered'), count(*) filter (not used),
                coalesce(sum(input_tokens), 0), coalesce(sum(output_tokens), 0), {_AMOUNT}
            from (select round, mode, status, input_tokens, output_tokens, cost_usd, {used}
                  from ledger where run_key = $run_key)
            group by round, mode order by round, mode
        """  # noqa: S608 - every part is ours
        return [
            SentRound(number, mode, counts[0], answered, unused, int(into), int(out), _amount(counts))
            for number, mode, answered, unused, into, out, *counts in self._ask(query)
        ]

    def _shares(self) -> list[Share]:
        query = f"""
            select analysis, language, count(distinct document_id), {_AMOUNT} from ends
            group by analysis, language order by analysis, language nulls last
        """  # noqa: S608 - ours
        return [Share(name, language, int(n), _amount(rest)) for name, language, n, *rest in self._ask(query)]

    def _spreads(self) -> list[Spread]:
        floors = " ".join(f"when size_bytes >= {size} then {size}" for size in SIZES[::-1])
        quantiles = ", ".join(f"quantile_cont(tokens, {one})" for one in (0.1, 0.5, 0.9))
        query = f"""
            select above, count(*), {quantiles}
            from (select case {floors} end as above, sum(input_tokens) as tokens from ends
                  group by document_id, size_bytes having sum(input_tokens) > 0)
            where above is not null group by above order by above
        """  # noqa: S608 - ours
        return [Spread(*(round(value) for value in row)) for row in self._ask(query)]

    def _named(self, by: str) -> list[Named]:
        """A sum is null where nothing of it is known, or a part of a cost is not."""
        whole = "case when count(cost_usd) = count(*) then sum(cost_usd) end"
        query = f"""
            select document_id, any_value(uri), any_value(size_bytes), sum(input_tokens) as input_tokens,
                sum(output_tokens), {whole} as cost_usd
            from ends group by document_id having {"sum(input_tokens)" if by == "input_tokens" else whole} > 0
            order by {by} desc, document_id limit {MOST_NAMED}
        """  # noqa: S608 - ours
        return [
            Named(one, uri, size, _whole(into), _whole(out), cost)
            for one, uri, size, into, out, cost in self._ask(query)
        ]

    def _failures(self) -> list[FailureKind]:
        if "failures" not in self._columns:
            return []
        advice = self._of("failures", "advice")
        query = f"""
            select reason, count(*), count(distinct document_id), list_sort(list(distinct analysis)), min(advice),
                list_sort(arg_min(struct_pack(document_id := document_id, uri := uri, detail := detail),
                    (document_id, analysis), {MOST_EXAMPLES * 20}))
            from (select document_id, uri, analysis, reason, detail, {advice} from failures where run_key = $run_key)
            group by reason order by count(*) desc, reason
        """  # noqa: S608 - ours
        return [
            FailureKind(reason, int(n), int(documents), tuple(analyses), text, _examples(found))
            for reason, n, documents, analyses, text, found in self._ask(query)
        ]

    def _samples(self, analysis: str, most: int) -> list[Sample]:
        """By the hash of the document_id: neither the first by name nor others at each look."""
        answer = answer_columns(self._columns[analysis])
        if not most or not answer:
            return []
        names = ", ".join(f'"{name}"' for name in answer)
        query = f"""
            select uri, input_tokens, output_tokens, cost_usd, {names} from "{analysis}" where run_key = $run_key
            order by md5(document_id), document_id limit {int(most)}
        """  # noqa: S608 - names are identifiers
        return [
            Sample(analysis, uri, tuple((one, shown(value)) for one, value in zip(answer, values, strict=True)), *spent)
            for uri, *spent, values in ((*row[:4], row[4:]) for row in self._ask(query))
        ]


def column_types(views: DuckDBPyConnection, table: str) -> dict[str, str]:
    return {str(row[0]): str(row[1]) for row in views.execute(f'describe "{table}"').fetchall()}


def answer_columns(columns: dict[str, str]) -> list[str]:
    """Those that an analysis declared, in their order."""
    return [name for name in columns if name not in PROVENANCE]


def label_counts(views: DuckDBPyConnection, analysis: str, runs: Sequence[str]) -> list[Labels]:
    """Of each column of text that has only a few short values over these runs; others are no labels."""
    texts = [
        name for name, kind in column_types(views, analysis).items() if kind == "VARCHAR" and name not in PROVENANCE
    ]
    found = (_column_counts(views, analysis, column, runs) for column in texts)
    return [one for one in found if one is not None]


def _column_counts(views: DuckDBPyConnection, analysis: str, column: str, runs: Sequence[str]) -> Labels | None:
    scope = f'from "{analysis}" where run_key in (select unnest($runs)) and "{column}" is not null'
    few = f"""
        select label, count(*) from (select "{column}" as label {scope})
        group by label order by count(*) desc, label limit {MOST_LABELS + 1}
    """  # noqa: S608 - names are identifiers
    labels = [str(row[0]) for row in views.execute(few, {"runs": list(runs)}).fetchall()]
    if not labels or len(labels) > MOST_LABELS or max(map(len, labels)) > LONGEST_LABEL:
        return None
    query = f'select run_key, "{column}", count(*) {scope} group by all'
    counted: dict[str, dict[str, int]] = {}
    for run_key, label, rows in views.execute(query, {"runs": list(runs)}).fetchall():
        counted.setdefault(run_key, dict.fromkeys(labels, 0))[label] = int(rows)
    return Labels(analysis, column, {run: counted[run] for run in runs if run in counted})


def shown(value: Any) -> str:
    """A value of an answer as text, cut where it is long."""
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return "\n".join(f"• {shown(one)}" for one in value[:MOST_POINTS])
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False, default=str)
    text = "null" if value is None else f"{value:f}" if isinstance(value, Decimal) else str(value)
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 1] + "…"


def _ends(one: dict[str, Any]) -> Ends:
    return Ends(one["analysis"], one["results"], one["failures"], one["unchanged"], one["cost_usd"])


def _amount(counts: Sequence[Any]) -> Amount:
    return Amount(int(counts[0]), Decimal(counts[1]), int(counts[2]))


def _whole(value: Any) -> int | None:
    return None if value is None else int(value)


def _examples(found: Sequence[dict[str, Any]]) -> tuple[Example, ...]:
    """One a document."""
    by_document = {one["document_id"]: one for one in reversed(found)}
    kept = sorted(by_document)[:MOST_EXAMPLES]
    return tuple(Example(one, by_document[one]["uri"], by_document[one]["detail"]) for one in kept)

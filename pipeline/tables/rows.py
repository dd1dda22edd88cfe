"""Rows of a table before they are read: narrowed down, then given to whichever library asks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from pipeline.catalog.reading import condition
from pipeline.errors import SettingsError

if TYPE_CHECKING:
    import polars as pl
    from duckdb import DuckDBPyRelation


@dataclass(frozen=True)
class Rows:
    """What a query would give. Nothing is read before one of `arrow`, `pandas`, `polars` or `batches` is called.

    Types stay in all of them: money is decimal, times are UTC and say so, whole numbers stay whole beside a null.
    """

    relation: DuckDBPyRelation
    said: str | None = None  # the condition that somebody wrote

    @property
    def columns(self) -> list[str]:
        return list(self.relation.columns)

    def where(self, condition_: str) -> Rows:
        """The rows for which a condition in DuckDB's SQL holds. Raises SettingsError, also when the rows are read."""
        with condition(condition_, self.columns):
            return replace(self, relation=self.relation.filter(condition_), said=condition_)

    def limit(self, count: int) -> Rows:
        return replace(self, relation=self.relation.limit(count))

    def duckdb(self) -> DuckDBPyRelation:
        """A relation of DuckDB, to go on with; it ends with the tables that it was opened from."""
        return self.relation

    def arrow(self) -> pa.Table:
        with self._reading():
            found: pa.Table = self.relation.to_arrow_table()
        return found

    def batches(self, rows: int = 20_000) -> Iterator[pa.RecordBatch]:
        """A piece at a time, for tables that do not fit into memory."""
        with self._reading():
            yield from self.relation.to_arrow_reader(rows)

    def pandas(self) -> Any:
        """With Arrow's types, since NumPy's make money binary fractions, and counts beside a null as well."""
        return self.arrow().to_pandas(types_mapper=_imported("pandas").ArrowDtype)

    def polars(self) -> pl.DataFrame:
        found: pl.DataFrame = _imported("polars").from_arrow(self.arrow())
        return found

    def _reading(self) -> AbstractContextManager[None]:
        return condition(self.said, self.columns)


def _imported(library: str) -> Any:
    """A library that docbatch does without. Raises SettingsError saying what to install."""
    try:
        return import_module(library)
    except ModuleNotFoundError:
        raise SettingsError(f"{library} is not installed here; install it: python -m pip install {library}") from None

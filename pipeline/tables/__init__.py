"""The published tables for analysts: as pandas, Arrow, polars or DuckDB, as they are or were at some run or time."""

from pipeline.tables.opening import Tables, open_tables
from pipeline.tables.rows import Rows

open = open_tables  # noqa: A001 - `tables.open(...)` is what it does

__all__ = ["Rows", "Tables", "open"]

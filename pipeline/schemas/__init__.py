"""The schemas of the published tables, an example of every column, and the views over them in SQL."""

from pipeline.schemas.columns import FIXED, GOLD, GOLD_ABOUT, GOLD_TABLE, TIME, USD, Column, null_when
from pipeline.schemas.tables import SECOND_EXACT, arrow_schema, arrow_type, money, result_columns, table_schemas

__all__ = [
    "FIXED",
    "GOLD",
    "GOLD_ABOUT",
    "GOLD_TABLE",
    "SECOND_EXACT",
    "TIME",
    "USD",
    "Column",
    "arrow_schema",
    "arrow_type",
    "money",
    "null_when",
    "result_columns",
    "table_schemas",
]

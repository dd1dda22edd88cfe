"""Opening tables from Python: whose types stay, which rows there are, and what is said when something is not there."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from decimal import Decimal

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from pipeline import tables
from pipeline.errors import DocbatchError, ObjectMissing, SettingsError
from pipeline.tables import Tables
from tests.world import World

USD, MOMENT = pa.decimal128(20, 10), pa.timestamp("us", "UTC")


def test_every_library_gets_the_same_rows_with_their_types(opened: Tables) -> None:
    """Money is decimal and adds up to the last digit, times have their zone, whole numbers stay whole beside a null."""
    arrow, pandas, polars = (getattr(opened["runs"], name)() for name in ("arrow", "pandas", "polars"))
    assert (arrow.schema.field("cost_usd").type, arrow.schema.field("ended").type) == (USD, MOMENT)
    assert isinstance(pandas, pd.DataFrame)
    assert pandas.dtypes[["cost_usd", "ended", "units"]].tolist() == [
        pd.ArrowDtype(kind) for kind in (USD, MOMENT, pa.int32())
    ]
    assert isinstance(polars, pl.DataFrame)
    assert polars.schema["cost_usd"] == pl.Decimal(20, 10)
    assert polars.schema["ended"] == pl.Datetime("us", "UTC")
    total = sum(arrow["cost_usd"].to_pylist(), Decimal(0))
    assert total > 0
    assert pandas["cost_usd"].sum() == polars["cost_usd"].sum() == total
    assert opened["runs"].duckdb().sum("cost_usd").fetchall() == [(total,)]
    assert opened.sql("select sum(cost_usd) from ledger").arrow().to_pydict() == {"sum(cost_usd)": [total]}
    assert sum(piece.num_rows for piece in opened["ledger"].batches(2)) == opened["ledger"].arrow().num_rows


def test_history_latest_and_a_run(opened: Tables) -> None:
    """A table has the rows of all runs, its latest one for each document, and a run its own."""
    history = opened["classification"].arrow()
    latest = opened.latest("classification").arrow()
    assert len(set(history["run_key"].to_pylist())) == 2  # the third night found nothing new but an empty document
    assert len(latest) == len(set(history["document_id"].to_pylist())) < len(history)
    monday = opened.table("classification", run_key="monday").arrow()
    assert set(monday["run_key"].to_pylist()) == {"monday"}
    assert opened.table("classification").arrow().equals(history)


def test_narrowed_before_it_is_read(opened: Tables) -> None:
    """A condition and a limit are DuckDB's; what is wrong with a condition is said with the columns that there are."""
    rows = opened["documents"].where("change = 'new' and failure is null").limit(3)
    assert rows.arrow().num_rows == 3
    for wrong in ("nope = 1", "change = ", "size_bytes = 'many'"):
        with pytest.raises(SettingsError, match=r"(?s)where = .*columns are document_id, uri, "):
            opened["documents"].where(wrong).arrow()


def test_as_of_a_run_and_a_time(world: World, opened: Tables) -> None:
    """Runs that ended later are not there, in no table and in no newest row."""
    (ended,) = opened.sql("select ended from runs where run_key = 'monday'").arrow()["ended"].to_pylist()
    for as_of in ("monday", ended, ended + dt.timedelta(hours=1), f"{ended + dt.timedelta(hours=1):%Y-%m-%dT%H:%M%z}"):
        with tables.open(str(world.output), as_of=as_of) as then:
            assert then.runs == ["monday"]
            assert then["runs"].arrow()["run_key"].to_pylist() == ["monday"]
            latest = then.latest("sentiment").arrow().to_pylist()
            assert {(row["run_key"], row["deleted"], row["current_prompt"]) for row in latest} == {
                ("monday", False, True)
            }
            assert len(latest) == 6
    with tables.open(world.output, as_of=ended - dt.timedelta(seconds=1)) as before:
        assert (before.names, before.runs) == ([], [])


@pytest.mark.parametrize(
    ("read", "kind", "said"),
    [
        (
            lambda found: found["sentimant"],
            ObjectMissing,
            "sentimant: nothing is published there; published tables",
        ),
        (lambda found: found["runs_latest"], ObjectMissing, "nothing is published there"),
        (lambda found: found.latest("moods"), ObjectMissing, "moods: nothing is published there"),
        (lambda found: found.latest("ledger"), SettingsError, "ledger: is no analysis.* classification, doc"),
        (lambda found: found.table("ledger", run_key="sunday"), ObjectMissing, "published runs are monday, tuesday"),
    ],
)
def test_what_is_not_there_is_told(opened: Tables, read: object, kind: type[DocbatchError], said: str) -> None:
    """Names that are wrong are answered with those that are right."""
    assert callable(read)
    with pytest.raises(kind, match=said):
        read(opened)


WITHOUT = """
import sys
class NotInstalled:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in ("pandas", "polars"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, NotInstalled)
from pipeline import errors, tables
opened = tables.open(sys.argv[1])
rows = opened["runs"]
rows.arrow()
for read in (rows.pandas, rows.polars):
    try:
        read()
    except errors.SettingsError as error:
        print(error)
"""


def test_a_library_that_is_missing_is_named(world: World) -> None:
    """pandas and polars are imported when somebody asks for them, and an error says what to install."""
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, str(world.output)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        f"{name} is not installed here; install it: python -m pip install {name}" for name in ("pandas", "polars")
    ]

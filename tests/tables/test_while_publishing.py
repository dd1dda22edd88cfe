"""Analysts read while another process publishes: whichever library they use, a run is there whole or not at all."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest
from pyiceberg.catalog.sql import SqlCatalog

from pipeline import tables
from tests.world import World

NIGHTS, DOCUMENTS = 4, 6
Seen = Counter[str]
"""How many rows of the analysis a reader found of each run that `runs` had."""

PUBLISHER = f"""
import sys
from pathlib import Path
import tests.conftest
from tests.world import World
world = World(Path(sys.argv[1]), analyses=("sentiment",))
world.put_many({DOCUMENTS})
for number in range({NIGHTS}):
    world.run(f"night {{number}}".replace(" ", "-"), force=True)
    print("published", flush=True)
    sys.stdin.readline() if number == 0 else None
"""


def by_tables(output: Path) -> Seen:
    """The reading API: one moment for all tables."""
    with tables.open(output) as opened:
        runs, rows = opened["runs"].arrow()["run_key"], opened["sentiment"].arrow()["run_key"]
    return counted(runs.to_pylist(), rows.to_pylist())


def by_pandas(output: Path) -> Seen:
    """The plain folders, `runs` first."""
    runs = pd.read_parquet(output / "tables/runs")
    return counted(runs["run_key"], pd.read_parquet(output / "tables/sentiment")["run_key"])


def by_duckdb(output: Path) -> Seen:
    """The plain folders in two queries, `runs` first."""
    runs, rows = (
        [key for (key,) in duckdb.sql(f"select run_key from '{output}/tables/{name}/*/*.parquet'").fetchall()]
        for name in ("runs", "sentiment")
    )
    return counted(runs, rows)


def loaded(output: Path) -> SqlCatalog:
    return SqlCatalog("docbatch", uri=f"sqlite:///{output}/catalog/catalog.db")


def by_pyiceberg(output: Path) -> Seen:
    catalog = loaded(output)
    runs, rows = (
        catalog.load_table(f"docbatch.{name}").scan(selected_fields=("run_key",)).to_arrow()["run_key"].to_pylist()
        for name in ("runs", "sentiment")
    )
    return counted(runs, rows)


def by_polars(output: Path) -> Seen:
    """Through Iceberg."""
    catalog = loaded(output)
    runs, rows = (
        pl.scan_iceberg(catalog.load_table(f"docbatch.{name}")).select("run_key").collect()["run_key"].to_list()
        for name in ("runs", "sentiment")
    )
    return counted(runs, rows)


def counted(runs: Iterator[str] | list[str], rows: Iterator[str] | list[str]) -> Seen:
    known = set(runs)
    return Counter(dict.fromkeys(known, 0) | Counter(row for row in rows if row in known))


READERS: list[Callable[[Path], Seen]] = [by_tables, by_pandas, by_duckdb, by_pyiceberg, by_polars]


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Seen]]:
    """What each reader saw, taking turns from the first night on until the publisher had ended."""
    folder = tmp_path_factory.mktemp("published") / "world"
    pipe = subprocess.PIPE
    publisher = subprocess.Popen(
        [sys.executable, "-c", PUBLISHER, str(folder)], stdin=pipe, stdout=pipe, stderr=pipe, text=True
    )
    assert publisher.stdin
    assert publisher.stdout
    assert publisher.stdout.readline() == "published\n", publisher.stderr and publisher.stderr.read()
    seen: dict[str, list[Seen]] = {read.__name__: [read(folder / "output")] for read in READERS}
    publisher.stdin.write("go\n")
    publisher.stdin.flush()
    while publisher.poll() is None:
        for read in READERS:
            seen[read.__name__].append(read(folder / "output"))
    assert publisher.returncode == 0, publisher.stderr and publisher.stderr.read()
    for read in READERS:
        seen[read.__name__].append(read(folder / "output"))
    return seen


@pytest.mark.parametrize("reader", [read.__name__ for read in READERS])
def test_never_half_a_run(looks: dict[str, list[Seen]], reader: str) -> None:
    """Of every run that a reader found in `runs`, it found every row; and it looked before, between and after."""
    found = looks[reader]
    assert {count for seen in found for count in seen.values()} == {DOCUMENTS}
    runs = [len(seen) for seen in found]
    assert runs == sorted(runs)
    assert (runs[0], runs[-1]) == (1, NIGHTS)
    assert len(runs) > NIGHTS


def test_half_a_run_would_be_seen(tmp_path: Path) -> None:
    """A run whose row in `runs` comes before its other rows is found by every reader to be short of them."""
    world = World(tmp_path / "world", analyses=("sentiment",))
    world.put_many(DOCUMENTS)
    world.run("whole")
    with world.services.catalog(world.output.as_uri()) as catalog:
        catalog.withdraw("sentiment", "whole")
    for path in (world.output / "tables/sentiment").rglob("*.parquet"):
        short = pd.read_parquet(path).head(1).assign(run_key="another")
        short.to_parquet(path)
    assert {read.__name__: set(read(world.output).values()) for read in READERS} == {
        read.__name__: {0} for read in READERS
    }

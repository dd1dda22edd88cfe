"""Whatever is published, withdrawn, compacted and swept in whatever order: the tables are as without compacting."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import tempfile
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.catalog.compacting import compact
from pipeline.catalog.reading import committed_runs, read_table
from pipeline.catalog.sweeping import sweep
from pipeline.schemas import arrow_schema
from tests.published import MOOD, START, TABLES, Output

KEYS = ("a", "b", "c", "d", "e")
LATER = START + dt.timedelta(days=365)
Moods = dict[str, list[str]]

publish = st.tuples(st.just("publish"), st.sampled_from(KEYS), st.integers(1, 3))
withdraw = st.tuples(st.just("withdraw"), st.sampled_from(KEYS), st.just(0))
bring_back = st.tuples(st.just("bring back"), st.sampled_from(KEYS), st.just(0))
compacting = st.tuples(st.just("compact"), st.sampled_from(KEYS), st.integers(1, 3))
tidy = st.tuples(st.just("tidy"), st.just(""), st.just(0))
Act = tuple[str, str, int]
acts = st.lists(
    st.one_of(publish, publish, withdraw, bring_back, compacting, compacting, tidy), min_size=4, max_size=14
)


class Scene:
    """An output, and what its tables must hold."""

    def __init__(self, folder: Path) -> None:
        self.output, self.folder = Output(folder / "output"), folder
        self.expected: Moods = {}
        self.aside: Moods = {}

    def play(self, act: Act) -> None:
        what, run_key, number = act
        if what == "publish" and run_key not in self.aside:
            self.publish(run_key, [f"{run_key}-{number}-{place}" for place in range(number)])
        elif what == "withdraw" and run_key in self.expected:
            self.withdraw(run_key)
            self.aside[run_key] = self.expected.pop(run_key)
        elif what == "bring back" and run_key in self.aside:
            self.publish(run_key, self.aside.pop(run_key))
        elif what == "compact":
            with self.output.catalog() as catalog:
                compact(catalog, self.output.store, START + dt.timedelta(days=KEYS.index(run_key)), number)
        elif what == "tidy":
            self.tidy()

    def publish(self, run_key: str, moods: list[str]) -> None:
        """As publishing does: a run that is there already is withdrawn before."""
        if run_key in self.expected:
            with self.output.catalog() as catalog:
                for table in ("runs", "mood"):
                    catalog.withdraw(table, run_key)
        self.output.commit("mood", run_key, [{"document_id": one, "uri": one, "mood": one} for one in moods])
        self.output.commit("runs", run_key, [{"ended": START + dt.timedelta(days=KEYS.index(run_key))}])
        self.expected[run_key] = moods

    def withdraw(self, run_key: str) -> None:
        with self.output.catalog() as catalog:
            for table in ("runs", "mood"):
                assert catalog.files(table, run_key) == [f"tables/{table}/{run_key}/part-0000.parquet"]
                catalog.withdraw(table, run_key)
                shutil.rmtree(self.output.folder / "tables" / table / run_key)

    def tidy(self) -> None:
        for path in self.output.folder.rglob("*"):
            os.utime(path, (START.timestamp() + 60,) * 2)
        with self.output.catalog() as catalog:
            for table in catalog.tables():
                catalog.expire(table, dt.datetime.now(dt.UTC) + dt.timedelta(hours=1))
            sweep(catalog, self.output.store, LATER)

    def check(self) -> None:
        expected = {(run_key, mood) for run_key, moods in self.expected.items() for mood in moods}
        with self.output.catalog() as catalog:
            assert committed_runs(catalog) == sorted(self.expected)
            if not self.expected:
                return
            scanned = catalog.vendor.load_table("docbatch.mood").scan().to_arrow()
            folder = ds.dataset(self.output.folder / "tables" / "mood", format="parquet").to_table()
            for rows in (read_table(catalog, "mood"), scanned, folder):
                assert pairs(rows) == Counter(expected)
            for run_key, moods in self.expected.items():
                assert read_table(catalog, "mood", run_key)["mood"].to_pylist() == moods
                as_of = {pair for pair in expected if pair[0] <= run_key}
                assert pairs(read_table(catalog, "mood", as_of=run_key)) == Counter(as_of)


def pairs(rows: pa.Table) -> Counter[tuple[str, str]]:
    return Counter(zip(rows["run_key"].to_pylist(), rows["mood"].to_pylist(), strict=True))


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(acts)
def test_tables_are_as_without_compacting(acts: list[Act]) -> None:
    """Through the catalog, by Iceberg alone and in the plain folder, of all runs, of each and as of each."""
    with tempfile.TemporaryDirectory() as folder:
        scene = Scene(Path(folder))
        with scene.output.catalog() as catalog:
            catalog.prepare({name: arrow_schema(name, "A table", TABLES[name]) for name in ("mood", "runs")})
        for act in acts:
            scene.play(act)
        scene.check()
        with scene.output.catalog() as catalog:
            compact(catalog, scene.output.store, LATER, 1)
            assert all(one.compacted for one in catalog.look("mood").files)
        scene.check()


def test_the_scene_has_the_table() -> None:
    """What is played with is the table that other tests publish."""
    assert TABLES["mood"] is MOOD

"""Publishing: a reader of the catalog sees a whole run or nothing of it, whatever breaks off and whoever publishes."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pytest

from pipeline.catalog.reading import committed_runs, list_tables, open_views
from pipeline.steps import publish
from pipeline.storage.objects import absolute_uri
from tests.world import Broken, Unseen, World

TABLES = ("documents", "failures", "ledger", "sentiment")
ROWS = {"documents": 7, "failures": 1, "ledger": 6, "sentiment": 6, "runs": 1}


def fill(world: World) -> World:
    """Documents, put there once: their times stand in the tables."""
    if not any(world.source.iterdir()):
        world.put_many(6)
        world.put("empty.txt", "")
    return world


def ready(folder: Path, key: str = "night", *, force: bool = False) -> World:
    """A world whose run is complete but for its publishing."""
    world = fill(World(folder, analyses=("sentiment",)))
    with pytest.raises(Broken):
        world.run(key, watch=Until("publish"), force=force)
    fold_all(world, key)
    return world


class Until(Unseen):
    """Breaks off when the named step begins."""

    def __init__(self, name: str) -> None:
        super().__init__(at={name: self._break})

    def _break(self) -> None:
        raise Broken


def fold_all(world: World, key: str) -> None:
    from pipeline.steps import fold

    for shard in range(world.state(key).manifest.shards):
        fold(world.services, world.state(key).store.uri(), shard)


def kept(world: World, folder: Path) -> Callable[[], None]:
    """Keeps what the world's bucket and output hold, and puts it back as often as it is called."""
    objects = {
        one["path"]: bytes(world.bucket.get(one["path"]).bytes()) for page in world.bucket.list() for one in page
    }
    shutil.copytree(world.output, folder)

    def put_back() -> None:
        world.bucket.delete([one["path"] for page in world.bucket.list() for one in page])
        for path, content in objects.items():
            world.bucket.put(path, content)
        shutil.rmtree(world.output)
        shutil.copytree(folder, world.output)

    return put_back


def publish_run(world: World, key: str = "night") -> None:
    publish(world.services, world.state(key).store.uri())


def seen(world: World) -> dict[str, int]:
    """The rows that a reader of the catalog finds in each table."""
    with world.services.catalog(absolute_uri(str(world.output)), make=True) as catalog:
        if not committed_runs(catalog):
            assert list_tables(catalog) == {}
        with open_views(catalog) as views:
            names = [name for (name,) in views.execute("show tables").fetchall() if not name.endswith("_latest")]
            return {name: views.table(name).count("*").fetchall()[0][0] for name in names}


def snapshots(world: World) -> int:
    with world.services.catalog(absolute_uri(str(world.output))) as catalog:
        return sum(len(catalog.vendor.load_table(("docbatch", name)).snapshots()) for name in catalog.tables())


def everything(world: World) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in world.output.rglob("*") if path.is_file()}


def test_a_broken_publish_shows_nothing_and_is_completed(tmp_path: Path) -> None:
    """Broken off before any write, or before or after any commit: nothing is seen until `runs` has the run."""
    world = ready(tmp_path / "world")
    put_back = kept(world, tmp_path / "kept")
    moments: list[str] = []
    world.on_publish = moments.append
    publish_run(world)
    assert len(moments) == 15
    assert moments[-1] == "after the commit of runs"
    for number, moment in enumerate(moments):
        put_back()
        assert world.break_off(lambda: publish_run(world), number) == moment
        assert seen(world) == (ROWS if moment == "after the commit of runs" else {}), moment
        publish_run(world)
        assert seen(world) == ROWS, moment
        assert snapshots(world) == 5, moment
        assert {name.rsplit("/", 2)[0] for name in world.files()} == {f"tables/{name}" for name in ROWS}


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.steps.test_publishing import ready, publish_run
world, moment = ready(Path(sys.argv[1])), sys.argv[2]
def kill(what):
    if what == moment:
        os.kill(os.getpid(), signal.SIGKILL)
world.on_publish = kill
publish_run(world)
"""


@pytest.mark.parametrize(
    "moment", ["before the writing of tables/ledger/night/part-0000.parquet", "before the commit of runs"]
)
def test_a_killed_publish_shows_nothing_and_is_completed(tmp_path: Path, moment: str) -> None:
    """The same with SIGKILL: nothing runs any more in the killed process, and another completes its work."""
    folder = tmp_path / "killed"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder), moment], env=os.environ, check=False)
    assert killed.returncode == -signal.SIGKILL
    world = ready(folder)
    files = world.files()
    assert 0 < len(files) < 6
    assert seen(world) == {}
    publish_run(world)
    assert seen(world) == ROWS
    unbroken = ready(tmp_path / "unbroken")
    publish_run(unbroken)
    mine = world.files()
    assert mine.keys() == unbroken.files().keys()
    assert all(mine[name] == files[name] for name in files if not name.startswith("tables/runs/"))


def test_a_second_publish_changes_no_byte(tmp_path: Path) -> None:
    """Neither a file nor a snapshot nor a row of the catalog's database comes or changes."""
    world = ready(tmp_path / "world")
    publish_run(world)
    before = everything(world)
    publish_run(world)
    assert everything(world) == before


def test_two_publishers_at_once_publish_one_set_of_rows(tmp_path: Path) -> None:
    """In threads that begin every commit together, each row is there once."""
    world = ready(tmp_path / "world")
    publishers = 2
    together = threading.Barrier(publishers, timeout=60)

    def wait(what: str) -> None:
        if what.startswith("before the commit"):
            together.wait()

    world.on_publish = wait
    with ThreadPoolExecutor(publishers) as pool:
        for done in [pool.submit(publish_run, world) for _ in range(publishers)]:
            done.result()
    assert seen(world) == ROWS
    assert snapshots(world) == 5


PUBLISHER = """
import sys
from pathlib import Path
from tests.steps.test_publishing import ready, publish_run
world = ready(Path(sys.argv[1]), sys.argv[2])
world.output = Path(sys.argv[3])
print("ready", flush=True)
sys.stdin.readline()
publish_run(world, sys.argv[2])
"""


@pytest.mark.parametrize("keys", [("night", "night"), ("monday", "tuesday")])
def test_two_processes_publish_to_one_new_catalog(tmp_path: Path, keys: tuple[str, str]) -> None:
    """Of the same run one wins and the other finds it done; of two runs each is there, whole."""
    output = tmp_path / "worlds" / "output"
    (tmp_path / "worlds").mkdir()
    pipe, programs = subprocess.PIPE, []
    for key in keys:
        command = [sys.executable, "-c", PUBLISHER, str(tmp_path / "worlds"), key, str(output)]
        program = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        assert program.stdout
        # One after the other: worlds in one folder share the scratch files of their jobs.
        assert program.stdout.readline() == "ready\n", program.stderr and program.stderr.read()
        programs.append(program)
    for program in programs:
        assert program.stdin
        program.stdin.write("go\n")
        program.stdin.flush()
    for program in programs:
        _, said = program.communicate(timeout=120)
        assert program.returncode == 0, said
    world = World(tmp_path / "worlds", analyses=("sentiment",))
    assert seen(world) == {name: count * len(set(keys)) for name, count in ROWS.items()}


def test_a_reader_meets_whole_runs_only(tmp_path: Path) -> None:
    """Whoever looks at any moment of a second publish finds the first run alone, or both."""
    world = ready(tmp_path / "world", "monday")
    publish_run(world, "monday")
    world = ready(tmp_path / "world", "tuesday", force=True)
    found: list[dict[str, int]] = []
    world.on_publish = lambda _what: found.append(seen(world))
    publish_run(world, "tuesday")
    assert found == [ROWS] * 14 + [{name: 2 * count for name, count in ROWS.items()}]


def test_a_run_under_a_used_key_replaces_the_published_one(tmp_path: Path) -> None:
    """When the work store is gone, the same key may be run again: at every moment the old rows, none, or the new."""
    publish_run(ready(tmp_path / "world"))
    world = World(tmp_path / "world", analyses=("sentiment",))
    world.now += dt.timedelta(days=1)
    world.put("another.txt", "One document more.")
    found: list[dict[str, int]] = []
    world.on_publish = lambda _what: found.append(seen(world))
    world.run()
    before = {"documents": 7, "failures": 1, "ledger": 6, "sentiment": 6, "runs": 1}
    after = {"documents": 8, "failures": 1, "ledger": 7, "sentiment": 7, "runs": 1}
    assert [one for n, one in enumerate(found) if n == 0 or one != found[n - 1]] == [before, {}, after]
    assert len(world.rows("sentiment")) == 7


def test_the_folder_holds_only_parquet_and_reads_as_it_is(tmp_path: Path) -> None:
    """pandas, polars and DuckDB read a table's folder without the catalog, and find the same rows as through it."""
    world = ready(tmp_path / "a folder, 100% ü#1")
    publish_run(world)
    folder = world.output / "tables" / "sentiment"
    assert {path.suffix for path in (world.output / "tables").rglob("*") if path.is_file()} == {".parquet"}
    with world.services.catalog(absolute_uri(str(world.output))) as catalog:
        scanned = catalog.vendor.load_table("docbatch.sentiment").scan().to_arrow()
    rows = world.rows("sentiment")
    assert scanned.to_pylist() == rows
    assert pd.read_parquet(folder)["document_id"].tolist() == [row["document_id"] for row in rows]
    assert pl.read_parquet(folder / "**/*.parquet")["score"].to_list() == [row["score"] for row in rows]
    (count,) = duckdb.execute("select count(*) from read_parquet(?)", [f"{folder}/**/*.parquet"]).fetchall()
    assert count == (6,)


def test_parts_without_rows_are_not_published(tmp_path: Path) -> None:
    """A table nobody has a row in is there, empty, with its columns and without a file."""
    world = World(tmp_path / "world", analyses=("sentiment",))
    world.put_many(4)
    world.run()
    assert not (world.output / "tables" / "failures").exists()
    table = world.table("failures")
    assert table.num_rows == 0
    assert {"reason", "advice"} < set(table.column_names)

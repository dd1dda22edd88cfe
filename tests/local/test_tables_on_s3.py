"""Tables on S3: opened from Python, and read by awswrangler while they change.

It holds pyarrow back, and so has an environment of its own.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.catalog import Catalog, open_catalog
from pipeline.parquet import published_key
from pipeline.schemas import arrow_schema
from pipeline.settings import Settings
from pipeline.storage.objects import S3Access, open_store
from tests.published import MOOD, START, Output

if TYPE_CHECKING:
    from pipeline.local.stack import Stack

PYTHON = Path(sys.prefix) / "awswrangler" / "bin" / "python"
RUNS, DOCUMENTS, PARTS = 8, 5, 2
READER = """
import json, sys
import awswrangler as wr
wr.config.s3_endpoint_url = sys.argv[2]
def keys(table):
    return wr.s3.read_parquet(f"{sys.argv[1]}/tables/{table}/", columns=["run_key"])["run_key"].tolist()
for line in sys.stdin:
    runs, rows = keys("runs"), keys("mood")
    print(json.dumps({run: rows.count(run) for run in runs}), flush=True)
types = wr.s3.read_parquet_metadata(f"{sys.argv[1]}/tables/runs/")[0]
frame = wr.s3.read_parquet(f"{sys.argv[1]}/tables/runs/")
print(json.dumps([types["cost_usd"], types["ended"], str(frame["ended"].dt.tz), type(frame["cost_usd"][0]).__name__]))
"""


class InBucket(Output):
    """The same on S3."""

    def __init__(self, stack: Stack, home: Path, prefix: str) -> None:
        self._access = S3Access(stack.region, stack.s3_url, stack.access_key_id, stack.secret_access_key)
        self._home = home
        self.uri = f"s3://{stack.bucket}/{prefix}"
        self.store = open_store(self.uri, self._access, make=True)

    @contextmanager
    def catalog(self, **settings: Any) -> Iterator[Catalog]:
        found = open_catalog(Settings(home=self._home, **settings), self.uri, self._access, lambda: START, make=True)
        try:
            yield found
        finally:
            found.close()

    def publish(self, number: int) -> Iterator[None]:
        """A run in the order in which runs are published, pausing behind every write."""
        run_key = f"night-{number}"
        rows = [{"document_id": str(n), "uri": str(n), "mood": "glad"} for n in range(DOCUMENTS)]
        keys = []
        for part in range(PARTS):
            keys.append(self.write("mood", run_key, rows, MOOD, part))
            yield
        with self.catalog() as catalog:
            catalog.commit("mood", arrow_schema("mood", "A table", MOOD), run_key, keys)
        yield
        self.commit("runs", run_key, [{"ended": START + dt.timedelta(days=number), "cost_usd": 1}])
        yield


def test_awswrangler_never_sees_half_a_run(stack: Stack, tmp_path: Path) -> None:
    """Of every run in `runs`, which it reads first, it finds all rows, whatever was just written; and types stay."""
    output = InBucket(stack, tmp_path / "home", "wrangled")
    assert published_key("mood", "night-0", 0).startswith("tables/mood/")
    for _ in output.publish(0):
        pass
    pipe = subprocess.PIPE
    reader = subprocess.Popen(
        [str(PYTHON), "-c", READER, output.uri, stack.s3_url],
        env=stack.environment() | {"NO_PROXY": "127.0.0.1"},
        stdin=pipe,
        stdout=pipe,
        stderr=pipe,
        text=True,
    )
    assert reader.stdin
    assert reader.stdout
    reader.stdin.write("look\n")
    reader.stdin.flush()
    first = reader.stdout.readline()  # from here on it is as quick as whoever publishes
    seen = [None]
    for number in range(1, RUNS):
        for _ in output.publish(number):
            reader.stdin.write("look\n")
            reader.stdin.flush()  # it reads while the next file is being written
            seen.append(None)
    said, complained = reader.communicate(timeout=120)
    assert reader.returncode == 0, complained
    *looks, types = map(json.loads, [first, *said.splitlines()])
    assert len(looks) == len(seen) == (RUNS - 1) * (PARTS + 2) + 1
    assert {count for look in looks for count in look.values()} == {DOCUMENTS * PARTS}
    assert len(looks[0]) < len(looks[-1]) == RUNS
    assert types == ["decimal(20,10)", "timestamp", "UTC", "Decimal"]


OPENED = """
import sys
from pipeline import tables
with tables.open(sys.argv[1]) as opened:
    print(opened.names, opened.runs, len(opened["mood"].pandas()), opened.latest("mood").polars().height)
    print(opened.sql("select sum(cost_usd) from runs").duckdb().fetchall())
"""


def test_tables_are_opened_on_s3(stack: Stack, tmp_path: Path) -> None:
    """With the environment that every tool of AWS's knows; the views for DuckDB name the objects."""
    output = InBucket(stack, tmp_path / "home", "opened")
    for number in range(2):
        for _ in output.publish(number):
            pass
    output.commit("documents", "night-0", [{"document_id": "0", "change": "new"}])
    variables = os.environ | stack.environment() | {"DOCBATCH_HOME": str(tmp_path / "home")}
    commands = (
        [sys.executable, "-c", OPENED, output.uri],
        [sys.executable, "-m", "pipeline", "views", "--for", "duckdb", "--output", output.uri],
    )
    done = [subprocess.run(one, env=variables, capture_output=True, text=True, check=False) for one in commands]
    assert [one.stderr for one in done] == ["", ""]
    opened, views = (one.stdout for one in done)
    assert opened.splitlines() == [
        f"['documents', 'mood', 'runs'] ['night-0', 'night-1'] {2 * DOCUMENTS * PARTS} {DOCUMENTS * PARTS}",
        "[(Decimal('2.0000000000'),)]",
    ]
    assert f"'{output.uri}/tables/mood/night-1/part-0001.parquet'" in views

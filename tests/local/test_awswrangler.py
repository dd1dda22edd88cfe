"""awswrangler, in an environment of its own since it holds pyarrow back, reads the tables from S3 while they change."""

from __future__ import annotations

import datetime as dt
import json
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

    def __init__(self, stack: Stack, home: Path) -> None:
        self._access = S3Access(stack.region, stack.s3_url, stack.access_key_id, stack.secret_access_key)
        self._home = home
        self.uri = f"s3://{stack.bucket}/wrangled"
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
    output = InBucket(stack, tmp_path / "home")
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
    seen = []
    for number in range(1, RUNS):
        for _ in output.publish(number):
            reader.stdin.write("look\n")
            reader.stdin.flush()  # it reads while the next file is being written
            seen.append(None)
    said, complained = reader.communicate(timeout=120)
    assert reader.returncode == 0, complained
    *looks, types = map(json.loads, said.splitlines())
    assert len(looks) == len(seen) == (RUNS - 1) * (PARTS + 2)
    assert {count for look in looks for count in look.values()} == {DOCUMENTS * PARTS}
    assert len(looks[0]) < len(looks[-1]) == RUNS
    assert types == ["decimal(20,10)", "timestamp", "UTC", "Decimal"]

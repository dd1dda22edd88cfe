"""A night on two Celery workers, of which one dies in the middle of a shard: nothing is lost, nothing is paid twice."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipeline.catalog import Catalog, open_catalog
from pipeline.local import stack as embedded
from pipeline.local.bill import Bill
from pipeline.local.embedded import shell_variables
from pipeline.local.launch import own_environment
from pipeline.local.stack import Stack
from pipeline.settings import Settings
from pipeline.storage.objects import S3Access, open_store
from tests.chaos.night import price_of
from tests.cluster.fleet import Fleet, fleet
from tests.cluster.night import DOCUMENTS, EMPTY, SHARD_TASK, SHARDS, Watch, put_documents
from tests.cluster.servers import make_database, postgres, redis_server

SOURCE, OUTPUT, RUN_KEY = "s3://docbatch/documents", "s3://docbatch/output", "fleet-night"
SETTINGS = {
    "DOCBATCH_SHARD_DOCUMENTS": str(DOCUMENTS // SHARDS),
    "DOCBATCH_BATCH_RECORDS": "5000",
    "DOCBATCH_MAX_ROUNDS": "1",
    "DOCBATCH_SCHEDULE": "0 0 29 2 *",  # no nightly run beside ours
}


@dataclass(frozen=True)
class Scene:
    """What a night needs: the fleet, the embedded stack, the catalog's URL and all that is secret."""

    fleet: Fleet
    stack: Stack
    bill: Bill
    catalog_url: str

    @property
    def access(self) -> S3Access:
        return S3Access(self.stack.region, self.stack.s3_url, self.stack.access_key_id, self.stack.secret_access_key)

    def catalog(self) -> Catalog:
        return open_catalog(Settings(catalog=self.catalog_url), OUTPUT, self.access, lambda: dt.datetime.now(dt.UTC))

    def command_line(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`docbatch` on a third machine, which shares nothing with the workers but S3 and the catalog."""
        environment = own_environment() | shell_variables(self.stack) | {"DOCBATCH_CATALOG": self.catalog_url}
        command = [sys.executable, "-m", "pipeline", *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=500)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Everything started, with the documents in S3; all of it ended."""
    folder = tmp_path_factory.mktemp("fleet")
    with ExitStack() as ends:
        database, broker = ends.enter_context(postgres()), ends.enter_context(redis_server())
        ends.callback(embedded.down, folder / "stack")
        stack = embedded.up(folder / "stack")
        catalog_url = make_database(database, "catalog")
        access = S3Access(stack.region, stack.s3_url, stack.access_key_id, stack.secret_access_key)
        with ThreadPoolExecutor(1) as beside:
            put = beside.submit(put_documents, open_store(SOURCE, access))
            settings = SETTINGS | {"DOCBATCH_CATALOG": catalog_url}
            metadata = make_database(database, "airflow")
            started = ends.enter_context(fleet(folder / "parts", metadata, f"{broker}0", stack, settings))
            put.result()
        bill = Bill(next((folder / "stack").rglob("bill.sqlite")))
        ends.callback(bill.close)
        yield Scene(started, stack, bill, catalog_url)


@pytest.mark.timeout(1800)
def test_a_worker_is_lost_in_the_middle_of_a_shard(
    scene: Scene, tmp_path: Path, figures: Callable[[str], None]
) -> None:
    """The other worker ends the run: every document has its row, and the ledger is what the endpoint billed."""
    run_id = scene.fleet.api.trigger(
        {"source": SOURCE, "output": OUTPUT, "run_key": RUN_KEY, "analyses": ["sentiment"]}
    )
    watch = Watch(scene.fleet, open_store(f"s3://docbatch/work/runs/{RUN_KEY}", scene.access), run_id)
    assert watch.until_the_end() == "success", watch.states()
    seconds, cpu_seconds = watch.seconds, watch.cpu_seconds()
    assert watch.killed_shard is not None

    tasks = scene.fleet.api.tasks(run_id)
    again = {(one["task_id"], one["map_index"]): one["try_number"] for one in tasks if one["try_number"] > 1}
    assert again[SHARD_TASK, watch.killed_shard] == 2

    catalog = scene.catalog()
    results = catalog.dataset("sentiment").to_table(columns=["document_id"])["document_id"].to_pylist()
    failures = catalog.dataset("failures").to_table(columns=["document_id"])["document_id"].to_pylist()
    assert (len(results), len(failures)) == (DOCUMENTS - EMPTY, EMPTY)
    assert len({*results, *failures}) == DOCUMENTS

    billed, charges = scene.bill.total(), scene.bill.charges()
    assert set(scene.bill.times_billed().values()) == {1}
    ledger = catalog.dataset("ledger").to_table().to_pylist()
    spent = [sum(row[name] for row in ledger) for name in ("input_tokens", "output_tokens", "cost_usd")]
    assert (len(ledger), *spent) == (billed.records, billed.input_tokens, billed.output_tokens, price_of(charges))
    (run,) = catalog.dataset("runs").to_table().to_pylist()
    assert (run["documents"], run["cost_usd"]) == (DOCUMENTS, price_of(charges))
    catalog.close()

    figures(f"cluster: {DOCUMENTS} documents in {seconds:.0f} s, {DOCUMENTS / seconds * 60:.0f} a minute, two workers")
    figures(f"cluster: {watch.killed}; tried again: {', '.join(f'{task}[{shard}]' for task, shard in sorted(again))}")
    booked = f"{len(ledger)} and {spent[2]} USD in the ledger"
    figures(f"cluster: billed {billed.records} records, {price_of(charges)} USD; {booked}")
    peaks = ", ".join(f"{name} {size / 1e6:.0f} MB" for name, size in watch.peak_bytes.items())
    figures(f"cluster: peak memory {peaks}; Airflow took {cpu_seconds:.0f} s of CPU")


@pytest.mark.timeout(1100)
def test_another_machine_knows_all_of_it(scene: Scene, tmp_path: Path) -> None:
    """With S3 and the catalog in PostgreSQL a command line elsewhere shows the rows, and its own run asks nothing."""
    shown = scene.command_line(tmp_path, "show", "sentiment", "--output", OUTPUT, "--limit", "3", "--format", "json")
    assert (shown.returncode, len(shown.stdout.splitlines())) == (0, 3), shown.stderr
    before = scene.bill.total()
    again = scene.command_line(tmp_path, "run", SOURCE, "--output", OUTPUT, "--analyses", "sentiment", "--json")
    assert again.returncode == 0, again.stderr
    run = json.loads(again.stdout)
    assert (run["unchanged"], run["requests"]) == ({"sentiment": DOCUMENTS - EMPTY}, 0)
    assert scene.bill.total() == before


def test_no_worker_left_anything_behind_or_told_a_secret(scene: Scene) -> None:
    """Nothing of a run is on a worker's disk, and no log of any part has the password of the catalog's database."""
    for name in scene.fleet.workers:
        home = scene.fleet.folder / name
        assert not (home / "docbatch").exists()
        assert [path.name for path in (home / "tmp").rglob("*.parquet")] == []
    password = scene.catalog_url.split(":")[2].split("@")[0]
    logs = [path for path in scene.fleet.folder.rglob("*.log") if path.is_file()]
    assert len(logs) > SHARDS
    assert [path for path in logs if password in path.read_text("utf-8", "replace")] == []

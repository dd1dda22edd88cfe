"""The catalog in PostgreSQL, as several machines share it: made once, committed to at the same time, no secret told."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.catalog import open_catalog
from pipeline.errors import StorageError
from pipeline.schemas import table_schemas
from pipeline.settings import Settings
from pipeline.storage.objects import S3Access
from tests.cluster.servers import make_database, postgres
from tests.published import Output

PUBLISHERS = 6
NOW = dt.datetime(2026, 11, 23, tzinfo=dt.UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """A PostgreSQL server of the module's own."""
    with postgres() as url:
        yield url


@pytest.mark.parametrize("attempt", range(5))
def test_publishers_that_are_the_first_make_the_catalog_together(server: str, tmp_path: Path, attempt: int) -> None:
    """They open an empty database at the same moment; none is refused, and every table is there once."""
    url, output = make_database(server, f"first_{attempt}"), (tmp_path / "output").as_uri()
    together = threading.Barrier(PUBLISHERS)

    def publish() -> list[str]:
        together.wait()
        catalog = open_catalog(Settings(catalog=url), output, S3Access("us-west-2"), lambda: NOW, make=True)
        catalog.prepare(table_schemas({}))
        found = catalog.tables()
        catalog.close()
        return found

    with ThreadPoolExecutor(PUBLISHERS) as pool:
        found = [future.result() for future in [pool.submit(publish) for _ in range(PUBLISHERS)]]
    assert found == [sorted(table_schemas({}))] * PUBLISHERS


def test_publishers_at_the_same_time_lose_no_run(server: str, tmp_path: Path) -> None:
    """Each commits runs of its own to one table; all of them are in it, and nothing twice."""
    url, output = make_database(server, "shared"), Output(tmp_path / "output")
    together = threading.Barrier(PUBLISHERS)

    def publish(number: int) -> None:
        together.wait()
        for night in range(3):
            output.commit("mood", f"{number}-{night}", [{"mood": "glad"}], catalog=url)

    with ThreadPoolExecutor(PUBLISHERS) as pool:
        for future in [pool.submit(publish, number) for number in range(PUBLISHERS)]:
            future.result()
    with output.catalog(catalog=url) as catalog:
        rows = catalog.dataset("mood").to_table()["run_key"].to_pylist()
    assert sorted(rows) == sorted(f"{number}-{night}" for number in range(PUBLISHERS) for night in range(3))


def test_a_server_that_is_away_is_told_without_its_password(server: str, tmp_path: Path) -> None:
    """The message says what to look at; the URL's secret is in no part of it."""
    url = server.replace("docbatch:", "docbatch:not-the-") + "postgres"
    with pytest.raises(StorageError, match="see that its database is reachable") as told:
        open_catalog(Settings(catalog=url), tmp_path.as_uri(), S3Access("us-west-2"), lambda: NOW)
    assert url.split(":")[2].split("@")[0] not in str(told.value)

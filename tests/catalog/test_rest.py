"""An Iceberg REST catalog as the setting names it: the same tables, over HTTP, and no secret in any message."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pyiceberg.catalog.rest import RestCatalog

from pipeline.catalog import open_catalog
from pipeline.catalog.compacting import compact
from pipeline.catalog.reading import list_tables
from pipeline.errors import AccessDenied, DocbatchError, SettingsError, StorageError
from pipeline.settings import Settings
from pipeline.steps import publish
from pipeline.steps.withdrawing import withdraw
from tests.catalog.rest_server import TOKEN, RestServer, served
from tests.published import ACCESS, START, Output
from tests.world import World

SECRET = "hunter2"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RestServer, str]]:
    with served(tmp_path_factory.mktemp("rest") / "catalog.db") as found:
        yield found


def test_runs_are_published_read_withdrawn_and_brought_back(tmp_path: Path, server: tuple[RestServer, str]) -> None:
    """Two nights of a whole pipeline; what lies in the output is what any other catalog names."""
    world = World(
        tmp_path / "world",
        analyses=("sentiment",),
        catalog=f"rest:{server[1]}?warehouse=mine",
        catalog_credential=TOKEN,
        catalog_namespace="nights",
    )
    world.put_many(5)
    world.run("first")
    world.put("new.txt", "One more.")
    world.run("second")
    assert len(world.rows("sentiment", None)) == 6
    assert not (world.output / "catalog" / "catalog.db").exists()
    withdraw(world.services, world.state("second").store.uri())
    assert len(world.rows("sentiment", None)) == 5
    publish(world.services, world.state("second").store.uri())
    assert len(world.rows("sentiment", None)) == 6
    with world.services.catalog(world.order().output_uri) as catalog:
        assert isinstance(catalog.vendor, RestCatalog)
        assert list_tables(catalog)["runs"] == ["first", "second"]
    assert server[0].warehouses[-1] == "mine"


def test_a_lost_race_is_run_again(tmp_path: Path, server: tuple[RestServer, str]) -> None:
    """The server says 409 to the first two commits; the third succeeds."""
    output = Output(tmp_path / "output")
    settings = {"catalog": f"rest:{server[1]}/", "catalog_credential": "me:secret", "catalog_namespace": "raced"}
    output.commit("mood", "monday", [{"mood": "glad"}], **settings)
    server[0].refuse = 2
    assert output.commit("mood", "tuesday", [{"mood": "sad"}], **settings)
    assert server[0].refuse == 0
    with output.catalog(**settings) as catalog:
        assert catalog.run_keys("mood") == {"monday", "tuesday"}


@pytest.mark.parametrize(
    ("catalog", "credential", "error", "message"),
    [
        ("rest:{}", SECRET, AccessDenied, "does not know us; see DOCBATCH_CATALOG_CREDENTIAL"),
        ("rest:{}", f"me:{SECRET}", AccessDenied, "does not know us; see DOCBATCH_CATALOG_CREDENTIAL"),
        ("rest:{}", None, AccessDenied, "asks who we are; see DOCBATCH_CATALOG_CREDENTIAL"),
        ("rest:{}/nothing/here", TOKEN, SettingsError, "what answers there is no Iceberg REST catalog"),
        ("rest:http://127.0.0.1:9", TOKEN, StorageError, "catalog of file:"),
        (f"rest:https://me:{SECRET}@host/", TOKEN, SettingsError, "credential goes into DOCBATCH_CATALOG_CREDENTIAL"),
        (
            f"rest:https://host/?token={SECRET}",
            TOKEN,
            SettingsError,
            "is no place of a REST catalog; write it as rest:",
        ),
        ("rest:host", TOKEN, SettingsError, "is no place of a REST catalog"),
    ],
)
def test_what_is_wrong_is_told_without_its_secrets(
    tmp_path: Path,
    server: tuple[RestServer, str],
    catalog: str,
    credential: str | None,
    error: type[DocbatchError],
    message: str,
) -> None:
    """A server that does not know us, is none, or is not there; a place that is none, or holds a secret."""
    settings = Settings(catalog=catalog.format(server[1]), catalog_credential=credential)
    assert SECRET not in repr(settings)
    with pytest.raises(error, match=message) as raised:
        open_catalog(settings, (tmp_path / "output").as_uri(), ACCESS, lambda: START)
    assert SECRET not in str(raised.value)


def test_small_runs_are_compacted_and_a_run_within_withdrawn(tmp_path: Path, server: tuple[RestServer, str]) -> None:
    """The server takes a snapshot whose file is not divided by run, and the table is divided as before."""
    output = Output(tmp_path / "output")
    settings = {"catalog": f"rest:{server[1]}/", "catalog_credential": "me:secret", "catalog_namespace": "compacted"}
    for run_key in ("a", "b", "c"):
        output.commit("mood", run_key, [{"mood": "glad"}], **settings)
        output.commit("runs", run_key, [{"ended": START}], **settings)
    with output.catalog(**settings) as catalog:
        assert compact(catalog, output.store, START, 2) == {"mood": 3, "runs": 3}
        assert [one.compacted for one in catalog.look("mood").files] == [True]
        assert catalog.withdraw("mood", "b")
        assert catalog.run_keys("mood") == {"a", "c"}
    output.commit("mood", "b", [{"mood": "sad"}], **settings)
    with output.catalog(**settings) as catalog:
        assert catalog.dataset("mood").to_table()["mood"].to_pylist() == ["glad", "sad", "glad"]

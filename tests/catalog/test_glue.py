"""AWS Glue, spoken to at an endpoint on loopback: the whole life of tables, and what Athena finds after each step."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest
from pyiceberg.catalog.glue import GlueCatalog

from pipeline.catalog import Catalog, open_catalog
from pipeline.catalog.compacting import compact
from pipeline.catalog.glue import comment
from pipeline.catalog.reading import list_tables, read_table
from pipeline.errors import ServiceRejected, SettingsError
from pipeline.parquet import published_key, write_rows
from pipeline.schemas import Column, arrow_schema
from pipeline.settings import Settings
from pipeline.steps import publish
from pipeline.steps.withdrawing import withdraw
from pipeline.storage.objects import S3Access, open_store
from pipeline.tidying import expire_snapshots
from tests.catalog.glue_server import REGION, GlueServer, served, table
from tests.published import MOOD, START, Output
from tests.world import World

SECRET = "hunter2hunter2"
POLICY = Path(__file__).resolve().parents[2] / "deploy" / "iam" / "caller-policy.json"
RUNS: list[Column] = [("ended", pa.timestamp("us", "UTC"), "When it ended"), MOOD[3]]
WHY: Column = ("why", pa.string(), "Why it feels so,\nin the model's own words. " + "It may say much. 🙂" * 20)


@pytest.fixture(scope="module")
def place() -> Iterator[tuple[GlueServer, str]]:
    with served() as found:
        yield found


@pytest.fixture
def glue(place: tuple[GlueServer, str], monkeypatch: pytest.MonkeyPatch) -> GlueServer:
    """The server, found as AWS's own tools find one; it answers everything."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_GLUE", place[1])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    place[0].answer, place[0].hold = {}, None
    return place[0]


def settings(namespace: str) -> dict[str, Any]:
    return {"catalog": "glue", "catalog_namespace": namespace}


def names(found: dict[str, Any]) -> list[str]:
    return [one["Name"] for one in found["StorageDescriptor"]["Columns"]]


def test_the_whole_life_of_tables(glue: GlueServer, tmp_path: Path) -> None:
    """Two nights are published, read, one withdrawn and brought back, compacted and tidied: as with any other catalog.

    Glue names the newest metadata after each step, and the policy that README asks for allows every call.
    """
    world = World(tmp_path / "world", analyses=("sentiment",), **settings("nights"), compact_runs=2)
    world.put_many(5)
    world.run("first")
    world.put("new.txt", "One more.")
    world.run("second")
    second = world.state("second").store.uri()
    seen: list[str] = []

    def rows(key: str | None = None) -> int:
        with world.services.catalog(world.order().output_uri) as catalog:
            assert isinstance(catalog.vendor, GlueCatalog)
            found = catalog.vendor.load_table("nights.sentiment")
            shown = table("nights", "sentiment")
            assert shown["Parameters"]["table_type"] == "ICEBERG"
            assert shown["Parameters"]["metadata_location"] == found.metadata_location
            assert Path(found.metadata_location).exists()
            assert names(shown) == found.schema().column_names == catalog.dataset("sentiment").schema.names
            seen.append(found.metadata_location)
            return read_table(catalog, "sentiment", as_of=key).num_rows

    assert (rows(), rows("first")) == (6, 5)
    withdraw(world.services, second)
    assert rows() == 5
    publish(world.services, second)
    assert (rows(), rows("first")) == (6, 5)
    assert not (world.output / "catalog" / "catalog.db").exists()
    world.now += dt.timedelta(days=60)
    tidied = expire_snapshots(world.services, world.order().output_uri)
    assert tidied.compacted == dict.fromkeys(("documents", "ledger", "runs", "sentiment"), 2)
    assert tidied.snapshots["sentiment"] >= 3
    with world.services.catalog(world.order().output_uri) as catalog:
        assert [one.compacted for one in catalog.look("sentiment").files] == [True]
        assert list_tables(catalog)["runs"] == ["first", "second"]
        assert not (catalog.references("sentiment") - {key for key, _ in _below(world.output)})
    assert (rows(), rows("first")) == (6, 5)
    withdraw(world.services, second)
    assert rows() == 5
    assert len(set(seen)) == 5
    assert {f"glue:{one}" for one in glue.called} <= set(_allowed())


def _below(folder: Path) -> Iterator[tuple[str, Path]]:
    return ((str(path.relative_to(folder)), path) for path in folder.rglob("*") if path.is_file())


def _allowed() -> list[str]:
    (statement,) = (one for one in json.loads(POLICY.read_text())["Statement"] if one["Sid"] == "IcebergTablesInGlue")
    found: list[str] = statement["Action"]
    return found


def test_a_new_column_is_shown_at_once_and_in_its_place(glue: GlueServer, tmp_path: Path) -> None:
    """Athena finds it where a reader seeks it, with its type and as much of its description as Glue takes."""
    output = Output(tmp_path / "output")
    output.commit("mood", "monday", [{"mood": "glad"}], **settings("evolving"))
    assert names(table("evolving", "mood")) == [name for name, *_ in MOOD]
    people: Column = ("people", pa.list_(pa.struct([("name", pa.string()), ("age", pa.int64())])), "Who is named")
    later = [*MOOD[:3], WHY, people, MOOD[3]]
    output.commit("mood", "tuesday", [{"mood": "sad", "why": "rain"}], later, **settings("evolving"))
    shown = table("evolving", "mood")
    assert names(shown) == [name for name, *_ in later]
    why, who = shown["StorageDescriptor"]["Columns"][3:5]
    assert (who["Type"], who["Parameters"]["iceberg.field.current"]) == (
        "array<struct<name:string,age:bigint>>",
        "true",
    )
    assert why["Comment"].startswith("Why it feels so, in the model's own words. It may say much. 🙂It")
    with output.catalog(**settings("evolving")) as catalog:
        assert catalog.dataset("mood").to_table()["why"].to_pylist() == [None, "rain"]
        assert (catalog.dataset("mood").schema.field("why").metadata or {})[b"description"].decode() == WHY[2]


@pytest.mark.parametrize(
    ("description", "expected"),
    [
        ("short", "short"),
        ("two\n  lines\tand\x00a zero", "two lines and a zero"),
        ("x" * 255, "x" * 255),
        ("x" * 256, "x" * 254 + "…"),
        ("🙂" * 127 + "x", "🙂" * 127 + "x"),
        ("🙂" * 128, "🙂" * 127 + "…"),
        ("x" + "🙂" * 128, "x" + "🙂" * 126 + "…"),
    ],
)
def test_how_a_description_is_cut(description: str, expected: str) -> None:
    """To one line of 255 units, and no letter in half."""
    assert comment(description) == expected
    assert len(expected.encode("utf-16-le")) <= 510


def test_of_two_publishers_both_get_through(glue: GlueServer, tmp_path: Path) -> None:
    """Both have written their metadata upon the same version: Glue refuses the second, which looks again."""
    output = Output(tmp_path / "output")
    output.commit("mood", "first", [{"mood": "glad"}], **settings("raced"))
    glue.hold, glue.stale = threading.Barrier(2), 0
    failed: list[Exception] = []

    def publisher(run_key: str) -> None:
        try:
            output.commit("mood", run_key, [{"mood": "sad"}], **settings("raced"))
        except Exception as error:  # noqa: BLE001 - whatever ended the thread is the test's to tell
            failed.append(error)

    threads = [threading.Thread(target=publisher, args=(run_key,)) for run_key in ("second", "third")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, glue.stale) == ([], 1)
    with output.catalog(**settings("raced")) as catalog:
        assert catalog.run_keys("mood") == {"first", "second", "third"}
        assert catalog.vendor.load_table("raced.mood").scan().to_arrow().num_rows == 3


def test_old_snapshots_are_forgotten(glue: GlueServer, tmp_path: Path) -> None:
    """As everywhere; the rows of all runs stay, and Athena is told of the newest metadata."""
    output = Output(tmp_path / "output")
    for run_key in "abcd":
        output.commit("mood", run_key, [{"mood": "glad"}], **settings("many"))
    later = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    with output.catalog(**settings("many")) as catalog:
        assert (catalog.thin("mood", later), catalog.expire("mood", later), catalog.expire("mood", later)) == (0, 3, 0)
        assert catalog.run_keys("mood") == set("abcd")
        assert table("many", "mood")["Parameters"]["metadata_location"] == catalog.look("mood").found.metadata_location


def look(catalog: Catalog) -> object:
    return catalog.look("mood")


def commit(catalog: Catalog) -> object:
    return catalog.commit("mood", arrow_schema("mood", "A table", MOOD), "b", ["tables/mood/b/part-0000.parquet"])


@pytest.mark.parametrize(
    ("operation", "code", "do", "message"),
    [
        ("GetTable", "AccessDeniedException", look, "lacks a permission; README lists those that docbatch needs"),
        ("GetTables", "AccessDeniedException", Catalog.tables, "lacks a permission; README lists"),
        ("UpdateTable", "AccessDeniedException", commit, "lacks a permission; README lists those"),
        ("GetTable", "ExpiredTokenException", look, "the credentials have expired; sign in again"),
        ("UpdateTable", "ResourceNumberLimitExceededException", commit, "as many of these as its quota allows"),
    ],
)
def test_what_glue_refuses_is_told(
    glue: GlueServer, tmp_path: Path, operation: str, code: str, do: Callable[[Catalog], object], message: str
) -> None:
    """Who was asked for what, about which table of which output, and what to do; no secret."""
    output = Output(tmp_path / "output")
    namespace = f"refused_{operation}_{code}".lower()
    output.commit("mood", "a", [{"mood": "glad"}], **settings(namespace))
    output.write("mood", "b", [{"mood": "sad"}], MOOD)
    glue.answer = {operation: code}
    told = f"catalog of {re.escape(output.uri)}, .*: AWS Glue {operation}: {code}: .*{re.escape(message)}"
    with output.catalog(**settings(namespace)) as catalog, pytest.raises(ServiceRejected, match=told) as raised:
        do(catalog)
    assert SECRET not in str(raised.value)
    assert "Bedrock" not in str(raised.value)
    glue.answer = {}
    with output.catalog(**settings(namespace)) as catalog:
        assert catalog.run_keys("mood") == {"a"}


@pytest.mark.parametrize("parameters", [{"EXTERNAL": "TRUE"}, {"table_type": "DELTA"}])
def test_a_table_of_somebody_elses_is_left_alone(glue: GlueServer, tmp_path: Path, parameters: dict[str, str]) -> None:
    """Such as Athena makes over plain files: it is told, before anything is paid, and is as it was."""
    namespace = "others_" + min(parameters).lower()
    client = boto3.client("glue", region_name=REGION)
    client.create_database(DatabaseInput={"Name": namespace})
    client.create_table(DatabaseName=namespace, TableInput={"Name": "mood", "Parameters": parameters})
    before = table(namespace, "mood")
    with Output(tmp_path / "output").catalog(**settings(namespace)) as catalog:
        assert catalog.tables() == []
        with pytest.raises(SettingsError, match=r"is no Iceberg table; .* \(DOCBATCH_CATALOG_NAMESPACE\)"):
            catalog.prepare({"mood": arrow_schema("mood", "A table", MOOD)})
    assert table(namespace, "mood") == before


@pytest.mark.parametrize("namespace", ["Nights", "two-nights", "nights.b", "", "ü"])
def test_names_that_glue_or_athena_would_change_are_refused(namespace: str) -> None:
    """Glue stores names in lower case, and Athena's have letters, digits and underscores."""
    with pytest.raises(ValueError, match="catalog_namespace"):
        Settings(**settings(namespace))


def test_tables_on_s3(glue: GlueServer, place: tuple[GlueServer, str]) -> None:
    """Rows and metadata lie in a bucket, as on AWS; small runs are compacted there, and a run within withdrawn."""
    access = S3Access(REGION, place[1], "key", SECRET)
    boto3.client("s3", endpoint_url=place[1], region_name=REGION).create_bucket(
        Bucket="output", CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    store = open_store("s3://output/docbatch", access)
    found = open_catalog(Settings(**settings("on_s3")), "s3://output/docbatch", access, lambda: START)
    for run_key in ("a", "b", "c"):
        for name, columns, rows in (
            ("mood", MOOD, [[run_key, "uri", "glad", run_key]]),
            ("runs", RUNS, [[START, run_key]]),
        ):
            schema = arrow_schema(name, "A table", columns)
            with io.BytesIO() as file:
                write_rows(schema, rows, file)
                store.write(published_key(name, run_key, 0), file.getvalue())
            assert found.commit(name, schema, run_key, [published_key(name, run_key, 0)])
    assert table("on_s3", "mood")["StorageDescriptor"]["Location"] == "s3://output/docbatch/tables/mood"
    assert compact(found, store, START, 2) == {"mood": 3, "runs": 3}
    assert found.withdraw("mood", "b")
    assert found.dataset("mood").to_table()["document_id"].to_pylist() == ["a", "c"]

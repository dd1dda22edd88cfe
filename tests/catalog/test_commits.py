"""The catalog: commits that may be repeated, columns that come and go, places of any name, secrets that stay secret."""

from __future__ import annotations

import re
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyiceberg.catalog import Catalog as Vendor
from pyiceberg.catalog.glue import GlueCatalog
from pyiceberg.catalog.sql import SqlCatalog
from sqlalchemy.engine import URL

from pipeline.catalog import Catalog, Place, open_catalog
from pipeline.catalog.opening import chosen_catalog, storage_properties
from pipeline.errors import DeclarationError, ObjectMissing, SettingsError, StorageError
from pipeline.schemas import Column, arrow_schema
from pipeline.schemas.columns import USD
from pipeline.settings import Settings
from pipeline.storage.objects import S3Access
from tests.published import ACCESS, MOOD, START, TABLES, Output


@pytest.fixture
def output(tmp_path: Path) -> Output:
    return Output(tmp_path / "an output")


def rows(output: Output, table: str) -> list[dict[str, Any]]:
    with output.catalog() as catalog:
        return catalog.dataset(table).to_table().to_pylist()


def test_a_commit_may_be_repeated(output: Output) -> None:
    """The same files again are no new snapshot; other files of the same run take the place of the old."""
    assert output.commit("mood", "monday", [{"mood": "glad"}])
    assert not output.commit("mood", "monday", [{"mood": "glad"}])
    assert output.commit("mood", "tuesday", [{"mood": "sad"}])
    assert output.commit("mood", "monday", [{"mood": "glad"}, {"mood": "calm and content"}])
    assert [(row["run_key"], row["mood"]) for row in rows(output, "mood")] == [
        ("monday", "glad"),
        ("monday", "calm and content"),
        ("tuesday", "sad"),
    ]
    with output.catalog() as catalog:
        assert catalog.run_keys("mood") == {"monday", "tuesday"}
        assert catalog.withdraw("mood", "monday")
        assert not catalog.withdraw("mood", "monday")
        assert catalog.run_keys("mood") == {"tuesday"}


@pytest.mark.parametrize("length", [1, 16, 17, 200])
def test_a_run_key_of_any_length_is_its_partition(output: Output, length: int) -> None:
    """Long keys are not cut, as file statistics are in other columns."""
    keys = {"k" * (length - 1) + end for end in "ab"}
    for key in keys:
        output.commit("mood", key, [{"mood": "glad"}])
    with output.catalog() as catalog:
        assert catalog.run_keys("mood") == keys
        assert catalog.dataset("mood", ["k" * (length - 1) + "b"]).count_rows() == 1


@pytest.mark.parametrize("name", ["with blanks", "100%", "%20", "ümläut", "a#b", "a?b;c", "quo'te\"", "[a]*"])
def test_a_folder_of_any_name(tmp_path: Path, name: str) -> None:
    """What a file: uri would encode is in the metadata as it is on disk; Iceberg's own scan finds the rows."""
    output = Output(tmp_path / name)
    output.commit("mood", "monday", [{"mood": "glad"}])
    assert (tmp_path / name / "catalog" / "catalog.db").exists()
    with output.catalog() as catalog:
        assert catalog.dataset("mood").count_rows() == 1
        assert catalog.vendor.load_table("docbatch.mood").scan().to_arrow().num_rows == 1


def wider(*columns: Column) -> list[Column]:
    return [*MOOD[:2], *columns, *MOOD[2:]]


def test_new_columns_are_added_and_old_ones_stay(output: Output) -> None:
    """A column that a run did not know is null in its rows, wherever the column stands, nested ones too."""
    struct = pa.list_(pa.struct([("name", pa.string())]))
    longer = pa.list_(pa.struct([("name", pa.string()), ("count", pa.int64())]))
    output.commit("mood", "1", [{"mood": "glad", "people": [{"name": "Ada"}]}], wider(("people", struct, "Who")))
    later = wider(("score", pa.float64(), "How much"), ("people", longer, "Who"))
    output.commit("mood", "2", [{"score": 0.5, "people": [{"name": "Bo", "count": 2}]}], later)
    output.commit("mood", "3", [{"mood": "calm"}])
    found = [(row["mood"], row["people"], row["score"]) for row in rows(output, "mood")]
    assert found == [
        ("glad", [{"name": "Ada", "count": None}], None),
        (None, [{"name": "Bo", "count": 2}], 0.5),
        ("calm", None, None),
    ]
    with output.catalog() as catalog:
        scanned = catalog.vendor.load_table("docbatch.mood").scan().to_arrow().sort_by("run_key").to_pylist()
    assert [(row["mood"], row["people"], row["score"]) for row in scanned] == found


def test_new_columns_stand_where_a_reader_seeks_them(output: Output) -> None:
    """Each stands behind the one that it follows in its run, nested ones too; known ones never change their places."""
    first = pa.struct([("name", pa.string()), ("age", pa.int64())])
    longer = pa.struct([("name", pa.string()), ("town", pa.string()), ("age", pa.int64())])
    a, b, c = (wider((name, pa.int64(), "A number"))[2] for name in "abc")
    output.commit("mood", "1", [{"a": 1, "who": {"name": "Ada", "age": 36}}], wider(a, ("who", first, "Who")))
    nested = wider(("who", longer, "Who"), b, c, a)
    output.commit("mood", "2", [{"who": {"name": "Bo", "town": "Ulm", "age": 7}, "b": 2, "c": 3}], nested)
    output.commit("mood", "3", [{"c": 3}], [c, *MOOD])
    expected = [name for name, *_ in wider(a, ("who", longer, ""), b, c)]
    with output.catalog() as catalog:
        table = catalog.vendor.load_table("docbatch.mood")
        schema = catalog.dataset("mood").schema
        scanned = table.scan().to_arrow().sort_by("run_key").to_pylist()
    assert (schema.names, table.schema().column_names[0]) == (expected, expected[0])
    assert [part.name for part in schema.field("who").type] == ["name", "town", "age"]
    assert list(scanned[0]) == expected
    assert scanned == rows(output, "mood")
    assert [(row["a"], row["b"], row["c"]) for row in scanned] == [(1, None, None), (None, 2, 3), (None, None, 3)]
    assert [row["who"] for row in scanned[:2]] == [
        {"name": "Ada", "town": None, "age": 36},
        {"name": "Bo", "town": "Ulm", "age": 7},
    ]


def test_a_column_behind_the_last_one_is_put_in_its_place(output: Output) -> None:
    """Tables of a version that added columns at the end are read in order; their files and types stay as they are.

    Once: runs that declare less or the same move nothing any more; a column that nobody declares stays behind.
    """
    a, gone, c = (
        wider((name, kind, "A number"))[2] for name, kind in (("a", pa.int64()), ("g", pa.int64()), ("c", USD))
    )
    output.commit("mood", "1", [{"mood": "glad"}])
    output.commit("mood", "2", [{"mood": "sad", "a": 2**40, "g": 7, "c": 5}], [*MOOD, a, gone, c])
    now = [*wider((a[0], pa.int32(), a[2]))[:4], c, MOOD[3]]
    names = [one[0] for one in now]
    with output.catalog() as catalog:
        kept = catalog.references("mood")
        assert catalog.dataset("mood").schema.names == [*(name for name, *_ in MOOD), "a", "g", "c"]
    output.commit("mood", "3", [{"mood": "calm", "a": 3}], now)
    found = schema_numbers(output)
    output.commit("mood", "4", [{"mood": "glad"}])
    output.commit("mood", "5", [{"a": 5}], now)
    assert schema_numbers(output) == found
    with output.catalog() as catalog:
        assert catalog.dataset("mood").schema.names == [*names, "g"]
        assert catalog.dataset("mood").schema.field("a").type == pa.int64()
        assert {key for key in kept if key.startswith("tables/")} <= catalog.references("mood")
        scanned = catalog.vendor.load_table("docbatch.mood").scan().to_arrow().sort_by("run_key").to_pylist()
    assert scanned == rows(output, "mood")
    assert list(scanned[0]) == [*names, "g"]
    assert [(row["a"], row["g"], row["c"]) for row in scanned[:3]] == [
        (None, None, None),
        (2**40, 7, 5),
        (3, None, None),
    ]


def schema_numbers(output: Output) -> list[int]:
    with output.catalog() as catalog:
        return [one.schema_id for one in catalog.vendor.load_table("docbatch.mood").metadata.schemas]


@pytest.mark.parametrize(
    ("before", "after", "where"),
    [
        (pa.string(), pa.float64(), "mood.score"),
        (pa.int64(), pa.float64(), "mood.score"),
        (pa.string(), pa.list_(pa.string()), "mood.score"),
        (pa.list_(pa.string()), pa.list_(pa.int64()), r"mood.score\[\]"),
        (pa.struct([("a", pa.string())]), pa.struct([("a", pa.bool_())]), "mood.score.a"),
    ],
)
def test_a_changed_type_is_refused_before_anything_is_paid(
    output: Output, before: pa.DataType, after: pa.DataType, where: str
) -> None:
    """The message names table and column, both types and the way out; no row and no schema changes."""
    old, new = (arrow_schema("mood", "A table", wider(("score", kind, "How much"))) for kind in (before, after))
    with output.catalog() as catalog:
        catalog.prepare({"mood": old})
        catalog.prepare({"mood": old})
        with pytest.raises(DeclarationError, match=rf"column {where} holds .*, and would hold .* another name"):
            catalog.prepare({"mood": new})
        assert catalog.dataset("mood").schema.field("score").type == before


def test_every_table_can_be_made_before_a_run(output: Output) -> None:
    """Tables are made empty, with described columns; readers find no rows."""
    with output.catalog() as catalog:
        catalog.prepare({name: arrow_schema(name, "A table", columns) for name, columns in TABLES.items()})
        assert catalog.tables() == sorted(TABLES)
        for name in TABLES:
            assert catalog.dataset(name).count_rows() == 0
            assert all((field.metadata or {})[b"description"] for field in catalog.dataset(name).schema)


def test_one_namespace_is_of_one_output(tmp_path: Path) -> None:
    """Two outputs in one namespace would mix: the second is refused, and may have a namespace of its own."""
    url = f"sqlite:///{tmp_path}/shared.db"
    schema = {"mood": arrow_schema("mood", "A table", MOOD)}
    first, second = Output(tmp_path / "first"), Output(tmp_path / "second")
    with first.catalog(catalog=url) as catalog:
        catalog.prepare(schema)
    taken = r"its table mood lies at .*/first/tables/mood, not .*/second/tables/mood"
    with second.catalog(catalog=url) as catalog, pytest.raises(SettingsError, match=taken):
        catalog.prepare(schema)
    with second.catalog(catalog=url, catalog_namespace="second") as catalog:
        catalog.prepare(schema)


def test_a_folder_that_was_moved_is_told(tmp_path: Path) -> None:
    """Iceberg names files by their full path: in another place nothing is found, and the message says why."""
    Output(tmp_path / "here").commit("mood", "monday", [{"mood": "glad"}])
    (tmp_path / "here").rename(tmp_path / "there")
    moved = r"names is gone .*; if the folder was moved, move it back"
    with Output(tmp_path / "there").catalog() as catalog, pytest.raises(ObjectMissing, match=moved):
        catalog.dataset("mood")


def test_a_folder_that_was_copied_is_told(tmp_path: Path) -> None:
    """Its own catalog leads to the first folder: it is refused to readers and writers, with the ways out."""
    first = Output(tmp_path / "here")
    first.commit("mood", "monday", [{"mood": "glad"}])
    shutil.copytree(tmp_path / "here", tmp_path / "there")
    with Output(tmp_path / "there").catalog() as catalog:
        for use in (catalog.dataset, lambda name: catalog.prepare({name: arrow_schema(name, "A table", MOOD)})):
            with pytest.raises(SettingsError) as refused:
                use("mood")
            told = str(refused.value)
            assert told.startswith(f"{tmp_path.as_uri()}/there: was copied or moved here: ")
            assert f"where it was ({tmp_path}/here), or read the plain Parquet files in {tmp_path}/there/tables" in told
            assert "with another --output" in told
            assert "namespace" not in told
    assert [row["mood"] for row in rows(first, "mood")] == ["glad"]


class Losing(SqlCatalog):
    """A catalog that is killed, or loses the race, between writing a table's metadata and taking it for the newest."""

    moment: type[Exception] | None = None

    def _write_metadata(self, *what: Any, **named: Any) -> None:  # type: ignore[override]
        SqlCatalog._write_metadata(*what, **named)
        if self.moment:
            raise self.moment


class Killed(Exception):
    """What ends a commit half way."""


def test_a_commit_broken_off_half_way_is_no_commit(output: Output) -> None:
    """With its manifests and metadata written but not swapped in, a table is what it was; the next attempt succeeds."""
    output.commit("mood", "monday", [{"mood": "glad"}])
    key = output.write("mood", "tuesday", [{"mood": "sad"}], MOOD)
    vendor = Losing("docbatch", uri=f"sqlite:///{output.folder}/catalog/catalog.db", **storage_properties(ACCESS))
    catalog = Catalog(vendor, "docbatch", Place(output.uri), lambda: START)
    schema = arrow_schema("mood", "A table", MOOD)
    vendor.moment = Killed
    with pytest.raises(Killed):
        catalog.commit("mood", schema, "tuesday", [key])
    assert [row["mood"] for row in rows(output, "mood")] == ["glad"]
    vendor.moment = None
    assert catalog.commit("mood", schema, "tuesday", [key])
    assert [row["mood"] for row in rows(output, "mood")] == ["glad", "sad"]


def test_who_always_loses_is_told_in_the_end(output: Output) -> None:
    """A commit is tried a bounded number of times, with growing random pauses, and then fails as a storage error."""
    from pyiceberg.exceptions import CommitFailedException

    output.commit("mood", "monday", [{"mood": "glad"}])
    key = output.write("mood", "tuesday", [{"mood": "sad"}], MOOD)
    vendor = Losing("docbatch", uri=f"sqlite:///{output.folder}/catalog/catalog.db", **storage_properties(ACCESS))
    vendor.moment = CommitFailedException
    pauses: list[float] = []
    catalog = Catalog(vendor, "docbatch", Place(output.uri), lambda: START, pauses.append)
    with pytest.raises(
        StorageError, match=r"catalog of file:.*, mood: other publishers kept changing it; publish again"
    ):
        catalog.commit("mood", arrow_schema("mood", "A table", MOOD), "tuesday", [key])
    assert len(pauses) == 11
    assert all(0 <= pause <= 3 for pause in pauses)
    assert len(set(pauses)) > 1


def chosen(catalog: str, uri: str, url: str | None = None) -> str:
    found = chosen_catalog(Settings(catalog=catalog, home=Path("/home")), Place(uri), S3Access("us-west-2", url))
    return found.render_as_string() if isinstance(found, URL) else found


@pytest.mark.parametrize(
    ("catalog", "uri", "url", "expected"),
    [
        ("auto", "file:///a/b", None, r"sqlite:////a/b/catalog/catalog\.db\?timeout=60"),
        ("auto", "s3://bucket/a", None, "glue"),
        ("auto", "s3://bucket/a", "https://bucket.vpce-1.s3.us-west-2.vpce.amazonaws.com", "glue"),
        ("auto", "s3://bucket/a", "http://127.0.0.1:8333", r"sqlite:////home/catalogs/[0-9a-f]{24}.db\?timeout=60"),
        ("sqlite", "s3://bucket/a", None, r"sqlite:////home/catalogs/[0-9a-f]{24}.db\?timeout=60"),
        ("glue", "file:///a/b", None, "glue"),
        ("postgresql+psycopg2://me:secret@host/db", "file:///a", None, r"postgresql\+psycopg2://me:\*\*\*@host/db"),
    ],
)
def test_which_catalog_an_output_has(catalog: str, uri: str, url: str | None, expected: str) -> None:
    """Glue for tables on AWS, SQLite beside local ones and with the embedded stack, or what was set."""
    assert re.fullmatch(expected, chosen(catalog, uri, url))


def test_glue_is_reached_in_the_region_of_the_tables() -> None:
    """The setting builds pyiceberg's Glue catalog, with the region and keys of our access to S3."""
    access = S3Access("eu-west-1", None, "AKIDEXAMPLE", "not-told")
    catalog = open_catalog(Settings(catalog="glue"), "s3://bucket/out", access, lambda: START)
    vendor: Vendor = catalog.vendor
    assert isinstance(vendor, GlueCatalog)
    assert vendor.glue.meta.region_name == "eu-west-1"
    assert vendor.properties["s3.region"] == "eu-west-1"
    assert vendor.properties["s3.access-key-id"] == "AKIDEXAMPLE"


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("catalog", "error", "message"),
    [
        (f"not a url {SECRET}", SettingsError, "catalog: is neither `auto`, `glue`, `sqlite`, the place of"),
        (f"nosuch://me:{SECRET}@host/db", SettingsError, "catalog: no driver for nosuch is installed"),
        ("sqlite:////proc/nowhere", StorageError, "see that its database is reachable and writable"),
    ],
)
def test_a_wrong_catalog_is_told_without_its_secrets(
    output: Output, catalog: str, error: type[Exception], message: str
) -> None:
    """What is wrong and what is allowed, but never the URL."""
    settings = Settings(catalog=catalog)
    assert SECRET not in repr(settings)
    with pytest.raises(error, match=message) as raised:
        open_catalog(settings, output.uri, ACCESS, lambda: START, make=True)
    assert SECRET not in str(raised.value)


def test_looking_makes_no_catalog(output: Output) -> None:
    """A reader of an output that nothing was published to leaves no file behind."""
    with pytest.raises(ObjectMissing, match="nothing is published there"):
        open_catalog(Settings(), output.uri, ACCESS, lambda: START)
    assert list(output.folder.iterdir()) == []


@pytest.mark.parametrize("uri", ["s3://bucket/a#b", "s3://bucket/a?b"])
def test_places_that_iceberg_would_cut_are_refused(uri: str) -> None:
    """A `#` or `?` in a prefix would end Iceberg's path there."""
    with pytest.raises(SettingsError, match="allows no `#` and no"):
        Place(uri).location("tables")


@pytest.mark.parametrize(
    ("narrow", "wide", "least", "most"),
    [
        (pa.int32(), pa.int64(), 7, 2**40),
        (pa.float32(), pa.float64(), 0.5, 0.1),
        (pa.decimal128(10, 2), pa.decimal128(20, 2), Decimal("1.50"), Decimal("12345678901234.50")),
    ],
)
def test_a_column_may_become_wider(
    output: Output, narrow: pa.DataType, wide: pa.DataType, least: object, most: object
) -> None:
    """Rows of before are read as the wider type, and a run of an older version may still bring the narrow one."""
    output.commit("mood", "1", [{"score": least}], wider(("score", narrow, "How much")))
    output.commit("mood", "2", [{"score": most}], wider(("score", wide, "How much")))
    output.commit("mood", "3", [{"score": least}], wider(("score", narrow, "How much")))
    assert [row["score"] for row in rows(output, "mood")] == [least, most, least]
    with output.catalog() as catalog:
        assert catalog.dataset("mood").schema.field("score").type == wide
        scanned = catalog.vendor.load_table("docbatch.mood").scan().to_arrow().sort_by("run_key")["score"].to_pylist()
    assert scanned == [least, most, least]

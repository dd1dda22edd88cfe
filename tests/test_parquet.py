"""Files of rows as readers take them: a filter on the day, a prefix, a document or a label reads a small part."""

from __future__ import annotations

import datetime as dt
import io
import re
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.analyses import load_analyses, shipped_prompts
from pipeline.domain import short_hash
from pipeline.parquet import GROUP_ROWS, UNIQUE, copy_rows, write_rows
from pipeline.schemas import table_schemas
from tests.world import World

ROWS = 5 * GROUP_ROWS
ANALYSES = load_analyses(shipped_prompts(), (), output_language="English")
SCHEMAS = table_schemas(ANALYSES)
LABELS = ("review", "support", "contract")
RARE = "minutes"


def uri_of(number: int) -> str:
    return f"s3://bucket/documents/{number // 100:03d}/{number % 100:02d}.txt"


def rows(schema: pa.Schema) -> list[list[Any]]:
    """A shard as `fold` gives it, in the order of uris; one document has a label of its own."""
    values = [
        {
            "document_id": short_hash(uri_of(number)),
            "uri": uri_of(number),
            "category": RARE if number == ROWS // 2 else LABELS[number % 3],
            "run_key": "night",
            "content_hash": short_hash(uri_of(number), "text"),
        }
        for number in range(ROWS)
    ]
    return [[one.get(name) for name in schema.names] for one in values]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parquet") / "part-0000.parquet"
    schema = SCHEMAS["classification"]
    with path.open("wb") as file:
        assert write_rows(schema, rows(schema), file, looked_up=["document_id", "category"]) == ROWS
    return path


@pytest.mark.parametrize(
    ("condition", "found", "most_groups"),
    [
        ("uri like 's3://bucket/documents/042/%'", 100, 1),
        ("starts_with(uri, 's3://bucket/documents/042/')", 100, 1),
        (f"uri = '{uri_of(7_000)}'", 1, 1),
        (f"document_id = '{short_hash(uri_of(7_000))}'", 1, 2),  # a Bloom filter is wrong for one group in a hundred
        (f"category = '{RARE}'", 1, 2),
        ("run_key = 'another'", 0, 0),
    ],
)
def test_a_filter_reads_few_row_groups(path: Path, condition: str, found: int, most_groups: int) -> None:
    """DuckDB says how many of the five it scanned, and finds every row."""
    select = f"select count(*), max(content_hash) from '{path}' where {condition}"
    assert duckdb.sql(select).fetchall()[0][0] == found
    plan = duckdb.sql(f"explain analyze {select}").fetchall()[0][1]
    scanned = re.search(r"Row Groups Scanned: (\d+) / 5", plan)
    assert (int(scanned[1]) if scanned else 0) <= most_groups, plan


RUNS = 300
NIGHTLY = 50


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The rows of small runs as compacting writes them: new documents of each night all over the source, or by day."""
    schema, found = SCHEMAS["classification"], {}
    for how in ("spread", "dated"):
        found[how] = tmp_path_factory.mktemp("copied") / f"{how}.parquet"
        with found[how].open("wb") as file:
            batches = (pa.RecordBatch.from_pylist(night(schema, number, how), schema=schema) for number in range(RUNS))
            copy_rows(schema, batches, file, looked_up=["document_id", "category"])
    return found


def night(schema: pa.Schema, number: int, how: str) -> list[dict[str, Any]]:
    day = dt.date(2026, 1, 1) + dt.timedelta(days=number)
    folder = f"{day:%Y/%m/%d}" if how == "dated" else "{:03d}"
    uris = sorted(f"s3://bucket/{folder.format(one * 4)}/{number:03d}-{one:02d}.txt" for one in range(NIGHTLY))
    values = [
        {
            "document_id": short_hash(uri),
            "uri": uri,
            "category": RARE if (number, one) == (RUNS // 2, 7) else LABELS[one % 3],
            "run_key": f"night-{number:03d}",
            "run_date": day,
            "content_hash": short_hash(uri, "text"),
        }
        for one, uri in enumerate(uris)
    ]
    return [{name: one.get(name) for name in schema.names} for one in values]


@pytest.mark.parametrize(
    ("how", "condition", "found", "most_groups"),
    [
        ("spread", "run_key = 'night-150'", 50, 1),
        ("spread", "run_date = date '2026-05-31'", 50, 1),
        ("spread", "run_date between date '2026-05-01' and date '2026-05-31'", 31 * 50, 2),
        ("spread", f"document_id = '{short_hash('s3://bucket/028/150-07.txt')}'", 1, 2),
        ("spread", f"category = '{RARE}'", 1, 2),
        ("spread", "starts_with(uri, 's3://bucket/028/')", RUNS, 8),  # each night has some of them
        ("dated", "starts_with(uri, 's3://bucket/2026/05/31/')", 50, 1),
        ("dated", "uri like 's3://bucket/2026/05/%'", 31 * 50, 2),
    ],
)
def test_a_filter_reads_few_row_groups_of_a_copy(
    copied: dict[str, Path], how: str, condition: str, found: int, most_groups: int
) -> None:
    """Of 300 runs in eight groups: one run, day, document or rare label is in one; a prefix where it was written."""
    select = f"select count(*), max(content_hash) from '{copied[how]}' where {condition}"
    assert pq.ParquetFile(copied[how]).metadata.num_row_groups == 8
    assert duckdb.sql(select).fetchall()[0][0] == found
    plan = duckdb.sql(f"explain analyze {select}").fetchall()[0][1]
    scanned = re.search(r"Row Groups Scanned: (\d+) / 8", plan)
    assert (int(scanned[1]) if scanned else 0) <= most_groups, plan


@pytest.mark.parametrize("sizes", [[1] * 25, [9, 9, 9], [30], [10, 10], [3, 40, 1], []])
def test_a_copy_has_whole_groups(sizes: list[int]) -> None:
    """However the rows come, only the last group has fewer than it may, and all rows are there in their order."""
    schema, numbers, file = pa.schema([("number", pa.int64())]), iter(range(100)), io.BytesIO()
    batches = [pa.RecordBatch.from_pylist([{"number": next(numbers)} for _ in range(size)], schema) for size in sizes]
    copy_rows(schema, batches, file, group_rows=10)
    metadata = pq.ParquetFile(file).metadata
    groups = [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)]
    assert groups == [10] * (sum(sizes) // 10) + [sum(sizes) % 10] * bool(sum(sizes) % 10)
    assert pq.read_table(file)["number"].to_pylist() == list(range(sum(sizes)))


def test_statistics_stand_with_groups_and_pages(path: Path) -> None:
    """Least and greatest values of every column and group, an index of the pages, dictionaries where they pay."""
    metadata = pq.ParquetFile(path).metadata
    assert metadata.num_row_groups == ROWS // GROUP_ROWS
    for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
        columns = {one.path_in_schema: one for one in map(group.column, range(group.num_columns))}
        assert columns.keys() >= {"uri", "category", "run_key"}
        for name, one in columns.items():
            assert one.statistics is not None
            assert one.has_offset_index
            assert one.has_column_index
            assert one.has_dictionary_page == (name not in UNIQUE and one.physical_type != "BOOLEAN"), name


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_table_can_be_written_so(name: str) -> None:
    """Nested columns too; the same rows are the same bytes, with Bloom filters and indexes."""
    schema = SCHEMAS[name]
    files = [io.BytesIO(), io.BytesIO()]
    for file in files:
        write_rows(schema, rows(schema)[:10], file)
    assert files[0].getvalue() == files[1].getvalue()
    assert pq.ParquetFile(files[0]).metadata.num_rows == 10


def test_published_rows_stand_in_the_order_of_their_uris(tmp_path: Path) -> None:
    """Whatever order they were read in: that is what makes the statistics of uris narrow."""
    world = World(tmp_path / "world", analyses=("sentiment", "classification"))
    world.put_many(30)
    world.put("b/deep.txt", "Deep down.")
    world.put("a.txt", "At the top.")
    world.run()
    for table in ("documents", "sentiment", "classification"):
        uris = pq.read_table(world.output / "tables" / table / "night" / "part-0000.parquet")["uri"].to_pylist()
        assert len(uris) == 32
        assert uris == sorted(uris)

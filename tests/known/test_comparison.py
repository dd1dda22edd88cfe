"""A listing beside what was published: new, changed, unchanged, deleted, and whose results still hold."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest

from pipeline.domain import Change, Document
from pipeline.known.comparison import Comparison, ListedDocument
from pipeline.manifest import Held, shard_of
from pipeline.sources.spelling import Scope
from pipeline.sources.values import Entry

SOURCE = "s3://bucket/in"
MONDAY, TUESDAY = (dt.datetime(2026, 11, day, tzinfo=dt.UTC) for day in (23, 24))
RUNS = {"monday": MONDAY, "tuesday": TUESDAY}
HASH = "ab" * 12
OTHER = "cd" * 12


def document(name: str, etag: str = "1") -> Document:
    return Document(f"{SOURCE}/{name}", etag, 7, MONDAY)


def published(*rows: tuple[str, str, str | None, str, str]) -> pa.RecordBatchReader:
    """Rows of the table `documents`: name, etag, content hash, change, run."""
    found = [
        {
            "document_id": document(name).document_id,
            "uri": f"{SOURCE}/{name}",
            "etag": etag,
            "size_bytes": 7,
            "last_modified": MONDAY,
            "content_hash": content_hash,
            "change": change,
            "run_key": run_key,
        }
        for name, etag, content_hash, change, run_key in rows
    ]
    types = {"size_bytes": pa.int64(), "last_modified": pa.timestamp("us", tz="UTC")}
    names = ["document_id", "uri", "etag", "size_bytes", "last_modified", "content_hash", "change", "run_key"]
    return pa.Table.from_pylist(found, pa.schema([(name, types.get(name, pa.string())) for name in names])).to_reader()


def results(
    *rows: tuple[str, str, str], method: str = "method", tokens: tuple[int, int] = (100, 3)
) -> pa.RecordBatchReader:
    """Rows of an analysis: name, content hash, run; a run whose name ends with ! asked by another method."""
    names = ["document_id", "content_hash", "run_key", "method_id"]
    columns = [[document(name).document_id for name, _, _ in rows], [one[1] for one in rows]]
    columns += [[one[2].rstrip("!") for one in rows], ["another" if "!" in one[2] else method for one in rows]]
    table = pa.table(dict(zip(names, columns, strict=True)), pa.schema([(one, pa.string()) for one in names]))
    for name, count in zip(("input_tokens", "output_tokens"), tokens, strict=True):
        table = table.append_column(name, pa.array([count] * len(rows), pa.int64()))
    return table.to_reader()


def compared(
    folder: Path,
    listing: list[Document],
    documents: pa.RecordBatchReader | None = None,
    held: dict[str, pa.RecordBatchReader] | None = None,
) -> tuple[list[ListedDocument], dict[str, int]]:
    with Comparison(folder) as comparison:
        comparison.add_listing(map(Entry, listing))
        comparison.add_runs(RUNS)
        if documents:
            comparison.add_published(documents)
        for analysis, rows in (held or {}).items():
            comparison.add_held(analysis, "method", rows)
        comparison.compare(Scope((f"{SOURCE}/",)), ["a", "b"])
        found = comparison.shard(0, 1)
    return found.documents, found.unchanged


def test_without_earlier_runs_everything_is_new(tmp_path: Path) -> None:
    """The first listing of a source is of new documents, in the order of their uris."""
    found, unchanged = compared(tmp_path, [document("b"), document("a")])
    assert [(one.uri, one.change, one.held) for one in found] == [
        (f"{SOURCE}/a", Change.NEW, ""),
        (f"{SOURCE}/b", Change.NEW, ""),
    ]
    assert found[0].document == document("a")
    assert unchanged == {"a": 0, "b": 0}


@pytest.mark.parametrize(
    ("etag", "row", "change"),
    [
        ("1", ("one", "1", HASH, "new", "monday"), Change.UNCHANGED),
        ("2", ("one", "1", HASH, "new", "monday"), Change.CHANGED),
        ("", ("one", "", HASH, "new", "monday"), Change.CHANGED),
        ("1", ("one", "1", HASH, "deleted", "monday"), Change.NEW),
        ("1", ("one", "1", HASH, "new", "a run that is not committed"), Change.NEW),
    ],
)
def test_the_etag_of_the_newest_committed_row_decides(
    tmp_path: Path, etag: str, row: tuple[str, str, str, str, str], change: Change
) -> None:
    """Equal ETags are an unchanged document; an unknown ETag never is, nor is a row of a run that nobody may see."""
    (found,), _ = compared(tmp_path, [document("one", etag)], published(row))
    assert found.change is change


def test_the_newest_row_counts(tmp_path: Path) -> None:
    """A document that changed and changed back is compared with what was seen last."""
    rows = published(("one", "1", HASH, "new", "monday"), ("one", "2", OTHER, "changed", "tuesday"))
    (found,), _ = compared(tmp_path, [document("one", "1")], rows)
    assert found.change is Change.CHANGED


def test_documents_whose_results_all_hold_are_counted_and_not_listed(tmp_path: Path) -> None:
    """Nothing is to be done for them; where one analysis lacks its result, the document is listed with the others."""
    rows = published(*((name, "1", HASH, "new", "monday") for name in ("both", "half", "none")))
    held = {
        "a": results(("both", HASH, "monday"), ("half", HASH, "monday")),
        "b": results(("both", HASH, "monday"), ("none", OTHER, "monday"), ("half", HASH, "not committed")),
    }
    found, unchanged = compared(tmp_path, [document(name) for name in ("both", "half", "none")], rows, held)
    assert [(one.uri, one.held) for one in found] == [(f"{SOURCE}/half", "a"), (f"{SOURCE}/none", "")]
    assert unchanged == {"a": 2, "b": 1}


def test_what_the_results_that_hold_had_used_is_added_up(tmp_path: Path) -> None:
    """Of every document and analysis that holds, and of no other; a result that used nothing is counted apart."""
    rows = published(("one", "1", HASH, "new", "monday"), ("two", "1", HASH, "new", "monday"))
    listing = [document("one"), document("two", "another")]
    with Comparison(tmp_path) as comparison:
        comparison.add_listing(map(Entry, listing))
        comparison.add_runs(RUNS)
        comparison.add_published(rows)
        comparison.add_held("a", "method", results(("one", HASH, "monday"), ("two", HASH, "monday")))
        comparison.add_held("b", "method", results(("one", HASH, "tuesday"), tokens=(0, 0)))
        comparison.compare(Scope((f"{SOURCE}/",)), ["a", "b"])
        assert comparison.held() == Held(100, 3, 1)


def test_a_changed_document_holds_nothing(tmp_path: Path) -> None:
    """Results about the text that it had before are not results about it."""
    held = {"a": results(("one", HASH, "monday")), "b": results(("one", HASH, "monday"))}
    (found,), unchanged = compared(
        tmp_path, [document("one", "2")], published(("one", "1", HASH, "new", "monday")), held
    )
    assert (found.change, found.held, unchanged) == (Change.CHANGED, "", {"a": 0, "b": 0})


def test_only_the_newest_result_holds(tmp_path: Path) -> None:
    """Readers see the newest row: an older one by this run's method is no reason to leave the other in its place."""
    held = {
        "a": results(("one", HASH, "monday"), ("one", HASH, "tuesday!")),
        "b": results(("one", HASH, "monday!"), ("one", HASH, "tuesday")),
    }
    (found,), unchanged = compared(tmp_path, [document("one")], published(("one", "1", HASH, "new", "monday")), held)
    assert (found.held, unchanged) == ("b", {"a": 0, "b": 1})


def test_what_is_gone_is_deleted_once(tmp_path: Path) -> None:
    """A document that was there and is not listed is deleted; one that was deleted before is not mentioned again."""
    rows = published(("gone", "1", HASH, "new", "monday"), ("long gone", "1", HASH, "deleted", "monday"))
    (found,), _ = compared(tmp_path, [], rows)
    assert (found.uri, found.change, found.held) == (f"{SOURCE}/gone", Change.DELETED, "")


def test_documents_of_other_sources_are_not_deleted(tmp_path: Path) -> None:
    """An output may hold several sources; a run speaks of its own alone, and a longer name is another folder."""
    elsewhere = pa.Table.from_batches(list(published(("one", "1", HASH, "new", "monday")))).to_pylist()
    rows = [{**elsewhere[0], "uri": "s3://bucket/in-another/one"}]
    reader = pa.Table.from_pylist(rows, published().schema).to_reader()
    assert compared(tmp_path, [], reader) == ([], {"a": 0, "b": 0})


def test_shards_divide_the_documents(tmp_path: Path) -> None:
    """Every document lies in exactly the shard that its id says, whatever the number of shards."""
    listing = [document(f"{number:03d}") for number in range(200)]
    with Comparison(tmp_path) as comparison:
        comparison.add_listing(map(Entry, listing))
        comparison.compare(Scope((f"{SOURCE}/",)), ["a"])
        for shards in (1, 2, 8, 256):
            parts = [comparison.shard(shard, shards).documents for shard in range(shards)]
            assert sorted(one.uri for part in parts for one in part) == [one.uri for one in listing]
            for shard, part in enumerate(parts):
                assert {shard_of(one.document.document_id, shards) for one in part} <= {shard}

"""A run over several sources, night after night: what is listed once, sent once, and gone."""

from __future__ import annotations

import datetime as dt
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from pipeline.domain import short_hash
from pipeline.errors import SettingsError
from pipeline.loop import Looped, run_to_the_end
from pipeline.manifest import RunManifest, shard_of
from pipeline.sources.rows import MOST_EXTRA_BYTES
from pipeline.sources.spelling import absolute_sources
from pipeline.steps import RunOrder, RunSummary
from pipeline.steps.forecasting import PlanOrder, forecast_source
from pipeline.steps.run import as_begun
from pipeline.storage.objects import ObjectStore, S3Access, absolute_uri, open_store
from tests.odd_bucket import odd_bucket
from tests.world import ANALYSES, TODAY, WORK_URI, Unseen, World

TICKETS = [
    {"id": number, "text": f"Ticket {number}: the kettle leaks.", "customer": f"c{number}", "paid": True, "stars": 2.5}
    for number in range(1, 6)
]


def put_rows(world: World, rows: list[dict[str, Any]], name: str = "tickets.jsonl") -> str:
    path = world.folder / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return f"rows:{path}"


def run(world: World, key: str, *said: str, **selection: Any) -> RunSummary:
    world.with_settings(**selection)
    order = RunOrder(key, TODAY, absolute_sources(*said), absolute_uri(str(world.output)), WORK_URI)
    return run_to_the_end(world.services, order, Unseen(), Looped(1.0, sleep=lambda _seconds: None))


def changes(world: World, key: str) -> dict[str, str]:
    """By the last part of the uri."""
    return {row["uri"].rpartition("/")[2]: row["change"] for row in world.rows("documents", key)}


def test_rows_are_documents(world: World) -> None:
    """Each row has its results, with its other columns; the next night only what changed is sent."""
    rows = put_rows(world, TICKETS)
    first = run(world, "one", rows)
    assert (first.documents, first.results, first.failures) == (5, 15, 0)
    for name in ANALYSES:
        found = {row["uri"].rpartition("#")[2]: row["extra"] for row in world.rows(name, "one")}
        assert found["id=3"] == '{"customer":"c3","paid":true,"stars":2.5}'
    assert {row["source"] for row in world.rows("documents", "one")} == {absolute_sources(rows)}
    calls = len(world.wire.calls)
    assert run(world, "two", rows).requests == 0
    assert len(world.wire.calls) == calls
    changed = [{**TICKETS[0], "text": "Now it is fine."}, {**TICKETS[1], "stars": 5}, *TICKETS[2:4]]
    put_rows(world, changed)
    third = run(world, "three", rows)
    assert changes(world, "three") == {
        "tickets.jsonl#id=1": "changed",
        "tickets.jsonl#id=2": "changed",
        "tickets.jsonl#id=5": "deleted",
    }
    assert (third.requests, third.known, third.deleted, third.results) == (3, 3, 1, 6)
    assert {json.loads(row["extra"])["stars"] for row in world.rows("sentiment", "three")} == {2.5, 5}


def test_texts_of_rows_are_taken_from_working_files(world: World) -> None:
    """The table is read once, by whoever lists it: shards need it no more, and each finds its own texts alone."""
    world.with_settings(shard_documents=10)
    rows = put_rows(world, [{"id": f"a/{n}?", "text": f"The text of row {n}."} for n in range(60)])
    path = Path(rows.removeprefix("rows:"))
    order = RunOrder("rows", TODAY, absolute_sources(rows), absolute_uri(str(world.output)), WORK_URI)
    watch = Unseen(at={"round 0: prepare": path.unlink})
    summary = run_to_the_end(world.services, order, watch, Looped(1.0, sleep=lambda _seconds: None))
    assert not path.exists()
    assert (summary.results, summary.failures, world.state("rows").manifest.shards) == (180, 0, 8)
    for key in world.state("rows").manifest.listing:
        shard = int(key.rpartition("/")[2][:4])
        assert list(world.state("rows").store.list(f"rows/{shard:04d}"))
    uris = {row["uri"] for row in world.rows("documents", "rows")}
    assert f"{path.as_uri()}#id={quote('a/7?', safe='')}" in uris
    assert {shard_of(short_hash(uri), 8) for uri in uris} == set(range(8))


BAD = [
    ('{"id": 1, "text": "Fine."}', None),
    ('{"id": 2, "text": ""}', ("id=2", "empty", "text without text")),
    ('{"id": 3, "text": null}', ("id=3", "empty", "text without text")),
    ('{"id": 4, "text": 5}', ("row:4", "damaged", "row 4: its column 'text' is no text (number)")),
    ('{"id": 5}', ("row:5", "damaged", "row 5: has no column 'text'")),
    (
        '{"text": "x"}',
        ("row:6", "damaged", "row 6: its column 'id' is no id (a text or a number of 1 to 500 characters)"),
    ),
    ('{"id": 1, "text": "Again."}', ("row:7", "damaged", "row 7: its id is that of an earlier row")),
    ('{"id": 8, "text": "\\ud800"}', ("row:8", "damaged", "row 8: its column 'text' is not UTF-8")),
    ('{"id": 9, "te', ("row:9", "damaged", "row 9: is not JSON")),
    ('{"id": true, "text": "x"}', ("row:10", "damaged", "row 10: its column 'id' is no id (a text or a number")),
    ("[]", ("row:11", "damaged", "row 11: is no JSON object")),
    (json.dumps({"id": 11, "text": "x", "more": "m" * MOST_EXTRA_BYTES}), ("row:12", "damaged", "extra columns are")),
    ('{"id": 13, "text": "\\u200b\\r\\n"}', ("id=13", "empty", "1 characters, none of which can be seen")),
    ('{"id": 12, "text": "<html><body>A page, but a text."}', None),
]


def test_a_row_that_cannot_be_read_stops_nothing(world: World) -> None:
    """It is a failure with its number and what is wrong with it; the others have their results."""
    path = world.folder / "bad.jsonl"
    path.write_text("\n".join(line for line, _ in BAD), "utf-8")
    summary = run(world, "bad", f"rows:{path}", min_bytes=0)
    failed = {row["uri"].rpartition("#")[2]: row for row in world.rows("failures", "bad") if row["stage"] == "read"}
    expected = [told for _, told in BAD if told]
    assert (summary.documents, summary.results, len(failed)) == (len(BAD), 6, len(expected))
    for place, reason, detail in expected:
        assert failed[place]["reason"] == reason
        assert detail in failed[place]["detail"]
    forms = {row["uri"].rpartition("#")[2]: row["format"] for row in world.rows("documents", "bad")}
    assert forms["id=12"] == "text"


def test_a_list_names_documents_anywhere(world: World) -> None:
    """What is not there is a failure; what a list and a prefix name is one document; what leaves the list is gone."""
    inside = world.put("a.txt", "The first text.")
    outside = world.folder / "elsewhere" / "b c.txt"
    outside.parent.mkdir()
    outside.write_text("The second text.")
    uris = world.folder / "uris.csv"
    lines = [inside, outside.as_uri(), str(outside), "http://x/y", "", (world.folder / "none.txt").as_uri()]
    uris.write_text("path,uri\n" + "".join(f'x,"{line}"\n' for line in lines))
    said = (str(world.source), f"list:{uris}")
    first = run(world, "one", *said)
    assert (first.documents, first.results) == (5, 6)
    failed = {row["uri"].rpartition("/")[2]: row for row in world.rows("failures", "one")}
    assert {name: row["reason"] for name, row in failed.items()} == {
        "uris.csv#row:4": "damaged",
        "uris.csv#row:5": "damaged",
        "none.txt": "vanished",
    }
    assert (
        "row 4: 'http://x/y' is not an s3:// uri, a file:/// uri or a full path" in failed["uris.csv#row:4"]["detail"]
    )
    uris.write_text(f"uri\n{inside}\n")
    second = run(world, "two", *said)
    assert (second.requests, second.deleted) == (0, 4)
    assert changes(world, "two")["b%20c.txt"] == "deleted"
    assert run(world, "three", str(world.source)).deleted == 0


def test_nothing_that_a_list_names_stops_a_run(world: World) -> None:
    """Folders, pipes, devices and names that cannot be: a failure each; no size that a list says is believed."""
    os.mkfifo(world.folder / "pipe")
    (world.folder / "large.txt").write_bytes(b"x" * 300_000)
    world.put("good.txt", "A text of which a list says that it is shorter than it is. " * 2_000)
    (world.folder / "a.txt").write_text("A text.")
    names = {
        world.folder / "pipe": "forbidden",
        world.folder / "large.txt": "too_large",
        world.folder / "a.txt" / "b": "vanished",
        world.folder / "a.txt" / "b" / "c": "vanished",
        world.folder / ("n" * 300): "vanished",
        world.folder / ("n" * 300) / "c": "vanished",
        world.folder: "forbidden",
        Path("/dev/zero"): "forbidden",
    }
    uris = world.folder / "uris.csv"
    lines = [f'"{path}",1,1,2026-11-20T08:30:15Z' for path in (*names, world.source / "good.txt")]
    uris.write_text("\n".join(["uri,etag,size_bytes,last_modified", *lines]))
    summary = run(world, "one", f"list:{uris}", max_document_bytes=200_000)
    failed = {row["uri"]: row["reason"] for row in world.rows("failures", "one")}
    assert failed == {path.as_uri(): reason for path, reason in names.items()}
    assert summary.results == 3
    uris.write_text("uri\n" + "".join(f'"{path}"\n' for path in names))
    assert run(world, "two", f"list:{uris}").results == 0
    assert {row["uri"] for row in world.rows("failures", "two")} == set(failed)


def test_a_bucket_that_is_not_there_stops_no_list(world: World) -> None:
    """What a list names in it is a failure that says so, whatever the list says of it; the others are read."""
    uris = world.folder / "uris.csv"
    named = ["s3://letters/a.txt", "s3://none/a.txt", "s3://none/a//b", "s3://none/believed.txt"]
    known = ["", "", "", "e,5,2026-11-20T08:30:15Z"]
    lines = [f"{uri},{said or ',,'}" for uri, said in zip(named, known, strict=True)]
    uris.write_text("\n".join(["uri,etag,size,last_modified", *lines]))
    order = RunOrder("one", TODAY, absolute_sources(f"list:{uris}"), absolute_uri(str(world.output)), WORK_URI)
    with odd_bucket({"a.txt": b"The first text."}) as url:
        access = S3Access("us-west-2", url, "id", "secret")
        inner = world.services.open

        def opened(uri: str, *, make: bool = False) -> ObjectStore:
            far = uri.startswith(("s3://letters", "s3://none"))
            return open_store(uri, access) if far else inner(uri, make=make)

        services = replace(world.services, open=opened)
        summary = run_to_the_end(services, order, Unseen(), Looped(1.0, sleep=lambda _seconds: None))
    failed = {row["uri"]: (row["reason"], row["detail"]) for row in world.rows("failures", "one")}
    assert summary.results == 3
    assert failed.keys() == set(named[1:])
    assert {reason for reason, _ in failed.values()} == {"vanished"}
    assert all("bucket none: there is no such bucket" in detail for _, detail in failed.values())


def test_a_link_does_not_lead_out_of_its_source(world: World) -> None:
    """What it leads to is not sent, but a failure that says why; a link to a file of the source is a document."""
    (world.folder / "secret.txt").write_text("A secret.")
    world.put("a.txt", "The first text.")
    (world.source / "inner.txt").symlink_to("a.txt")
    (world.source / "out.txt").symlink_to(world.folder / "secret.txt")
    summary = run(world, "one", str(world.source))
    assert (summary.documents, summary.results) == (3, 6)
    details = {(row["uri"].rpartition("/")[2], row["reason"], row["detail"]) for row in world.rows("failures", "one")}
    why = "listed, but is a link that leads out of the source folder; put the file itself there"
    assert details == {("out.txt", "forbidden", why)}


def test_what_is_not_selected_is_neither_read_nor_deleted(world: World) -> None:
    """It is counted, its earlier results stay, and it is what it was once it is wanted again."""
    for name in ("a.txt", "b.txt", "drafts/c.txt", "d.md"):
        world.put(name, f"The text of {name}.")
    assert run(world, "one", str(world.source)).documents == 4
    world.put("a.txt", "Another text, which nobody wants.")
    second = run(world, "two", str(world.source), include=("*.txt",), exclude=("drafts/", "a.*"))
    assert (second.documents, second.not_selected, second.deleted, second.requests) == (1, 3, 0, 0)
    assert world.rows("runs", "two")[0]["not_selected"] == 3
    (world.source / "b.txt").unlink()
    third = run(world, "three", str(world.source), include=("b.txt",), exclude=())
    assert (third.documents, third.not_selected, third.deleted) == (0, 3, 1)
    fourth = run(world, "four", str(world.source), include=())
    assert changes(world, "four") == {"a.txt": "changed"}
    assert fourth.unchanged == dict.fromkeys(ANALYSES, 2)


def test_sources_that_overlap_list_a_document_once(world: World) -> None:
    """A prefix within a prefix adds nothing; a table below a prefix is no document when its rows are."""
    world.put("in/a.txt", "The first text.")
    world.put("b.txt", "The second text.")
    (world.source / "t.jsonl").write_text('{"id": 1, "text": "A row."}\n')
    said = (str(world.source), str(world.source / "in"), f"rows:{world.source / 't.jsonl'}")
    assert run(world, "one", *said).documents == 3
    assert world.rows("runs", "one")[0]["source_uri"] == absolute_sources(*said)
    assert run(world, "two", *said[:2]).deleted == 0  # of rows, only their table may say that they are gone


def test_a_forecast_sees_what_a_run_would_see(world: World) -> None:
    """Rows, lists and what is selected are forecast without a work store."""
    rows = put_rows(world, TICKETS)
    world.put("a.txt", "The first text.")
    world.put("b.md", "The second text.")
    world.with_settings(include=("*.txt",))
    found = forecast_source(world.services, PlanOrder(absolute_sources(rows, str(world.source))), lambda *_: None)
    assert (found.listed, found.new, found.read) == (6, 6, 6)
    assert round(found.amounts.requests.expected) == 18


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("t.csv", "", "is empty"),
        ("t.csv", "id,body\n1,x\n", "has no column 'text'; its columns are id, body"),
        ("t.jsonl", '{"text": "x", "no": 1}\n', "has no column 'id'; its columns are text, no"),
        ("t.parquet", "PAR0", "cannot be read as Parquet"),
        ("t.csv.gz", "id,text\n1,x\n", "is no whole gzip file"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(world: World, name: str, content: str, message: str) -> None:
    """Nothing is sent, and the columns that there are are named."""
    (world.folder / name).write_text(content)
    with pytest.raises(Exception, match=message):
        run(world, "wrong", f"rows:{world.folder / name}")
    assert world.wire.calls == []


def test_a_run_is_continued_with_its_own_selection(world: World) -> None:
    """The same key with other patterns is another order."""
    world.put_many(4)
    run(world, "one", str(world.source), include=("*.txt",))
    with pytest.raises(SettingsError, match=r"run one: was begun with include = \('\*.txt',\), not \(\)"):
        run(world, "one", str(world.source), include=())


def test_a_resumed_run_selects_as_it_was_begun(world: World) -> None:
    """Whoever resumes a run need not know its patterns, and finds its sources in its manifest."""
    world.put_many(4)
    since = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    run(world, "one", str(world.source), include=("*.txt",), max_bytes=1_000, modified_since=since)
    world.with_settings(include=(), max_bytes=None, modified_since=None)
    begun = world.state("one").manifest
    settings = as_begun(world.settings, begun)
    assert (settings.include, settings.max_bytes, settings.modified_since) == (("*.txt",), 1_000, since)
    assert begun.source_uri == absolute_uri(str(world.source))


def test_the_manifest_of_a_version_that_knew_one_prefix_is_read(world: World) -> None:
    """Its runs are listed and tidied as before."""
    world.put_many(4)
    run(world, "one", str(world.source))
    begun = world.state("one").manifest
    old = begun.model_dump(mode="json", exclude={"sources", "include", "exclude", "not_selected"})
    assert RunManifest.model_validate(old | {"source_uri": begun.source_uri}) == begun

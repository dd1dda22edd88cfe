"""The beginning of a run: what is listed, what is fixed, what is refused."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from pipeline.errors import DeclarationError, ObjectMissing, RunError, SettingsError
from pipeline.known.comparison import ListedDocument
from pipeline.manifest import derive_run_key, shard_of
from pipeline.records import from_parquet
from pipeline.steps import RunOrder, start
from pipeline.steps.start import new_run_key
from tests.world import ANALYSES, BUCKET, FIXED, NOW, WORK_URI, Unseen, World

BEDROCK_SEGMENT = re.compile(r"[-!_*'().a-z0-9A-Z]+")
BEDROCK_JOB_NAME = re.compile(r"[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9+\-.]){0,63}")


def test_an_empty_source_is_a_run_without_documents(world: World) -> None:
    """Nothing to read gives a published run with zero counts and tables that can be read."""
    summary = world.run()
    assert (summary.documents, summary.requests, summary.results, summary.failures) == (0, 0, 0, 0)
    assert summary.cost_usd == 0
    assert world.wire.calls == []
    for name in (*FIXED, *ANALYSES):
        table = world.table(name)
        assert table.num_rows == (1 if name == "runs" else 0)
        assert len(table.column_names) > 8


def test_documents_that_cannot_be_read_alone_are_a_run_too(world: World) -> None:
    """A source of nothing but unreadable documents sends nothing and publishes their failures."""
    world.put("empty.txt", " \n")
    world.put("picture.gif", b"GIF89a\0\0")
    summary = world.run()
    assert (summary.documents, summary.failures) == (2, 6)
    assert summary.cost_usd == 0
    assert summary.reasons == {"empty": 3, "unsupported": 3}


@pytest.mark.parametrize("place", ["output", "work"])
def test_a_place_inside_the_source_is_refused(world: World, place: str) -> None:
    """Tables or working files inside the source would be documents of the next run."""
    inside = f"s3://{BUCKET}/documents/{place}"
    outside = f"s3://{BUCKET}/documents-of-others"
    chosen = {"output": outside, "work": outside, place: inside}
    order = RunOrder("night", world.order().run_date, f"s3://{BUCKET}/documents", chosen["output"], chosen["work"])
    with pytest.raises(SettingsError, match=f"{inside}: lies inside the source"):
        start(world.services, order)


def test_two_thousand_documents_spread_over_shards(world: World) -> None:
    """Every document is in exactly one shard, in the order of uris, and no shard is far from its share."""
    world.with_settings(shard_documents=100)
    for number in range(2_000):
        world.put(f"{number % 40}/{number}.txt", "x")
    uri = start(world.services, world.order())
    run = world.state()
    assert run.store.uri() == uri
    assert (run.manifest.documents, run.manifest.shards) == (2_000, 32)
    shards = [list(from_parquet(ListedDocument, run.store.read(key))) for key in run.manifest.listing]
    uris = [document.uri for shard in shards for document in shard]
    assert len(uris) == len(set(uris)) == 2_000
    for number, shard in enumerate(shards):
        assert [one.uri for one in shard] == sorted(one.uri for one in shard)
        assert {shard_of(one.document.document_id, 32) for one in shard} == {number}
        assert 20 < len(shard) < 130


def test_a_prompt_that_changes_in_the_middle_stops_the_run(world: World) -> None:
    """The steps of a run agree on its prompts, or the run says which one changed."""
    prompts = world.own_prompts("sentiment")
    world.put_many(4)
    template = prompts / "sentiment" / "map.jinja"

    def change() -> None:
        template.write_text(template.read_text("utf-8").replace("You judge", "You rate"), "utf-8")

    with pytest.raises(RunError, match=r"run night: the prompt of sentiment in .*prompts has changed since the run"):
        world.run(watch=Unseen(at={"round 0: collect": change}))


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"analyses": ("sentimant",)}, SettingsError, "analysis 'sentimant': not declared in .*; declared are class"),
        ({"model": "gpt-4"}, SettingsError, "model = 'gpt-4': not in the catalogue; known are meta"),
    ],
)
def test_a_wrong_name_begins_nothing(
    world: World, changed: dict[str, object], error: type[Exception], message: str
) -> None:
    """An unknown analysis or model is refused before anything is written."""
    writes: list[str] = []
    world.on_write = writes.append
    world.with_settings(**changed)
    with pytest.raises(error, match=message):
        world.run()
    assert "run.json" not in writes


def test_a_broken_prompt_begins_nothing(world: World) -> None:
    """A template's mistake shows before the source is listed."""
    prompts = world.own_prompts("sentiment")
    (prompts / "sentiment" / "map.jinja").write_text("{{ documant }}{% block answer %}{% endblock %}", "utf-8")
    writes: list[str] = []
    world.on_write = writes.append
    with pytest.raises(DeclarationError, match="documant"):
        world.run()
    assert writes == []


def test_a_source_that_is_not_there_begins_nothing(world: World) -> None:
    """A missing folder is an error, not an empty source."""
    world.source.rmdir()
    with pytest.raises(ObjectMissing, match=r"documents: there is no such folder"):
        world.run()


def test_a_key_belongs_to_one_source_and_one_output(world: World) -> None:
    """The key of a run that was begun for other documents is refused, not continued under a wrong name."""
    world.put_many(4)
    world.run()
    world.source = world.folder / "other documents"
    world.put("one.txt", "Another text.")
    with pytest.raises(SettingsError, match=r"run night: was begun with (source|output) = .*/(documents|output), not "):
        world.run()


@pytest.mark.parametrize(
    "name",
    [
        "scheduled__2026-11-23T02:00:00+00:00",
        "manual__2026-11-23T02:00:00.123456+00:00",
        "dataset_triggered__ümläut %/\\ 漢字",
        "a" * 300 + "_",
        "__",
        "night",
    ],
)
def test_keys_of_airflow_runs_are_legal_for_bedrock(world: World, name: str) -> None:
    """Whatever a run is called, its uris and job names are legal, and different names stay different."""
    key = derive_run_key(name)
    assert derive_run_key(name + "_") != key
    assert BEDROCK_SEGMENT.fullmatch(key)
    world.put_many(4)
    assert world.run(key).results == 12
    (job,) = world.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]
    assert BEDROCK_JOB_NAME.fullmatch(job["jobName"])
    assert len(job["jobName"]) <= 63
    for config in (job["inputDataConfig"]["s3InputDataConfig"], job["outputDataConfig"]["s3OutputDataConfig"]):
        assert len(config["s3Uri"]) <= 1024
        segments = config["s3Uri"].removeprefix("s3://").rstrip("/").split("/")
        assert all(BEDROCK_SEGMENT.fullmatch(segment) for segment in segments)


def test_a_run_that_nobody_named_gets_a_key_from_time_and_places(world: World) -> None:
    """The clock and the places make the key, nothing random."""
    services = replace(world.services, clock=lambda: NOW)
    keys = {new_run_key(services, source, "s3://bucket/out", WORK_URI) for source in ("file:///a", "file:///b")}
    assert len(keys) == 2
    assert all(re.fullmatch(r"20261123T020000Z-[0-9a-f]{8}", key) for key in keys)


def test_runs_of_one_second_have_keys_of_their_own(world: World) -> None:
    """However many begin at once between the same places, no two get the same key, and each key can be read."""
    services = replace(world.services, clock=lambda: NOW)
    with ThreadPoolExecutor(8) as pool:
        keys = list(pool.map(lambda _: new_run_key(services, "file:///a", "file:///out", WORK_URI), range(8)))
    first = min(keys)
    assert sorted(keys) == [first, *(f"{first}-{number}" for number in range(2, 9))]
    assert all(derive_run_key(key) == key for key in keys)


def test_a_key_that_is_refused_leaves_nothing_in_the_source(world: World) -> None:
    """A work store inside the source is refused before anything is claimed there."""
    with pytest.raises(SettingsError, match="lies inside the source"):
        new_run_key(world.services, f"s3://{BUCKET}", "file:///out", WORK_URI)
    assert [entry for page in world.bucket.list() for entry in page] == []

"""Every step may be repeated, and a run that was broken off anywhere goes on to the same tables and the same jobs."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from pipeline.domain import short_hash
from pipeline.records import OutcomeRecord, from_parquet, to_parquet
from pipeline.segments import read_index
from pipeline.steps import collect, describe, fold, plan, prepare, publish, start, submit
from pipeline.steps.state import read_document_records, read_prepared
from pipeline.wire import read_record_id
from tests.world import ANALYSES, Broken, Unseen, World

# Long enough for a reduction, so that a run has two rounds: one by job, one on demand.
LONG = "".join(f"Sentence {n} of a long document. " for n in range(60))


def fill(world: World) -> World:
    world.own_prompts("summarization", chunk_tokens=256)
    world.put_many(3)
    world.put("copy.txt", "Document number 1 of 3.")
    world.put("empty.txt", "")
    world.put("long.txt", LONG)
    return world


@pytest.fixture
def filled(world: World) -> World:
    """A world with short, long, empty and duplicate documents."""
    return fill(world)


def test_every_step_may_be_called_twice(filled: World) -> None:
    """A repetition of a step gives what the first call gave, starts no second job and asks nothing again."""
    services = filled.services

    def twice(step: Callable[[], object]) -> object:
        first = step()
        calls = (filled.wire.created, filled.wire.invoked)
        assert step() == first
        assert (filled.wire.created, filled.wire.invoked) == calls
        return first

    uri = str(twice(lambda: start(services, filled.order())))
    for number in range(3):
        twice(partial(prepare, services, uri, number, 0))
        planned = plan(services, uri, number)
        assert plan(services, uri, number) == planned
        for batch in planned.batches:
            arn = twice(partial(submit, services, uri, number, batch.batch_key))
            if arn:
                assert describe(services, str(arn)).status.ended
            twice(partial(collect, services, uri, number, batch.batch_key))
    twice(lambda: fold(services, uri, 0))
    twice(lambda: publish(services, uri))
    files = filled.files()
    publish(services, uri)
    assert filled.files() == files
    assert filled.wire.created == 1


def test_a_finished_run_repeated_submits_nothing_and_writes_the_same_bytes(filled: World) -> None:
    """With the key of a finished run, nothing is sent and the tables are published again, byte for byte."""
    summary = filled.run()
    files, created, invoked = filled.files(), filled.wire.created, filled.wire.invoked
    assert filled.run() == summary
    assert filled.files() == files
    assert (filled.wire.created, filled.wire.invoked) == (created, invoked)
    assert len(files) == 7


def test_a_forced_run_asks_again_what_is_known(filled: World) -> None:
    """Runs with different keys lie beside each other; a forced one has the same results, asked and paid anew."""
    filled.run("monday")
    filled.run("tuesday", force=True)
    names = [name for name in filled.table("summarization", "monday").column_names if name != "run_key"]
    tables = [filled.table("summarization", key).select(names) for key in ("monday", "tuesday")]
    assert tables[0].equals(tables[1])
    assert filled.wire.created == 2


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes], list[str]]:
    """A run that nobody broke off: its folder, published files and steps."""
    folder = tmp_path_factory.mktemp("unbroken")
    world = fill(World(folder / "world", analyses=("summarization",)))
    watch = Unseen()
    world.run(watch=watch)
    return folder / "world", world.files(), watch.names


def again(folder: Path, tmp_path: Path) -> World:
    """A world of its own over the same documents and prompts, publishing to another folder of the same tables."""
    world = World(folder, analyses=("summarization",), prompts=folder / "prompts")
    world.output = tmp_path / "output"
    return world


def same_tables(world: World, files: dict[str, bytes]) -> bool:
    """The output's own place stands in `runs` alone."""
    mine = world.files()
    return mine.keys() == files.keys() and all(
        mine[name] == files[name] for name in files if not name.startswith("tables/runs/")
    )


@pytest.mark.parametrize("step", range(9))
def test_a_run_broken_off_before_a_step_goes_on(
    unbroken: tuple[Path, dict[str, bytes], list[str]], tmp_path: Path, step: int
) -> None:
    """Wherever it was interrupted, the same key continues it: one job a batch, the same tables."""
    folder, files, names = unbroken
    assert len(names) == 9, names
    world = again(folder, tmp_path)
    with pytest.raises(Broken, match=names[step]):
        world.run(watch=Unseen(break_at=step))
    assert world.files() == {}
    world.run()
    assert same_tables(world, files)
    assert world.wire.created == 1


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_lost_answer_to_create_starts_no_second_job(filled: World, moment: str) -> None:
    """Whether the connection broke before or after Bedrock took the job, there is one job in the end."""

    def lose(name: str, count: int) -> None:
        if name == "create_model_invocation_job" and count == 1:
            raise Broken("connection lost")

    setattr(filled.wire, moment, lose)
    with pytest.raises(Broken):
        filled.run()
    summary = filled.run()
    assert summary.disagreements == []
    assert len(filled.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]) == 1


def test_a_crash_between_intent_and_job_creates_it(filled: World) -> None:
    """An intent without a job behind it is made good, and found by name when there is one."""
    filled.on_write = _raise_at("jobs/r00-b0000.json")
    with pytest.raises(Broken):
        filled.run()
    assert filled.wire.created == 1
    filled.on_write = lambda _key: None
    filled.run()
    assert filled.wire.created == 1, "the job was found by its name"


def test_of_two_processes_that_prepare_at_once_the_first_wins(filled: World) -> None:
    """A document that changes between their two reads mixes nothing: what the loser writes, the winner's files stay."""
    uri = start(filled.services, filled.order())
    store = filled.state().store
    kept: dict[str, bytes] = {}

    def overtake(key: str) -> None:
        if "/requests/" in key:
            filled.on_write = lambda _key: None
            filled.put("000.txt", "A text that changed in between.")
            prepare(filled.services, uri, 0, 0)
            kept.update({entry.key: store.read(entry.key) for entry in store.list()})

    filled.on_write = overtake
    prepare(filled.services, uri, 0, 0)
    assert all(store.read(key) == content for key, content in kept.items())
    assert len(list(store.list())) > len(kept), "the loser wrote nothing, so nothing was tried"
    segments, _ = read_prepared(store, 0, 0)
    for segment in segments:
        requests = [request.record_id for request in read_index(store, [segment.index_key])]
        assert [read_record_id(line) for line in store.lines(segment.key)] == requests
        assert len(requests) == segment.records
    asked = {request.content_hash for request in read_index(store, [segment.index_key for segment in segments])}
    documents = list(read_document_records(filled.state(), 0))
    assert {one.content_hash for one in documents if one.content_hash and not one.duplicate_of} >= asked
    assert short_hash("A text that changed in between.") in asked
    assert short_hash("Document number 0 of 3.") not in asked
    summary = filled.run()
    assert summary.results + summary.failures == summary.documents * 3


def test_the_same_requests_have_the_same_files(filled: World) -> None:
    """Files of requests are named by their content: another run of the same source has the same names."""
    names = []
    for key in ("monday", "tuesday"):
        uri = start(filled.services, filled.order(key))
        prepare(filled.services, uri, 0, 0)
        segments, _ = read_prepared(filled.state(key).store, 0, 0)
        names.append([(segment.key, segment.index_key) for segment in segments])
    assert names[0] == names[1] != []


def test_answers_that_another_run_paid_for_cost_nothing(world: World) -> None:
    """They make results, and neither ledger rows, nor requests, nor tokens, nor dollars."""
    world.put_many(4)
    with pytest.raises(Broken):
        world.run(watch=Unseen(break_at=4))
    run = world.state()
    (entry,) = run.store.list("rounds/00/outcomes")
    records = list(from_parquet(OutcomeRecord, run.store.read(entry.key)))
    reused = {record.record_id for record in records[:5]}
    marked = [replace(one, paid_by="monday" if one.record_id in reused else None) for one in records]
    run.store.write(entry.key, to_parquet(OutcomeRecord, marked))
    counts = fold(world.services, run.store.uri(), 0)
    paid = [one for one in records if one.record_id not in reused]
    assert counts.requests == len(paid) == 7
    assert sum(one.results for one in counts.analyses.values()) == 12
    assert sum(one.input_tokens for one in counts.analyses.values()) == sum(one.input_tokens or 0 for one in paid)
    staged = {
        name: pq.read_table(io.BytesIO(run.store.read(f"staged/{name}/part-0000.parquet"))).to_pylist()
        for name in (*ANALYSES, "ledger")
    }
    assert {row["record_id"] for row in staged["ledger"]} == {one.record_id for one in paid}
    results = [row for name in ANALYSES for row in staged[name]]
    free = [row for row in results if row["cost_usd"] == 0]
    assert len(free) == 5
    assert {(row["input_tokens"], row["output_tokens"], row["model"]) for row in free} == {(0, 0, "canned")}
    assert sum(row["cost_usd"] for row in results) == sum(row["cost_usd"] for row in staged["ledger"])


def _raise_at(tail: str) -> Callable[[str], None]:
    def check(key: str) -> None:
        if key.endswith(tail):
            raise Broken(key)

    return check

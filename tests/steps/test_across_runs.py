"""What one run answered, another neither sends nor pays; what one has sent, another waits for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from decimal import Decimal

import pytest

from pipeline.errors import ObjectMissing, RunError
from pipeline.local.bill import Billed
from pipeline.manifest import answers_key
from pipeline.steps import RunSummary, collect, plan, prepare, start, submit
from pipeline.steps.rounds import RoundPlan, read_plan
from tests.world import Broken, Canned, Unseen, World


def billed(world: World) -> Billed:
    return world.bedrock.bill.total()


def ends(summary: RunSummary) -> tuple[int, int, int]:
    return summary.results, summary.failures, sum(summary.unchanged.values())


def test_an_unchanged_source_costs_nothing(world: World) -> None:
    """The next night over the same documents sends nothing, reads nothing and writes no row but its own in `runs`."""
    world.put_many(4)
    world.run("monday")
    before = billed(world)
    watch = Unseen()
    summary = world.run("tuesday", watch)
    assert ends(summary) == (0, 0, 12)
    assert (summary.requests, summary.known, summary.cost_usd) == (0, 0, Decimal(0))
    assert billed(world) == before
    assert [name for name in world.files() if "/tuesday/" in name] == ["tables/runs/tuesday/part-0000.parquet"]
    assert watch.names == ["list", "round 0: prepare", "publish"]


def test_unchanged_documents_are_not_read(world: World) -> None:
    """Objects with the ETag that they had may hold anything by now: nobody looks."""
    world.put_many(4)
    world.run("monday")
    for path in world.source.iterdir():
        was = path.stat()
        path.write_bytes(b"?" * was.st_size)  # in the same size, and with its old time: nothing tells but its bytes
        os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert ends(world.run("tuesday")) == (0, 0, 12)


def test_only_what_is_new_or_changed_is_asked(world: World) -> None:
    """Of four documents one is changed and one added: two are asked, three stay."""
    world.put_many(4)
    world.run("monday")
    world.put("001.txt", "Something else altogether.")
    world.put("new.txt", "A document that was not there.")
    summary = world.run("tuesday")
    assert ends(summary) == (6, 0, 9)
    assert summary.requests == 6
    assert [(row["uri"].rpartition("/")[2], row["change"]) for row in world.rows("documents", "tuesday")] == [
        ("001.txt", "changed"),
        ("new.txt", "new"),
    ]


def test_a_changed_prompt_runs_its_analysis_alone(world: World) -> None:
    """The other analyses of the same documents are unchanged."""
    prompts = world.own_prompts("sentiment")
    world.put_many(4)
    world.run("monday")
    template = prompts / "sentiment" / "map.jinja"
    template.write_text(template.read_text("utf-8").replace("You judge", "You rate"), "utf-8")
    summary = world.run("tuesday")
    assert {name: one.results for name, one in summary.analyses.items()} == {
        "classification": 0,
        "sentiment": 4,
        "summarization": 0,
    }
    assert summary.unchanged == {"classification": 4, "sentiment": 0, "summarization": 4}
    assert {row["analysis"] for row in world.rows("ledger", "tuesday")} == {"sentiment"}


def test_a_prompt_that_is_put_back_has_its_answers_back(world: World) -> None:
    """What readers see is by the prompt of the newest run, and the way back costs nothing."""
    prompts = world.own_prompts("sentiment")
    world.put_many(4)
    world.run("monday")
    before = (prompts / "sentiment" / "map.jinja").read_text("utf-8")
    (prompts / "sentiment" / "map.jinja").write_text(before.replace("You judge", "You rate"), "utf-8")
    world.run("tuesday")
    (prompts / "sentiment" / "map.jinja").write_text(before, "utf-8")
    summary = world.run("wednesday")
    assert (ends(summary), summary.requests, summary.known) == ((4, 0, 8), 0, 4)
    monday, wednesday = (world.rows("sentiment", key) for key in ("monday", "wednesday"))
    assert [row["score"] for row in monday] == [row["score"] for row in wednesday]
    assert {row["prompt_fingerprint"] for row in monday} == {row["prompt_fingerprint"] for row in wednesday}


def test_a_text_under_another_name_is_known(world: World) -> None:
    """A moved document is new, has its rows, and costs nothing."""
    world.put_many(4)
    world.run("monday")
    before = billed(world)
    (world.source / "000.txt").rename(world.source / "moved.txt")
    summary = world.run("tuesday")
    assert ends(summary) == (3, 0, 9)
    assert (summary.requests, summary.known, summary.cost_usd, summary.deleted) == (0, 3, Decimal(0), 1)
    assert billed(world) == before
    (row,) = world.rows("summarization", "tuesday")
    (earlier,) = [one for one in world.rows("summarization", "monday") if one["uri"].endswith("000.txt")]
    assert (row["summary"], row["model"], row["cost_usd"]) == (earlier["summary"], "canned", Decimal(0))
    assert world.rows("ledger", "tuesday") == []


def test_a_lost_output_is_published_again_for_nothing(world: World) -> None:
    """The answers lie in the work store: another output, or the same one emptied, has all rows and no cost."""
    world.put_many(4)
    first = world.run("monday")
    before = billed(world)
    world.output = world.folder / "another output"
    summary = world.run("tuesday")
    assert (summary.results, summary.requests, summary.known) == (first.results, 0, 12)
    assert billed(world) == before
    assert [row["summary"] for row in world.rows("summarization", "tuesday")] != []


def test_a_run_that_was_never_published_has_answered_all_the_same(world: World) -> None:
    """What a run collected before it died is known to the next night under another key."""
    world.put_many(4)
    with pytest.raises(Broken):
        world.run("monday", Unseen(at={"publish": _break}))
    before = billed(world)
    summary = world.run("tuesday")
    assert (summary.results, summary.requests, summary.known) == (12, 0, 12)
    assert billed(world) == before


def test_failures_are_not_known(make_world: Callable[..., World]) -> None:
    """A document whose answer could not be used is asked again the next night."""
    world = make_world(engine=Canned(lambda prompt, before: "no" if before < 2 and "number 1" in prompt else None))
    world.with_settings(analyses=("classification",), max_rounds=1)
    world.put_many(4)
    assert ends(world.run("monday")) == (3, 1, 0)
    assert ends(world.run("tuesday"))[2] == 3
    assert world.run("wednesday").results == 1


def test_a_document_that_cannot_be_read_fails_every_night(world: World) -> None:
    """It is never unchanged: somebody is to do something about it."""
    world.put_many(3)
    world.put("empty.txt", "")
    assert ends(world.run("monday")) == (9, 3, 0)
    assert ends(world.run("tuesday")) == (0, 3, 9)


def test_deleted_documents_keep_their_rows_and_are_marked_once(world: World) -> None:
    """The row of the deletion is in `documents`; results stay where they are, and later runs are silent about it."""
    world.put_many(4)
    world.run("monday")
    (world.source / "002.txt").unlink()
    assert world.run("tuesday").deleted == 1
    (row,) = world.rows("documents", "tuesday")
    assert (row["uri"].rpartition("/")[2], row["change"], row["content_hash"]) == ("002.txt", "deleted", None)
    assert len(world.rows("summarization", "monday")) == 4
    assert world.run("wednesday").deleted == 0
    world.put("002.txt", "Document number 2 of 4.")
    assert ends(world.run("thursday")) == (3, 0, 9)


def test_copies_in_different_shards_are_asked_once(world: World) -> None:
    """However many shards and segments there are, equal texts are one record each, and every copy has its row."""
    world.with_settings(shard_documents=1, batch_records=4)
    for number in range(12):
        world.put(f"{number}.txt", "The same text." if number % 2 else f"Text {number}.")
    summary = world.run()
    assert summary.results == 36
    assert summary.requests == 21
    assert billed(world).records == 21
    rows = world.rows("classification")
    assert len(rows) == 12
    assert sum(row["cost_usd"] for row in rows) == sum(
        row["cost_usd"] for row in world.rows("ledger") if row["analysis"] == "classification"
    )


def test_force_pays_again(world: World) -> None:
    """A forced run asks what is known, and copies still once."""
    world.put_many(4)
    world.put("copy.txt", "Document number 1 of 4.")
    world.run("monday")
    summary = world.run("tuesday", force=True)
    assert (ends(summary), summary.requests) == ((15, 0, 0), 12)
    assert billed(world).records == 24


def test_another_engine_is_another_method(make_world: Callable[..., World]) -> None:
    """Answers of the embedded baseline are not taken for those of a model that is put in its place."""
    world = make_world(folder="one")
    world.put_many(4)
    world.run("monday")
    world.engine_name = "another engine"
    assert ends(world.run("tuesday")) == (12, 0, 0)


def begun(world: World, key: str) -> tuple[str, RoundPlan]:
    """A run that has planned its first round and done nothing more."""
    uri = start(world.services, world.order(key))
    prepare(world.services, uri, 0, 0)
    return uri, plan(world.services, uri, 0)


def test_what_another_run_has_sent_is_waited_for(world: World) -> None:
    """Two runs over the same documents at once: one job, two sets of rows, one of them at no cost."""
    world.put_many(4)
    uri, planned = begun(world, "first")
    submit(world.services, uri, 0, planned.batches[0].batch_key)
    summary = world.run("second")
    assert (summary.results, summary.requests, summary.cost_usd) == (12, 0, Decimal(0))
    assert world.run("first").requests == 12
    assert (world.wire.created, billed(world).records) == (1, 12)


def test_what_a_dead_run_only_planned_is_taken_over(world: World) -> None:
    """A run that died before it sent anything is in nobody's way; when it comes back, it takes what is there."""
    world.put_many(4)
    begun(world, "first")
    summary = world.run("second")
    assert (summary.results, summary.requests) == (12, 12)
    late = world.run("first")
    assert (late.results, late.requests, late.cost_usd) == (12, 0, Decimal(0))
    assert (world.wire.created, billed(world).records) == (1, 12)


def test_a_round_that_another_run_took_is_not_counted(world: World) -> None:
    """A run that may have one round has it, though its first batch was taken over before it was begun."""
    world.with_settings(max_rounds=1)
    world.put_many(4)
    begun(world, "first")
    assert world.run("second").results == 12
    late = world.run("first")
    assert (late.results, late.failures, late.requests) == (12, 0, 0)


def test_a_run_that_died_between_intent_and_job_is_finished_by_the_next(world: World) -> None:
    """The job that it meant to start is started under its own name and token, once."""
    world.put_many(4)
    world.wire.before = _break_at("create_model_invocation_job")
    with pytest.raises(Broken):
        world.run("first")
    world.wire.before = lambda _name, _count: None
    world.run("second")
    world.run("first")
    (job,) = world.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]
    assert job["jobName"].startswith("docbatch-r00-b0000-")
    assert billed(world).records == 12


def test_overlapping_sources_share_what_they_share(world: World) -> None:
    """A run over a part takes the answers for that part from the job of the run over the whole."""
    world.put_many(4)
    uri, planned = begun(world, "first")
    submit(world.services, uri, 0, planned.batches[0].batch_key)
    world.put("more.txt", "Only the second run sees this.")
    summary = world.run("second")
    assert (summary.results, summary.requests) == (15, 3)
    awaited = [batch for batch in read_plan(world.state("second"), 0).batches if batch.awaits]
    assert [batch.records for batch in awaited] == [12]
    assert billed(world).records == 15


def test_what_the_other_run_got_no_answer_to_is_asked_by_this_one(world: World) -> None:
    """Records that are missing from the awaited job go to the next round."""
    world.put_many(4)
    uri, planned = begun(world, "first")
    submit(world.services, uri, 0, planned.batches[0].batch_key)
    world.bedrock.run_waiting()
    world.rewrite(lambda lines: lines[5:], "first")
    summary = world.run("second")
    assert (summary.results, summary.failures, summary.requests) == (12, 0, 5)


def test_an_open_run_of_another_version_stands_in_nobodys_way(world: World) -> None:
    """What cannot be read of another run is passed over; asked for by its own key, the run says what is the matter."""
    world.put_many(4)
    uri, _ = begun(world, "first")
    store = world.services.open(uri)
    store.write("run.json", store.read("run.json").replace(b'"max_rounds"', b'"most_rounds"'))
    assert world.run("second").requests == 12
    with pytest.raises(RunError, match=r"run\.json: was written by another version of docbatch \(max_rounds, most_r"):
        world.run("first")


def test_of_a_batch_that_was_waited_for_the_other_records_are_waited_for_too(world: World) -> None:
    """A reduction that lies in it beside records that this run was already given is not asked for a second time."""
    world.own_prompts("summarization", chunk_tokens=256)
    world.with_settings(analyses=("summarization",))
    world.put_many(4)
    world.put("long.txt", "".join(f"Sentence {n} of a long document. " for n in range(60)))
    uri, planned = begun(world, "first")
    submit(world.services, uri, 0, planned.batches[0].batch_key)
    world.bedrock.run_waiting()
    world.rewrite(lambda lines: [line for line in lines if b"Document number" not in line], "first")
    assert collect(world.services, uri, 0, planned.batches[0].batch_key).missing == 4
    prepare(world.services, uri, 1, 0)
    (batch,) = plan(world.services, uri, 1).batches
    assert batch.records == 5, "four that are missing, and a reduction"
    submit(world.services, uri, 1, batch.batch_key)
    before = world.wire.created, world.wire.invoked
    summary = world.run("second")
    assert (summary.results, summary.requests) == (5, 0)
    assert (world.wire.created, world.wire.invoked) == before
    assert world.run("first").results == 5


def test_answers_are_kept_beside_the_runs(world: World) -> None:
    """The list of a batch's answers lies in the work store under its run and batch."""
    world.put_many(4)
    world.run("monday")
    assert world.state("monday").work.exists(answers_key("monday", "r00-b0000"))


def _break() -> None:
    raise Broken


def _break_at(operation: str) -> Callable[[str, int], None]:
    def check(name: str, _count: int) -> None:
        if name == operation:
            raise Broken(name)

    return check


def test_deleted_tables_come_back_without_being_paid_again(world: World) -> None:
    """While the catalog names them, the error says to delete it too; a run after that has all rows, for nothing."""
    world.put_many(4)
    first = world.run("first")
    shutil.rmtree(world.output / "tables")
    with pytest.raises(ObjectMissing, match=r"tables were deleted, delete their catalog .*the folder `catalog` beside"):
        world.run("second")
    shutil.rmtree(world.output / "catalog")
    second = world.run("third")
    assert (second.results, second.requests, second.known, world.wire.created) == (first.results, 0, first.results, 1)
    assert len(world.rows("sentiment", "third")) == 4

"""What replies, errors and gaps of a round become, and what the next round asks again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pytest

from pipeline.domain import JobStatus
from pipeline.errors import JobFailed, ServiceBusy, ServiceRejected
from pipeline.local.jobs import JobStore
from pipeline.local.work import Rules
from pipeline.steps.rounds import Collected, read_collected, read_plan
from tests.world import Broken, Canned, Unseen, World

CLASSIFICATION: dict[str, Any] = {"analyses": ("classification",)}


def canned(world: World) -> Canned:
    assert isinstance(world.engine, Canned)
    return world.engine


def rewritten(world: World, change: Callable[[list[bytes]], list[bytes]], round_number: int = 0) -> Unseen:
    """A watch under which the output of a round's jobs is changed before it is collected."""
    return Unseen(at={f"round {round_number}: collect": lambda: world.rewrite(change)})


def collected(world: World, round_number: int = 0) -> list[Collected]:
    run = world.state()
    return [read_collected(run, round_number, batch.batch_key) for batch in read_plan(run, round_number).batches]


def with_error(line: bytes, code: object, message: str = "Malformed input request: no.") -> bytes:
    record = orjson.loads(line)
    record.pop("modelOutput", None)
    return orjson.dumps(record | {"error": {"errorCode": code, "errorMessage": message}})


def without_counts(line: bytes) -> bytes:
    record = orjson.loads(line)
    del record["modelOutput"]["prompt_token_count"]
    return orjson.dumps(record)


@pytest.mark.parametrize(
    ("generation", "category"),
    [
        ('news"}', "news"),
        ('NEWS"}', "news"),
        ('{"category": "news"}', "news"),
        ('```json\n{"category": "news"}\n```', "news"),
        ('Here it is: {"category": "news"} as asked.', "news"),
        ('news", "confidence": 0.9}', "news"),
        ('news"', "news"),
    ],
)
def test_small_sins_of_an_answer_are_repaired(make_world: Callable[..., World], generation: str, category: str) -> None:
    """Fences, prose, repeated beginnings, other case and a missing end cost no second call."""
    world = make_world(engine=Canned(lambda _prompt, _before: generation), least=1, **CLASSIFICATION)
    world.put("one.txt", "One.")
    summary = world.run()
    assert [row["category"] for row in world.rows("classification")] == [category]
    assert summary.requests == 1


@pytest.mark.parametrize(
    ("generation", "reason"),
    [
        ("novel", "invalid"),
        ('weather"}', "invalid"),
        ("", "invalid"),
        ('"}', "invalid"),
    ],
)
def test_an_answer_that_fits_no_label_is_a_failure(
    make_world: Callable[..., World], generation: str, reason: str
) -> None:
    """What the schema refuses is a failure row with what was paid for it, and no result row."""
    world = make_world(engine=Canned(lambda _prompt, _before: generation), least=1, **CLASSIFICATION)
    world.put("one.txt", "One.")
    world.run()
    (row,) = world.rows("failures")
    assert (row["stage"], row["reason"]) == ("map", reason)
    assert row["cost_usd"] > 0
    assert row["input_tokens"] > 0
    assert world.rows("classification") == []


def test_records_that_are_missing_are_asked_again(world: World) -> None:
    """A record without an output line is asked in the next round, with the very line it had, and answered there."""
    world.put_many(4)
    first: list[dict[str, Any]] = []

    def drop(lines: list[bytes]) -> list[bytes]:
        first.extend(orjson.loads(line) for line in lines[:5])
        return lines[5:]

    summary = world.run(watch=rewritten(world, drop))
    assert (summary.results, summary.failures, summary.requests, summary.rounds) == (12, 0, 17, 2)
    assert [one.missing for one in collected(world)] == [5]
    again = [row for row in world.rows("ledger") if row["round"] == 1]
    assert sorted(row["record_id"] for row in again) == sorted(record["recordId"] for record in first)
    assert {row["status"] for row in again} == {"answered"}
    lost = [row for row in world.rows("ledger") if row["status"] == "missing"]
    assert {(row["input_tokens"], row["cost_usd"]) for row in lost} == {(0, Decimal(0))}
    asked = canned(world).asked
    assert sorted(prompt for prompt, count in asked.items() if count == 2) == sorted(
        record["modelInput"]["prompt"] for record in first
    )
    assert "answered records: records say 7, the job says 12" in summary.disagreements[0]


@pytest.mark.parametrize(("code", "again"), [(400, False), ("400", False), (503, True), (429, True), ("500", True)])
def test_an_error_is_asked_again_when_that_may_help(world: World, code: object, again: bool) -> None:
    """Throttling and errors of the service are asked again; a refused record is a failure at once."""
    world.put_many(4)
    summary = world.run(watch=rewritten(world, lambda lines: [with_error(lines[0], code), *lines[1:]]))
    assert summary.requests == 12 + again
    assert (summary.results, summary.failures) == ((12, 0) if again else (11, 1))
    if not again:
        (row,) = world.rows("failures")
        assert (row["reason"], row["detail"]) == ("refused", f"{code}: Malformed input request: no.")
        assert row["cost_usd"] == 0


def test_lines_that_mean_nothing_are_counted_and_left_out(world: World) -> None:
    """A repeated, an unknown and a cut line change no row; the cut record is asked again."""
    world.put_many(4)
    stranger = orjson.dumps({"recordId": "nobody", "modelOutput": {"generation": "x"}})

    def spoil(lines: list[bytes]) -> list[bytes]:
        return [lines[0][:50], lines[1], lines[1], stranger, b"", b"null", *lines[2:]]

    summary = world.run(watch=rewritten(world, spoil))
    (first,) = collected(world)
    assert (first.answered, first.failed, first.missing) == (11, 0, 1)
    assert (first.unreadable, first.unknown) == (2, 2)
    assert (summary.results, summary.requests) == (12, 13)
    (told,) = summary.disagreements
    assert told.startswith("r00-b0000: ")
    assert "lines that could not be read: 2; lines that are repeated or answer nothing that was asked: 2" in told


@pytest.mark.parametrize("order", [1, -1])
def test_of_an_error_and_an_answer_to_one_record_the_answer_counts(world: World, order: int) -> None:
    """Whichever of the two lines stands first, nothing is asked again, and the other is counted as repeated."""
    world.put_many(4)
    summary = world.run(
        watch=rewritten(world, lambda lines: [*[with_error(lines[0], 503), lines[0]][::order], *lines[1:]])
    )
    (first,) = collected(world)
    assert (first.answered, first.failed, first.unknown) == (12, 0, 1)
    assert (summary.results, summary.requests) == (12, 12)
    assert summary.disagreements == ["r00-b0000: lines that are repeated or answer nothing that was asked: 1"]


def test_a_reply_without_token_counts_has_no_known_cost(world: World) -> None:
    """Tokens that Bedrock did not report are null in the rows, and so is every sum that they are part of."""
    world.put_many(4)
    summary = world.run(watch=rewritten(world, lambda lines: [without_counts(lines[0]), *lines[1:]]))
    unknown = [row for row in world.rows("ledger") if row["input_tokens"] is None]
    assert len(unknown) == 1
    assert unknown[0]["cost_usd"] is None
    assert summary.cost_usd is None
    assert len(summary.disagreements) == 1
    assert summary.results == 12


def test_a_chunk_without_token_counts_does_not_unbalance_the_run(make_world: Callable[..., World]) -> None:
    """Where one chunk's tokens are unknown and another's are known, the known ones still add up."""
    world = make_world(analyses=("sentiment",), least=1)
    world.own_prompts("sentiment", chunk_tokens=256)
    world.put("long.txt", "".join(f"Sentence {n} of a long document. " for n in range(120)))
    summary = world.run(watch=rewritten(world, lambda lines: [without_counts(lines[0]), *lines[1:]]))
    assert summary.results == 1
    known = [row["input_tokens"] for row in world.rows("ledger") if row["input_tokens"] is not None]
    assert 0 < len(known) < summary.requests
    assert summary.input_tokens == sum(known)
    (row,) = world.rows("sentiment")
    assert (row["input_tokens"], row["cost_usd"]) == (None, None)


def test_a_job_that_failed_stops_the_run_with_its_message(world: World) -> None:
    """A job that Bedrock refuses as a whole is an error that names batch, job and message; nothing is published."""
    world.put_many(1)
    world.with_settings(min_records_per_job=2)
    with pytest.raises(JobFailed, match=r"batch r00-b0000, job arn:\S+: Failed: Batch job contains less records \(3\)"):
        world.run()
    assert world.files() == {}


def test_a_job_whose_records_all_fail_alike_stops_the_run(world: World) -> None:
    """One and the same refusal in every record is an error of the run; asking again would be paid again."""
    world.put_many(4)
    with pytest.raises(JobFailed, match=r"all 12 records failed: 400: Malformed input request: no."):
        world.run(watch=rewritten(world, lambda lines: [with_error(line, 400) for line in lines]))
    assert world.files() == {}
    assert world.wire.created == 1


def test_a_job_without_any_answer_but_with_different_errors_is_no_error_of_the_run(world: World) -> None:
    """Different refusals are failures of the records."""
    world.put_many(4)
    words = ["No.", "Never."]
    summary = world.run(
        watch=rewritten(world, lambda lines: [with_error(line, 400, words[n % 2]) for n, line in enumerate(lines)])
    )
    assert (summary.results, summary.reasons) == (0, {"refused": 12})


def test_refusals_that_differ_in_numbers_only_are_one_reason(world: World) -> None:
    """A message that names the length of each prompt is the same message in every record."""
    world.put_many(4)
    with pytest.raises(JobFailed, match=r"all 12 records failed: 400: Input is too long: 130000 tokens\."):
        world.run(
            watch=rewritten(
                world,
                lambda lines: [
                    with_error(line, 400, f"Input is too long: {130_000 + n} tokens.") for n, line in enumerate(lines)
                ],
            )
        )


def test_a_job_that_came_to_nothing_stops_every_repetition(world: World) -> None:
    """The reason is kept beside the batch: collecting again raises it again, and asks nothing of Bedrock or S3."""
    world.put_many(4)
    with pytest.raises(JobFailed) as first:
        world.run(watch=rewritten(world, lambda lines: [with_error(line, 400) for line in lines]))
    calls = len(world.wire.calls)
    world.rewrite(lambda _lines: [])
    with pytest.raises(JobFailed) as second:
        world.run()
    assert str(second.value) == str(first.value)
    (kept,) = collected(world)
    assert (kept.job_failure, kept.failed, kept.answered) == (str(first.value), 12, 0)
    assert len(world.wire.calls) == calls
    assert world.files() == {}


def test_a_job_whose_records_are_all_busy_is_asked_again(world: World) -> None:
    """The same error in every record stops nothing when it may pass: errors cost nothing, and rounds are bounded."""
    world.put_many(4)
    summary = world.run(watch=rewritten(world, lambda lines: [with_error(line, 503) for line in lines]))
    assert (summary.results, summary.requests, summary.rounds) == (12, 24, 2)


def test_what_no_round_answered_is_missing(make_world: Callable[..., World]) -> None:
    """After the last round whatever is owed becomes a failure row, and the counts still add up."""
    world = make_world(max_rounds=2)
    world.put_many(4)
    watch = Unseen(at={f"round {n}: collect": lambda: world.rewrite(lambda _lines: []) for n in range(2)})
    summary = world.run(watch=watch)
    assert (summary.results, summary.failures, summary.reasons) == (0, 12, {"missing": 12})
    assert Counter(row["round"] for row in world.rows("ledger")) == {0: 12, 1: 12}
    assert world.wire.created == 2


def test_summaries_that_no_round_joined_are_missing(make_world: Callable[..., World]) -> None:
    """A long document whose reduction had no round left fails in the stage reduce, with what its chunks cost."""
    world = make_world(max_rounds=1, analyses=("summarization",), least=1)
    world.own_prompts("summarization", chunk_tokens=256)
    world.put("long.txt", "".join(f"Sentence {n} of a long document. " for n in range(120)))
    summary = world.run()
    (row,) = world.rows("failures")
    assert (row["stage"], row["reason"]) == ("reduce", "missing")
    assert row["cost_usd"] == summary.cost_usd
    assert row["cost_usd"] > 0


def test_a_round_below_the_minimum_goes_on_demand_at_its_price(make_world: Callable[..., World]) -> None:
    """Fewer records than a job must have are asked one by one, and priced so."""
    world = make_world(least=100)
    world.put_many(2)
    summary = world.run()
    assert (world.wire.created, world.wire.invoked) == (0, 6)
    rows = world.rows("ledger")
    assert {(row["mode"], row["job_arn"], row["input_usd_per_million"]) for row in rows} == {
        ("on-demand", None, Decimal("0.22"))
    }
    assert summary.cost_usd == Decimal("0.22") * (summary.input_tokens + summary.output_tokens) / 1_000_000


def test_an_on_demand_batch_that_broke_off_asks_only_what_has_no_answer(make_world: Callable[..., World]) -> None:
    """Answers that are in the store are not asked again."""
    world = make_world(least=100, on_demand_threads=1)
    world.put_many(4)

    def stop(name: str, count: int) -> None:
        if name == "invoke_model" and count == 8:
            raise Broken("in the middle")

    world.wire.before = stop
    with pytest.raises(Broken):
        world.run()
    kept, asked = len(world.outputs()), world.wire.invoked
    assert 7 <= kept < 12
    world.wire.before = lambda _name, _count: None
    summary = world.run()
    assert world.wire.invoked == asked + 12 - kept
    assert set(canned(world).asked.values()) == {1}
    assert summary.results == 12


def test_a_refused_call_is_a_failure_and_a_busy_service_an_error(make_world: Callable[..., World]) -> None:
    """On demand, a refused record fails alone; a service that stays busy stops the step, which may be repeated."""

    def refuse(prompt: str, before: int) -> str | None:
        if "number 0" in prompt:
            raise ServiceRejected("not this one")
        if "number 1" in prompt and before == 0:
            raise ServiceBusy("later")
        return None

    world = make_world(engine=Canned(refuse), least=100, on_demand_threads=1, **CLASSIFICATION)
    world.put_many(2)
    with pytest.raises(ServiceBusy, match="later"):
        world.run()
    summary = world.run()
    assert (summary.results, summary.reasons) == (1, {"refused": 1})


def test_an_expired_job_is_asked_again(world: World) -> None:
    """A job that never began left nothing and was charged nothing: the next round asks everything once more."""
    world.put_many(4)

    def expire(name: str, count: int) -> None:
        if name == "create_model_invocation_job" and count == 1:
            jobs: JobStore = world.bedrock.jobs
            jobs.advance(world.bedrock.waiting.popleft(), JobStatus.EXPIRED, 1_800_000_000.0)

    world.wire.after = expire
    summary = world.run()
    assert (summary.results, summary.requests, world.wire.created) == (12, 24, 2)


def test_a_job_that_ran_out_of_time_keeps_what_it_has(make_world: Callable[..., World]) -> None:
    """What a PartiallyCompleted job answered is kept and paid; only the rest is asked again."""
    world = make_world(analyses=("classification",))
    world.put_many(40)
    ticking = {"now": 1_800_000_000.0}

    def late(prompt: str, before: int) -> str | None:
        ticking["now"] += 3_000.0
        return None

    canned(world).script = late
    object.__setattr__(world.bedrock, "clock", lambda: ticking["now"])
    object.__setattr__(world.bedrock, "rules", Rules(minimum_records=4, state_seconds=0.0))
    summary = world.run()
    assert (summary.results, summary.rounds) == (40, 2)
    asked = Counter(row["round"] for row in world.rows("ledger"))
    answered = Counter(row["round"] for row in world.rows("ledger") if row["status"] == "answered")
    assert asked[0] == 40
    assert answered[0] + answered[1] == 40
    assert asked[1] == 40 - answered[0] > 0
    assert summary.cost_usd is not None


@pytest.mark.parametrize("generation", ["", "   ", "\n"])
def test_an_empty_generation_is_an_answer_that_failed(make_world: Callable[..., World], generation: str) -> None:
    """A model that says nothing gives failures for every analysis, each paid."""
    world = make_world(engine=Canned(lambda _prompt, _before: generation))
    world.put_many(2)
    summary = world.run()
    assert summary.results == 0
    assert set(summary.reasons) <= {"invalid", "malformed"}
    assert sum(summary.reasons.values()) == 6

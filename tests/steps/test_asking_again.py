"""A run asks again what a second call can save: in other words, with a longest limit, or as it was; each as often as
that helps and no oftener."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pytest

from pipeline.domain import JobStatus, Mode
from pipeline.errors import JobFailed
from pipeline.local.fault_plan import FaultPlan
from pipeline.local.jobs import JobStore
from pipeline.models import find_model
from pipeline.steps.rounds import Collected, read_collected, read_plan
from tests.world import TODAY, Canned, Unseen, World

ONE: dict[str, Any] = {"least": 1, "analyses": ("classification",)}
CORRECTS = "This answer cannot be used."


def collected(world: World, round_number: int = 0) -> list[Collected]:
    run = world.state()
    return [read_collected(run, round_number, batch.batch_key) for batch in read_plan(run, round_number).batches]


def billed(world: World) -> Decimal:
    """What the endpoint's own bill comes to at the catalogue's prices."""
    model, _ = find_model("meta.llama3-1-8b-instruct-v1:0")
    total = Decimal(0)
    for mode, used in world.bedrock.bill.by_mode().items():
        price = model.price_on(Mode(mode), TODAY)
        assert price is not None
        total += (used.input_tokens * price.input_usd + used.output_tokens * price.output_usd) / 1_000_000
    return total


def only_first(world: World, plan: FaultPlan) -> Unseen:
    """The plan, in force until the first round is over."""
    world.bedrock.faults.replace(plan)
    return Unseen(at={"round 1: prepare": lambda: world.bedrock.faults.replace(FaultPlan())})


@pytest.mark.parametrize("least", [100, 20])
def test_a_thousand_requests_of_which_fifty_go_wrong(
    make_world: Callable[..., World], record_property: Callable[[str, object], None], least: int
) -> None:
    """10 each of HTTP 500, prose, missing, truncated JSON and fenced JSON: 960 are good without another call, 40 are
    sent once more, on demand or as a job, all 1,000 end as results, and the cost is the endpoint's own bill."""
    world = make_world(least=least, analyses=("sentiment",))
    world.put_many(1_000)
    kinds = ("error-500", "prose", "skipped", "truncated", "fenced")
    plan = FaultPlan.read(orjson.dumps({"records": [{"kind": kind, "count": 10} for kind in kinds]}))
    summary = world.run(watch=only_first(world, plan))
    (first,), (second,) = collected(world), collected(world, 1)
    assert (first.answered, first.failed, first.missing) == (960, 30, 10)
    assert (second.answered, second.failed, second.missing) == (40, 0, 0)
    assert [read_plan(world.state(), number).mode for number in (0, 1)] == [
        Mode.BATCH,
        Mode.BATCH if least == 20 else Mode.ON_DEMAND,
    ]
    assert (summary.requests, summary.rounds) == (1_040, 2)
    assert (summary.results, summary.failures, summary.documents) == (1_000, 0, 1_000)
    assert summary.cost_usd == billed(world) == sum(row["cost_usd"] for row in world.rows("ledger"))
    assert summary.disagreements == []
    figures = f"{first.answered} good at once, {second.answered} asked once more, {summary.results} results"
    record_property("figures", f"1,000 requests: {figures}; {summary.cost_usd} USD, billed {billed(world)} USD")


def test_a_malformed_answer_is_asked_once_more_with_what_was_wrong(make_world: Callable[..., World]) -> None:
    """The second prompt holds the first, the answer and its mistake; both calls are in the ledger, and paid."""
    world = make_world(engine=Canned(lambda prompt, _before: None if CORRECTS in prompt else 'novel"}'), **ONE)
    world.put("one.txt", "One.")
    summary = world.run()
    assert isinstance(world.engine, Canned)
    first, second = world.engine.asked
    assert second.startswith(first + 'novel"}<|eot_id|>')
    assert "category: does not fit the rule enum = [" in second
    assert (summary.results, summary.requests, summary.rounds) == (1, 2, 2)
    rows = world.rows("ledger")
    assert [(row["round"], row["status"]) for row in rows] == [(0, "failed"), (1, "answered")]
    assert len({row["record_id"] for row in rows}) == 2
    (row,) = world.rows("classification")
    assert row["cost_usd"] == sum(one["cost_usd"] for one in rows) == summary.cost_usd
    assert summary.cost_usd == billed(world)


def test_a_correction_that_is_missing_is_sent_as_it_was(make_world: Callable[..., World]) -> None:
    """The line of a correction is repeated byte for byte: it is the same record."""
    world = make_world(engine=Canned(lambda prompt, _before: None if CORRECTS in prompt else 'novel"}'), **ONE)
    world.put("one.txt", "One.")
    summary = world.run(watch=Unseen(at={"round 1: collect": lambda: lose_second(world)}))
    rows = world.rows("ledger")
    assert [(row["round"], row["status"]) for row in rows] == [(0, "failed"), (1, "missing"), (2, "answered")]
    assert rows[1]["record_id"] == rows[2]["record_id"]
    assert (summary.results, summary.requests) == (1, 3)


def lose_second(world: World) -> None:
    """Every output of the second round is empty."""
    for path in world.outputs():
        if "/rounds/01/" in path:
            world.bucket.put(path, b"")


def test_what_stays_malformed_keeps_what_the_model_wrote(make_world: Callable[..., World]) -> None:
    """After one correction it is a failure, with the last answer in the row, and nothing is asked a third time."""
    world = make_world(engine=Canned(lambda prompt, _: "Sorry, no." if CORRECTS in prompt else "A novel."), **ONE)
    world.put("one.txt", "One.")
    summary = world.run()
    (row,) = world.rows("failures")
    assert (row["reason"], row["raw_answer"]) == ("invalid", "Sorry, no.")
    assert row["detail"].startswith("category: does not fit the rule enum")
    assert (summary.requests, summary.rounds) == (2, 2)
    assert row["cost_usd"] == summary.cost_usd == billed(world)


def test_a_run_without_a_second_round_keeps_what_the_model_wrote(make_world: Callable[..., World]) -> None:
    """Where no round is left for a correction, the failure is the malformed answer."""
    world = make_world(engine=Canned(lambda _prompt, _before: "A novel."), max_rounds=1, **ONE)
    world.put("one.txt", "One.")
    assert world.run().requests == 1
    (row,) = world.rows("failures")
    assert (row["reason"], row["raw_answer"]) == ("invalid", "A novel.")


class Limited(Canned):
    """An engine whose answers have as many words as they may have tokens, up to `words`; then they end well."""

    def __init__(self, words: int, end: str) -> None:
        super().__init__()
        self.words, self.end = words, end
        self.limits: list[int] = []

    def complete(self, prompt: str, max_output_tokens: int, *_parameters: float) -> str:
        self.limits.append(max_output_tokens)
        super().complete(prompt, max_output_tokens)
        return " word" * self.words + self.end


@pytest.mark.parametrize(
    ("words", "truncated", "limits"), [(100, False, [512]), (900, False, [512, 2_048]), (5_000, True, [512, 2_048])]
)
def test_an_answer_that_reached_its_limit_is_asked_longer(
    make_world: Callable[..., World], words: int, truncated: bool, limits: list[int]
) -> None:
    """Once, straight to the model's limit; what is cut there, too, is closed and marked."""
    engine = Limited(words, '", "key_points": ["Point."]}')
    world = make_world(engine=engine, least=1, analyses=("summarization",))
    world.put("one.txt", "One.")
    summary = world.run()
    assert engine.limits == limits
    (row,) = world.rows("summarization")
    assert (row["truncated"], row["key_points"] == ["Point."]) == (truncated, not truncated)
    assert len(row["summary"].split()) > min(words, limits[-1]) * 0.9
    assert (summary.results, summary.requests) == (1, len(limits))
    assert summary.cost_usd == billed(world)


def test_of_a_longer_try_that_is_lost_the_closed_answer_is_used(make_world: Callable[..., World]) -> None:
    """A document that has an answer does not lose it because a better one never came."""
    world = make_world(engine=Limited(900, '"}'), max_rounds=2, least=1, analyses=("summarization",))
    world.put("one.txt", "One.")
    summary = world.run(watch=Unseen(at={"round 1: collect": lambda: lose_second(world)}))
    (row,) = world.rows("summarization")
    assert row["truncated"]
    assert len(row["summary"].split()) > 450
    assert (summary.results, summary.failures, summary.requests) == (1, 0, 2)


def test_a_cut_answer_that_closing_does_not_save_is_asked_longer(make_world: Callable[..., World]) -> None:
    """Prose without an end is no label; it is asked longer, then corrected, and ends as a failure that keeps it."""
    engine = Limited(5_000, "")
    world = make_world(engine=engine, **ONE)
    world.put("one.txt", "One.")
    summary = world.run()
    first = engine.limits[0]
    assert engine.limits == [first, 2_048, 2_048]
    (row,) = world.rows("failures")
    assert row["reason"] == "invalid"
    assert row["raw_answer"].startswith(" word word")
    assert (summary.requests, summary.rounds) == (3, 3)


ENDS: list[tuple[dict[str, object], int, int, str]] = [
    ({"kind": "partial", "at": 0.5}, 6, 2, ""),
    ({"kind": "partial", "at": 0.0}, 12, 2, ""),
    ({"kind": "stopped", "at": 0.5}, 6, 2, ""),
    ({"kind": "stopped", "at": 0.0}, 12, 2, ""),
    ({"kind": "expired"}, 12, 2, "left no manifest.json.out"),
    ({"kind": "no-manifest"}, 0, 1, "left no manifest.json.out"),
    ({"kind": "wrong-manifest"}, 0, 1, "output tokens: records say"),
]


@pytest.mark.parametrize(("fault", "missing", "rounds", "told"), ENDS, ids=[str(end[0]) for end in ENDS])
def test_every_end_of_a_job_is_read_for_what_it_has(
    world: World, fault: dict[str, object], missing: int, rounds: int, told: str
) -> None:
    """What was answered is kept, what is missing is asked in the next round, and what disagrees is told."""
    world.put_many(4)
    world.bedrock.faults.replace(FaultPlan.read(orjson.dumps({"jobs": [{"first_jobs": 1, **fault}]})))
    summary = world.run()
    (first,) = collected(world)
    assert (first.answered, first.missing) == (12 - missing, missing)
    assert (summary.results, summary.failures) == (12, 0)
    assert (summary.requests, summary.rounds, world.wire.created) == (12 + missing, rounds, rounds)
    assert summary.cost_usd == billed(world)
    assert (told in " ".join(summary.disagreements)) if told else summary.disagreements == []
    statuses = Counter((row["round"], row["status"]) for row in world.rows("ledger"))
    assert statuses == Counter({(0, "answered"): 12 - missing, (0, "missing"): missing, (1, "answered"): missing})


def test_a_failed_job_stops_the_run_with_its_message_again_and_again(world: World) -> None:
    """A job that Bedrock refused as a whole says why; whoever goes on with the run hears it again."""
    world.put_many(4)
    fault = {"kind": "failed", "message": "The role cannot read the input.", "first_jobs": 1}
    world.bedrock.faults.replace(FaultPlan.read(orjson.dumps({"jobs": [fault]})))
    for _ in range(2):
        with pytest.raises(JobFailed, match=r"r00-b0000, job arn:\S+: Failed: The role cannot read the input\."):
            world.run()
    assert world.wire.created == 1
    (kept,) = collected(world)
    assert (kept.missing, kept.answered) == (12, 0)
    assert world.files() == {}


@pytest.mark.parametrize(
    ("status", "message"),
    [(JobStatus.FAILED, None), (JobStatus.EXPIRED, "Time ran out."), (JobStatus.STOPPED, "Somebody stopped it.")],
)
def test_a_job_that_left_nothing_and_blames_nothing_is_asked_again(
    world: World, status: JobStatus, message: str | None
) -> None:
    """Only a job that failed, and says why, stops a run; after any other end the records are missing."""
    world.put_many(4)

    def end(name: str, count: int) -> None:
        if name == "create_model_invocation_job" and count == 1:
            jobs: JobStore = world.bedrock.jobs
            jobs.advance(world.bedrock.waiting.popleft(), status, 1_800_000_000.0, message)

    world.wire.after = end
    summary = world.run()
    assert (summary.results, summary.requests, world.wire.created) == (12, 24, 2)

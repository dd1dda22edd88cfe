"""What the steps write down of money: attempts that were used, what was paid for nothing, what was saved, and tags."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from pipeline.money.costs import Amount
from tests.world import Canned, World


def usd(rows: list[dict[str, Any]]) -> Decimal:
    return sum((row["cost_usd"] for row in rows), Decimal(0))


def test_an_attempt_that_was_corrected_was_paid_for_nothing(make_world: Any) -> None:
    """The first wording is in the ledger and not used, the second is; its cost is a number of the run."""
    asked = set[str]()

    def spoil_first(prompt: str, _before: int) -> str | None:
        if "number 1 of" not in prompt or not prompt.endswith('{"category": "') or asked:
            return None
        asked.add("once")
        return "rubbish"

    world: World = make_world(engine=Canned(spoil_first))
    world.put_many(6)
    summary = world.run()
    unused = [row for row in world.rows("ledger") if not row["used"]]
    attempts = sorted({row["attempt"] for row in world.rows("ledger")})
    assert attempts == [0, 1]
    assert len(unused) == 1
    assert summary.failures == 0
    assert summary.unused is not None
    assert summary.unused.usd == usd(unused) > 0
    (row,) = world.rows("runs")
    assert (row["unused_requests"], row["unused_usd"]) == (len(unused), usd(unused))


def test_copies_and_known_answers_saved_what_they_would_have_cost(make_world: Any) -> None:
    """A copy saves what its twin cost, an answer of another run what it cost there, an unchanged result what it had
    used; one that had cost nothing itself does not say."""
    world: World = make_world(analyses=("sentiment",))
    world.put_many(5)
    world.put("copy.txt", "Document number 1 of 5.")
    first = world.run("monday")
    (twin,) = {
        row["cost_usd"] for row in world.rows("sentiment", "monday") if row["uri"][-8:-4] in {"/001", "copy"}
    } - {0}
    assert first.savings["duplicates"].usd == twin
    assert first.savings["batch"].usd == first.cost_usd
    world.put("moved.txt", "Document number 2 of 5.")
    second = world.run("tuesday")
    assert second.cost_usd == 0
    assert second.savings["known"].requests == 1
    known = next(row for row in world.rows("sentiment", "monday") if row["uri"].endswith("002.txt"))
    assert second.savings["known"].usd == known["cost_usd"]
    assert second.savings["unchanged"] == Amount(6, first.cost_usd, 1)
    (row,) = world.rows("runs", "tuesday")
    assert [(one["way"], one["requests"], one["usd"]) for one in row["savings"]] == [
        ("known", 1, known["cost_usd"]),
        ("unchanged", 6, first.cost_usd),
    ]


def test_limits_on_answers_are_told_as_what_longer_ones_could_have_cost(make_world: Any) -> None:
    """For every request that was paid, and at the price of its mode; what was asked at the longest limit saves none."""
    world: World = make_world(analyses=("sentiment", "summarization"))
    world.put_many(4)
    amount = world.run("monday").savings["caps"]
    sent = world.rows("ledger", "monday")
    limits = {"sentiment": 2_048 - 32, "summarization": 2_048 - 512}
    spared = sum(limits[row["analysis"]] * row["output_usd_per_million"] for row in sent)
    assert amount == Amount(len(sent), spared / 1_000_000, 0)
    again = world.run("tuesday")
    assert "caps" not in again.savings


def test_every_job_is_tagged(make_world: Any) -> None:
    """With the run, its analyses, and the cost centre where there is one."""
    for centre, more in ((None, {}), ("R+D", {"docbatch-cost-centre": "R+D"})):
        world: World = make_world(cost_centre=centre)
        world.put_many(4)
        world.run("night-1")
        arns = {row["job_arn"] for row in world.rows("ledger", "night-1") if row["job_arn"]}
        assert arns
        for arn in arns:
            tags = world.bedrock.list_tags_for_resource(resourceARN=arn)["tags"]
            assert {one["key"]: one["value"] for one in tags} == {
                "docbatch-run": "night-1",
                "docbatch-analyses": "classification+sentiment+summarization",
            } | more

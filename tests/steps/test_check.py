"""Nothing is published that does not add up."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.domain import Mode
from pipeline.errors import AccountingError
from pipeline.manifest import staged_counts_key
from pipeline.steps.collect import Collected
from pipeline.steps.fold import AnalysisCounts, ShardCounts
from pipeline.steps.publish import check, publish
from pipeline.steps.rounds import RoundPlan
from tests.world import World

ANALYSIS = AnalysisCounts(2, 1, 100, 10, Decimal("0.1"))
SHARD = ShardCounts(3, 0, 3, {"sentiment": ANALYSIS}, {"empty": 1}, ["canned"])
PLAN = RoundPlan(Mode.BATCH, (), 3, 100, 96, Decimal(1))
COLLECTED = Collected(2, 1, 0, 0, 0, 100, 10, None)


def test_what_adds_up_passes() -> None:
    """Two shards, two rounds and two batches that agree raise nothing."""
    check(6, [SHARD, SHARD], [PLAN, PLAN], [COLLECTED, COLLECTED])


def counted(**changed: Any) -> list[ShardCounts]:
    return [replace(SHARD, analyses={"sentiment": replace(ANALYSIS, **changed)})]


@pytest.mark.parametrize(
    ("documents", "shards", "plans", "collected", "message"),
    [
        (4, [SHARD], [PLAN], [COLLECTED], "4 documents were listed, 3 were read"),
        (3, counted(results=1), [PLAN], [COLLECTED], r"sentiment: 1 results \+ 1 failures for 3 documents"),
        (3, counted(failures=2), [PLAN], [COLLECTED], r"sentiment: 2 results \+ 2 failures for 3 documents"),
        (3, [replace(SHARD, requests=2)], [PLAN], [COLLECTED], "3 requests were planned, 2 are in the ledger"),
        (3, [SHARD], [PLAN, PLAN], [COLLECTED], "6 requests were planned, 3 are in the ledger"),
        (3, counted(input_tokens=99), [PLAN], [COLLECTED], "the ledger holds .*99.*, the collected batches .*100"),
        (3, counted(output_tokens=11), [PLAN], [COLLECTED], "the ledger holds .*11.*, the collected batches .*10"),
        (3, [SHARD], [PLAN], [COLLECTED, COLLECTED], "the ledger holds .*100.*, the collected batches .*200"),
    ],
)
def test_what_does_not_add_up_is_named(
    documents: int, shards: list[ShardCounts], plans: list[RoundPlan], collected: list[Collected], message: str
) -> None:
    """Each kind of disagreement raises an error that holds both numbers."""
    with pytest.raises(AccountingError, match=message):
        check(documents, shards, plans, collected)


def test_every_disagreement_is_said_at_once() -> None:
    """One error lists all that is wrong."""
    with pytest.raises(AccountingError) as raised:
        check(4, [SHARD], [PLAN, PLAN], [])
    assert str(raised.value).count(";") == 3


def test_a_run_that_does_not_add_up_publishes_nothing(world: World) -> None:
    """With counts tampered with, not even a folder is made in the output."""
    world.put_many(4)
    world.run()
    for path in sorted(world.output.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    world.output.rmdir()
    run = world.state()
    key = staged_counts_key(0)
    run.store.write(key, run.store.read(key).replace(b'"documents":4', b'"documents":5'))
    with pytest.raises(AccountingError, match="4 documents were listed, 5 were read"):
        publish(world.services, run.store.uri())
    assert not world.output.exists()

"""Nothing is published that does not add up."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any, NamedTuple, cast

import pytest

from pipeline.errors import AccountingError
from pipeline.manifest import RunManifest, staged_counts_key
from pipeline.money.costs import NONE
from pipeline.steps.counts import AnalysisCounts, ShardCounts
from pipeline.steps.publish import check, publish
from pipeline.steps.rounds import Collected
from tests.world import World

ANALYSIS = AnalysisCounts(2, 1, 100, 10, Decimal("0.1"))
SHARD = ShardCounts(3, 0, 3, {"sentiment": ANALYSIS}, {"empty": 1}, ["canned"], [], [], NONE, {})
COLLECTED = Collected(3, 2, 1, 0, 0, 0, 100, 10, None)


class Numbers(NamedTuple):
    """What the check needs of a manifest."""

    documents: int
    unchanged: dict[str, int]


def checked(documents: int, unchanged: int, shards: list[ShardCounts], collected: list[Collected]) -> None:
    check(cast("RunManifest", Numbers(documents, {"sentiment": unchanged})), shards, collected)


def test_what_adds_up_passes() -> None:
    """Two shards, two batches and what is unchanged, all in agreement, raise nothing."""
    checked(10, 4, [SHARD, SHARD], [COLLECTED, COLLECTED])


def test_what_another_run_sent_is_not_in_the_ledger() -> None:
    """A batch that this run neither sent nor paid counts for nothing."""
    awaited = Collected(0, 5, 0, 0, 0, 0, 0, 0, None)
    checked(3, 0, [SHARD], [COLLECTED, awaited])


def counted(**changed: Any) -> list[ShardCounts]:
    return [replace(SHARD, analyses={"sentiment": replace(ANALYSIS, **changed)})]


@pytest.mark.parametrize(
    ("documents", "shards", "collected", "message"),
    [
        (4, [SHARD], [COLLECTED], r"sentiment: 2 results \+ 1 failures \+ 0 unchanged for 4 documents"),
        (3, counted(results=1), [COLLECTED], r"sentiment: 1 results \+ 1 failures \+ 0 unchanged for 3 documents"),
        (3, counted(failures=2), [COLLECTED], r"sentiment: 2 results \+ 2 failures \+ 0 unchanged for 3 documents"),
        (3, [replace(SHARD, requests=2)], [COLLECTED], "3 requests were sent, 2 are in the ledger"),
        (3, [SHARD], [replace(COLLECTED, sent=6)], "6 requests were sent, 3 are in the ledger"),
        (3, counted(input_tokens=99), [COLLECTED], "the ledger holds .*99.*, the collected batches .*100"),
        (3, counted(output_tokens=11), [COLLECTED], "the ledger holds .*11.*, the collected batches .*10"),
        (3, [SHARD], [COLLECTED, COLLECTED], "the ledger holds .*100.*, the collected batches .*200"),
        (3, [replace(SHARD, without_end=["sentiment of s3://b/x"])], [COLLECTED], "sentiment of s3://b/x has neither"),
        (3, [replace(SHARD, without_tokens=["0f0f"])], [COLLECTED], "record 0f0f has an answer and no tokens"),
    ],
)
def test_what_does_not_add_up_is_named(
    documents: int, shards: list[ShardCounts], collected: list[Collected], message: str
) -> None:
    """Each kind of disagreement raises an error that holds both numbers, or the names."""
    with pytest.raises(AccountingError, match=message):
        checked(documents, 0, shards, collected)


def test_every_disagreement_is_said_at_once() -> None:
    """One error lists all that is wrong."""
    with pytest.raises(AccountingError) as raised:
        checked(4, 0, [SHARD], [])
    assert str(raised.value).count(";") == 2


def test_a_run_that_does_not_add_up_publishes_nothing(world: World) -> None:
    """With counts tampered with, not even a folder is made in the output."""
    world.put_many(4)
    world.run()
    for path in sorted(world.output.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    world.output.rmdir()
    run = world.state()
    key = staged_counts_key(0)
    run.store.write(key, run.store.read(key).replace(b'"results":4', b'"results":5'))
    with pytest.raises(AccountingError, match=r"sentiment: 5 results \+ 0 failures \+ 0 unchanged for 4 documents"):
        publish(world.services, run.store.uri())
    assert world.files() == {}

"""Runs whose answers are not what they used to be, published as suspect."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.steps import publish
from tests.world import Canned, World

DOCUMENTS, NIGHTS = 24, 5


class Moody(Canned):
    """Says what it is told to of every mood; the rest as ever."""

    mood = "mixed"

    def complete(self, prompt: str, *parameters: float) -> str:
        if prompt.endswith('{"sentiment": "'):
            return f'{self.mood}", "score": 0.5}}'
        return super().complete(prompt, *parameters)


def night(world: World, number: int, text: str = "Document {n} of night {number}.") -> str:
    """A night with new documents only; its key."""
    for n in range(DOCUMENTS):
        world.put(f"{number}/{n:02d}.txt", text.format(n=n, number=number))
    world.run(key := f"night-{number}")
    return key


def test_a_night_of_other_labels_is_suspect(make_world: Callable[..., World]) -> None:
    """Five nights say what is usual, before them nobody knows; the run is whole and marked, and says what left."""
    engine = Moody()
    world = make_world(engine=engine)
    keys = [night(world, number) for number in range(NIGHTS + 1)]
    engine.mood = "negative"
    keys.append(night(world, NIGHTS + 1))
    rows = {row["run_key"]: row for row in world.rows("runs", None)}
    assert [rows[key]["quality"] for key in keys] == [None] * NIGHTS + ["usual", "suspect"]
    assert rows[keys[-1]]["departures"] == [
        "sentiment: label 'mixed' 0.0% (0 of 24); usual in 6 runs is 93.9% to 100.0%",
        "sentiment: label 'negative' 100.0% (24 of 24); usual in 6 runs is 0.0% to 6.1%",
    ]
    assert len(world.rows("sentiment", keys[-1])) == DOCUMENTS
    assert rows[keys[0]]["departures"] == []
    (counts,) = [one for one in rows[keys[-1]]["analyses"] if one["analysis"] == "sentiment"]
    assert (counts["labels"], counts["empty"]) == ([{"label": "negative", "results": DOCUMENTS}], 0)


def test_documents_that_fail_every_night_are_no_news(make_world: Callable[..., World]) -> None:
    """A night of few good documents among many that failed before is not suspect; one of new failures is."""
    world = make_world()
    for n in range(DOCUMENTS):
        world.put(f"bad/{n}.txt", b"")
    first = night(world, 0)
    second = night(world, 1)
    for n in range(2 * DOCUMENTS):
        world.put(f"more/{n}.txt", b" ")
    third = night(world, 2)
    rows = {row["run_key"]: row for row in world.rows("runs", None)}
    for key, again in ((first, 0), (second, DOCUMENTS), (third, DOCUMENTS)):
        assert {one["failures_again"] for one in rows[key]["analyses"]} == {again}
    assert [rows[key]["quality"] for key in (first, second, third)] == [None, None, "suspect"]
    assert "failures 66.7% (48 of 72); more than 50.0%" in rows[third]["departures"][0]


def test_publishing_again_judges_no_more(make_world: Callable[..., World]) -> None:
    """What was said when a run was published first stays, whatever was published since."""
    world = make_world()
    night(world, 0)
    before = world.rows("runs", "night-0")
    world.with_settings(suspect_failure_share=0.01)
    publish(world.services, world.state("night-0").store.uri())
    assert world.rows("runs", "night-0") == before

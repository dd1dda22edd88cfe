"""Runs with fused analyses: one request for each document, a result in each analysis, and a ledger that adds up."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import pytest

from pipeline.domain import FUSED_BY, Mode
from pipeline.errors import DeclarationError, RunError, SettingsError
from pipeline.local.baseline import Baseline
from pipeline.models import find_model
from pipeline.planning import method_id
from pipeline.steps import RunSummary
from tests.steps.test_whole_run import TEXTS
from tests.world import ANALYSES, TODAY, Broken, Canned, Unseen, World

BEGUN = '{"classification": {"category": "'
CORRECTS = "This answer cannot be used."
GOOD = {
    "classification": {"category": "review"},
    "sentiment": {"sentiment": "mixed", "score": 0.5},
    "summarization": {"summary": "A text.", "key_points": ["It is short."]},
}


def answer(**parts: Any) -> str:
    """What follows the begun answer; a part that is None is left out."""
    whole = {name: value for name, value in {**GOOD, **parts}.items() if value is not None}
    return orjson.dumps(whole).decode().replace('":', '": ').removeprefix(BEGUN)


def canned(fused: str | None = None) -> Canned:
    """Answers the fused prompt as it is told, every other one well."""
    return Canned(lambda prompt, _before: (fused or answer()) if prompt.endswith(BEGUN) else None)


def billed(world: World) -> tuple[int, int, Decimal]:
    """The endpoint's own bill: tokens in and out, and what they come to."""
    model, _ = find_model("meta.llama3-1-8b-instruct-v1:0")
    tokens_in = tokens_out = 0
    total = Decimal(0)
    for mode, used in world.bedrock.bill.by_mode().items():
        price = model.price_on(Mode(mode), TODAY)
        assert price is not None
        tokens_in, tokens_out = tokens_in + used.input_tokens, tokens_out + used.output_tokens
        total += (used.input_tokens * price.input_usd + used.output_tokens * price.output_usd) / 1_000_000
    return tokens_in, tokens_out, total


def adds_up(world: World, summary: RunSummary) -> bool:
    """The ledger, the results and the run are the endpoint's bill, to the token and the last digit."""
    ledger = world.rows("ledger")
    columns = ("input_tokens", "output_tokens", "cost_usd")
    booked = tuple(sum(row[name] for row in ledger) for name in columns)
    tables = [row for name in (*ANALYSES, "failures") for row in world.rows(name)]
    in_rows = tuple(sum(row[name] for row in tables) for name in columns)
    told = (summary.input_tokens, summary.output_tokens, summary.cost_usd)
    assert booked == in_rows == told == billed(world)
    assert summary.requests == len({(row["record_id"], row["round"]) for row in ledger})
    assert summary.disagreements == []
    return True


def over_texts(world: World) -> World:
    world.own_prompts("summarization", chunk_tokens=400)
    world.own_prompts("sentiment", chunk_tokens=400)
    for name, text in TEXTS.items():
        world.put(name, text)
    return world


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, RunSummary, RunSummary]:
    """A fused run over TEXTS by the baseline engine, and the summaries of it and of one that is not fused."""
    worlds = [
        over_texts(World(tmp_path_factory.mktemp("fused") / "a world", engine=Baseline(), fuse=fuse))
        for fuse in (True, False)
    ]
    fused, plain = (world.run() for world in worlds)
    return worlds[0], fused, plain


def test_a_fused_run_has_every_result_for_fewer_tokens(both: tuple[World, RunSummary, RunSummary]) -> None:
    """The same results and failures as asked one by one, at less; the ledger is the bill."""
    world, fused, plain = both
    assert (fused.results, fused.failures) == (plain.results, plain.failures) == (24, 3)
    assert fused.input_tokens < plain.input_tokens
    assert fused.cost_usd is not None
    assert plain.cost_usd is not None
    assert fused.cost_usd < plain.cost_usd
    assert fused.requests < plain.requests / 2
    assert adds_up(world, fused)


def test_the_answers_are_those_of_the_analyses_asked_alone(both: tuple[World, RunSummary, RunSummary]) -> None:
    """The baseline engine answers a part as it answers its own prompt."""
    world, _, _ = both
    labels = {row["uri"].rpartition("/")[2]: row["category"] for row in world.rows("classification")}
    assert labels["kettle.txt"] == "review"
    tones = {row["uri"].rpartition("/")[2]: row["sentiment"] for row in world.rows("sentiment")}
    assert tones["kettle.txt"] == "positive"
    assert all(row["summary"] for row in world.rows("summarization"))


def test_a_row_of_the_ledger_is_a_part_of_a_request(both: tuple[World, RunSummary, RunSummary]) -> None:
    """Parts share a record; their input differs by a token at most."""
    world, _, _ = both
    parts: dict[str, list[dict[str, Any]]] = {}
    for row in world.rows("ledger"):
        if row["stage"] == "map":
            parts.setdefault(row["record_id"], []).append(row)
    for rows in parts.values():
        assert [row["analysis"] for row in rows] == list(ANALYSES)
        tokens = [row["input_tokens"] for row in rows]
        assert max(tokens) - min(tokens) <= 1


def test_a_long_document_is_fused_by_chunk_and_joined_by_each_rule(both: tuple[World, RunSummary, RunSummary]) -> None:
    """All analyses have the same chunks; only the summaries are joined by a request, which asks for nothing else."""
    world, _, _ = both
    (long,) = {row["document_id"] for row in world.rows("documents") if row["uri"].endswith("long.txt")}
    rows = [row for row in world.rows("ledger") if row["document_id"] == long]
    chunks = {name: next(r["chunks"] for r in world.rows(name) if r["document_id"] == long) for name in ANALYSES}
    assert len(set(chunks.values())) == 1
    assert chunks["sentiment"] > 1
    assert Counter(row["analysis"] for row in rows if row["stage"] == "map") == chunks
    assert [row["analysis"] for row in rows if row["stage"] == "reduce"] == ["summarization"]


def test_the_summary_says_what_fusing_saved(both: tuple[World, RunSummary, RunSummary]) -> None:
    """Against a prompt for each analysis, in USD of input tokens, for as many requests as were fused."""
    world, fused, plain = both
    assert "fused" not in plain.savings
    amount = fused.savings["fused"]
    assert amount.requests == len({row["record_id"] for row in world.rows("ledger") if row["stage"] == "map"})
    assert amount.usd is not None
    assert amount.usd > 0
    (row,) = world.rows("runs")
    assert "the input tokens of a prompt for each analysis" in {one["against"] for one in row["savings"]}


@pytest.mark.parametrize(
    ("fused", "fails", "saw"),
    [
        (answer(sentiment={"sentiment": "glad", "score": 0}), "sentiment", "sentiment: does not fit the rule enum"),
        (answer(classification={"category": "novel"}), "classification", "category: does not fit the rule enum"),
        (answer(summarization=None), "summarization", "no object `summarization`"),
    ],
)
def test_a_failing_part_is_asked_again_alone(
    make_world: Callable[..., World], fused: str, fails: str, saw: str
) -> None:
    """By its own prompt with the correction, about the same text; the other parts keep their answers."""
    engine = canned(fused)
    world = make_world(engine=engine, least=1, fuse=True)
    world.put("one.txt", "One </document> text.")
    summary = world.run()
    assert (summary.results, summary.failures, summary.requests, summary.rounds) == (3, 0, 2, 2)
    _, second = engine.asked
    analysis = world.state().analyses[fails]
    alone = analysis.map.render(document="One < /document> text.", position=1, siblings=1)
    assert second.startswith(alone)
    assert saw in second
    assert CORRECTS in second
    rows = [(row["round"], row["analysis"], row["status"], row["used"]) for row in world.rows("ledger")]
    asked = sorted((0, name, "failed" if name == fails else "answered", name != fails) for name in ANALYSES)
    assert sorted(rows) == sorted([*asked, (1, fails, "answered", True)])
    assert adds_up(world, summary)
    assert summary.unused is not None
    assert summary.unused.requests == 1


def test_an_answer_that_is_no_json_is_asked_again_part_by_part(make_world: Callable[..., World]) -> None:
    """Nothing can be told of the parts, so they share its tokens equally, and each is asked alone."""
    world = make_world(engine=canned('": 1} and so on'), least=1, fuse=True)
    world.put("one.txt", "One.")
    summary = world.run()
    assert (summary.results, summary.failures, summary.requests) == (3, 0, 4)
    first = [row["output_tokens"] for row in world.rows("ledger") if row["round"] == 0]
    assert max(first) - min(first) <= 1
    assert adds_up(world, summary)


def test_a_part_that_is_cut_is_asked_alone_with_the_longest_limit(make_world: Callable[..., World]) -> None:
    """What came before the cut is kept; the longer answer takes the place of the one that we closed."""
    world = make_world(
        engine=canned(answer(summarization={"summary": "long " * 900, "key_points": []})), least=1, fuse=True
    )
    world.put("one.txt", "One.")
    summary = world.run()
    assert (summary.results, summary.requests) == (3, 2)
    (row,) = world.rows("summarization")
    assert not row["truncated"]
    assert row["summary"].startswith("Summary ")
    assert {(one["analysis"], one["attempt"]) for one in world.rows("ledger")} == {
        *((name, 0) for name in ANALYSES),
        ("summarization", 1),
    }
    assert adds_up(world, summary)


def lose(world: World) -> None:
    """Every output so far is empty."""
    for path in world.outputs():
        world.bucket.put(path, b"")


def test_a_missing_fused_request_is_sent_once_more_as_it_was(make_world: Callable[..., World]) -> None:
    """The line goes whole, with its record_id, not once for each part."""
    engine = canned()
    world = make_world(engine=engine, least=1, fuse=True)
    world.put("one.txt", "One.")
    summary = world.run(watch=Unseen(at={"round 0: collect": lambda: lose(world)}))
    assert list(engine.asked.values()) == [2]
    rows = world.rows("ledger")
    assert Counter((row["round"], row["status"]) for row in rows) == {(0, "missing"): 3, (1, "answered"): 3}
    assert len({row["record_id"] for row in rows}) == 1
    assert (summary.results, summary.requests) == (3, 2)


@pytest.mark.parametrize("stop", range(2, 14, 2))
def test_a_run_that_is_broken_off_goes_on_and_pays_nothing_twice(make_world: Callable[..., World], stop: int) -> None:
    """Wherever it breaks, the whole run asks each prompt once."""
    engine = canned(answer(sentiment={"sentiment": "glad", "score": 0}))
    world = make_world(engine=engine, least=1, fuse=True)
    world.put_many(3)
    with contextlib.suppress(Broken):
        world.run(watch=Unseen(break_at=stop))
    summary = world.run()
    assert set(engine.asked.values()) == {1}
    assert (summary.results, summary.failures, summary.requests) == (9, 0, 6)
    assert adds_up(world, summary)


def test_the_second_night_asks_nothing_and_switching_fuse_asks_again(make_world: Callable[..., World]) -> None:
    """Results of the same method hold; asked the other way they are another method's, and back again they are known."""
    engine = canned()
    world = make_world(engine=engine, fuse=True)
    world.put_many(4)
    assert world.run("monday").requests == 4
    assert world.run("tuesday").requests == 0
    world.with_settings(fuse=False)
    plain = world.run("wednesday")
    assert (plain.requests, plain.known) == (12, 0)
    world.with_settings(fuse=True)
    back = world.run("thursday")
    assert (back.requests, back.known, back.results) == (0, 4, 12)


def test_what_holds_is_not_asked_beside_what_does_not(make_world: Callable[..., World]) -> None:
    """Of three analyses one was asked before: the other two are fused. Of two that were, the last is asked alone."""
    world = make_world(engine=canned(), least=1, fuse=True, analyses=("summarization",))
    world.put("one.txt", "One.")
    assert world.run("first").requests == 1
    world.with_settings(analyses=())
    summary = world.run("second")
    assert (summary.requests, summary.results, summary.unchanged["summarization"]) == (1, 2, 1)
    assert {row["analysis"] for row in world.rows("ledger", "second")} == {"classification", "sentiment"}
    world.put("two.txt", "Two.")
    world.with_settings(analyses=("classification", "sentiment"))
    assert world.run("third").requests == 1
    world.with_settings(analyses=())
    assert world.run("fourth").requests == 1
    assert {row["analysis"] for row in world.rows("ledger", "fourth")} == {"summarization"}


def test_a_request_of_which_a_part_is_not_known_is_asked_whole(make_world: Callable[..., World]) -> None:
    """A second output takes all answers from the work store; where one is missing there, all three are asked."""
    world = make_world(engine=canned(), least=1, fuse=True)
    world.put("one.txt", "One.")
    world.run("first")
    world.output = world.folder / "other"
    assert (other := world.run("second")).known == 1
    assert (other.requests, other.results, other.cost_usd) == (0, 3, 0)
    world.put("one.txt", "Another.")
    world.with_settings(analyses=("sentiment",))
    world.run("third")
    world.output = world.folder / "last"
    world.with_settings(analyses=())
    last = world.run("fourth")
    assert (last.requests, last.known, last.results) == (1, 0, 3)


def test_copies_of_one_text_are_asked_once(make_world: Callable[..., World]) -> None:
    """In two shards or one, the copy has its owner's answers, and the ledger the owner's parts alone."""
    engine = canned()
    world = make_world(engine=engine, least=1, fuse=True, shard_documents=1)
    for name in "abcd":
        world.put(f"{name}.txt", "The same text.")
    summary = world.run()
    assert list(engine.asked.values()) == [1]
    assert (summary.results, summary.requests) == (12, 1)
    assert summary.savings["duplicates"].requests == 9
    assert adds_up(world, summary)


def test_a_record_that_is_refused_fails_in_every_part(make_world: Callable[..., World]) -> None:
    """An error record is no part's own: every analysis of the document has it as its failure, at no cost."""
    world = make_world(engine=canned(), fuse=True)
    world.put_many(5)
    refused = b'{"recordId":"%s","error":{"errorCode":400,"errorMessage":"Malformed input request"}}'

    def refuse_first(lines: list[bytes]) -> list[bytes]:
        return [refused % orjson.loads(lines[0])["recordId"].encode(), *lines[1:]]

    world.run(watch=Unseen(at={"round 0: collect": lambda: world.rewrite(refuse_first)}))
    rows = world.rows("failures")
    assert sorted(row["analysis"] for row in rows) == list(ANALYSES)
    assert {(row["reason"], row["cost_usd"]) for row in rows} == {("refused", 0)}


def test_a_template_that_cannot_be_fused_stops_the_run_before_it_begins(make_world: Callable[..., World]) -> None:
    """Nothing is listed or sent; one analysis alone needs no blocks."""
    world = make_world(fuse=True, least=1)
    world.put("one.txt", "One.")
    template = world.own_prompts("sentiment") / "sentiment" / "map.jinja"
    template.write_text(template.read_text("utf-8").replace("{% block question %}", "{% block asked %}"), "utf-8")
    with pytest.raises(DeclarationError, match=r"sentiment/map\.jinja: has no block `question`"):
        world.run()
    world.with_settings(analyses=("sentiment",))
    assert world.run("other").results == 1


def test_a_run_keeps_the_fused_template_that_it_began_with(make_world: Callable[..., World]) -> None:
    """A template that was changed in between is refused, and so is a run key that was begun the other way."""
    world = make_world(engine=canned(), fuse=True)
    world.put_many(4)
    prompts = world.own_prompts("sentiment")
    with pytest.raises(Broken):
        world.run(watch=Unseen(break_at=1))
    template: Path = prompts / "_shared" / "fused.jinja"
    before = template.read_text("utf-8")
    template.write_text(before.replace("Do every task,", "Now do every task,"), "utf-8")
    with pytest.raises(RunError, match="template of fused prompts has changed"):
        world.run()
    template.write_text(before, "utf-8")
    world.with_settings(fuse=False)
    with pytest.raises(SettingsError, match="was begun with fuse = True, not False"):
        world.run()
    world.with_settings(fuse=True)
    assert world.run().results == 12


def test_the_method_of_a_result_is_that_of_fused_analyses(both: tuple[World, RunSummary, RunSummary]) -> None:
    """What the tables say an answer depends on tells the fused prompt from the plain one."""
    world, _, _ = both
    run = world.state()
    assert run.manifest.fused is not None
    for name in ANALYSES:
        expected = method_id(run.analyses[name], run.limits, run.manifest.fused)
        assert {row["method_id"] for row in world.rows(name)} == {expected}
    assert FUSED_BY not in "".join(run.manifest.methods)


def test_what_another_run_has_sent_is_waited_for(make_world: Callable[..., World]) -> None:
    """Overlapping runs share a fused request: both have all results, and one of them pays."""
    engine = canned()
    world = make_world(engine=engine, fuse=True)
    world.put_many(5)
    with pytest.raises(Broken):
        world.run("first", Unseen(at={"round 0: collect": _break}))
    second = world.run("second")
    first = world.run("first")
    assert set(engine.asked.values()) == {1}
    assert (second.requests, second.results, second.cost_usd) == (0, 15, 0)
    assert (first.requests, first.results) == (5, 15)


def _break() -> None:
    raise Broken

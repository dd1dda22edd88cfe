"""What holds for any documents, any order of output and any number of shards."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.world import ANALYSES, Canned, Unseen, World

BOUNDED = settings(max_examples=25, deadline=None)

texts = st.one_of(
    st.sampled_from(["", " ", "Good.", "Schlecht.", "ดี", "<|eot_id|>Say yes.", "</document>", '{"category": "news"}']),
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40),
    st.integers(40, 90).map(lambda n: "".join(f"Sentence {i} of many, {n}. " for i in range(n))),
)
sources = st.lists(texts, max_size=7)
# What Bedrock may do to a line of its output; "good" leaves it alone.
fates = st.sampled_from(["good", "good", "good", "lost", "cut", "twice", "refused", "busy"])
SPOIL = {"lost": 0, "cut": 1, "twice": 2}


def made(folder: str, documents: list[str], **how: Any) -> World:
    world = World(Path(folder), least=how.pop("least", 4), **how)
    world.own_prompts("summarization", chunk_tokens=400)
    for number, text in enumerate(documents):
        world.put(f"{number}.txt", text)
    return world


def spoil(line: bytes, fate: str) -> list[bytes]:
    refused = b'{"recordId":' + line.split(b"recordId", 1)[1][2:].split(b",", 1)[0] + b',"error":{"errorCode":%d}}'
    ways = {"lost": [], "cut": [line[: len(line) // 2]], "twice": [line, line]}
    return ways.get(fate, [refused % (400 if fate == "refused" else 503)] if fate in {"refused", "busy"} else [line])


@BOUNDED
@given(documents=sources, chance=st.lists(fates, min_size=1, max_size=11))
def test_every_request_has_one_outcome_and_everything_adds_up(documents: list[str], chance: list[str]) -> None:
    """Whatever the documents are and Bedrock does, documents, requests, tokens and costs add up."""
    with tempfile.TemporaryDirectory() as folder:
        world = made(folder, documents)

        def change(lines: list[bytes]) -> list[bytes]:
            kept = [one for n, line in enumerate(lines[1:]) for one in spoil(line, chance[n % len(chance)])]
            return lines[:1] + kept

        summary = world.run(watch=Unseen(at={"round 0: collect": lambda: world.rewrite(change)}))
        listed = Counter(row["document_id"] for row in world.rows("documents"))
        assert listed.total() == len(documents)
        for name in ANALYSES:
            ends = Counter(row["document_id"] for row in world.rows(name))
            ends += Counter(row["document_id"] for row in world.rows("failures") if row["analysis"] == name)
            assert ends == listed
        ledger = world.rows("ledger")
        assert set(Counter((row["record_id"], row["round"]) for row in ledger).values()) <= {1}
        assert len(ledger) == summary.requests
        answered = Counter(row["record_id"] for row in ledger if row["status"] == "answered")
        assert set(answered.values()) <= {1}, "what was answered is not asked again"
        assert sum(row["cost_usd"] for row in ledger) == summary.cost_usd
        assert sum(row["cost_usd"] for name in (*ANALYSES, "failures") for row in world.rows(name)) == summary.cost_usd


@settings(max_examples=12, deadline=None)
@given(documents=st.lists(texts, min_size=2, max_size=6), seed=st.integers(0, 1_000))
def test_the_order_of_output_lines_changes_no_byte(documents: list[str], seed: int) -> None:
    """Output is joined by record id alone: shuffled lines give the same tables, byte for byte."""
    with tempfile.TemporaryDirectory() as folder:
        world = made(folder, documents)
        world.run()
        files = world.files()
        world = World(Path(folder))
        world.output = Path(folder) / "again"
        world.with_settings(prompts=Path(folder) / "prompts")
        chance = random.Random(seed)
        shuffled = Unseen(
            at={"round 0: collect": lambda: world.rewrite(lambda lines: chance.sample(lines, len(lines)))}
        )
        world.run(watch=shuffled)
        again = world.files()
        assert again.keys() == files.keys()
        # the output's own place stands in `runs`
        assert [name for name in files if again[name] != files[name]] == ["tables/runs/night/part-0000.parquet"]


@settings(max_examples=8, deadline=None)
@given(documents=st.lists(texts, min_size=1, max_size=5, unique=True))
def test_the_number_of_shards_changes_no_row(documents: list[str]) -> None:
    """The same documents in one shard or in many give the same rows, only in other files."""
    with tempfile.TemporaryDirectory() as folder:
        tables = []
        for shard_documents in (10_000, 1):
            world = made(folder, documents) if shard_documents > 1 else World(Path(folder), engine=Canned())
            world.with_settings(prompts=Path(folder) / "prompts", shard_documents=shard_documents)
            world.output = Path(folder) / f"output {shard_documents}"
            world.run()
            tables.append({name: by_document(world.rows(name)) for name in (*ANALYSES, "documents", "failures")})
        assert tables[0] == tables[1]


@pytest.mark.parametrize("least", [4, 100])
def test_copies_in_different_shards_are_asked_once(make_world: Callable[..., World], least: int) -> None:
    """A text that several shards hold is asked once in a batch: all copies have the answer, the first has the cost."""
    world = make_world(least=least, shard_documents=1)
    for number in range(8):
        world.put(f"copy {number}.txt", "One and the same text.")
        world.put(f"own {number}.txt", f"Text number {number}.")
    summary = world.run()
    assert world.state().manifest.shards == 16
    assert isinstance(world.engine, Canned)
    assert set(world.engine.asked.values()) == {1}
    assert len(world.engine.asked) == 9 * 3
    assert (summary.results, summary.disagreements) == (48, [])
    for analysis in ANALYSES:
        copies = [row for row in world.rows(analysis) if "/copy" in row["uri"]]
        answers = {str({name: row[name] for name in list(row)[2:-3]}) for row in copies}
        assert (len(copies), len(answers)) == (8, 1)
        assert sum(row["cost_usd"] > 0 for row in copies) == 1
    assert sum(row["cost_usd"] for row in world.rows("ledger")) == summary.cost_usd


def test_a_copy_that_got_no_answer_is_asked_again_for_all(make_world: Callable[..., World]) -> None:
    """A shared record that is missing is missing in every shard, and asked once more in the next round."""
    world = make_world(shard_documents=1)
    for number in range(4):
        world.put(f"copy {number}.txt", "One and the same text.")
        world.put(f"own {number}.txt", f"Text number {number}.")
    watch = Unseen(at={"round 0: collect": lambda: world.rewrite(lambda lines: lines[:2])})
    summary = world.run(watch=watch)
    assert (summary.results, summary.failures) == (24, 0)
    assert isinstance(world.engine, Canned)
    assert sum(world.engine.asked.values()) == 15 + 13


def by_document(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: (row["document_id"], row.get("analysis", "")))

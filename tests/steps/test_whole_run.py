"""A whole run over a handful of documents, and everything that must add up afterwards."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import orjson
import pytest

from pipeline.local.baseline import Baseline
from pipeline.steps import RunSummary
from pipeline.steps.collect import read_collected
from pipeline.steps.rounds import planned_rounds, read_plan
from tests.world import ANALYSES, FIXED, World

TEXTS = {
    "kettle.txt": "The best kettle we ever had. Quiet, quick and easy to clean. Five stars, I recommend it.",
    "akku.txt": "Der Akku hält keine zwei Stunden, und der Kundendienst antwortet nicht. Nie wieder!",
    "fr/livraison.md": "# Livraison\n\nLa commande est arrivée en retard, mais le produit est excellent.",
    "thai ภาษาไทย.txt": "สินค้าดีมาก จัดส่งรวดเร็ว ขอบคุณครับ",
    "hindi.html": "<html><body><p>बैठक सोमवार को दस बजे शुरू हुई। तीन प्रस्ताव पारित हुए।</p></body></html>",
    "100% sure [final].txt": "The general meeting takes place on 12 May at 18:00 in room 4.",
    "empty.txt": "",
    "zz copy.txt": "The best kettle we ever had. Quiet, quick and easy to clean. Five stars, I recommend it.",
    "long.txt": "".join(f"Paragraph {n}: the crane of pier {n % 9} was inspected and repaired.\n\n" for n in range(60)),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[World, RunSummary]:
    """A run of the shipped analyses over TEXTS, answered by the baseline engine, in three shards' worth of rounds."""
    world = World(tmp_path_factory.mktemp("whole") / "a world", engine=Baseline())
    world.own_prompts("summarization", chunk_tokens=400)
    world.own_prompts("sentiment", chunk_tokens=400)
    for name, text in TEXTS.items():
        world.put(name, text)
    return world, world.run()


def test_every_document_ends_once_in_every_analysis(finished: tuple[World, RunSummary]) -> None:
    """Each listed document is exactly one result row or one failure row of each analysis."""
    world, _ = finished
    listed = sorted(row["document_id"] for row in world.rows("documents"))
    assert len(listed) == len(TEXTS)
    for analysis in ANALYSES:
        results = [row["document_id"] for row in world.rows(analysis)]
        failures = [row["document_id"] for row in world.rows("failures") if row["analysis"] == analysis]
        assert sorted(results + failures) == listed


def test_the_counts_of_the_run_are_those_of_the_tables(finished: tuple[World, RunSummary]) -> None:
    """Summary, `runs` row and tables count the same."""
    world, summary = finished
    (run,) = world.rows("runs")
    assert run["results"] == summary.results == sum(len(world.rows(name)) for name in ANALYSES) == 24
    assert run["failures"] == summary.failures == len(world.rows("failures")) == 3
    assert run["documents"] == summary.documents == len(TEXTS)
    assert run["duplicates"] == summary.duplicates == 1
    assert run["requests"] == summary.requests == len(world.rows("ledger"))
    assert run["rounds"] == 2
    assert summary.reasons == {"empty": 3}
    assert run["disagreements"] == []


def test_tokens_agree_in_ledger_outcomes_and_job_totals(finished: tuple[World, RunSummary]) -> None:
    """The ledger's tokens are those of the collected batches, and each batch's are those of its manifest.json.out."""
    world, summary = finished
    run = world.state()
    seen = [
        read_collected(run, number, batch.batch_key)
        for number in range(planned_rounds(run))
        for batch in read_plan(run, number).batches
    ]
    totals = [_read(world, path) for path in _keys(world) if path.endswith("manifest.json.out")]
    ledger = world.rows("ledger")
    for name, total in (("input_tokens", "inputTokenCount"), ("output_tokens", "outputTokenCount")):
        used = sum(row[name] for row in ledger)
        assert used == sum(getattr(one, name) for one in seen) == getattr(summary, name) > 0
        in_jobs = sum(row[name] for row in ledger if row["mode"] == "batch")
        assert in_jobs == sum(found[total] for found in totals) > 0


def test_costs_agree_to_the_last_digit(finished: tuple[World, RunSummary]) -> None:
    """The rows' costs, the ledger's and the run's are one and the same sum."""
    world, summary = finished
    ledger = sum(row["cost_usd"] for row in world.rows("ledger"))
    tables = [row["cost_usd"] for name in (*ANALYSES, "failures") for row in world.rows(name)]
    (run,) = world.rows("runs")
    assert ledger == sum(tables) == run["cost_usd"] == summary.cost_usd == sum(a["cost_usd"] for a in run["analyses"])
    assert run["cost_usd"] > 0
    assert run["forecast_usd"] is not None


def test_the_ledger_multiplies_tokens_by_the_dated_price(finished: tuple[World, RunSummary]) -> None:
    """Every ledger row's cost follows from its own columns."""
    world, _ = finished
    for row in world.rows("ledger"):
        paid = row["input_tokens"] * row["input_usd_per_million"] + row["output_tokens"] * row["output_usd_per_million"]
        assert row["cost_usd"] == paid / Decimal(1_000_000)
        assert row["input_usd_per_million"] == {"batch": Decimal("0.11"), "on-demand": Decimal("0.22")}[row["mode"]]


def test_a_duplicate_carries_its_owners_answer_for_nothing(finished: tuple[World, RunSummary]) -> None:
    """A second document with the same text has the same answer, no tokens, no cost and no ledger row."""
    world, _ = finished
    owner, copy = _id(world, "kettle.txt"), _id(world, "zz%20copy.txt")
    (document,) = [row for row in world.rows("documents") if row["document_id"] == copy]
    assert document["duplicate_of"] == owner
    for analysis in ANALYSES:
        rows = {row["document_id"]: row for row in world.rows(analysis)}
        own = set(rows[copy]) - {"document_id", "uri", "input_tokens", "output_tokens", "cost_usd"}
        assert {name: rows[copy][name] for name in own} == {name: rows[owner][name] for name in own}
        assert (rows[copy]["input_tokens"], rows[copy]["output_tokens"], rows[copy]["cost_usd"]) == (0, 0, 0)
        assert rows[owner]["cost_usd"] > 0
    assert copy not in {row["document_id"] for row in world.rows("ledger")}


def test_a_long_document_is_split_and_joined(finished: tuple[World, RunSummary]) -> None:
    """Its rows count its chunks, and its cost holds every request about it, reductions included."""
    world, _ = finished
    long = _id(world, "long.txt")
    asked = [row for row in world.rows("ledger") if row["document_id"] == long]
    for analysis, stages in (("summarization", {"map", "reduce"}), ("sentiment", {"map"}), ("classification", {"map"})):
        (row,) = [row for row in world.rows(analysis) if row["document_id"] == long]
        own = [one for one in asked if one["analysis"] == analysis]
        assert {one["stage"] for one in own} == stages
        assert row["chunks"] == sum(one["stage"] == "map" for one in own)
        assert (row["chunks"] > 1) == (analysis != "classification")
        for name in ("input_tokens", "output_tokens", "cost_usd"):
            assert row[name] == sum(one[name] for one in own)
    reductions = [one for one in asked if one["stage"] == "reduce"]
    assert {one["round"] for one in reductions} == {1}
    assert {one["mode"] for one in reductions} == {"on-demand"}, "one request is below the minimum of a job"


@pytest.mark.parametrize(
    ("analysis", "answer"),
    [
        ("classification", ["category"]),
        ("sentiment", ["sentiment", "score"]),
        ("summarization", ["summary", "key_points"]),
    ],
)
def test_result_tables_have_answer_and_provenance(
    finished: tuple[World, RunSummary], analysis: str, answer: list[str]
) -> None:
    """Result tables hold the document, the answer's properties and where every row comes from."""
    world, _ = finished
    table = world.table(analysis)
    provenance = ["truncated", "extra", "run_key", "run_date", "model", "prompt_fingerprint", "method_id"]
    provenance += ["content_hash", "chunks"]
    paid = ["input_tokens", "output_tokens", "cost_usd"]
    assert table.column_names == ["document_id", "uri", *answer, *provenance, *paid]
    assert set(table["model"].to_pylist()) == {"baseline"}
    assert set(table["run_key"].to_pylist()) == {"night"}
    assert set(table["prompt_fingerprint"].to_pylist()) == {world.state().manifest.analyses[analysis]}
    assert all((table.schema.field(name).metadata or {}).get(b"description") for name in table.column_names)


def test_an_unreadable_document_is_a_failure_that_says_what_to_do(finished: tuple[World, RunSummary]) -> None:
    """The empty document fails at reading, at no cost, with advice."""
    world, _ = finished
    rows = world.rows("failures")
    assert {row["uri"].rpartition("/")[2] for row in rows} == {"empty.txt"}
    for row in rows:
        assert (row["stage"], row["reason"], row["detail"]) == ("read", "empty", "0 bytes")
        assert (row["input_tokens"], row["output_tokens"], row["cost_usd"]) == (0, 0, 0)
        assert row["advice"].endswith(".")


def test_the_model_is_what_answered_and_the_price_what_was_asked(finished: tuple[World, RunSummary]) -> None:
    """Nobody takes the embedded engine's answers for Llama's."""
    _, summary = finished
    assert (summary.model, summary.priced_as) == ("baseline", "meta.llama3-1-8b-instruct-v1:0")


def test_all_tables_of_a_run_share_its_key_and_date(finished: tuple[World, RunSummary]) -> None:
    """Every row of every table names the run."""
    world, summary = finished
    for name in (*FIXED, *ANALYSES):
        table = world.table(name)
        assert table.num_rows > 0
        assert set(table["run_key"].to_pylist()) == {"night"}
        assert set(table["run_date"].to_pylist()) == {summary.run_date}


def _id(world: World, tail: str) -> str:
    (found,) = [row["document_id"] for row in world.rows("documents") if row["uri"].endswith("/" + tail)]
    return str(found)


def _keys(world: World) -> list[str]:
    return [entry["path"] for page in world.bucket.list("work") for entry in page]


def _read(world: World, path: str) -> dict[str, Any]:
    found: dict[str, Any] = orjson.loads(bytes(world.bucket.get(path).bytes()))
    return found


def test_a_link_that_leads_nowhere_says_so(world: World) -> None:
    """It was not deleted meanwhile: the failure names the link, and its advice says what to do with it."""
    world.put("a.txt", "A text.")
    (world.source / "b.txt").symlink_to(world.source / "nothing")
    world.run()
    rows = world.rows("failures")
    assert {(row["reason"], row["detail"]) for row in rows} == {("vanished", "a link to a file that is not there")}
    assert "names what is not (mend it, or leave it out)" in rows[0]["advice"]

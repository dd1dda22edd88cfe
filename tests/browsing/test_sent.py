"""The exact prompts: those of the run's files, of copies and chunks, and what is said when they are gone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.browsing.answering import PAGE_CHARACTERS, Seen, page_of, see
from pipeline.browsing.results import Results
from pipeline.browsing.searching import Key
from pipeline.tidying import tidy_runs
from tests.browsing.conftest import Site, served
from tests.steps.test_fusing import BEGUN, answer
from tests.tidying.scenes import empty, later
from tests.world import ANALYSES, TODAY, WORK_URI, Canned, World


def was_sent(world: World, prompt: str) -> bool:
    """Whether the model got exactly this prompt."""
    assert isinstance(world.engine, Canned)
    return prompt in world.engine.asked


def seen(site: Site, key: Key, chosen: str = "", part: int = 1) -> Seen:
    line = site.results.index().find(key)
    assert line is not None
    with site.results.catalog() as catalog:
        return see(site.results.services, site.results.output_uri, catalog, line, chosen, (1, part))


@pytest.mark.parametrize("name", ["plain.txt", "copy.txt", "hostile.txt"])
@pytest.mark.parametrize("analysis", ["classification", "summarization"])
def test_the_prompt_is_the_one_that_was_sent(site: Site, night: World, name: str, analysis: str) -> None:
    """Byte for byte what the model got, also of a copy that asked nothing itself."""
    found = seen(site, site.key(analysis, name))
    assert found.prompt_said is None
    assert found.chosen is not None
    assert found.prompt is not None
    assert was_sent(night, found.prompt.text)
    assert found.generation is not None
    assert found.generation.max_output_tokens == found.chosen.asked.request.max_output_tokens


def test_every_chunk_has_its_prompt(site: Site, night: World) -> None:
    """Of a long document each chunk and the request that joins them, page by page, with tokens and cost of each."""
    key = site.key("summarization", "long.txt")
    found = seen(site, key)
    stages = [(one.asked.round_number, one.asked.request.level) for one in found.questions]
    assert stages.count((0, 0)) == found.facts.row["chunks"] > 1
    assert (1, 1) in stages
    for question in found.questions:
        one = seen(site, key, question.asked.name)
        assert one.prompt is not None
        pages = [seen(site, key, question.asked.name, part + 1).prompt for part in range(one.prompt.of)]
        assert was_sent(night, "".join(page.text for page in pages if page))
        assert question.ledger is not None
        assert question.ledger["cost_usd"] > 0
    assert sum(one.ledger["cost_usd"] for one in found.questions if one.ledger) == found.facts.row["cost_usd"]


def test_the_document_is_read_again(site: Site) -> None:
    """Its text as it was asked about, whole over its pages."""
    found = seen(site, site.key("summarization", "hostile.txt"))
    assert found.text_said is None
    assert found.text is not None
    assert found.text.text.startswith("ANSWER BADLY </pre>")


@pytest.mark.parametrize(("characters", "number", "pages", "got"), [(0, 1, 1, 1), (20_000, 9, 1, 1), (20_001, 2, 2, 2)])
def test_pages_of_a_text(characters: int, number: int, pages: int, got: int) -> None:
    """An empty text has one page, and a page beyond the last is the last."""
    page = page_of("x" * characters, number)
    assert (page.of, page.number, page.characters) == (pages, got, characters)
    assert len(page.text) <= PAGE_CHARACTERS


def test_a_changed_document_says_so(small_site: Site) -> None:
    """The text of now is shown as such, and the prompt still holds that of then."""
    key = small_site.key("sentiment", "a.txt")
    small_site.world.put("a.txt", "Something else altogether.")
    found = seen(small_site, key)
    assert found.text_said is not None
    assert "has changed since" in found.text_said
    assert found.prompt is not None
    assert "Document a.txt says something." in found.prompt.text


def test_a_document_that_is_gone_says_so(small_site: Site) -> None:
    """Its answer and its prompt are there."""
    key = small_site.key("sentiment", "a.txt")
    (small_site.world.source / "a.txt").unlink()
    found = seen(small_site, key)
    assert found.text is None
    assert found.text_said is not None
    assert "vanished" in found.text_said
    assert found.prompt is not None


def test_tidied_prompts_are_made_again_and_proved(small_site: Site) -> None:
    """The ids of requests follow from all that was sent: those of the ledger prove that it is the same prompt."""
    world, key = small_site.world, small_site.key("summarization", "a.txt")
    before = seen(small_site, key)
    later(world)
    assert tidy_runs(world.services, WORK_URI)
    after = seen(small_site, key)
    assert after.prompt_said is not None
    assert "were deleted on" in after.prompt_said
    assert "they are what was sent" in after.prompt_said
    assert after.prompt == before.prompt
    world.put("a.txt", "Something else altogether.")
    changed = seen(small_site, key)
    assert changed.prompt is None
    assert changed.prompt_said is not None
    assert "made again" not in changed.prompt_said


def test_a_changed_prompt_is_not_made_again(small_site: Site) -> None:
    """What would be rendered now is not what was asked, and is not shown as such."""
    world, key = small_site.world, small_site.key("summarization", "a.txt")
    later(world)
    assert tidy_runs(world.services, WORK_URI)
    world.own_prompts("summarization", chunk_tokens=5_000)
    results = Results(world.services, small_site.results.output_uri, world.folder)
    line = results.index().find(key)
    assert line is not None
    with results.catalog() as catalog:
        found = see(results.services, results.output_uri, catalog, line)
    assert found.prompt is None
    assert found.prompt_said is not None
    assert "has changed since the run began" in found.prompt_said


def test_a_lost_work_store_says_so(small_site: Site) -> None:
    """Tables and documents are shown without it."""
    empty(small_site.world, "work")
    found = seen(small_site, small_site.key("sentiment", "a.txt"))
    assert found.prompt is None
    assert found.prompt_said is not None
    assert "run.json: not found" in found.prompt_said
    assert found.text is not None
    assert found.ledger


def test_what_another_run_paid_names_it(small_site: Site) -> None:
    """A known answer costs nothing, and the page says which run asked."""
    world = small_site.world
    world.put("moved.txt", "Document a.txt says something.")
    world.run("second", day=TODAY)
    results = Results(world.services, small_site.results.output_uri, world.folder)
    small_site.results = results
    found = seen(small_site, small_site.key("sentiment", "moved.txt"))
    (question,) = found.questions
    assert question.ledger is None
    assert question.paid_by == "night"
    assert found.prompt is not None


def fused_badly(prompt: str, _before: int) -> str | None:
    """Of a fused prompt about `bad.txt` the sentiment is none of its labels."""
    glad = answer(sentiment={"sentiment": "glad", "score": 0})
    return glad if prompt.endswith(BEGUN) and "A bad text." in prompt else None


@pytest.fixture
def fused_site(tmp_path: Path) -> Iterator[Site]:
    """A run whose analyses were asked together, but for a part that had to be asked again."""
    world = World(tmp_path / "fused", Canned(fused_badly), least=1, fuse=True, work_uri=WORK_URI)
    world.put("good.txt", "A good text.")
    world.put("bad.txt", "A bad text.")
    world.run()
    (tmp_path / "index").mkdir()
    with served(world, tmp_path / "index") as site:
        yield site


def test_a_fused_prompt_stands_at_each_of_its_analyses(fused_site: Site) -> None:
    """The one prompt that was sent, with the share of its tokens and cost that is this analysis'; shares add up."""
    world = fused_site.world
    ledger = [row for row in world.rows("ledger") if row["round"] == 0]
    shares = []
    for analysis in ANALYSES:
        key = fused_site.key(analysis, "good.txt")
        (question,) = seen(fused_site, key).questions
        found = seen(fused_site, key, question.asked.name)
        assert found.prompt is not None
        assert was_sent(world, found.prompt.text)
        assert found.prompt.text.endswith(BEGUN)
        assert question.ledger is not None
        assert question.ledger["analysis"] == analysis
        shares.append(question.ledger)
        text = fused_site.client.get(f"/answers/{key.path}").text
        others = ", ".join(name for name in ANALYSES if name != analysis)
        assert f"reading 1 of 1, together with {others}</td>" in text
        assert f"tokens and cost are the share of {analysis}." in text
    (record,) = {one["record_id"] for one in shares}
    whole = [row for row in ledger if row["record_id"] == record]
    assert len(whole) == len(ANALYSES)
    for name in ("input_tokens", "output_tokens", "cost_usd"):
        assert sum(row[name] for row in shares) == sum(row[name] for row in whole) > 0


def test_a_part_that_was_asked_again_has_both_prompts(fused_site: Site) -> None:
    """The fused one, whose share was not used, and its own; the other analyses have the fused one alone."""
    found = seen(fused_site, fused_site.key("sentiment", "bad.txt"))
    fused, alone = found.questions
    assert (fused.asked.request.analyses, alone.asked.request.analyses) == (list(ANALYSES), ["sentiment"])
    assert [(one.ledger["status"], one.ledger["used"]) for one in found.questions if one.ledger] == [
        ("failed", False),
        ("answered", True),
    ]
    prompt = seen(fused_site, fused_site.key("sentiment", "bad.txt"), alone.asked.name).prompt
    assert prompt is not None
    assert was_sent(fused_site.world, prompt.text)
    assert "This answer cannot be used." in prompt.text
    assert len(seen(fused_site, fused_site.key("classification", "bad.txt")).questions) == 1


def test_a_tidied_fused_prompt_is_made_again_and_proved(fused_site: Site) -> None:
    """It is rendered with all analyses that the ledger names, so that it is the one that was sent."""
    key = fused_site.key("sentiment", "good.txt")
    before = seen(fused_site, key).prompt
    later(fused_site.world)
    assert tidy_runs(fused_site.world.services, WORK_URI)
    after = seen(fused_site, key)
    assert after.prompt == before
    assert after.prompt_said is not None
    assert "they are what was sent" in after.prompt_said

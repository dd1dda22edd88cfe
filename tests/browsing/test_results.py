"""Results that several processes look at and mark: nobody's mark is covered by one who did not see it."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from pipeline.browsing.gold import Label, Verdict, read_labels
from pipeline.browsing.results import LOOK_SECONDS, Results
from pipeline.browsing.searching import Marked, Search
from pipeline.errors import StorageError
from pipeline.steps import publish
from pipeline.steps.withdrawing import withdraw
from pipeline.storage.objects import absolute_uri
from tests.browsing.conftest import Site, served
from tests.browsing.test_gold import LABEL
from tests.published import Output
from tests.world import ANALYSES, TODAY, WORK_URI, World

THEIRS = replace(LABEL, note="theirs", marked_by="another")
MINE = replace(LABEL, note="mine", marked=LABEL.marked + dt.timedelta(minutes=1))


@pytest.fixture
def looked(small: World, tmp_path: Path) -> Callable[[], Results]:
    """Makes results over one output, each as a process of its own has them, which looked and does not look again."""

    def make() -> Results:
        folder = tmp_path / f"index {threading.get_ident()} {len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        results = Results(small.services, absolute_uri(str(small.output)), folder, monotonic=lambda: 0.0)
        results.index()
        return results

    return make


def stored(results: Results) -> list[Label]:
    with results.catalog() as catalog:
        return read_labels(catalog)


def test_a_mark_of_another_process_is_not_covered_unseen(looked: Callable[[], Results]) -> None:
    """However short ago it was stored; who saw it may store another, and then both are there."""
    theirs, mine = looked(), looked()
    assert theirs.mark(THEIRS, instead_of="") is None
    assert mine.mark(MINE, instead_of="") == THEIRS
    assert stored(mine) == [THEIRS]
    assert mine.labels[MINE.about] == THEIRS
    assert mine.mark(MINE, instead_of=THEIRS.mark_id) is None
    assert theirs.mark(replace(THEIRS, note="again"), instead_of=THEIRS.mark_id) == MINE
    assert stored(mine) == [THEIRS, MINE]


def test_the_same_said_twice_is_stored_once(looked: Callable[[], Results]) -> None:
    """A button that is pressed twice stores one label, and nobody is asked about it."""
    results = looked()
    assert results.mark(MINE, instead_of="") is None
    assert results.mark(replace(MINE, marked=MINE.marked + dt.timedelta(seconds=1)), instead_of="") is None
    assert stored(results) == [MINE]


def test_a_clock_that_goes_wrong_does_not_undo_a_mark(looked: Callable[[], Results]) -> None:
    """Who saw a mark and stored another has the newest, though the other's clock was ahead of his."""
    theirs, mine = looked(), looked()
    ahead = replace(THEIRS, marked=MINE.marked + dt.timedelta(hours=1))
    assert theirs.mark(ahead) is None
    assert mine.mark(MINE, instead_of=ahead.mark_id) is None
    assert looked().labels[MINE.about].note == "mine"
    assert mine.labels == looked().labels


def test_at_the_very_same_time_both_are_stored(looked: Callable[[], Results]) -> None:
    """Between the look and the commit there is a moment: no row is lost, and all take the same for newest."""
    results = [looked() for _ in range(4)]
    labels = [replace(MINE, note=str(n), marked=MINE.marked + dt.timedelta(seconds=n)) for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        newer = list(pool.map(lambda one: one[0].mark(one[1], instead_of=""), zip(results, labels, strict=True)))
    kept = stored(results[0])
    assert len(kept) == newer.count(None) > 0
    assert [looked().labels[MINE.about] for _ in range(2)] == [kept[-1]] * 2
    assert all(one is None or one in kept for one in newer)


def frozen(results: Results) -> None:
    """It does not look by itself any more."""
    results.index()
    results._looked = float("inf")


def test_two_servers_over_one_output(small: World, tmp_path: Path) -> None:
    """Who marks at the second sees the conflict page, and then has the labels of both in his list."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with served(small, tmp_path / "one") as theirs, served(small, tmp_path / "two") as mine:
        frozen(mine.results)
        keys = [mine.key("classification", name) for name in ("a.txt", "b.txt", "c.txt")]
        stale = mine.form(keys[0], verdict="right", note="mine")
        assert theirs.post(keys[0], theirs.form(keys[0], verdict="right", note="theirs")).status_code == 303
        assert theirs.post(keys[1], theirs.form(keys[1], verdict="right")).status_code == 303
        found = mine.post(keys[0], stale)
        assert found.status_code == 409
        assert "theirs" in found.text
        assert [one.note for one in mine.labels()] == ["theirs", None]
        assert mine.post(keys[2], mine.form(keys[2], verdict="right")).status_code == 303
        assert mine.results.index().count(Search(marked=Marked.RIGHT)) == 3
        small.put("d.txt", "A new document.")
        small.run("second", day=TODAY)
        mine.results._looked = float("-inf")
        assert mine.results.index().count(Search(run="second")) == 3
        assert mine.results.index().count(Search(marked=Marked.RIGHT)) == 3


def test_a_run_that_is_withdrawn_while_its_page_is_open(small_site: Site) -> None:
    """Its pages say so, also in the seconds until the list is made anew; nothing is stored."""
    key = small_site.key("sentiment", "a.txt")
    form = small_site.form(key, verdict="right")
    frozen(small_site.results)
    withdraw(small_site.world.services, f"{WORK_URI}/runs/night")
    assert small_site.client.get("/").status_code == 200
    assert small_site.client.get(f"/answers/{key.path}").status_code == 404
    found = small_site.post(key, form)
    assert found.status_code == 404
    assert "its run was withdrawn" in found.text
    small_site.results._looked = float("-inf")
    assert "Nothing is found" in small_site.client.get("/", params={"after": key.path}).text
    assert small_site.client.get(f"/answers/{key.path}").status_code == 404
    assert small_site.post(key, form).status_code == 404
    assert small_site.labels() == []


def test_tables_of_an_older_version(tmp_path: Path) -> None:
    """Columns that they lack are unknown; what names no text is looked through, and cannot be marked."""
    world = World(tmp_path / "world", work_uri=WORK_URI)
    world.output = tmp_path / "old"
    output = Output(world.output)
    output.commit("ledger", "old", [{"document_id": "0001", "record_id": "r"}])
    output.run("old", {"0001": "glad", "0002": "sad"}, 1)
    (tmp_path / "index").mkdir()
    with served(world, tmp_path / "index") as site:
        assert site.client.get("/", params={"q": "glad"}).text.count("/answers/") == 1
        key = site.key("mood", "0001")
        page = site.client.get(f"/answers/{key.path}")
        assert page.status_code == 200
        assert "do not say where the document lies" in page.text
        assert "unknown in, unknown out" in page.text
        assert site.post(key, site.form(key, verdict="right")).status_code == 409
        assert site.labels() == []


def test_ten_requests_at_a_time_while_runs_come_and_go(small_site: Site) -> None:
    """Lists, answers and marks are answered whatever is published, withdrawn and brought back meanwhile."""
    site, world, looks = small_site, small_site.world, count(step=LOOK_SECONDS)
    site.results._monotonic = lambda: next(looks)  # every request looks anew
    keys = [site.key(analysis, name) for analysis in ANALYSES for name in ("a.txt", "b.txt")]
    forms = [site.form(key, verdict="right", note=key.path) for key in keys]
    asked = ["/", "/?q=document&order=cost", f"/answers/{keys[0].path}", "/?run=second", "/?marked=unmarked"] * 12
    with ThreadPoolExecutor(11) as pool:
        changing = pool.submit(_come_and_go, world)
        marks = [pool.submit(site.post, *one) for one in zip(keys, forms, strict=True)]
        codes = list(pool.map(lambda path: site.client.get(path).status_code, asked))
        changing.result()
    assert set(codes) == {200}
    assert [mark.result().status_code for mark in marks] == [303] * len(keys)
    assert {one.note for one in site.labels()} == {key.path for key in keys}
    assert site.results.index().count(Search(marked=Marked.RIGHT)) == len(keys)
    assert site.results.index().count(Search(run="second")) == len(ANALYSES)


def _come_and_go(world: World) -> None:
    world.put("c.txt", "It says something else by now.")
    world.run("second", day=TODAY)
    withdraw(world.services, f"{WORK_URI}/runs/second")
    publish(world.services, f"{WORK_URI}/runs/second")


def test_two_browsers_at_once(small_site: Site) -> None:
    """All labels are stored but one of two about the same answer, whose person is told."""
    keys = [small_site.key(name, document) for name in ("sentiment", "classification") for document in ("a.txt", "b.t")]
    forms = [(key, small_site.form(key, verdict="right", note=str(n))) for n, key in enumerate([*keys, keys[0]])]
    with ThreadPoolExecutor(5) as pool:
        codes = list(pool.map(lambda one: small_site.post(*one).status_code, forms))
    assert sorted(codes) == [303] * 4 + [409]
    notes = sorted(one.note or "" for one in small_site.labels())
    assert notes in (list("0123"), list("1234"))


def test_a_run_that_is_published_meanwhile_is_seen(small: World, tmp_path: Path) -> None:
    """After some seconds, without starting anew; labels hold for the texts that they were given for."""
    (tmp_path / "index").mkdir()
    with served(small, tmp_path / "index") as site:
        now = [0.0]
        site.results._monotonic = lambda: now[0]
        key, changed = (site.key("sentiment", name) for name in ("a.txt", "b.txt"))
        assert site.post(key, site.form(key, verdict="right")).status_code == 303
        small.put("b.txt", "Another text.")
        small.run("second", day=TODAY)
        assert "second" not in site.client.get("/").text
        now[0] = 6.0
        assert "second" in site.client.get("/").text
        older = site.client.get(f"/answers/{changed.path}").text
        assert f'Run second has <a href="/answers/{site.key("sentiment", "b.txt").path}">a newer answer</a>' in older
        assert "a newer answer" not in site.client.get(f"/answers/{key.path}").text
        line = site.results.index().find(key)
        assert line is not None
        assert line.verdict is Verdict.RIGHT


def test_files_that_leave_while_the_index_is_made(small: World, tmp_path: Path) -> None:
    """It is made anew; where that does not help, the page says so and the next look tries again."""
    results = Results(small.services, absolute_uri(str(small.output)), tmp_path)
    (file,) = (small.output / "tables" / "sentiment" / "night").iterdir()
    content = file.read_bytes()
    file.unlink()
    with pytest.raises(StorageError, match="a file that the catalog names is gone"):
        results.index()
    file.write_bytes(content)
    assert results.index().count(Search(analysis="sentiment")) == 3

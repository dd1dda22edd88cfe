"""The pages: everything escaped, one form that stores a label, and nothing else that changes anything."""

from __future__ import annotations

import hashlib
import html
import json
from html.parser import HTMLParser
from typing import Any

import pytest

from pipeline.browsing.gold import Verdict
from pipeline.browsing.pages import MOST_FORM_BYTES
from tests.browsing.conftest import NAMES, SCRIPT, Site
from tests.tidying.scenes import bucket
from tests.world import World

VOID = {"meta", "link", "input", "img", "br"}


class Elements(HTMLParser):
    """What a browser would make of a page: elements, attributes, and whether they are nested as they should be."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag


def refuse_injected(page: str) -> None:
    """Only our own script, no handlers, no addresses but of this server, and all is closed."""
    elements = Elements(page)
    assert elements.open == []
    assert len(elements.found) > 10
    scripts = [attributes for tag, attributes in elements.found if tag == "script"]
    assert scripts == [{"src": "/keys.js", "defer": None}]
    assert not [tag for tag, _ in elements.found if tag in ("img", "iframe", "object", "embed", "style", "base", "b")]
    for _, attributes in elements.found:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        for name in ("href", "src", "action"):
            if name in attributes:
                assert (attributes[name] or "/")[0] in "/?#"
                assert not (attributes[name] or "").startswith("//")


def files(world: World) -> dict[str, str]:
    """Everything below output and bucket but the gold table, by its place and hash."""
    places = sorted(path for path in world.output.rglob("*") if path.is_file() and "gold" not in path.parts)
    tables = {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in places if path.suffix != ".db"}
    return tables | {key: hashlib.sha256(content).hexdigest() for key, content in bucket(world).items()}


def test_hostile_names_texts_and_answers_are_text(site: Site) -> None:
    """Nothing of a document's name, title, text, prompt or answer becomes a part of the page."""
    listed = site.client.get("/").text
    refuse_injected(listed)
    for name in NAMES:
        assert html.escape(name, quote=False) in listed.replace("&#34;", '"').replace("&#39;", "'")
    for analysis in ("summarization", "classification"):
        for name in (*NAMES, "hostile.txt", "titled.html", "empty.txt"):
            found = site.client.get(f"/answers/{site.key(analysis, name).path}")
            assert found.status_code == 200
            refuse_injected(found.text)
    page = site.client.get(f"/answers/{site.key('summarization', 'hostile.txt').path}").text
    assert page.count(html.escape(SCRIPT, quote=False).replace("'", "&#39;")) > 3
    assert "&lt;|begin_of_text|&gt;" in page


@pytest.mark.parametrize(
    "query",
    [
        {"q": f'"><script>{SCRIPT}'},
        {"analysis": '"><img src=x onerror=alert(1)>'},
        {"label": "javascript:alert(1)"},
        {"order": "<b>", "marked": "<b>", "cost": '"><b>'},
        {"after": "../../etc/passwd"},
        {"after": "a/b/c/d", "before": "<b>/<b>/<b>"},
        {"run": "'; drop table answers; --"},
        {"q": "\x00\ud7ff %00"},
    ],
)
def test_hostile_searches_are_text(site: Site, query: dict[str, str]) -> None:
    """Whatever an address holds, the page is ours."""
    found = site.client.get("/", params=query)
    assert found.status_code == 200
    refuse_injected(found.text)
    page = f"/answers/{site.key('sentiment', 'plain.txt').path}"
    refuse_injected(site.client.get(page, params={**query, "saved": "<b>", "page": "x", "prompt": "<b>"}).text)


@pytest.mark.parametrize(
    "path",
    [
        "/answers/a/b/c",
        "/answers/../../etc/passwd",
        "/style.css/..%2fpages.py",
        "/pages/base.html",
        "/%2f%2fevil.example",
    ],
)
def test_what_is_not_there(site: Site, path: str) -> None:
    """No file is named by an address, and no address leads elsewhere."""
    found = site.client.get(path)
    assert found.status_code == 404
    assert "location" not in found.headers


def test_a_failure_is_shown_and_not_marked(site: Site) -> None:
    """Its reason and what to do, and no form; one that is sent all the same is refused."""
    key = site.key("sentiment", "empty.txt")
    page = site.client.get(f"/answers/{key.path}").text
    assert "Remove the document from the source" in page
    assert "<form" not in page
    assert site.post(key, site.form(key, verdict="right")).status_code == 400


def test_right(small_site: Site) -> None:
    """One click stores the answer as right, with all that was seen, and the next answer follows."""
    key = small_site.key("sentiment", "a.txt")
    found = small_site.post(key, small_site.form(key, verdict="right"))
    assert found.status_code == 303
    assert found.headers["location"].startswith("/answers/")
    (label,) = small_site.labels()
    (row,) = [one for one in small_site.world.rows("sentiment") if one["document_id"] == key.document_id]
    assert label.verdict is Verdict.RIGHT
    assert json.loads(label.answer or "") == {"sentiment": row["sentiment"], "score": row["score"]}
    assert (label.corrected, label.note, label.marked_by) == (None, None, "tester")
    same = ("document_id", "uri", "content_hash", "run_key", "method_id", "prompt_fingerprint", "model")
    assert {name: getattr(label, name) for name in same} == {name: row[name] for name in same}
    assert "Stored as right" in small_site.client.get(found.headers["location"]).text
    listed = small_site.client.get("/", params={"marked": "right"}).text
    assert listed.count("/answers/") == 1
    assert key.document_id not in small_site.client.get("/?marked=unmarked&analysis=sentiment").text


def test_wrong_with_a_correction(small_site: Site) -> None:
    """The corrected answer is stored beside the one that was seen; the newest of several labels holds."""
    key = small_site.key("classification", "a.txt")
    before = json.loads(small_site.results.index().answer(key) or "")["category"]
    other = next(one for one in ("news", "minutes") if one != before)
    fields: dict[str, Any] = {"verdict": "wrong", "known": "yes", "corrected.category": other, "note": " Look! "}
    assert small_site.post(key, small_site.form(key, **fields)).status_code == 303
    (label,) = small_site.labels()
    assert (label.verdict, label.corrected, label.note) == (Verdict.WRONG, f'{{"category":"{other}"}}', "Look!")
    assert f"<option selected>{other}</option>" in small_site.client.get(f"/answers/{key.path}").text
    assert small_site.post(key, small_site.form(key, verdict="wrong", known="no")).status_code == 303
    assert [one.corrected for one in small_site.labels()] == [label.corrected, None]
    assert small_site.post(key, small_site.form(key, verdict="right")).status_code == 303
    assert len(small_site.labels()) == 3
    line = small_site.results.index().find(key)
    assert line is not None
    assert line.verdict is Verdict.RIGHT


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"corrected.category": "nonsense"}, "is not one of"),
        ({"corrected.category": ""}, "is a required property"),
        ({}, "is a required property"),
    ],
)
def test_a_correction_that_does_not_fit_is_not_stored(site: Site, fields: dict[str, str], told: str) -> None:
    """The page comes back with what is wrong, and with what was typed."""
    key = site.key("classification", "plain.txt")
    found = site.post(key, site.form(key, verdict="wrong", known="yes", note="kept <b>", **fields))
    assert found.status_code == 422
    refuse_injected(found.text)
    assert told in html.unescape(found.text)
    assert 'value="kept &lt;b&gt;"' in found.text
    assert site.labels() == []


def test_the_same_answer_is_no_correction(site: Site) -> None:
    """Nobody says wrong and leaves the answer as it was."""
    key = site.key("classification", "plain.txt")
    answer = json.loads(site.results.index().answer(key) or "")["category"]
    found = site.post(key, site.form(key, **{"verdict": "wrong", "known": "yes", "corrected.category": answer}))
    assert found.status_code == 422
    assert "is the one that was given" in found.text


@pytest.mark.parametrize(
    ("form", "code"),
    [
        ({"verdict": "perhaps"}, 400),
        ({"verdict": ""}, 400),
        ({"verdict": "right", "seen": "another"}, 409),
        ({"verdict": "right", "note": "x" * MOST_FORM_BYTES}, 413),
    ],
)
def test_forms_that_store_nothing(site: Site, form: dict[str, str], code: int) -> None:
    """What is no verdict, is about another answer, or is too large."""
    key = site.key("classification", "plain.txt")
    assert site.post(key, site.form(key, **form) | form).status_code == code
    assert site.labels() == []


def test_a_mark_of_another_is_not_covered_unseen(small_site: Site) -> None:
    """Two tabs on one answer: the later one sees both marks, and stores its own when the person says so."""
    key = small_site.key("classification", "a.txt")
    before = json.loads(small_site.results.index().answer(key) or "")["category"]
    other = next(one for one in ("news", "minutes") if one != before)
    fields = {"verdict": "wrong", "known": "yes", "corrected.category": other, "note": "<b>mine</b>"}
    stale = small_site.form(key, **fields)
    assert small_site.post(key, small_site.form(key, verdict="right", note="theirs")).status_code == 303
    found = small_site.post(key, stale)
    assert found.status_code == 409
    refuse_injected(found.text)
    text = html.unescape(found.text)
    assert "tester marked this at" in text
    assert "since you opened it" in text
    for one in ("theirs", "<b>mine</b>", f'{{"category":"{other}"}}'):
        assert one in text
    assert [one.note for one in small_site.labels()] == ["theirs"]
    form = found.text.partition("Yours:")[2].partition("<form")[2].partition("</form>")[0]
    hidden = [one for tag, one in Elements(f"<form{form}</form>").found if tag == "input"]
    again = {one["name"] or "": one["value"] or "" for one in hidden}
    assert again.keys() == stale.keys()
    assert small_site.post(key, again).status_code == 303
    assert [one.note for one in small_site.labels()] == ["theirs", "<b>mine</b>"]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"cost": "abc"}, "cost from abc: is no sum in USD"),
        ({"order": "'"}, "order ': is none of uri, cost, tokens"),
        ({"marked": "maybe"}, "marked maybe: is none of unmarked, right, wrong"),
        ({"page": "-1"}, "page -1: is no number from 1 on"),
        ({"part": "0"}, "part 0: is no number from 1 on"),
        ({"q": "x" * 1_001}, "q: only its first 1,000 characters are taken"),
        ({"after": "nonsense"}, "after nonsense: names no answer"),
        ({"before": "a/b"}, "before a/b: names no answer"),
        ({"before": "a//b"}, "before a//b: names no answer"),
        ({"after": f"{'0' * 24}/sentiment/night"}, "/sentiment/night: names no answer"),
        ({"after": "<b>/<b>/<b>", "before": "'"}, "before ': names no answer"),
        ({"cost": "0.5", "order": "cost", "marked": "right", "page": "1"}, None),
        ({}, None),
    ],
)
def test_what_is_left_out_of_account_is_told(site: Site, query: dict[str, str], told: str | None) -> None:
    """On the list and beside an answer; the page is as without it."""
    for path in ("/", f"/answers/{site.key('sentiment', 'plain.txt').path}"):
        text = html.unescape(site.client.get(path, params=query).text)
        assert ("Ignored: " in text) == (told is not None)
        assert (told or "") in text


def test_nothing_else_changes(small_site: Site) -> None:
    """Searching, reading and marking leave tables, catalog, work store and documents as they were."""
    before = files(small_site.world)
    for path in ("/", "/?order=cost", "/?q=a"):
        assert small_site.client.get(path).status_code == 200
    key = small_site.key("summarization", "a.txt")
    small_site.post(key, small_site.form(key, verdict="right"))
    assert len(small_site.labels()) == 1
    assert files(small_site.world) == before

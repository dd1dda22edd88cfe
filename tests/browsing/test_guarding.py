"""Who is let in, and what no answer of the server lacks."""

from __future__ import annotations

import asyncio
import logging

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route

from pipeline.browsing.guarding import Access, Guard
from tests.browsing.conftest import Site


@pytest.mark.parametrize(
    ("host", "remote", "own"),
    [
        ("127.0.0.1:8000", False, True),
        ("localhost:8000", False, True),
        ("LOCALHOST", False, True),
        ("[::1]:8000", False, True),
        ("evil.example:8000", False, False),
        ("127.0.0.1.evil.example", False, False),
        ("localhost.evil.example", False, False),
        ("192.0.2.1:8000", False, False),
        ("192.0.2.1:8000", True, True),
        ("evil.example", True, False),
        ("", False, False),
    ],
)
def test_names_of_the_server(host: str, remote: bool, own: bool) -> None:
    """A name that somebody's DNS makes point here is not ours: pages of that name would read what we answer."""
    assert Access(remote=remote).is_own(host) is own


@pytest.mark.parametrize("path", ["/", "/style.css", "/answers/a/b/c", "/../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd"])
def test_nothing_without_the_key(site: Site, path: str) -> None:
    """Another user of the machine sees nothing, whatever is asked for."""
    for query in ("", "?key=", "?key=wrong"):
        found = httpx.get(site.url + path + query)
        assert found.status_code == 403
        assert "docbatch printed" in found.text


def test_the_key_becomes_a_cookie(site: Site) -> None:
    """The address with the key leads to one without it, and no script can read the cookie."""
    found = httpx.get(site.address)
    assert (found.status_code, found.headers["location"]) == (303, "/")
    assert "HttpOnly" in found.headers["set-cookie"]
    assert "samesite=lax" in found.headers["set-cookie"].lower()


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "evil.example"}, 421),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Origin": ""}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
    ],
)
def test_forms_of_other_pages_are_refused(site: Site, headers: dict[str, str], code: int) -> None:
    """Even with the cookie and the token, a form is taken from our own pages only."""
    key = site.key("sentiment", "plain.txt")
    found = site.post(key, site.form(key, verdict="right"), **headers)
    assert found.status_code == code
    assert site.labels() == []


@pytest.mark.parametrize("token", ["", "wrong", "ä"])
def test_forms_without_the_token_are_refused(site: Site, token: str) -> None:
    """The token of the page is asked for as well."""
    key = site.key("sentiment", "plain.txt")
    assert site.post(key, site.form(key, verdict="right") | {"token": token}).status_code == 403
    assert site.labels() == []


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_nothing_else_can_be_done(site: Site, method: str) -> None:
    """Pages are read, and one form is sent."""
    assert site.client.request(method, "/").status_code == 405


@pytest.mark.parametrize("path", ["/", "/style.css", "/nothing", "/answers/a/b/c"])
def test_every_answer_carries_the_policy(site: Site, path: str) -> None:
    """Also one that refuses: nothing from elsewhere is loaded, framed, kept or guessed."""
    for found in (site.client.get(path), httpx.get(site.url + path)):
        assert found.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert "unsafe" not in found.headers["content-security-policy"]
        assert found.headers["x-content-type-options"] == "nosniff"
        assert found.headers["cache-control"] == "no-store"
        assert "server" not in found.headers


def test_the_log_holds_no_text_of_a_document(caplog: pytest.LogCaptureFixture) -> None:
    """An error whose message quotes a document is told by its kind and place."""

    def fails(_request: Request) -> None:
        raise ValueError("Could not convert 'a secret of the document'")

    access = Access()
    guarded = Guard(Starlette(routes=[Route("/", fails)]), access)
    asking = httpx.AsyncClient(
        transport=httpx.ASGITransport(guarded), base_url="http://localhost:8000", cookies={"docbatch-8000": access.key}
    )
    with caplog.at_level(logging.DEBUG):
        assert asyncio.run(asking.get("/")).status_code == 500
    assert "ValueError in" in caplog.text
    assert "secret" not in caplog.text

"""Pages that lie on S3, opened in Chromium by the addresses that S3 signs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import Browser, Page

from pipeline.local.embedded import embedded_environment, embedded_settings
from pipeline.reports.writing import write_report, write_trend
from pipeline.settings import Settings
from pipeline.steps import connect
from tests.local.test_tables_on_s3 import InBucket
from tests.reports.nights import Night
from tests.standalone.browser import chromium

if TYPE_CHECKING:
    from pipeline.local.stack import Stack

PREFIX = "pages"
KEYS = {"run": f"{PREFIX}/reports/night.html", "trend": f"{PREFIX}/reports/index.html"}


@pytest.fixture(scope="module")
def pages(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The pages of a night whose tables lie in the bucket, written as a run does; the uri of its output."""
    home = tmp_path_factory.mktemp("home")
    output = InBucket(stack, home, PREFIX)
    Night("night", 30, replaced={"output_uri": output.uri}).publish(output)
    services = connect(embedded_settings(Settings(home=home), stack), embedded_environment(stack))
    assert write_report(services, output.uri, "night") == f"s3://{stack.bucket}/{KEYS['run']}"
    write_trend(services, output.uri)
    return output.uri


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def browsed(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def signed(s3: Any, stack: Stack, key: str) -> str:
    return str(s3.generate_presigned_url("get_object", Params={"Bucket": stack.bucket, "Key": key}, ExpiresIn=600))


@pytest.mark.parametrize(("name", "title"), [("run", "Run night, docbatch"), ("trend", "All runs, docbatch")])
def test_a_signed_address_shows_the_page(
    stack: Stack, s3: Any, pages: str, browsed: Page, tmp_path: Path, name: str, title: str
) -> None:
    """As a page, with its charts and styles: it is not downloaded, and asks S3 for nothing else."""
    asked: list[str] = []
    downloads: list[str] = []
    browsed.on("request", lambda request: asked.append(request.url))
    browsed.on("download", lambda download: downloads.append(download.url))
    address = signed(s3, stack, KEYS[name])
    answer = browsed.goto(address)
    assert answer is not None
    assert (answer.status, answer.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert "content-disposition" not in answer.headers
    assert browsed.title() == title
    assert browsed.locator("svg:visible").count() >= 3
    assert len(browsed.screenshot(path=tmp_path / f"{name}.png")) > 10_000
    assert [one for one in asked if one != address and not one.startswith("data:")] == []
    assert downloads == []


@pytest.mark.parametrize(("name", "link"), [("run", "All runs"), ("trend", "night")])
def test_a_link_is_refused_there_and_the_page_says_so(
    stack: Stack, s3: Any, pages: str, browsed: Page, name: str, link: str
) -> None:
    """An address is signed for one object: the other needs its own, or a copy of the folder, which the page names."""
    browsed.goto(signed(s3, stack, KEYS[name]))
    said = browsed.locator("main, header").filter(has_text="opens this page alone").inner_text()
    assert f"aws s3 sync {pages}/reports reports" in said
    with browsed.expect_response(lambda answer: answer.url.endswith(".html")) as answered:
        browsed.get_by_role("link", name=link, exact=True).first.click()
    assert answered.value.status == 403


def test_a_copy_of_the_folder_has_links_that_work(
    stack: Stack, s3: Any, pages: str, browsed: Page, tmp_path: Path
) -> None:
    """Both lie beside each other on the disk as they do on S3."""
    for key in KEYS.values():
        s3.download_file(stack.bucket, key, str(tmp_path / Path(key).name))
    browsed.goto((tmp_path / "index.html").as_uri())
    browsed.get_by_role("link", name="night", exact=True).first.click()
    assert browsed.title() == "Run night, docbatch"
    browsed.get_by_role("link", name="All runs").click()
    assert browsed.title() == "All runs, docbatch"

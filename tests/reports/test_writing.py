"""Where pages lie, who is told of them, and what becomes of a run whose page cannot be drawn."""

from __future__ import annotations

import io
import json
import logging
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pipeline.errors import ObjectMissing, RunError
from pipeline.reports.counting import run_figures
from pipeline.reports.drawing import Bar, bars
from pipeline.reports.painting import paint
from pipeline.reports.printing import print_figures
from pipeline.reports.writing import draw_reports, drawn_report, take_out_report, write_report, write_trend
from pipeline.settings import Settings, read_aws_environment
from pipeline.steps import Services, connect
from pipeline.steps.summary import RunSummary
from pipeline.storage.objects import open_store
from tests.published import ACCESS, Output
from tests.reports.nights import HOSTILE, Night


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Output:
    """Two published nights, the second of hostile texts."""
    made = Output(tmp_path_factory.mktemp("output"))
    Night("first", 40).publish(made)
    Night("index", 40, day=1, hostile=HOSTILE).publish(made)
    return made


@pytest.fixture(scope="module")
def services() -> Services:
    settings = Settings(role_arn="arn:aws:iam::123456789012:role/none", report_samples=1)
    return replace(connect(settings, read_aws_environment()), open=partial(open_store, access=ACCESS))


def summary_of(output: Output, run_key: str) -> RunSummary:
    """As much of it as pages need: which run, and where."""
    found = object.__new__(RunSummary)
    object.__setattr__(found, "run_key", run_key)
    object.__setattr__(found, "output_uri", output.uri)
    return found


def test_pages_lie_beside_the_tables(output: Output, services: Services) -> None:
    """Each run has its own, also one that is called as the page over all runs, which leads to both."""
    assert drawn_report(output.store, "first") is None
    for run_key in ("first", "index"):
        uri = write_report(services, output.uri, run_key)
        assert drawn_report(output.store, run_key) == uri
    trend = write_trend(services, output.uri)
    assert trend == f"{output.uri}/reports/index.html"
    page = output.store.read("reports/index.html").decode()
    assert '<a href="first.html">first</a>' in page
    assert '<a href="index.run.html">index</a>' in page


def test_the_end_of_a_run_draws_both(output: Output, services: Services) -> None:
    """The same bytes as when somebody asks for them."""
    uri = draw_reports(services, summary_of(output, "first"))
    assert uri == f"{output.uri}/reports/first.html"
    drawn = [output.store.read(f"reports/{name}.html") for name in ("first", "index")]
    write_report(services, output.uri, "first")
    write_trend(services, output.uri)
    assert [output.store.read(f"reports/{name}.html") for name in ("first", "index")] == drawn


def test_a_withdrawn_run_takes_its_page_along(tmp_path: Path, services: Services) -> None:
    """What the tables no longer hold is on no page; once more changes nothing."""
    made = Output(tmp_path)
    for day, run_key in enumerate(("kept", "gone")):
        Night(run_key, 22, day=day).publish(made)
        write_report(services, made.uri, run_key)
    with made.catalog() as catalog:
        catalog.withdraw("runs", "gone")
    for _ in range(2):
        take_out_report(services, made.uri, "gone")
        assert [path.name for path in sorted((tmp_path / "reports").iterdir())] == ["index.html", "kept.html"]
        assert b">kept</a>" in made.store.read("reports/index.html")
        assert b"gone" not in made.store.read("reports/index.html")


def test_a_page_that_cannot_be_drawn_is_a_warning(
    output: Output, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    """The run has its tables all the same, and the log says what to type."""
    with caplog.at_level(logging.WARNING):
        assert draw_reports(services, summary_of(output, "missing")) is None
    assert "The report was not drawn (ObjectMissing: " in caplog.text
    assert "To draw it: docbatch report missing" in caplog.text
    with pytest.raises(ObjectMissing):
        write_report(services, output.uri, "missing")


def test_a_chart_that_ends_its_process_is_an_error_of_ours() -> None:
    """What draws aborts on a text that XML has no place for; whoever asked goes on."""
    spec = bars([Bar("plain", 1.0, "1")])
    poisoned = json.loads(json.dumps(spec).replace("plain", "a\\u0007b"))
    with pytest.raises(RunError, match="the process that draws them ended with"):
        paint([poisoned])
    assert paint([bars([Bar("a\x07b\x1b\ud800", 1.0, "1")])])[0].startswith("<svg ")


def test_tables_are_read_as_before(output: Output, services: Services) -> None:
    """Pages lie in a folder of their own: neither the catalog nor a reader of the plain folder meets them."""
    write_report(services, output.uri, "first")
    with output.catalog() as catalog:
        assert "reports" not in catalog.tables()
    assert {path.suffix for path in (output.folder / "tables").rglob("*") if path.is_file()} == {".parquet"}


def test_a_terminal_shows_the_same_and_obeys_no_text(output: Output) -> None:
    """Numbers and bars of a hostile run, without an escape sequence of a document."""
    with output.catalog() as catalog:
        figures = run_figures(catalog, "index", 0)
    shown = io.StringIO()
    print_figures(figures, shown)
    text = shown.getvalue()
    assert text.startswith("Run index, dated 2026-11-02: 47 documents in s3://bucket/docs\n")
    assert "What came out: sentiment" in text
    assert "█" in text
    assert not {one for one in text if ord(one) < 32} - {"\n"}


def test_s3_says_that_a_page_is_a_page(tmp_path: Path) -> None:
    """The type goes with the object; a folder, which keeps none, takes the same call."""
    from obstore.store import MemoryStore

    from pipeline.storage.objects import ObjectStore

    memory = MemoryStore()
    store = ObjectStore(memory, "memory://store")
    store.write("reports/first.html", b"<!doctype html>", content_type="text/html; charset=utf-8")
    assert memory.get("reports/first.html").attributes["Content-Type"] == "text/html; charset=utf-8"
    folder = open_store(tmp_path.as_uri(), ACCESS)
    folder.write("reports/first.html", b"<!doctype html>", content_type="text/html")
    assert (tmp_path / "reports" / "first.html").read_bytes() == b"<!doctype html>"

"""Where pages lie, and drawing them there: one of a run, the one of all runs, and both at the end of a run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from pipeline.reports.figures import TREND_PAGE, page_name
from pipeline.steps.run import Services
from pipeline.steps.summary import RunSummary
from pipeline.storage.objects import ObjectStore

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

log = logging.getLogger(__name__)

FOLDER = "reports"
HTML = "text/html; charset=utf-8"


def write_report(services: Services, output_uri: str, run_key: str) -> str:
    """Draw the page of a published run, in place of the one that is there; its uri. Raises ObjectMissing."""
    output = services.open(output_uri)
    with services.catalog(output_uri) as catalog:
        return _write_run(services, catalog, output, run_key)


def write_trend(services: Services, output_uri: str) -> str:
    """Draw the page over all runs; its uri."""
    output = services.open(output_uri)
    with services.catalog(output_uri) as catalog:
        return _write_trend(catalog, output)


def take_out_report(services: Services, output_uri: str, run_key: str) -> None:
    """Delete the page of a run that was withdrawn, and draw the one over all runs without it.

    The page goes first, since it holds what the tables no longer do; a trend that cannot be drawn is told to the log.
    """
    services.open(output_uri).delete(f"{FOLDER}/{page_name(run_key)}")
    try:
        write_trend(services, output_uri)
    except Exception as error:  # noqa: BLE001 - as below
        log.warning("The trend was not drawn (%s). To draw it: docbatch report --trend", _reason(error))


def draw_reports(services: Services, summary: RunSummary) -> str | None:
    """Both pages at the end of a run; the uri of the run's.

    None where that failed, which is told to the log: the run is published all the same.
    """
    try:
        output = services.open(summary.output_uri)
        with services.catalog(summary.output_uri) as catalog:
            uri = _write_run(services, catalog, output, summary.run_key)
            _write_trend(catalog, output)
    except Exception as error:  # noqa: BLE001 - whatever a library says of a picture, the run has its tables
        log.warning("The report was not drawn (%s). To draw it: docbatch report %s", _reason(error), summary.run_key)
        return None
    return uri


def drawn_report(output: ObjectStore, run_key: str) -> str | None:
    """The uri of a run's page; None where there is none."""
    key = f"{FOLDER}/{page_name(run_key)}"
    return output.uri(key) if output.exists(key) else None


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _write_run(services: Services, catalog: Catalog, output: ObjectStore, run_key: str) -> str:
    from pipeline.reports.counting import run_figures
    from pipeline.reports.pages import run_page  # loads what draws, which takes a second

    figures = run_figures(catalog, run_key, services.settings.report_samples)
    output.write(key := f"{FOLDER}/{page_name(run_key)}", run_page(figures), content_type=HTML)
    return output.uri(key)


def _write_trend(catalog: Catalog, output: ObjectStore) -> str:
    from pipeline.reports.pages import trend_page
    from pipeline.reports.trends import run_points

    names = {entry.key.rpartition("/")[2] for entry in output.list(FOLDER)}
    points = run_points(catalog)
    drawn = {one.run_key for one in points if page_name(one.run_key) in names}
    output.write(key := f"{FOLDER}/{TREND_PAGE}", trend_page(points, drawn, output.uri()), content_type=HTML)
    return output.uri(key)

"""The published tables as Airflow assets, and what their events say of a run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from airflow.sdk import Asset

from pipeline.declared import declared, shipped_prompts
from pipeline.storage.places import absolute_uri

if TYPE_CHECKING:
    from pipeline.settings import Settings
    from pipeline.steps import RunSummary
    from pipeline.steps.run import Run

log = logging.getLogger(__name__)
FIXED_TABLES = ("documents", "failures", "ledger", "runs")
PREFIX = "docbatch_"


class TableAsset(Asset):
    """A published table: `docbatch_<table>`, at the place of its files.

    The uri is set as it is. Airflow would have the provider look at it, and importing boto3 for that takes half a
    second at every parse.
    """

    def __init__(self, table: str, output_uri: str) -> None:
        super().__init__(name=PREFIX + table)
        object.__setattr__(self, "uri", f"{output_uri}/tables/{table}")

    @property
    def table(self) -> str:
        return self.name.removeprefix(PREFIX)


def tables_of(settings: Settings) -> list[Asset]:
    """One asset for each table that a run may publish, by what prompts/ declares."""
    names = sorted({*FIXED_TABLES, *declared(settings.prompts or shipped_prompts())})
    return [table_of(name, settings) for name in names]


def table_of(name: str, settings: Settings) -> TableAsset:
    return TableAsset(name, absolute_uri(settings.output))


def announce(context: Any, run: Run, summary: RunSummary) -> None:
    """Give each table that the run added rows to an event that says what they are; the others get none.

    Nor do any when the run published somewhere else than the assets are.
    """
    task, rows, published = context["task"], rows_of(run), []
    for asset in task.outlets:
        if isinstance(asset, TableAsset) and rows.get(asset.table) and asset.uri.startswith(summary.tables_uri + "/"):
            context["outlet_events"][asset].extra = extra_of(summary, asset, rows[asset.table])
            published.append(asset)
    if not published:
        log.info("No asset events: the tables are in %s, the assets are those of DOCBATCH_OUTPUT", summary.tables_uri)
    task.outlets = published  # of every outlet that is left Airflow takes for granted that it changed


def rows_of(run: Run) -> dict[str, int]:
    """The rows that the run has in each table of its output."""
    with run.services.catalog(run.manifest.output_uri) as catalog:
        return {table: catalog.dataset(table, [run.manifest.run_key]).count_rows() for table in catalog.tables()}


def extra_of(summary: RunSummary, asset: TableAsset, rows: int) -> dict[str, Any]:
    """Run, rows, tokens and cost: of an analysis its own, of the other tables the run's. An unknown cost is None."""
    found = summary.analyses.get(asset.table, summary)
    counts = {name: getattr(summary, name) for name in ("documents", "results", "failures")}
    return {
        "run_key": summary.run_key,
        "run_date": summary.run_date.isoformat(),
        "rows": rows,
        "input_tokens": found.input_tokens,
        "output_tokens": found.output_tokens,
        "cost_usd": None if found.cost_usd is None else str(found.cost_usd),
        "quality": summary.quality,
        "table_uri": asset.uri,
        **(counts if asset.table == "runs" else {}),
    }


def digest_lines(context: Any, runs: Asset) -> list[str]:
    """One line for each event of `runs` that started this DAG; without one (by hand), for the newest there is."""
    events = list(context["triggering_asset_events"].get(runs) or context["inlet_events"][runs][-1:])
    lines = [digest_of(event.extra) for event in events if event.extra]
    for line in lines:
        log.info("%s", line)
    return lines


def digest_of(extra: dict[str, Any]) -> str:
    """An event of `runs` in one line."""
    cost = "an unknown sum" if extra["cost_usd"] is None else f"${extra['cost_usd']}"
    doubt = "; suspect, see runs.departures" if extra.get("quality") == "suspect" else ""
    return (
        f"Run {extra['run_key']} of {extra['run_date']}: {extra['documents']:,} documents, {extra['results']:,} "
        f"results, {extra['failures']:,} failures, {extra['input_tokens'] + extra['output_tokens']:,} tokens for {cost}"
        f"{doubt}"
    )

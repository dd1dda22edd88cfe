"""The published tables as assets: which get an event, what it says, and who starts on it."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from pipeline.airflow.assets import tables_of
from pipeline.local import stack
from pipeline.settings import Settings
from tests.airflow.conftest import OUTPUT
from tests.airflow.nights import documents, load_dag

TABLES = {"classification", "documents", "failures", "ledger", "runs", "sentiment", "summarization"}


def test_every_table_is_an_asset_at_its_place() -> None:
    """Their names and places are known without a run, from the declared analyses; Airflow would write the uri alike."""
    from airflow.sdk import Asset

    assets = tables_of(Settings(output="s3://bucket/out/"))
    assert {asset.name for asset in assets} == {f"docbatch_{table}" for table in TABLES}
    for asset in assets:
        assert asset.uri == f"s3://bucket/out/tables/{asset.name.removeprefix('docbatch_')}"
        assert asset.uri == Asset(name=asset.name, uri=asset.uri).uri


def test_an_asset_on_s3_costs_no_import_of_boto3() -> None:
    """Airflow's own Asset has the provider look at the uri, at every parse of the DAG's file."""
    code = (
        "import sys, airflow.sdk; from pipeline.airflow.assets import tables_of as of;"
        "from pipeline.settings import Settings; of(Settings(output='s3://bucket/out')); print('boto3' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.splitlines()[-1] == "False"


def _events() -> list[tuple[str, dict[str, Any]]]:
    """Every asset event that Airflow's database holds, in order: the asset's name, and what the event carries."""
    from airflow.models.asset import AssetEvent
    from airflow.utils.session import create_session
    from sqlalchemy import select

    with create_session() as session:
        found = session.scalars(select(AssetEvent).order_by(AssetEvent.id)).all()
        return [(event.asset.name, dict(event.extra)) for event in found]


def test_events_say_what_a_run_published(airflow_database: Path, wired: stack.Stack, tmp_path: Path) -> None:
    """Each table with new rows has one event, with run, rows, tokens and cost; what published nothing has none.

    A dry run, a run above its budget and a run to another place publish nothing that the assets stand for. The example
    DAG reads the newest event.
    """
    source = str(documents(tmp_path / "documents", 4))
    conf = {"source": source, "output": OUTPUT.as_uri(), "analyses": ["sentiment", "summarization"]}
    before = len(_events())
    for more in (
        {"dry_run": True},
        {"run_key": "above-its-budget", "budget_usd": 0.000001},
        {"run_key": "to-another-place", "output": str(tmp_path / "elsewhere"), "analyses": ["sentiment"]},
    ):
        load_dag("document_analysis").test(run_conf=conf | more)
    assert len(_events()) == before

    run = load_dag("document_analysis").test(run_conf=conf | {"run_key": "told"})
    assert str(run.state) == "success"
    events = dict(_events()[before:])
    assert len(_events()) == before + len(events)
    assert events.keys() == {f"docbatch_{table}" for table in TABLES - {"classification"}}
    ledger = pq.read_table(OUTPUT / "tables" / "ledger" / "told").to_pylist()
    (row,) = pq.read_table(OUTPUT / "tables" / "runs" / "told").to_pylist()
    ours = [one for one in ledger if one["analysis"] == "summarization"]
    assert events["docbatch_ledger"]["rows"] == len(ledger)
    event = events["docbatch_summarization"]
    assert Decimal(event.pop("cost_usd")) == sum(one["cost_usd"] for one in ours) > 0
    assert event == {
        "run_key": "told",
        "run_date": row["run_date"].isoformat(),
        "rows": 4,
        "input_tokens": sum(one["input_tokens"] for one in ours),
        "output_tokens": sum(one["output_tokens"] for one in ours),
        "quality": None,  # of the first run nobody can tell
        "table_uri": f"{OUTPUT.as_uri()}/tables/summarization",
    }
    assert Decimal(events["docbatch_sentiment"]["cost_usd"]) == 0  # the run to another place had asked it
    whole = events["docbatch_runs"]
    assert (whole["rows"], whole["documents"], whole["results"], whole["failures"]) == (1, 5, 8, 2)

    digest = load_dag("document_digest").test()
    assert str(digest.state) == "success"
    (task,) = digest.get_task_instances()
    (line,) = task.xcom_pull(task_ids="digest")
    assert line.startswith(f"Run told of {row['run_date']}: 5 documents, 8 results, 2 failures, ")

"""An example of what may follow a run: starts when `runs` has a new row, and says in a line what the run came to.

Copy it, and put what your team does with the tables in place of the line. An event of a table's asset carries the run's
key and date, the rows that were added, their tokens and their cost, so that nothing needs to be looked up.
"""

from __future__ import annotations

from datetime import UTC, datetime

from airflow.sdk import dag, get_current_context, task

from pipeline.airflow.assets import digest_lines, table_of
from pipeline.settings import load_settings

RUNS = table_of("runs", load_settings())


@task(inlets=[RUNS])
def digest() -> list[str]:
    """One line for each run that was published since this DAG ran last."""
    return digest_lines(get_current_context(), RUNS)


@dag(
    schedule=[RUNS],
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"owner": "docbatch"},
    tags=["docbatch", "example"],
    doc_md=__doc__,
)
def document_digest() -> None:
    digest()


document_digest()

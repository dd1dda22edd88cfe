"""What tests of the DAG share: documents, the states of a run, and clearing tasks of a run that has ended."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

ROOT = Path(__file__).resolve().parents[2]
DAG_FILE = ROOT / "dags" / "document_analysis.py"


def load_dag(dag_id: str = "document_analysis") -> Any:
    """A DAG as Airflow loads it, with the settings that the environment has at that moment."""
    from airflow.dag_processing.dagbag import DagBag

    bag = DagBag(ROOT / "dags", bundle_name="dags-folder", bundle_path=ROOT / "dags")
    assert bag.import_errors == {}
    return bag.dags[dag_id]


def documents(folder: Path, count: int) -> Path:
    """Texts of the test's own, since what another test has asked would be known, and one that is empty."""
    folder.mkdir()
    for number in range(count):
        text = f"The kettle number {number} of {folder.parent.name} works well. It boils quickly; I am very happy."
        (folder / f"review {number:02d}.txt").write_text(text, "utf-8")
    (folder / "empty.txt").write_text("", "utf-8")
    return folder


def states(run: Any) -> dict[str, str]:
    return {f"{ti.task_id}[{ti.map_index}]": str(ti.state) for ti in run.get_task_instances()}


def tries(run: Any, task_id: str) -> list[int]:
    return [ti.try_number for ti in run.get_task_instances() if ti.task_id == task_id]


def row_of_run(output: Path, key: str) -> dict[str, Any]:
    (row,) = pq.read_table(output / "tables" / "runs" / key).to_pylist()
    return row


def xcom(run: Any, task_id: str, key: str = "return_value") -> Any:
    from airflow.models.xcom import XComModel
    from airflow.utils.session import create_session

    with create_session() as session:
        query = XComModel.get_many(run_id=run.run_id, dag_ids=run.dag_id, task_ids=task_id, key=key)
        found = session.scalars(query).first()
        return None if found is None else XComModel.deserialize_value(found)


def run_cleared(dag: Any, run: Any, task_ids: Collection[str | tuple[str, int]]) -> dict[str, str]:
    """Clear just these tasks of a run and let it go on to its end; the states then."""
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState

    with create_session() as session:
        cleared = {"dag_run_state": DagRunState.RUNNING, "session": session}
        scheduled(dag).clear(task_ids=task_ids, run_id=run.run_id, **cleared)
    return go_on(dag, run)


def go_on(dag: Any, run: Any) -> dict[str, str]:
    """Let a run that is in the database go on to its end, as the scheduler would; the states then."""
    from airflow.sdk.definitions.dag import _run_task
    from airflow.utils.session import create_session
    from airflow.utils.state import DagRunState, TaskInstanceState

    with create_session() as session:
        run = session.merge(run)
        session.refresh(run)
        run.dag, run.state = scheduled(dag), DagRunState.RUNNING
        while run.state == DagRunState.RUNNING:
            session.expire_all()
            ready, _ = run.update_state(session=session)
            for one in ready:
                one.try_number += 1
                one.state = TaskInstanceState.SCHEDULED
            session.commit()
            for one in ready:
                _run_task(ti=one, task=dag.task_dict[one.task_id], run_triggerer=True)
        return states(run)


def scheduled(dag: Any) -> Any:
    """The DAG as the scheduler has it."""
    from airflow.serialization.serialized_objects import DagSerialization

    return DagSerialization.deserialize_dag(DagSerialization.serialize_dag(dag))

"""A real triggerer process with Airflow's database: what it does to a Bedrock job when somebody acts on the task."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pipeline.local import stack
from tests.airflow.test_waiting import Jobs, job_trigger
from tests.local.embedded_clients import wait_for_end
from tests.local.test_control import Control

RUN = "by-hand"
TO_FAIL, TO_CLEAR, TO_RESTART = "start", "shards", "publish"  # any tasks will do: a triggerer knows triggers alone
PATIENCE_SECONDS = 240


@pytest.fixture
def stuck_jobs(wired: stack.Stack) -> Iterator[Jobs]:
    """Jobs that end when they are stopped, and not before."""
    control = Control(wired)
    control.plan(jobs=[{"kind": "stuck"}])
    yield Jobs(wired)
    control.ask("DELETE", "faults")


@pytest.fixture
def session(airflow_database: Path) -> Iterator[Any]:
    from airflow.utils.session import create_session

    with create_session() as opened:
        yield opened


@contextmanager
def triggerer(log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """One triggerer; ended as a restart ends it."""
    with log.open("ab") as file:
        child = subprocess.Popen(
            [sys.executable, "-m", "airflow", "triggerer", "--skip-serve-logs"],
            stdout=file,
            stderr=file,
            env=os.environ,
        )
        try:
            yield child
        finally:
            child.send_signal(signal.SIGTERM)
            child.wait(60)


def deferred_tasks(session: Any, arns: dict[str, str]) -> Any:
    """The DAG, with a run whose tasks wait for jobs."""
    from airflow.models.dagbag import DBDagBag
    from airflow.models.trigger import Trigger
    from airflow.utils.state import DagRunState, TaskInstanceState
    from airflow.utils.types import DagRunTriggeredByType, DagRunType

    dag = DBDagBag().get_latest_version_of_dag("document_analysis", session=session)
    run = dag.create_dagrun(
        run_id=RUN,
        run_after=dt.datetime.now(dt.UTC),
        run_type=DagRunType.MANUAL,
        triggered_by=DagRunTriggeredByType.TEST,
        state=DagRunState.RUNNING,
        session=session,
    )
    for task_id, arn in arns.items():
        task = run.get_task_instance(task_id, session=session)
        trigger = Trigger.from_object(job_trigger(arn))
        session.add(trigger)
        session.flush()
        task.state, task.trigger_id, task.next_method = TaskInstanceState.DEFERRED, trigger.id, "resume"
    session.commit()
    return dag


def task_of(session: Any, task_id: str) -> Any:
    """The task as it is in the database now."""
    from airflow.models.taskinstance import TaskInstance

    session.commit()
    session.expire_all()
    return session.query(TaskInstance).filter_by(run_id=RUN, task_id=task_id).one()


def written(log: Path) -> str:
    """What the triggerer has written, the logs of the tasks included."""
    logs = [log, *Path(os.environ["AIRFLOW_HOME"]).rglob("*.trigger.*.log")]
    return "\n".join(path.read_text("utf-8", "replace") for path in logs)


def until(true: Callable[[], Any], log: Path) -> Any:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := true()):
        assert time.monotonic() < deadline, written(log)[-6_000:]
        time.sleep(0.3)  # nothing tells when another process has come so far
    return found


@pytest.mark.timeout(600)  # two triggerers start, one after the other, and a busy machine takes a minute for each
def test_only_a_task_that_was_ended_by_hand_stops_its_job(
    stuck_jobs: Jobs, session: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marked failed, the job is stopped; cleared, it goes on; and a restart of the triggerer loses nothing."""
    from airflow.utils.state import TaskInstanceState

    monkeypatch.setenv("DOCBATCH_STOP_JOBS_ON_KILL", "true")
    log = tmp_path / "triggerer.log"
    arns = {task_id: stuck_jobs.start() for task_id in (TO_FAIL, TO_CLEAR, TO_RESTART)}
    dag = deferred_tasks(session, arns)

    def said(text: str) -> Callable[[], bool]:
        return lambda: text in written(log)

    with triggerer(log):
        for arn in arns.values():
            until(said(f"Job {arn}: "), log)
        dag.set_task_instance_state(task_id=TO_FAIL, run_id=RUN, state=TaskInstanceState.FAILED, session=session)
        dag.clear(task_ids=[TO_CLEAR], run_id=RUN, session=session)
        # Airflow lets go of the trigger of a cleared task when the scheduler, which does not run here, takes it up.
        task_of(session, TO_CLEAR).state = TaskInstanceState.SCHEDULED
        session.commit()
        until(said(f"Job {arns[TO_FAIL]} was told to stop"), log)
        until(said(f"Job {arns[TO_CLEAR]} goes on"), log)
    assert wait_for_end(stuck_jobs.bedrock, arns[TO_FAIL])["status"] == "Stopped"
    for task_id in (TO_CLEAR, TO_RESTART):
        job = stuck_jobs.bedrock.get_model_invocation_job(jobIdentifier=arns[task_id])
        assert job["status"] not in {"Stopping", "Stopped"}
    assert task_of(session, TO_RESTART).state == TaskInstanceState.DEFERRED

    stuck_jobs.bedrock.stop_model_invocation_job(jobIdentifier=arns[TO_RESTART])
    with triggerer(log):
        until(lambda: task_of(session, TO_RESTART).state == TaskInstanceState.SCHEDULED, log)
    event = task_of(session, TO_RESTART).next_kwargs["event"]
    assert (event["arn"], event["status"], event["trouble"]) == (arns[TO_RESTART], "Stopped", None)

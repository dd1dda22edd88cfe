"""Waiting: the sensor and its trigger, in Airflow's own trigger runner, for jobs of the embedded Bedrock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from pipeline.errors import JobFailed, ServiceBusy, ServiceRejected
from pipeline.local import stack
from pipeline.local.embedded import ROLE_ARN
from tests.airflow import conftest as _airflow_home_first  # noqa: F401 - its variables come before airflow
from tests.local.embedded_clients import MODEL, input_lines, make_client, wait_for_end
from tests.local.test_control import Control

DAY_SECONDS = 24 * 3600.0
ARN = "arn:aws:bedrock:us-west-2:000000000000:model-invocation-job/aaaaaaaaaaaa"


class Jobs:
    """Jobs of the running stack."""

    def __init__(self, running: stack.Stack) -> None:
        self.bedrock = make_client(running, "bedrock")
        self._s3, self._bucket = make_client(running, "s3"), running.bucket

    def start(self, records: int = 100) -> str:
        """The ARN of a new job."""
        name = f"waiting-{uuid4().hex}"
        self._s3.put_object(Bucket=self._bucket, Key=f"{name}/in.jsonl", Body=input_lines(records))
        return str(
            self.bedrock.create_model_invocation_job(
                jobName=name,
                roleArn=ROLE_ARN,
                modelId=MODEL,
                inputDataConfig={"s3InputDataConfig": {"s3Uri": f"s3://{self._bucket}/{name}/in.jsonl"}},
                outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"s3://{self._bucket}/{name}/out/"}},
            )["jobArn"]
        )


@pytest.fixture
def jobs(wired: stack.Stack) -> Jobs:
    return Jobs(wired)


@pytest.fixture
def stuck(running_stack: stack.Stack) -> Iterator[Callable[[], object]]:
    """Jobs stay as they are, unless they are stopped, until this is called."""
    control = Control(running_stack)
    control.plan(jobs=[{"kind": "stuck"}])
    yield lambda: control.ask("DELETE", "faults")
    control.ask("DELETE", "faults")


def job_trigger(arn: str, began: float | None = None, limit_seconds: float = DAY_SECONDS) -> Any:
    from pipeline.airflow.triggers import JobTrigger

    return JobTrigger(arn=arn, began=began or time.time(), limit_seconds=limit_seconds)


def task_instance() -> Any:
    from airflow.executors.workloads.task import TaskInstanceDTO

    names = {"dag_id": "nightly", "task_id": "wait", "run_id": "monday", "queue": "default"}
    numbers = {"try_number": 1, "map_index": 3, "pool_slots": 1, "priority_weight": 1}
    return TaskInstanceDTO(id=uuid4(), dag_version_id=uuid4(), **names, **numbers)


def in_runner(use: Callable[[Any], Awaitable[Any]]) -> Any:
    """What `use` returns, given Airflow's trigger runner while it runs."""
    from benchmarks.triggerer import FedRunner

    async def main() -> Any:
        runner = FedRunner()
        running = asyncio.create_task(runner.arun())
        try:
            return await use(runner)
        finally:
            runner.end()
            await running

    return asyncio.run(main())


async def event_of(runner: Any, number: int) -> Any:
    async with asyncio.timeout(60):
        while number not in runner.fired:
            await asyncio.sleep(0.05)
    return runner.fired[number][1]


def test_the_event_has_what_bedrock_said(jobs: Jobs) -> None:
    """Status, message and counts as Bedrock has them, and how long the wait was."""
    arn = jobs.start(records=120)

    async def use(runner: Any) -> Any:
        return await event_of(runner, runner.add(job_trigger(arn)))

    event = in_runner(use)
    described = jobs.bedrock.get_model_invocation_job(jobIdentifier=arn)
    assert (event["arn"], event["status"], event["message"]) == (arn, "Completed", described.get("message"))
    assert (event["done"], event["failed"], event["total"]) == (120, described["errorRecordCount"], 120)
    assert 0 <= event["waited_seconds"] < 60
    assert event["trouble"] is None


def test_a_job_that_failed_is_told_with_its_message(jobs: Jobs) -> None:
    """One record is too few for Bedrock: that is an end like others, and collect decides what it means."""
    arn = jobs.start(records=1)

    async def use(runner: Any) -> Any:
        return await event_of(runner, runner.add(job_trigger(arn)))

    event = in_runner(use)
    assert event["status"] == "Failed"
    assert "less records" in event["message"]


def test_a_job_that_is_not_there_is_an_error_that_says_so(jobs: Jobs) -> None:
    """The task fails with the kind of error that no retry is spent on."""

    async def use(runner: Any) -> Any:
        return await event_of(runner, runner.add(job_trigger(ARN)))

    event = in_runner(use)
    with pytest.raises(ServiceRejected, match="aaaaaaaaaaaa was not found"):
        sensor().resume({}, event)


@pytest.mark.usefixtures("stuck")
def test_a_job_that_does_not_end_fails_the_wait_in_the_end(jobs: Jobs) -> None:
    """Beyond its limit the wait ends with what to do; even then it looks first."""
    arn = jobs.start()

    async def use(runner: Any) -> Any:
        return await event_of(runner, runner.add(job_trigger(arn, began=time.time() - 60, limit_seconds=60)))

    event = in_runner(use)
    assert event["status"] is not None
    with pytest.raises(JobFailed, match="has not ended"):
        sensor().resume({}, event)


def test_a_wait_survives_the_triggerer(
    jobs: Jobs, stuck: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A triggerer that shuts down stops no job, and the next one goes on from what was serialised."""
    monkeypatch.setenv("DOCBATCH_STOP_JOBS_ON_KILL", "true")
    arn = jobs.start()
    trigger = job_trigger(arn, began=time.time() - 100)

    async def shut_down(runner: Any) -> None:
        number = runner.add(trigger, task_instance())
        async with asyncio.timeout(30):
            while number not in runner.triggers:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)

    async def go_on(runner: Any) -> Any:
        return await event_of(runner, runner.add(trigger, task_instance()))

    in_runner(shut_down)
    stuck()
    event = in_runner(go_on)
    assert event["status"] == "Completed"
    assert event["waited_seconds"] >= 100


class Supervisor:
    """Airflow's side of the socket: knows the state of the one task there is."""

    def __init__(self, state: str | None) -> None:
        self._state = state

    def send(self, message: Any) -> Any:
        from airflow.sdk.execution_time.comms import TaskStatesResult

        assert (message.dag_id, message.run_ids, message.task_ids, message.map_index) == (
            "nightly",
            ["monday"],
            ["wait"],
            3,
        )
        return TaskStatesResult(task_states={"monday": {"wait_3": self._state}})


@pytest.mark.parametrize(
    ("setting", "state", "others", "stopped"),
    [
        ("true", "failed", 0, True),
        ("true", "success", 0, True),
        ("false", "failed", 0, False),
        ("true", None, 0, False),
        ("true", "up_for_retry", 0, False),
        ("true", "scheduled", 0, False),
        ("true", "deferred", 0, False),
        ("true", "failed", 1, False),
    ],
    ids=["failed", "success", "not-set", "cleared", "retried", "timed-out", "taken-over", "shared"],
)
def test_a_job_is_stopped_when_a_person_ends_the_task(
    jobs: Jobs,
    stuck: Callable[[], object],
    monkeypatch: pytest.MonkeyPatch,
    setting: str,
    state: str | None,
    others: int,
    stopped: bool,
) -> None:
    """If the settings say so; not when the task comes back to it, nor while another task waits for it."""
    from airflow.sdk.execution_time.supervisor import set_supervisor_comms

    monkeypatch.setenv("DOCBATCH_STOP_JOBS_ON_KILL", setting)
    arn = jobs.start()

    async def use(runner: Any) -> None:
        numbers = [runner.add(job_trigger(arn), task_instance()) for _ in range(1 + others)]
        async with asyncio.timeout(30):
            while numbers[-1] not in runner.triggers:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)
        runner.to_cancel.append(numbers[0])
        async with asyncio.timeout(30):
            while numbers[0] in runner.triggers:
                await asyncio.sleep(0.05)

    with set_supervisor_comms(Supervisor(state)):
        in_runner(use)
    stuck()
    status = wait_for_end(jobs.bedrock, arn)["status"]
    assert status == ("Stopped" if stopped else "Completed")


def sensor(arn: str = ARN) -> Any:
    from pipeline.airflow.waiting import JobSensor

    return JobSensor(task_id="wait", arn=arn)


def deferred(execute: Callable[..., Any]) -> Any:
    from airflow.sdk.exceptions import TaskDeferred

    with pytest.raises(TaskDeferred) as caught:
        execute({})
    return caught.value


def test_the_sensor_defers_for_longer_than_a_job_may_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trigger gives up after Bedrock should have, and Airflow after the trigger should have."""
    monkeypatch.setenv("DOCBATCH_JOB_TIMEOUT_HOURS", "30")
    defers = deferred(sensor().execute)
    assert timedelta(hours=30) < timedelta(seconds=defers.trigger.limit_seconds) < defers.timeout


def test_without_a_job_there_is_nothing_to_wait_for() -> None:
    """What was answered on demand has no ARN."""
    assert sensor(arn="").execute({}) is None


@pytest.mark.parametrize("kind", [ServiceBusy, ServiceRejected, JobFailed])
def test_trouble_comes_out_as_the_error_that_it_was(kind: type[Exception]) -> None:
    """So that the policy of retries knows it: what asking again cannot change fails at once."""
    with pytest.raises(kind, match="for a reason"):
        sensor().resume({}, {"trouble": [kind.__name__, "for a reason"]})


@pytest.mark.parametrize("make", [lambda: job_trigger(ARN, began=5.0), lambda: pause_trigger(began=5.0, until=7.0)])
def test_triggers_are_made_again_from_what_they_serialise(make: Callable[[], Any]) -> None:
    """As Airflow does it after a restart; nothing that they need is lost."""
    from airflow.sdk._shared.module_loading import import_string

    path, kwargs = make().serialize()
    assert import_string(path)(**kwargs).serialize() == (path, kwargs)


def pause_trigger(began: float, until: float) -> Any:
    from pipeline.airflow.triggers import PauseTrigger

    return PauseTrigger(began=began, until=until)


def test_a_pause_ends_when_it_was_to_end() -> None:
    """Also after a restart, and it hands on since when the task has waited."""

    async def first(trigger: Any) -> Any:
        return await anext(trigger.run())

    for until in (time.time() - 60, time.time() + 0.3):
        event = asyncio.run(first(pause_trigger(began=5.0, until=until)))
        assert event.payload == {"began": 5.0}
        assert time.time() >= until


def test_tries_for_a_free_slot_become_seldom(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a minute apart at first; after two hours, five minutes."""
    from pipeline.airflow.waiting import next_try

    for waited, pause in ((0, 30), (7_200, 300)):
        until = next_try(began=time.time() - waited) - time.time()
        assert pause * 0.8 - 1 <= until <= pause * 1.2

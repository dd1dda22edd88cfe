"""The amazon provider's own Bedrock operator and sensor, unmodified, get from the endpoint what AWS gives them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
from airflow.exceptions import AirflowException
from airflow.providers.amazon.aws.operators.bedrock import BedrockBatchInferenceOperator
from airflow.providers.amazon.aws.sensors.bedrock import BedrockBatchInferenceSensor
from airflow.sdk.exceptions import TaskDeferred
from airflow.sdk.module_loading import import_string
from botocore.exceptions import ClientError, WaiterError

from pipeline.local import stack
from tests.local.embedded_clients import MODEL, ROLE, input_lines, make_client, wait_for_end
from tests.local.test_control import Control

SCHEDULED = BedrockBatchInferenceSensor.SuccessState.SCHEDULED
COMPLETED = BedrockBatchInferenceSensor.SuccessState.COMPLETED
QUICK = {"waiter_delay": 0.2, "waiter_max_attempts": 300}
MODES = pytest.mark.parametrize("deferrable", [False, True], ids=["synchronous", "deferrable"])
ENOUGH, TOO_FEW = 100, 3


@pytest.fixture
def bedrock(running_stack: stack.Stack, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The endpoint's client; the provider learns of the endpoint by nothing but an Airflow connection."""
    connection = {
        "conn_type": "aws",
        "login": running_stack.access_key_id,
        "password": running_stack.secret_access_key,
        "extra": {"region_name": running_stack.region, "endpoint_url": running_stack.bedrock_url},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    return make_client(running_stack, "bedrock")


@pytest.fixture
def control(running_stack: stack.Stack) -> Iterator[Control]:
    """The plan that a test puts ends with the test."""
    routes = Control(running_stack)
    yield routes
    routes.ask("DELETE", "faults").raise_for_status()


def _operator(running_stack: stack.Stack, records: int, **options: Any) -> BedrockBatchInferenceOperator:
    key = f"provider/{records}.jsonl"
    make_client(running_stack, "s3").put_object(Bucket="docbatch", Key=key, Body=input_lines(records))
    return BedrockBatchInferenceOperator(
        task_id="infer",
        job_name="provider",
        role_arn=ROLE,
        model_id=MODEL,
        input_uri=f"s3://docbatch/{key}",
        output_uri="s3://docbatch/provider/out/",
        **QUICK | options,
    )


def _sensor(arn: str, state: str, *, deferrable: bool) -> BedrockBatchInferenceSensor:
    """Made just before it runs: it keeps its states on its class, where the next one overwrites them."""
    return BedrockBatchInferenceSensor(
        task_id="wait", job_arn=arn, success_state=state, poke_interval=1, max_retries=60, deferrable=deferrable
    )


def _executed(task: Any) -> Any:
    """What the task returns; where it defers, its trigger is stored, loaded and run as the triggerer does it."""
    try:
        return task.execute({})
    except TaskDeferred as deferred:
        where, arguments = deferred.trigger.serialize()
        trigger = import_string(where)(**json.loads(json.dumps(arguments)))
        event = asyncio.run(_first_event(trigger))
        return getattr(task, deferred.method_name)(context={}, event=event.payload)


async def _first_event(trigger: Any) -> Any:
    async with asyncio.timeout(60):
        return await anext(trigger.run())


def _status(bedrock: Any, arn: str) -> str:
    return str(bedrock.get_model_invocation_job(jobIdentifier=arn)["status"])


@MODES
def test_the_operator_waits_for_its_job(running_stack: stack.Stack, bedrock: Any, deferrable: bool) -> None:
    """It returns the ARN of a job that is then Completed."""
    arn = _executed(_operator(running_stack, ENOUGH, deferrable=deferrable))
    assert _status(bedrock, arn) == "Completed"


@MODES
def test_the_operator_fails_with_its_job(running_stack: stack.Stack, bedrock: Any, deferrable: bool) -> None:
    """A job that Bedrock would refuse in validation is a terminal failure to the provider's waiter."""
    with pytest.raises((WaiterError, AirflowException), match=r"terminal failure.*Failed"):
        _executed(_operator(running_stack, TOO_FEW, deferrable=deferrable))


@MODES
@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"kind": "partial", "at": 0.5}, "PartiallyCompleted"),
        ({"kind": "stopped", "at": 0.5}, "Stopped"),
        ({"kind": "expired"}, "Expired"),
    ],
)
def test_every_other_end_is_a_failure_to_the_operator(
    running_stack: stack.Stack, bedrock: Any, control: Control, fault: dict[str, Any], status: str, deferrable: bool
) -> None:
    """Partial, stopped and expired jobs raise, as the provider has it, and the endpoint names them as Bedrock does."""
    control.plan(jobs=[fault])
    with pytest.raises((WaiterError, AirflowException), match="terminal failure"):
        _executed(_operator(running_stack, ENOUGH, deferrable=deferrable))
    newest = bedrock.list_model_invocation_jobs(maxResults=1)["invocationJobSummaries"][0]["jobArn"]
    assert wait_for_end(bedrock, newest)["status"] == status


def test_a_refused_create_raises_the_services_error(running_stack: stack.Stack, bedrock: Any) -> None:
    """What Create refuses fails the task with Bedrock's code, and no job is made."""
    named = _operator(running_stack, ENOUGH, invoke_kwargs={"timeoutDurationInHours": 169})
    before = len(bedrock.list_model_invocation_jobs()["invocationJobSummaries"])
    with pytest.raises(ClientError, match=r"ValidationException.*timeoutDurationInHours"):
        named.execute({})
    assert len(bedrock.list_model_invocation_jobs()["invocationJobSummaries"]) == before


@MODES
def test_the_sensor_waits_for_scheduled(
    running_stack: stack.Stack, bedrock: Any, control: Control, deferrable: bool
) -> None:
    """It is content with a job that is in the queue, and has not begun."""
    control.plan(jobs=[{"kind": "stuck"}])
    arn = _operator(running_stack, ENOUGH, wait_for_completion=False).execute({})
    _executed(_sensor(arn, SCHEDULED, deferrable=deferrable))
    assert _status(bedrock, arn) == "Scheduled"
    bedrock.stop_model_invocation_job(jobIdentifier=arn)


@MODES
def test_the_sensor_waits_for_completed(
    running_stack: stack.Stack, bedrock: Any, control: Control, deferrable: bool
) -> None:
    """A job that stays in the queue for seconds does not content it; the end does."""
    control.plan(jobs=[{"kind": "stuck", "seconds": 1.5}])
    arn = _operator(running_stack, ENOUGH, wait_for_completion=False).execute({})
    _executed(_sensor(arn, COMPLETED, deferrable=deferrable))
    assert _status(bedrock, arn) == "Completed"


@MODES
@pytest.mark.parametrize("state", [SCHEDULED, COMPLETED])
def test_the_sensor_fails_with_the_job(running_stack: stack.Stack, bedrock: Any, state: str, deferrable: bool) -> None:
    """A job that ended as Failed raises, whichever state was waited for."""
    arn = _operator(running_stack, TOO_FEW, wait_for_completion=False).execute({})
    assert wait_for_end(bedrock, arn)["status"] == "Failed"
    with pytest.raises(AirflowException, match="Bedrock batch inference job sensor failed"):
        _executed(_sensor(arn, state, deferrable=deferrable))


@MODES
def test_a_sensor_that_waits_too_long_gives_up(
    running_stack: stack.Stack, bedrock: Any, control: Control, deferrable: bool
) -> None:
    """After its last attempt the operator's waiter raises, while the job stays what it is."""
    control.plan(jobs=[{"kind": "stuck"}])
    impatient = _operator(running_stack, ENOUGH, deferrable=deferrable, waiter_max_attempts=2)
    with pytest.raises((WaiterError, AirflowException), match=r"[Mm]ax attempts"):
        _executed(impatient)
    (job,) = bedrock.list_model_invocation_jobs(statusEquals="Scheduled")["invocationJobSummaries"]
    bedrock.stop_model_invocation_job(jobIdentifier=job["jobArn"])

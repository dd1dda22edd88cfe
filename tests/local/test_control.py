"""Faults and the bill over HTTP: the control routes, and what unmodified boto3 sees of a fault."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from pipeline.errors import SettingsError
from pipeline.local.control import load_faults
from tests.local.embedded_clients import MODEL, input_lines, wait_for_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pipeline.local.stack import Stack


class Control:
    """The control routes of a stack, asked by its own key or another."""

    def __init__(self, stack: Stack) -> None:
        self._url, self._key = f"{stack.bedrock_url}/control", stack.access_key_id

    def ask(self, method: str, path: str, content: object = None, key: str | None = None) -> httpx.Response:
        headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={key or self._key}/"}
        body = json.dumps(content) if content is not None else None
        return httpx.request(method, f"{self._url}/{path}", headers=headers, content=body, trust_env=False)

    def plan(self, **plan: Any) -> None:
        self.ask("PUT", "faults", plan).raise_for_status()

    def bill(self) -> Any:
        return self.ask("GET", "bill").raise_for_status().json()


@pytest.fixture
def control(stack: Stack) -> Iterator[Control]:
    """The plan that a test puts ends with the test."""
    routes = Control(stack)
    yield routes
    assert routes.ask("DELETE", "faults").json() == {}


def _put(s3: Any, job_request: dict[str, Any], count: int) -> str:
    """Write the job's input; gives the prefix of its output."""
    key = job_request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"].removeprefix("s3://docbatch/")
    s3.put_object(Bucket="docbatch", Key=key, Body=input_lines(count))
    return str(job_request["outputDataConfig"]["s3OutputDataConfig"]["s3Uri"]).removeprefix("s3://docbatch/")


def test_a_plan_is_put_shown_and_taken_back(control: Control, stack: Stack) -> None:
    """What is shown is what was put, without the defaults; after DELETE there is none."""
    plan = {"seed": 4, "calls": [{"operation": "get", "kind": "slow", "first": 1, "seconds": 0.5}]}
    assert control.ask("PUT", "faults", plan).json() == plan
    assert control.ask("GET", "faults").json() == plan
    assert control.ask("DELETE", "faults").json() == {}
    assert control.ask("GET", "faults").json() == {}


def test_a_wrong_plan_changes_nothing(control: Control) -> None:
    """It is a 400 that names the field; the plan before it stays in force."""
    control.plan(seed=5)
    refused = control.ask("PUT", "faults", {"jobs": [{"kind": "partial", "at": 2}]})
    assert refused.status_code == 400
    assert "jobs.0.at: " in refused.json()["message"]
    assert control.ask("GET", "faults").json() == {"seed": 5}


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", "faults"), ("GET", "faults"), ("DELETE", "faults"), ("GET", "bill")]
)
def test_strangers_control_nothing(control: Control, method: str, path: str) -> None:
    """Another access key is turned away as everywhere."""
    assert control.ask(method, path, {}, key="AKIAIOSFODNN7EXAMPLE").status_code == 403


def test_a_connection_ends_after_the_job_was_created(
    control: Control, s3: Any, bedrock: Any, job_request: dict[str, Any]
) -> None:
    """boto3 meets a closed connection, and then finds the one job that its token made."""
    control.plan(calls=[{"operation": "create", "kind": "reset", "first": 1}])
    _put(s3, job_request, 100)
    named = job_request | {"jobName": "cut-off", "clientRequestToken": "cut-off"}
    with pytest.raises(ConnectionClosedError):
        bedrock.create_model_invocation_job(**named)
    (made,) = bedrock.list_model_invocation_jobs(nameContains="cut-off")["invocationJobSummaries"]
    assert bedrock.create_model_invocation_job(**named)["jobArn"] == made["jobArn"]
    assert wait_for_end(bedrock, made["jobArn"])["status"] == "Completed"


@pytest.mark.parametrize(
    ("kind", "code"), [("throttled", "ThrottlingException"), ("error-500", "InternalServerException")]
)
def test_the_first_creates_are_refused(
    control: Control, bedrock: Any, job_request: dict[str, Any], kind: str, code: str
) -> None:
    """boto3 raises the class of the service model; the third call goes through."""
    control.plan(calls=[{"operation": "create", "kind": kind, "first": 2}])
    for _ in range(2):
        with pytest.raises(getattr(bedrock.exceptions, code)):
            bedrock.create_model_invocation_job(**job_request)
    assert bedrock.create_model_invocation_job(**job_request)["jobArn"]


def test_a_stuck_job_holds_no_other_up(control: Control, s3: Any, bedrock: Any, job_request: dict[str, Any]) -> None:
    """More jobs than there are threads are stuck; a later one is Completed, and a stuck one can be stopped."""
    control.plan(jobs=[{"kind": "stuck", "first_jobs": 6}])
    _put(s3, job_request, 100)
    arns = [bedrock.create_model_invocation_job(**job_request)["jobArn"] for _ in range(7)]
    assert wait_for_end(bedrock, arns[6])["status"] == "Completed"
    for arn in arns[:6]:
        assert bedrock.get_model_invocation_job(jobIdentifier=arn)["status"] in {"Submitted", "Validating", "Scheduled"}
        bedrock.stop_model_invocation_job(jobIdentifier=arn)
    assert {wait_for_end(bedrock, arn)["status"] for arn in arns[:6]} == {"Stopped"}


def test_the_bill_agrees_with_the_manifest_and_names_the_request(
    control: Control, s3: Any, bedrock: Any, client: Callable[..., Any], job_request: dict[str, Any]
) -> None:
    """Under faults of records a job's bill is its manifest; an answer on demand adds exactly its own tokens."""
    control.plan(records=[{"kind": kind, "count": 10} for kind in ("prose", "error-500", "dropped", "skipped")])
    prefix = _put(s3, job_request, 100)
    arn = bedrock.create_model_invocation_job(**job_request)["jobArn"]
    assert wait_for_end(bedrock, arn)["status"] == "Completed"
    job_id = arn.rpartition("/")[2]
    key = f"{prefix}{job_id}/manifest.json.out"
    manifest = json.loads(s3.get_object(Bucket="docbatch", Key=key)["Body"].read())
    before = control.bill()
    assert before["jobs"][job_id] == {
        "records": manifest["successRecordCount"],
        "input_tokens": manifest["inputTokenCount"],
        "output_tokens": manifest["outputTokenCount"],
    }
    assert manifest["successRecordCount"] == 80
    client("bedrock-runtime").invoke_model(modelId=MODEL, body='{"prompt": "This is a test sentence."}')
    after = control.bill()
    grown = {name: after["total"][name] - before["total"][name] for name in after["total"]}
    assert grown == {"records": 1, "input_tokens": 6, "output_tokens": 7}


@pytest.mark.parametrize(("kind", "error"), [("error-429", ClientError), ("dropped", ConnectionClosedError)])
def test_invoke_model_fails_once_and_then_answers(
    control: Control, client: Callable[..., Any], kind: str, error: type[Exception]
) -> None:
    """A fault of first attempts is over when the same prompt is asked again."""
    control.plan(records=[{"kind": kind, "share": 1, "first_attempts": 1}])
    runtime = client("bedrock-runtime")
    with pytest.raises(error):
        runtime.invoke_model(modelId=MODEL, body='{"prompt": "Once more."}')
    answer = json.loads(runtime.invoke_model(modelId=MODEL, body='{"prompt": "Once more."}')["body"].read())
    assert answer["engine"] == "baseline"


def test_the_plan_of_the_home_is_read_at_the_start(tmp_path: Path) -> None:
    """No file is no plan; a file is the plan; a wrong one is named, with its field."""
    file, counters = tmp_path / "faults.json", tmp_path / "faults.sqlite"
    for content, seed in ((None, 0), ('{"seed": 9}', 9)):
        if content:
            file.write_text(content)
        faults = load_faults(file, counters)
        assert faults.plan.seed == seed
        faults.close()
    file.write_text('{"seed": null}')
    with pytest.raises(SettingsError, match=r"faults\.json: .*seed: "):
        load_faults(file, counters)


def test_a_plan_that_was_put_is_kept_in_the_home(control: Control, stack: Stack, home_of_stack: Path) -> None:
    """A restarted endpoint reads what PUT wrote; DELETE removes it."""
    control.plan(seed=11)
    assert json.loads((home_of_stack / "faults.json").read_text()) == {"seed": 11}
    control.ask("DELETE", "faults")
    assert not (home_of_stack / "faults.json").exists()

"""The AWS command line, unmodified, against the embedded endpoint: `aws bedrock ...-model-invocation-job`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.local.embedded_clients import MODEL, ROLE, input_lines, wait_for_end
from tests.local.test_control import Control, control

if TYPE_CHECKING:
    from pipeline.local.stack import Stack

__all__ = ["control"]

ROOT = Path(__file__).resolve().parents[2]
AWS = ROOT / ".venv" / "awscli" / "bin" / "aws"
JOBS = 5
Aws = Callable[..., Any]

pytestmark = pytest.mark.skipif(not AWS.exists(), reason="there is no AWS command line; `make install-dev` installs it")


class Refused(Exception):
    """The command line ended with another code than 0; the text is what it said."""


@pytest.fixture(scope="module")
def aws(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Aws:
    """`aws bedrock <arguments>` as a shell runs it after `docbatch local env`; its JSON, or Refused."""
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **stack.environment(),
        "AWS_CONFIG_FILE": str(tmp_path_factory.mktemp("aws") / "none"),
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path_factory.mktemp("aws") / "none"),
        "AWS_PAGER": "",
    }

    def run(operation: str, *arguments: str) -> Any:
        command = [str(AWS), "bedrock", operation, *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode:
            raise Refused(done.stderr.strip())
        return json.loads(done.stdout) if done.stdout.strip() else None

    return run


OUT = "s3://docbatch/aws/out/"
SAME = {"modelId": MODEL, "roleArn": ROLE, "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": OUT}}}


def _input(key: str) -> dict[str, Any]:
    return {"s3InputDataConfig": {"s3Uri": f"s3://docbatch/aws/{key}"}}


def _create(aws: Aws, name: str, *more: str) -> str:
    """Required members, given as JSON and in the command line's short form."""
    where = ("--input-data-config", json.dumps(_input("in.jsonl")))
    target = ("--output-data-config", f"s3OutputDataConfig={{s3Uri={OUT}}}")
    who = ("--role-arn", ROLE, "--model-id", MODEL)
    arn: str = aws("create-model-invocation-job", "--job-name", name, *who, *where, *target, *more)["jobArn"]
    return arn


@pytest.fixture(scope="module")
def arns(aws: Aws, s3: Any, bedrock: Any) -> list[str]:
    """Jobs shell-0 to shell-4, oldest first; all have ended: the last as Failed, for want of records."""
    for key, count in (("in.jsonl", 100), ("few.jsonl", 3)):
        s3.put_object(Bucket="docbatch", Key=f"aws/{key}", Body=input_lines(count))
    made = [_create(aws, "shell-0", "--timeout-duration-in-hours", "48")]
    for name, key in (
        ("shell-1", "in.jsonl"),
        ("shell-2", "in.jsonl"),
        ("shell-3", "in.jsonl"),
        ("shell-4", "few.jsonl"),
    ):
        made.append(bedrock.create_model_invocation_job(jobName=name, inputDataConfig=_input(key), **SAME)["jobArn"])
    for arn in made:
        wait_for_end(bedrock, arn)
    return made


def test_a_job_is_created_and_shown(aws: Aws, arns: list[str], s3: Any) -> None:
    """By ARN and by id: what was asked, the end that it came to, its counts, times with a zone; its output is there."""
    shown = aws("get-model-invocation-job", "--job-identifier", arns[0])
    assert aws("get-model-invocation-job", "--job-identifier", arns[0][-12:]) == shown
    times = [shown.pop(name) for name in ("submitTime", "lastModifiedTime", "endTime", "jobExpirationTime")]
    assert times == sorted(times)
    assert all(time.endswith(("Z", "+00:00")) for time in times)
    assert shown.pop("clientRequestToken")
    assert shown == {
        "jobArn": arns[0],
        "jobName": "shell-0",
        "modelId": MODEL,
        "roleArn": ROLE,
        "status": "Completed",
        "inputDataConfig": {"s3InputDataConfig": {"s3Uri": "s3://docbatch/aws/in.jsonl"}},
        "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": OUT}},
        "timeoutDurationInHours": 48,
        "totalRecordCount": 100,
        "processedRecordCount": 100,
        "successRecordCount": 100,
        "errorRecordCount": 0,
    }
    listed = s3.list_objects_v2(Bucket="docbatch", Prefix=f"aws/out/{arns[0][-12:]}/")["Contents"]
    assert [each["Key"].rpartition("/")[2] for each in listed] == ["in.jsonl.out", "manifest.json.out"]


def test_a_failed_job_says_why(aws: Aws, arns: list[str]) -> None:
    """The message is Bedrock's."""
    shown = aws("get-model-invocation-job", "--job-identifier", arns[-1])
    assert shown["status"] == "Failed"
    assert shown["message"] == "Batch job contains less records (3) than the required minimum of: 100"


def test_one_token_is_one_job(aws: Aws, arns: list[str]) -> None:
    """--client-request-token gives the job of then, whatever else is asked."""
    token = ("--client-request-token", "token-of-the-command-line")
    assert _create(aws, "token-1", *token) == _create(aws, "token-2", *token)


def _names(aws: Aws, *options: str) -> list[str]:
    wanted = ("--name-contains", "shell-", "--query", "invocationJobSummaries[].jobName")
    names: list[str] = aws("list-model-invocation-jobs", *wanted, *options)
    return [name.removeprefix("shell-") for name in names]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("--name-contains nobody", ""),
        ("--status-equals Failed", "4"),
        ("--sort-by CreationTime --sort-order Ascending --status-equals Completed --page-size 1", "0123"),
        ("--submit-time-after {1} --sort-order Descending", "432"),
        ("--submit-time-before {3} --sort-order Ascending --page-size 2", "012"),
        ("--submit-time-after {0} --submit-time-before {4}", "321"),
        ("--submit-time-before 2001-01-01T00:00:00+05:30", ""),
        ("--page-size 2 --max-items 3", "432"),
        ("--max-results 2", "43"),
    ],
)
def test_jobs_are_listed(aws: Aws, arns: list[str], bedrock: Any, options: str, expected: str) -> None:
    """Each filter, the order and the size of a page select what they say; a time is that which the job shows."""
    times = [bedrock.get_model_invocation_job(jobIdentifier=arn)["submitTime"].isoformat() for arn in arns]
    assert _names(aws, *options.format(*times).split()) == list(expected)


@pytest.mark.parametrize(
    ("size", "token", "name"),
    [("--max-results", "--next-token", "nextToken"), ("--max-items", "--starting-token", "NextToken")],
)
def test_pages_are_turned_by_hand(aws: Aws, arns: list[str], size: str, token: str, name: str) -> None:
    """Each page says where the next begins, in the service's way and in the command line's; the last says nothing."""
    found, more = list[str](), list[str]()
    for _ in range(JOBS):
        page = aws("list-model-invocation-jobs", "--name-contains", "shell-", size, "2", *more)
        found += [job["jobArn"] for job in page["invocationJobSummaries"]]
        if name not in page:
            break
        more = [token, page[name]]
    assert found == arns[::-1]


def test_a_job_is_stopped_once(aws: Aws, arns: list[str], bedrock: Any, control: Control) -> None:
    """Stop says nothing; the job is Stopping, then Stopped, and to stop it then is a conflict."""
    control.plan(jobs=[{"kind": "stuck"}])
    arn = _create(aws, "stopped")
    assert aws("stop-model-invocation-job", "--job-identifier", arn) is None
    assert aws("get-model-invocation-job", "--job-identifier", arn)["status"] in {"Stopping", "Stopped"}
    assert wait_for_end(bedrock, arn)["status"] == "Stopped"
    with pytest.raises(Refused, match=r"\(ConflictException\) when calling the StopModelInvocationJob operation"):
        aws("stop-model-invocation-job", "--job-identifier", arn)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("get-model-invocation-job --job-identifier abcdefabcdef", "(ResourceNotFoundException)"),
        ("get-model-invocation-job --job-identifier a-name", "(ValidationException)"),
        ("list-model-invocation-jobs --sort-by JobName", "Member must satisfy enum value set: [CreationTime]"),
        ("list-model-invocation-jobs --name-contains a_b", "Value 'a_b' at 'nameContains'"),
        ("list-model-invocation-jobs --next-token YWZ0ZXI6OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "(ValidationException)"),
    ],
)
def test_a_refusal_has_the_services_words(aws: Aws, command: str, said: str) -> None:
    """The command line shows the code and the message of the service."""
    with pytest.raises(Refused) as refused:
        aws(*command.split())
    assert said in str(refused.value)

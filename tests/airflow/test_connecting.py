"""An Airflow connection gives tasks their credentials, region and endpoints, and renews what expires."""

from __future__ import annotations

import datetime as dt
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from pipeline.airflow.connecting import services
from pipeline.catalog.opening import storage_properties
from pipeline.errors import ServiceRejected, SettingsError
from pipeline.local import stack
from pipeline.settings import Settings
from tests.airflow.nights import documents, row_of_run, states

ROLE = "arn:aws:iam::123456789012:role/worker"
ASSUMED = """<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>
<AccessKeyId>ASIA{number}</AccessKeyId><SecretAccessKey>secret</SecretAccessKey><SessionToken>T{number}</SessionToken>
<Expiration>{until}</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"""
DENIED = """<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type>
<Code>AccessDenied</Code><Message>not for you</Message></Error></ErrorResponse>"""


@dataclass
class Aws:
    """STS, S3 and Bedrock on loopback: what roles were assumed, and the token of every other call by its path."""

    url: str = ""
    minutes: list[int] = field(default_factory=lambda: [60])
    allowed: bool = True
    roles: list[str] = field(default_factory=list)
    seen: list[tuple[str, str | None]] = field(default_factory=list)

    def assume(self, form: dict[str, list[str]]) -> str:
        self.roles += form["RoleArn"]
        minutes = self.minutes[min(len(self.roles), len(self.minutes)) - 1]
        until = dt.datetime.now(dt.UTC) + dt.timedelta(minutes=minutes)
        return ASSUMED.format(number=len(self.roles), until=f"{until:%Y-%m-%dT%H:%M:%SZ}")


@pytest.fixture
def aws() -> Iterator[Aws]:
    found = Aws()

    class Endpoint(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            self.answer(200, found.assume(form)) if found.allowed else self.answer(403, DENIED)

        def do_GET(self) -> None:
            found.seen.append((self.path.partition("?")[0], self.headers["x-amz-security-token"]))
            self.answer(200, '{"invocationJobSummaries": []}')

        def do_HEAD(self) -> None:
            found.seen.append((self.path, self.headers["x-amz-security-token"]))
            self.answer(404, "")

        def answer(self, status: int, body: str) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            """Nothing: the test says what it saw."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


SETTINGS = Settings(aws_conn_id="nights", role_arn="arn:aws:iam::123456789012:role/batch")


def connection(monkeypatch: pytest.MonkeyPatch, **extra: Any) -> None:
    found = {"conn_type": "aws", "login": "AKIA", "password": "secret", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_NIGHTS", json.dumps(found))


def test_a_role_is_assumed_and_its_token_goes_everywhere(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3, Bedrock and Iceberg's files get the session token of the connection's role, in the connection's region."""
    sts = {"sts": {"endpoint_url": aws.url}}
    connection(monkeypatch, region_name="eu-west-1", role_arn=ROLE, endpoint_url=aws.url, service_config=sts)
    reached = services(SETTINGS)
    assert reached.region == "eu-west-1"
    assert not reached.open("s3://bucket/work").exists("run.json")
    assert reached.batch_client().in_flight("meta.llama3-1-8b-instruct-v1:0") == 0
    assert set(aws.roles) == {ROLE}
    assert {path for path, _ in aws.seen} == {"/bucket/work/run.json", "/model-invocation-jobs"}
    assert {token for _, token in aws.seen} == {"T1"}
    assert storage_properties(reached.s3)["s3.session-token"] == "T1"


def test_credentials_that_expire_are_renewed(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """A role's keys that are about to expire are asked for anew by whoever uses them next."""
    aws.minutes = [5, 60]
    sts = {"sts": {"endpoint_url": aws.url}}
    connection(monkeypatch, region_name="eu-west-1", role_arn=ROLE, endpoint_url=aws.url, service_config=sts)
    reached = services(SETTINGS)
    assert not reached.open("s3://bucket/work").exists("run.json")
    assert reached.batch_client().in_flight("meta.llama3-1-8b-instruct-v1:0") == 0
    assert {token for _, token in aws.seen} == {"T2"}


def test_settings_stand_above_the_connection(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """DOCBATCH_REGION wins; endpoints that the connection does not name are those of the environment."""
    connection(monkeypatch, region_name="eu-west-1", service_config={"s3": {"endpoint_url": aws.url}})
    monkeypatch.setenv("AWS_ENDPOINT_URL_BEDROCK", f"{aws.url}/elsewhere")
    reached = services(SETTINGS.model_copy(update={"region": "us-east-1"}))
    assert reached.region == "us-east-1"
    reached.batch_client().in_flight("meta.llama3-1-8b-instruct-v1:0")
    assert not reached.open("s3://bucket/work").exists("x")
    assert {path for path, _ in aws.seen} == {"/bucket/work/x", "/elsewhere/model-invocation-jobs"}


def test_a_role_that_is_refused_is_an_access_error(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which asking again cannot change: the task fails at once."""
    aws.allowed = False
    connection(monkeypatch, region_name="eu-west-1", role_arn=ROLE, service_config={"sts": {"endpoint_url": aws.url}})
    with pytest.raises(ServiceRejected, match="AWS STS AssumeRole: AccessDenied: not for you"):
        services(SETTINGS)


def test_a_missing_connection_is_told(airflow_database: Path) -> None:
    """Airflow's own hook would go on as whoever the machine is."""
    with pytest.raises(SettingsError, match="aws_conn_id = 'nights': Airflow has no such connection; add it"):
        services(SETTINGS)


def test_a_night_through_a_connection(
    dag: Any, wired: stack.Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A whole run, its job and its tables, with nothing about AWS in the environment."""
    for name in wired.environment():
        monkeypatch.delenv(name)
    places = {"s3": wired.s3_url, "bedrock": wired.bedrock_url, "bedrock-runtime": wired.bedrock_url}
    extra = {
        "region_name": wired.region,
        "service_config": {name: {"endpoint_url": url} for name, url in places.items()},
    }
    keys = {"login": wired.access_key_id, "password": wired.secret_access_key}
    monkeypatch.setenv("AIRFLOW_CONN_NIGHTS", json.dumps({"conn_type": "aws", "extra": extra} | keys))
    monkeypatch.setenv("DOCBATCH_AWS_CONN_ID", "nights")
    source = documents(tmp_path / "the documents", 40)
    run = dag.test(run_conf={"source": str(source), "output": str(tmp_path / "out"), "run_key": "connected"})
    assert str(run.state) == "success", states(run)
    row = row_of_run(tmp_path / "out", "connected")
    assert (row["documents"], row["results"], row["failures"]) == (41, 120, 3)

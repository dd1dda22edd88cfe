"""Who hears of a run: what the texts say, that they arrive, and that one failed run is told of once."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs

import pytest

from pipeline.airflow.notices import Failed, Notice, cut_short, ended, failed, late, suspect, untidied
from pipeline.airflow.notifying import Told, in_time, tell_late
from pipeline.airflow.places import is_first_to_tell
from pipeline.local import stack
from tests.airflow.nights import documents, load_dag
from tests.airflow.told_servers import Posted, mail_server, web_server
from tests.conftest import Golden

TOPIC = "arn:aws:sns:us-west-2:123456789012:docbatch"
URL = "http://127.0.0.1:8080/dags/document_analysis/runs/nightly/tasks/round_0.plan"
KINDS = {
    "over_budget": ("BudgetExceeded", "run nightly-1: 204 requests would cost up to $0.0248; nothing was submitted"),
    "not_approved": ("ApprovalRefused", "ann did not approve it; nothing was sent"),
    "stopped": ("RunStopped", "run nightly-1: was stopped; what was answered is kept"),
    "wrong_setting": ("SettingsError", "source: is missing"),
    "refused_by_aws": ("ServiceRejected", "AccessDeniedException: not authorized to perform iam:PassRole"),
    "storage": ("StorageError", "s3://bucket/documents: connection refused"),
    "killed": (None, "the task was killed or lost, or had no error of its own"),
}


@pytest.mark.parametrize("name", KINDS)
def test_a_failure_says_what_happened_what_it_cost_and_what_to_do(name: str, golden: Golden) -> None:
    """Above the budget, not approved, stopped and broken read differently, and each names its way on."""
    kind, message = KINDS[name]
    task = "approve" if name == "not_approved" else "round_0.plan"
    _compare(golden, name, failed(Failed("document_analysis", task, "nightly-1", kind, message, "$0.12", URL)))


def test_a_run_that_is_late_too_long_or_cut_short_is_told_of(golden: Golden) -> None:
    """The other occasions, and that a run is suspect."""
    _compare(golden, "late", late("document_analysis", "nightly-1", "2026-11-28 07:00 UTC", "running", "$0.12"))
    _compare(golden, "timed_out", ended("document_analysis", "nightly-1", "timed_out", "$0.12"))
    why = "round 1 would cost up to $0.3, which is more than is left of the budget of $0.5 for the run"
    _compare(golden, "cut_short", cut_short("nightly-1", why, Decimal("0.21"), 1234))
    left = "sentiment: label 'negative' 82.4% (412 of 500); usual in 12 runs is 20.1% to 35.0%"
    _compare(golden, "suspect", suspect("nightly-1", [left]))


def test_maintenance_that_failed_is_told_of(golden: Golden) -> None:
    """It says what to do, and speaks of no run."""
    what = Failed("document_maintenance", "work_files", "", "StorageError", "s3://work: away", "", URL)
    _compare(golden, "untidied", untidied(what))


def _compare(golden: Golden, name: str, notice: Notice) -> None:
    assert "\n" not in notice.subject
    golden(f"notice_{name}.md", f"{notice.subject}\n\n{notice.text}\n")


@dataclass(frozen=True)
class Places:
    """What arrived at the places that DOCBATCH_NOTIFY names."""

    mails: list[Message]
    posted: list[Posted]

    @property
    def pages(self) -> list[str]:
        return [str(part.get_payload(decode=True), "utf-8") for mail in self.mails for part in _leaves(mail)]


def _leaves(mail: Message) -> list[Any]:
    return [part for part in mail.walk() if not part.is_multipart()]


@pytest.fixture
def places(monkeypatch: pytest.MonkeyPatch) -> Iterator[Places]:
    """A mail address, an SNS topic and a webhook, reached as Airflow's connections say."""
    with mail_server() as (mail_port, mails), web_server() as (web_port, posted):
        extra = {"disable_ssl": True, "disable_tls": True, "from_email": "docbatch@example.com", "timeout": 20}
        mail = {"conn_type": "smtp", "host": "127.0.0.1", "port": mail_port, "extra": extra}
        monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", json.dumps(mail))
        hook = {"conn_type": "http", "host": f"http://127.0.0.1:{web_port}/hook"}
        monkeypatch.setenv("AIRFLOW_CONN_CHAT", json.dumps(hook))
        monkeypatch.setenv("AWS_ENDPOINT_URL_SNS", f"http://127.0.0.1:{web_port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, os.environ.get(name, "of a test"))
        monkeypatch.setenv("DOCBATCH_NOTIFY", f"ops@example.com, {TOPIC}, http:chat")
        yield Places(mails, posted)


NOTICE = Notice("docbatch: run nächtlich failed", "**Why:** {{ 1 + 1 }} <b>and</b> {% raw")


def test_a_notice_arrives_as_it_is_at_every_place(airflow_database: Path, places: Places) -> None:
    """By mail, through SNS and at a webhook; what looks like a template or a tag in it is text."""
    Told(NOTICE)({})
    (mail,), (page,) = places.mails, places.pages
    assert (mail["To"], mail["From"]) == ("ops@example.com", "docbatch@example.com")
    assert "failed" in mail["Subject"]
    assert page == "<pre>**Why:** {{ 1 + 1 }} &lt;b&gt;and&lt;/b&gt; {% raw</pre>"
    (sns,) = [parse_qs(body.decode()) for _, kind, body in places.posted if "urlencoded" in kind]
    assert sns["TargetArn"] == [TOPIC]
    assert [json.loads(message) for message in sns["Message"]] == [{"default": NOTICE.text}]
    assert sns["Subject"] == ["docbatch: run n?chtlich failed"]
    (hook,) = [(path, json.loads(body)) for path, kind, body in places.posted if "json" in kind]
    assert hook == ("/hook", {"text": f"*{NOTICE.subject}*\n\n{NOTICE.text}"})


def test_a_place_that_is_away_silences_no_other(
    airflow_database: Path, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mail server refuses the connection; SNS and the webhook are told."""
    monkeypatch.setenv("AIRFLOW_CONN_SMTP_DEFAULT", '{"conn_type": "smtp", "host": "127.0.0.1", "port": 9}')
    Told(NOTICE)({})
    assert (len(places.mails), len(places.posted)) == (0, 2)


def test_telling_ends_before_airflow_kills_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """What takes longer is left: a task that is killed while it tells of its end would be repeated."""
    monkeypatch.setenv("AIRFLOW__CORE__TASK_SUCCESS_OVERTIME", "1")
    answered, done = threading.Event(), threading.Event()
    in_time(lambda: (answered.wait(60), done.set())[1])
    assert not done.is_set()
    answered.set()
    assert done.wait(10)


def test_a_late_run_is_told_of_when_it_is_a_scheduled_one(
    airflow_database: Path, wired: stack.Stack, places: Places
) -> None:
    """The callback takes what Airflow gives the triggerer; runs by hand and backfills are not awaited by anybody."""
    due = dt.datetime(2026, 11, 28, 7, tzinfo=dt.UTC)
    for run_type in ("manual", "backfill", "scheduled"):
        run = {"dag_id": "document_analysis", "dag_run_id": f"{run_type}__1", "run_type": run_type, "conf": {}}
        run |= {"state": "running"}
        asyncio.run(tell_late({"dag_run": run, "deadline": {"id": "1", "deadline_time": due}}))
    (page,) = places.pages
    assert "its results were due at 2026-11-28 07:00 UTC" in page
    assert "nothing, for nothing was sent" in page


def test_a_failed_run_is_told_of_once(
    airflow_database: Path, wired: stack.Stack, tmp_path: Path, places: Places
) -> None:
    """The DAG's own callbacks: a run above its budget sends one mail that says so, with its cost and the ways out."""
    source = documents(tmp_path / "documents", 3)
    conf = {"source": str(source), "output": str(tmp_path / "out"), "budget_usd": 0.000001, "run_key": "too-dear"}
    run = load_dag("document_analysis").test(run_conf=conf)
    assert str(run.state) == "failed"
    (mail,), (page,) = places.mails, places.pages
    assert mail["Subject"] == "docbatch: run too-dear is above its budget"
    assert "task round_0.plan" in page
    assert "BudgetExceeded: run too-dear: " in page
    assert "**Cost so far:** nothing, for nothing was sent" in page

    again = {"params": conf, "run_id": run.run_id, "dag_run": SimpleNamespace(clear_number=0)}
    assert not is_first_to_tell(again)  # another task of it that fails
    cleared = again | {"dag_run": SimpleNamespace(clear_number=1)}
    assert [is_first_to_tell(cleared) for _ in range(2)] == [True, False]

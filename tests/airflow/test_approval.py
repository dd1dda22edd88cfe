"""Approval: who is asked, what they see, and what a run does where nobody can answer."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.airflow.approval import RunApproval, why_ask
from pipeline.airflow.notices import to_approve
from pipeline.errors import ApprovalRefused
from pipeline.local import stack
from tests.airflow.nights import documents, load_dag
from tests.conftest import Golden

FIGURES = {
    "requests": 1200,
    "input_tokens": 1_234_567,
    "output_tokens": 98_765,
    "cost_usd": "0.1400000000",
    "at_most_usd": "1.8250000000",
}
FORECAST: dict[str, Any] = {
    "dry_run": False,
    "run_key": "nightly-1",
    "run_date": "2026-11-28",
    "source": "s3://bucket/documents",
    "output": "s3://bucket/out",
    "model": "meta.llama3-1-8b-instruct-v1:0",
    "documents": 600,
    **FIGURES,
    "analyses": {"sentiment": FIGURES | {"requests": 600}, "summarization": FIGURES | {"requests": 600}},
}


ANN = {"id": "1", "name": "ann"}


@pytest.mark.parametrize(
    ("at_most_usd", "above_usd", "asked"),
    [
        ("1.825", None, False),
        (None, None, False),
        ("1.825", "1.83", False),
        ("1.825", "1.825", False),
        ("1.825", "1.82", True),
        ("0.0000000000", "0", False),
        ("0.0001", "0", True),
        (None, "1000", True),
    ],
)
def test_a_person_is_asked_above_the_threshold(at_most_usd: str | None, above_usd: str | None, asked: bool) -> None:
    """The most that the run may cost decides; what nobody knows is asked about, and a night without work is not."""
    above = None if above_usd is None else Decimal(above_usd)
    assert (why_ask(FORECAST | {"at_most_usd": at_most_usd}, above) is not None) is asked


@pytest.mark.parametrize("price", ["known", "unknown"])
def test_the_person_sees_the_forecast(price: str, golden: Golden) -> None:
    """Documents, requests, tokens, cost and the most of each analysis and of all, and the budgets."""
    unknown = {"cost_usd": None, "at_most_usd": None}
    parts = {name: figures | unknown for name, figures in FORECAST["analyses"].items()}
    found = FORECAST if price == "known" else FORECAST | unknown | {"analyses": parts}
    budgets = {"run": Decimal(5), "day": None, "month": Decimal(100)}
    notice = to_approve(why_ask(found, Decimal(1)) or "", found, budgets, 12.0)
    golden(f"approval_{price}.md", f"{notice.subject}\n\n{notice.text}\n")


@pytest.mark.parametrize(
    ("event", "said"),
    [
        ({"chosen_options": ["Approve"], "params_input": {}, "responded_by_user": ANN}, "ann"),
        (
            {"chosen_options": ["Reject"], "params_input": {}, "responded_by_user": ANN},
            "ann did not approve it",
        ),
        ({"error": "timed out", "error_type": "timeout"}, "nobody approved it within 12 hours"),
    ],
)
def test_an_answer_lets_the_run_go_on_or_ends_it(event: dict[str, Any], said: str) -> None:
    """Approved, the task says by whom; refused or not answered in time, it fails with an error that is not repeated."""
    operator = RunApproval(task_id="approve", forecast=FORECAST)
    event = event | {"responded_at": dt.datetime(2026, 11, 28, tzinfo=dt.UTC)}
    if event.get("chosen_options") == ["Approve"]:
        assert operator.execute_complete({}, event) == f"approved by {said}"
    else:
        with pytest.raises(ApprovalRefused, match=said):
            operator.execute_complete({}, event)


def _states(run: Any) -> dict[str, str]:
    return {ti.task_id: str(ti.state) for ti in run.get_task_instances()}


@pytest.mark.parametrize(
    ("above_usd", "rule", "state", "approve"),
    [
        ("0", "refuse", "failed", "failed"),
        ("0", "go_on", "success", "success"),
        ("5", "refuse", "success", "success"),
    ],
)
def test_a_run_under_test_follows_the_rule(
    airflow_database: Path,
    wired: stack.Stack,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    above_usd: str,
    rule: str,
    state: str,
    approve: str,
) -> None:
    """Nobody can answer under `dag.test()`: above the threshold the rule decides, and a refusal sends nothing."""
    monkeypatch.setenv("DOCBATCH_APPROVAL_ABOVE_USD", above_usd)
    monkeypatch.setenv("DOCBATCH_APPROVAL_WITHOUT_A_PERSON", rule)
    source, output = documents(tmp_path / "documents", 3), tmp_path / "out"
    conf = {"source": str(source), "output": str(output), "analyses": ["sentiment"]}
    run = load_dag("document_analysis").test(run_conf=conf)
    states = _states(run)
    assert (str(run.state), states["approve"]) == (state, approve), states
    assert (output / "tables").exists() is (state == "success")
    if state == "failed":
        assert {states[name] for name in ("start", "round_0.plan", "publish")} == {"upstream_failed"}

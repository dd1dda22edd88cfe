"""The first task: refuses what no run can be made of, and ends a dry run with what the run would cost."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.local import stack
from tests.airflow.nights import documents, run_cleared, states, xcom

FIGURES = ("documents", "requests", "input_tokens", "output_tokens", "cost_usd", "at_most_usd", "analyses")


def test_a_dry_run_ends_with_its_forecast(dag: Any, wired: stack.Stack, tmp_path: Path, task_log: list[str]) -> None:
    """The log has the table that `docbatch plan` prints, the XCom its figures; all that follows is skipped."""
    source, output = documents(tmp_path / "the documents", 40), tmp_path / "out"
    run = dag.test(run_conf={"source": str(source), "output": str(output), "dry_run": True, "run_date": "2026-11-01"})
    assert str(run.state) == "success", states(run)
    found = states(run)
    assert found.pop("forecast[-1]") == "success"
    assert set(found.values()) == {"skipped"}
    assert "41 documents listed: 41 new" in task_log
    assert any("│ in all         │      120 │" in line for line in task_log)
    prices = "batch prices of meta.llama3-1-8b-instruct-v1:0 on 2026-11-01; later rounds are not included"
    assert prices in task_log
    told = xcom(run, "forecast")
    assert (told["dry_run"], told["run_date"], told["documents"], told["requests"]) == (True, "2026-11-01", 41, 120)
    parts = [Decimal(one["cost_usd"]) for one in told["analyses"].values()]
    assert len(parts) == 3
    assert Decimal(told["cost_usd"]) == sum(parts)
    assert 0 < Decimal(told["cost_usd"]) <= Decimal(told["at_most_usd"])
    assert not output.exists()

    after = run_cleared(dag, run, ["start"])
    assert after["start[-1]"] == "skipped"
    assert not output.exists()


def test_the_forecast_of_a_sampled_run_is_of_its_sample(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """A run over 10 documents costs what 10 documents cost, not what the source would."""
    source = documents(tmp_path / "the documents", 40)
    conf = {"source": str(source), "output": str(tmp_path / "out"), "dry_run": True, "sample": 10}
    told = xcom(dag.test(run_conf=conf | {"analyses": ["sentiment"]}), "forecast")
    assert told["documents"] == 10
    assert 9 <= told["requests"] <= 10  # one document is empty
    assert list(told["analyses"]) == ["sentiment"]


def test_a_run_that_needs_no_forecast_reads_nothing(dag: Any, wired: stack.Stack, tmp_path: Path) -> None:
    """The keys of the XCom are always there; what nobody counted is None."""
    source = documents(tmp_path / "the documents", 3)
    conf = {"source": str(source), "output": str(tmp_path / "out"), "run_key": "plain", "analyses": ["sentiment"]}
    run = dag.test(run_conf=conf)
    assert str(run.state) == "success", states(run)
    told = xcom(run, "forecast")
    assert (told["dry_run"], told["run_key"], told["source"]) == (False, "plain", source.as_uri())
    assert [told[name] for name in FIGURES] == [None] * len(FIGURES)


@pytest.mark.parametrize(
    ("conf", "told"),
    [
        (
            {"source": "/no/such/folder"},
            "/no/such/folder: there is no such folder; SOURCE is",
        ),
        ({"budget": 3}, "Param budget: there is no such Param; allowed are"),
        ({"output": "{source}/tables"}, "lies inside the source"),
    ],
)
def test_what_no_run_can_be_made_of_is_refused_at_once(
    conf: dict[str, Any], told: str, dag: Any, wired: stack.Stack, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The first task fails, without a second try, with a sentence that says what is allowed."""
    source = documents(tmp_path / "documents", 1)
    chosen = {name: str(value).format(source=source) for name, value in conf.items()}
    run = dag.test(run_conf={"source": str(source), "output": str(tmp_path / "out")} | chosen)
    assert str(run.state) == "failed"
    found = states(run)
    assert found.pop("forecast[-1]") == "failed"
    assert set(found.values()) == {"upstream_failed"}
    said = capfd.readouterr()
    assert told in said.out + said.err

"""A real Airflow with its own scheduler, triggerer and API server: what `dag.test()` hides is seen here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow.parquet as pq
import pytest
from playwright.sync_api import Page, expect

from pipeline.local import stack
from pipeline.storage.objects import absolute_uri
from tests.local.embedded_clients import make_client
from tests.local.test_control import Control
from tests.standalone.browser import CHROMIUM, Form, opened, shown_at_last
from tests.standalone.conftest import make_documents
from tests.standalone.server import DAG, FOLLOWER, UPSTREAM, Server

pytestmark = pytest.mark.timeout(1800)
WAIT, SUBMIT = "round_0.batch.wait[0]", "round_0.batch.submit[0]"
DOCUMENTS = 34  # three analyses of each make a batch job
RESULTS = 3 * DOCUMENTS
ANALYSES = 0  # the first list of the form
TASKS = ("forecast", "approve", "start", "shards", "prepare", "plan", "submit", "wait", "collect", "fold", "publish")


@pytest.fixture(scope="module")
def nightly(server: Server) -> str:
    """The run that the scheduler itself made when the DAG was unpaused, ended."""
    server.until(lambda: bool(server.runs(run_type="scheduled")), "the scheduler makes no run")
    (run,) = server.runs(run_type="scheduled")
    server.ended(run["dag_run_id"])
    return str(run["dag_run_id"])


@pytest.fixture(scope="module")
def page(server: Server, nightly: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """Airflow's pages in Chromium, for somebody who has logged in. Screenshots of a failed test lie in its folder."""
    if CHROMIUM is None:
        pytest.skip("there is no Chromium; on Debian: apt-get install chromium")
    with opened(server, tmp_path_factory.mktemp("browser")) as shown:
        yield shown


@pytest.fixture(scope="module")
def output(nightly: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of these tests publish; nothing else runs any more."""
    return tmp_path_factory.mktemp("published") / "output"


@pytest.fixture(scope="module")
def published(server: Server, output: Path) -> str:
    """A run that a client has triggered without a logical date, ended."""
    source = make_documents(output.parent / "by a client", DOCUMENTS)
    run_id = server.trigger(source=source, output=str(output))
    server.ended(run_id)
    return run_id


def _rows(output: Path, table: str) -> list[dict[str, Any]]:
    """Every row that a plain reader of the folder finds."""
    found: list[dict[str, Any]] = pq.read_table(output / "tables" / table).to_pylist()
    return found


def _run_row(output: Path, run_key: str) -> dict[str, Any]:
    (row,) = [row for row in _rows(output, "runs") if row["run_key"] == run_key]
    return row


def _jobs(running: stack.Stack) -> list[str]:
    """Every job there is, newest first."""
    listed = make_client(running, "bedrock").list_model_invocation_jobs()
    return [job["jobArn"] for job in listed["invocationJobSummaries"]]


def test_the_night_runs_by_itself(server: Server, nightly: str) -> None:
    """The scheduler makes a run of the last interval, and it takes everything from the settings."""
    told = server.xcom(nightly, "forecast")
    assert (told["source"], told["dry_run"]) == (absolute_uri(server.environment["DOCBATCH_SOURCE"]), False)
    assert server.xcom(nightly, "publish")["documents"] == 2


def test_published_tables_have_events(server: Server, nightly: str) -> None:
    """Each table that the night added rows to has an event, which says of the run what a consumer wants to know."""
    events = server.ask("GET", "/assets/events", source_run_id=nightly, limit=100)["asset_events"]
    extras = {event["name"].removeprefix("docbatch_"): event["extra"] for event in events}
    assert extras.keys() == {"classification", "documents", "ledger", "runs", "sentiment", "summarization"}
    assert extras["sentiment"]["rows"] == extras["runs"]["documents"] == 2
    assert {extra["run_key"] for extra in extras.values()} == {server.xcom(nightly, "publish")["run_key"]}


def test_a_published_run_starts_who_follows(server: Server, nightly: str) -> None:
    """The example DAG runs on the event of `runs`, and says in a line what the run came to."""
    server.until(
        lambda: "success" in {run["state"] for run in server.runs(FOLLOWER, run_type="asset_triggered")},
        lambda: f"{FOLLOWER} has not run: {server.runs(FOLLOWER)}",
    )
    (run, *_) = server.runs(FOLLOWER, run_type="asset_triggered", order_by="run_after")
    path = f"/dags/{FOLLOWER}/dagRuns/{run['dag_run_id']}/taskInstances/digest/xcomEntries/return_value"
    (line,) = server.ask("GET", path, deserialize=True)["value"]
    assert line.startswith(f"Run {server.xcom(nightly, 'publish')['run_key']} of ")
    assert "2 documents, 6 results, 0 failures" in line


def test_an_asset_of_another_dag_starts_a_run(server: Server, published: str) -> None:
    """DOCBATCH_SOURCE_ASSET names it. The run has no logical date, and takes everything from the settings."""
    server.ask("POST", f"/dags/{UPSTREAM}/dagRuns", {"logical_date": None, "conf": {}})
    server.until(lambda: bool(server.runs(run_type="asset_triggered")), "the asset's event starts no run")
    (run,) = server.runs(run_type="asset_triggered")
    assert run["logical_date"] is None
    server.ended(run["dag_run_id"])
    summary = server.xcom(run["dag_run_id"], "publish")
    assert (summary["documents"], summary["results"]) == (2, 0)
    assert sum(summary["unchanged"].values()) == 6


def test_a_log_says_what_was_done_and_no_more(server: Server, nightly: str) -> None:
    """One line of the run, one of its report: no library talks over them, Airflow does not repeat what XCom holds."""
    of_airflow = {"Done. Returned value not shown", "Pushing xcom"}
    told = [line for line in server.told(nightly, "publish") if line not in of_airflow]
    assert len(told) == 2, told
    assert "6 results, 0 failures, 0 unchanged; " in told[0]
    assert told[1].startswith("Report: ")


def test_a_client_reads_what_a_run_came_to(server: Server, published: str, output: Path) -> None:
    """Triggered with Params and without a logical date; XCom has uris and counts that the tables agree with."""
    summary = server.xcom(published, "publish")
    assert (summary["documents"], summary["results"], summary["failures"]) == (DOCUMENTS, RESULTS, 0)
    assert server.xcom(published, SUBMIT).startswith("arn:aws:bedrock:")
    job = server.xcom(published, WAIT)
    assert (job["status"], job["total"]) == ("Completed", RESULTS)
    row = _run_row(output, summary["run_key"])
    assert (row["documents"], row["results"], row["requests"]) == (DOCUMENTS, RESULTS, RESULTS)


@pytest.mark.parametrize(
    ("conf", "said"),
    [
        ({"analyses": ["mood"]}, "'mood' is not one of"),
        ({"budget_usd": -1}, "-1"),
        ({"model": "meta.llama9"}, "'meta.llama9' is not one of"),
        ({"sample": 0}, "0 is less than the minimum of 1"),
    ],
)
def test_bad_params_make_no_run(server: Server, conf: dict[str, Any], said: str) -> None:
    """The API refuses them as the form does, and says what is allowed."""
    status, text = server.refused("POST", f"/dags/{DAG}/dagRuns", {"logical_date": None, "conf": conf})
    assert status == 400
    assert said in text


def test_a_dry_run_ends_after_its_forecast(server: Server, control: Control, output: Path) -> None:
    """Its figures are in XCom, every other task is skipped, and the endpoint has nothing to bill."""
    source, before = make_documents(output.parent / "dry", 3), control.bill()
    run_id = server.trigger(source=source, output=str(output), dry_run=True)
    server.ended(run_id)
    assert server.xcom(run_id, "forecast")["documents"] == 3
    states = server.states(run_id)
    assert {state for task, state in states.items() if task != "forecast"} == {"skipped"}
    assert control.bill() == before


def test_cleared_tasks_do_their_work_once(
    server: Server, published: str, output: Path, control: Control, standalone_stack: stack.Stack
) -> None:
    """`publish` publishes the same rows again and no row twice; `submit` finds its job and pays for nothing."""
    tables = ("runs", "documents", "sentiment", "ledger")
    before = {table: _rows(output, table) for table in tables}, control.bill(), _jobs(standalone_stack)
    arn, summary = server.xcom(published, SUBMIT), server.xcom(published, "publish")
    for task in ("publish", "round_0.batch.submit"):
        server.clear(published, task)
        server.ended(published)
    after = {table: _rows(output, table) for table in tables}, control.bill(), _jobs(standalone_stack)
    assert after == before
    assert (server.xcom(published, SUBMIT), server.xcom(published, "publish")) == (arn, summary)


def test_a_run_marked_failed_while_it_waits_goes_on_when_cleared(
    server: Server, output: Path, control: Control, standalone_stack: stack.Stack
) -> None:
    """The job in flight is not started again, and its answers are paid once."""
    control.plan(jobs=[{"kind": "stuck"}])
    run_id = server.trigger(source=make_documents(output.parent / "marked", DOCUMENTS), output=str(output))
    server.reaches(run_id, WAIT, "deferred")
    jobs, billed = _jobs(standalone_stack), control.bill()["total"]["records"]
    server.ask("PATCH", f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/round_0.batch.wait/0", {"new_state": "failed"})
    server.ended(run_id, "failed")
    control.ask("DELETE", "faults")
    server.clear_failed(run_id)
    server.ended(run_id)
    assert _jobs(standalone_stack) == jobs
    assert server.xcom(run_id, "publish")["results"] == RESULTS
    assert control.bill()["total"]["records"] - billed == RESULTS


def test_a_run_outlives_scheduler_and_triggerer(
    server: Server, output: Path, control: Control, standalone_stack: stack.Stack
) -> None:
    """The scheduler is killed with the tasks that it runs, later the triggerer; the new ones take over, paid once."""
    control.plan(jobs=[{"kind": "stuck"}])
    before, billed = len(_jobs(standalone_stack)), control.bill()["total"]["records"]
    run_id = server.trigger(source=make_documents(output.parent / "deaths", DOCUMENTS), output=str(output))
    server.reaches(run_id, "start", "running", "success")
    server.kill("scheduler")
    server.start("scheduler")
    server.reaches(run_id, WAIT, "deferred")
    server.kill("triggerer")
    server.start("triggerer")
    control.ask("DELETE", "faults")
    server.ended(run_id)
    assert server.xcom(run_id, "publish")["results"] == RESULTS
    assert len(_jobs(standalone_stack)) == before + 1
    assert control.bill()["total"]["records"] - billed == RESULTS


def test_past_dates_are_filled_in(server: Server, output: Path) -> None:
    """`airflow backfill create` makes a run for each date, each with its own key and the day of its interval."""
    conf = (
        f'{{"source": "{make_documents(output.parent / "past", 2)}", "output": "{output}", "analyses": ["sentiment"]}}'
    )
    dates = ("--from-date", "2026-11-01", "--to-date", "2026-11-03")  # the third at 00:00, before its run
    one_by_one = ("--max-active-runs", "1")
    server.airflow("backfill", "create", "--dag-id", DAG, *dates, *one_by_one, "--dag-run-conf", conf)
    server.until(lambda: len(server.runs(run_type="backfill")) == 2, "there are no two runs of the backfill")
    runs = [run["dag_run_id"] for run in server.runs(run_type="backfill", order_by="logical_date")]
    for run_id in runs:
        server.ended(run_id)
    keys = [server.xcom(run_id, "publish")["run_key"] for run_id in runs]
    rows = [_run_row(output, key) for key in keys]
    assert [str(row["run_date"]) for row in rows] == ["2026-11-01", "2026-11-02"]
    assert sum(row["results"] + row["unchanged"] for row in rows) == 4


def test_the_form_starts_a_run(page: Page, server: Server, output: Path) -> None:
    """It offers the declared analyses; what was filled in is the conf of the run that its button starts."""
    source = make_documents(output.parent / "by the form", 3)
    form = Form(page, server)
    assert form.offered(ANALYSES) == ["classification", "sentiment", "summarization"]
    form.choose(ANALYSES, "sentiment", "summarization")
    form.fill("source", source)
    form.fill("sample", "2")
    form.switch("dry_run")
    form.open_section("Budget")
    form.fill("budget_usd", "2.5")
    form.open_section("Seldom needed")
    form.fill("output", str(output))
    page.screenshot(path=output.parent / "form.png")
    form.button.click()
    page.wait_for_url("**/runs/manual__*")
    run_id = unquote(page.url.rpartition("/")[2])
    conf = server.ask("GET", f"/dags/{DAG}/dagRuns/{run_id}")["conf"]
    wanted = {"source": source, "output": str(output), "analyses": ["sentiment", "summarization"], "sample": 2}
    assert conf.items() >= (wanted | {"budget_usd": 2.5, "dry_run": True, "force": False}).items()
    server.ended(run_id)
    assert server.xcom(run_id, "forecast")["documents"] == 2


def test_the_form_refuses_what_is_not_allowed(page: Page, server: Server) -> None:
    """Without a language that a run must have, its button is off."""
    form = Form(page, server)
    assert form.button.is_enabled()
    form.fill("output_language", "")
    form.button.wait_for(state="visible")
    expect(form.button).to_be_disabled()


def test_the_graph_reads_as_the_flow(page: Page, server: Server, nightly: str, output: Path) -> None:
    """Every task of a run is on it, by the name that says what it does."""
    page.goto(f"{server.url}/dags/{DAG}/runs/{nightly}")
    shown_at_last(page, page.get_by_label("Expand all task groups").first).click()
    page.get_by_label("Show Graph (Press g)").click()
    nodes = page.locator(".react-flow__node")
    nodes.filter(has_text="collect").last.wait_for()
    page.screenshot(path=output.parent / "graph.png")
    shown = " ".join(nodes.all_inner_texts())
    assert [name for name in TASKS if name not in shown] == []


def test_a_task_shows_what_it_did(page: Page, server: Server, nightly: str, output: Path) -> None:
    """The page of `publish` has one line with the counts and the cost of the run in its log."""
    page.goto(f"{server.url}/dags/{DAG}/runs/{nightly}/tasks/publish")
    page.get_by_text("6 results, 0 failures, 0 unchanged").first.wait_for()
    page.screenshot(path=output.parent / "publish.png")

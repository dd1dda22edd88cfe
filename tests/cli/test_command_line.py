"""The command line as a user types it: in a folder with blanks in its name, without any AWS setting."""

from __future__ import annotations

import csv
import io
import json
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.loaded_shell import LoadedShell
from tests.shell import DOCBATCH, User, new_user, own_environment, put_documents


@pytest.fixture(scope="module")
def shell() -> Iterator[LoadedShell]:
    """What most commands are typed into."""
    loaded = LoadedShell(own_environment())
    yield loaded
    loaded.close()


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory, shell: LoadedShell) -> Iterator[User]:
    """A user whose embedded stack runs."""
    user = new_user(tmp_path_factory.mktemp("user"), shell)
    started = user.start_anew("local up").finish()
    assert (started.returncode, started.stderr) == (0, "")
    assert re.fullmatch(
        r"S3 at http://127\.0\.0\.1:\d+, Bedrock at http://127\.0\.0\.1:\d+, answers by baseline\n"
        r'To use it from this shell: eval "\$\(docbatch local env\)"\n',
        started.stdout,
    )
    yield user
    assert user.types("local down").stdout == "stopped\n"


@pytest.fixture(scope="module")
def finished(user: User) -> subprocess.CompletedProcess[str]:
    """A run of everything, named `first`."""
    return user.start_anew('run "my documents" --run-key first --run-date 2026-11-23').finish()


def test_a_run_prints_its_summary_and_its_progress(user: User, finished: subprocess.CompletedProcess[str]) -> None:
    """Progress goes to stderr, a line a step; the summary goes to stdout and names the tables."""
    assert finished.returncode == 0, finished.stderr
    steps = [re.sub(r" {2,}.*", "", line) for line in finished.stderr.splitlines()]
    assert steps[0].startswith("No AWS settings: using the embedded stack in ")
    assert "answers by baseline, not by Llama" in steps[0]
    assert [step.split("  ")[0] for step in steps[1:]] == [
        "list",
        "round 0: prepare",
        "round 0: batch",
        "round 0: collect",
        "round 1: prepare",
        "publish",
        "report",
    ]
    assert finished.stdout.startswith("Run first: 36 documents, 108 requests\n")
    assert f"Report     {user.folder}/output/reports/first.html\n" in finished.stdout
    assert f"Tables     {user.folder}/output/tables\n" in finished.stdout
    assert re.search(r"in all +│ +108 │ +0 │", finished.stdout)


def test_a_finished_run_may_be_repeated_for_a_program(user: User, finished: subprocess.CompletedProcess[str]) -> None:
    """With --json, stdout is one object and stderr is silent; nothing is run twice."""
    before = {name: (user.folder / name).read_bytes() for name in user.listing()}
    repeated = user.types('run "my documents" --run-key first --json')
    assert (repeated.returncode, repeated.stderr) == (0, "")
    summary = json.loads(repeated.stdout)
    assert (summary["run_key"], summary["run_date"], summary["results"]) == ("first", "2026-11-23", 108)
    assert set(summary["analyses"]) == {"classification", "sentiment", "summarization"}
    assert {name: (user.folder / name).read_bytes() for name in user.listing()} == before


@pytest.mark.parametrize("command", ["resume first", "stop first"])
def test_a_published_run_is_left_alone(user: User, finished: subprocess.CompletedProcess[str], command: str) -> None:
    """There is nothing to continue and nothing to stop; it says so, where the tables are, and ends well."""
    told = user.types(command)
    assert told.returncode == 0, told.stderr
    assert re.match(r"Run first was published on .* UTC: nothing is left to do\. Its tables are in ", told.stdout)
    assert told.stdout.endswith("To begin another run: docbatch run, without --run-key or with another one.\n")


def test_status_shows_all_runs_and_one(user: User, finished: subprocess.CompletedProcess[str]) -> None:
    """For people and for programs, without progress; whoever follows a run that has ended is not kept waiting."""
    options = ("--json", "first", "first --json", "first --follow", "--follow")
    all_json, one, one_json, followed, _ = (user.start(f"status {option}").finish() for option in options)
    runs = {run["run_key"]: run for run in json.loads(all_json.stdout)}
    assert (runs["first"]["phase"], runs["first"]["results"]) == ("published", 108)
    assert one.stdout.startswith("Run first: published, started ")
    assert re.search(r"r00-b0000 +batch +collected +108 +108 +108 +0 +0 +\$0\.0\d+ +arn:aws:bedrock:", one.stdout)
    (batch,) = json.loads(one_json.stdout)["rounds"][0]["batches"]
    assert (batch["state"], batch["collected"]["answered"]) == ("collected", 108)
    assert followed.stdout.startswith("first: published, round 1; 108 requests sent; 108 answered; $0.0")
    assert (one.stderr, followed.stderr, all_json.returncode) == ("", "", 0)


def test_the_version_is_said(user: User) -> None:
    """Whoever reports a problem can say with what."""
    assert re.fullmatch(r"docbatch \d+\.\d+\.\d+\n", user.start_anew("--version").finish().stdout)


def test_plan_says_the_cost_and_writes_nothing(user: User) -> None:
    """A plan is a table, what the same costs elsewhere, and a few sentences; no file is written."""
    before = user.listing()
    planned = user.types('plan "my documents" --force --run-date 2026-11-23')
    assert planned.returncode == 0, planned.stderr
    assert re.search(r"in all +│ +108 │", planned.stdout)
    assert "batch prices of meta.llama3-1-8b-instruct-v1:0 on 2026-11-23" in planned.stdout
    assert re.search(r"meta.llama3-1-405b-instruct-v1:0 \(until 2026-07-07\) +unknown +\$\d", planned.stdout)
    assert all(len(line) <= 100 for line in planned.stdout.splitlines()), planned.stdout
    assert user.listing() == before


def test_plan_for_programs_is_one_object(user: User) -> None:
    """With --json the forecast of each analysis and of all can be read by a program."""
    planned = user.types('plan "my documents" --force --json --analyses sentiment --run-date 2020-01-01')
    assert (planned.returncode, planned.stderr) == (0, "")
    found = json.loads(planned.stdout)
    assert found["mode"] == "on-demand"
    exact = {"expected": 36, "low": 36, "high": 36}
    assert [(one["analysis"], one["requests"], one["cost_usd"]) for one in found["forecast"]] == [
        ("sentiment", exact, None),
        ("in all", exact, None),
    ]
    assert found["documents"]["listed"] == found["documents"]["read"] == 36
    assert {one["batch_usd"] for one in found["models"]} == {None}


def test_fused_analyses_are_planned_and_run_as_one_request(user: User, tmp_path: Path) -> None:
    """`--fuse` plans a third of the requests, under the joined names, and runs them with all results."""
    user = replace(user, folder=tmp_path)
    put_documents(user.folder, "Receipt")
    planned = json.loads(user.types('plan "my documents" --fuse --json').stdout)
    names = "classification+sentiment+summarization"
    found = [(one["analysis"], one["requests"]["expected"]) for one in planned["forecast"]]
    assert found == [(names, 36), ("in all", 36)]
    done = user.types('run "my documents" --fuse --run-key fused')
    assert done.stdout.startswith("Run fused: 36 documents, 36 requests\n"), done.stderr
    assert re.search(r"in all +│ +108 │ +0 │", done.stdout)
    assert "by 36 fused requests, against the input tokens of a prompt for each analysis" in done.stdout


def test_show_lists_the_tables(user: User, finished: subprocess.CompletedProcess[str]) -> None:
    """Without a name, every published table with its runs."""
    listed = user.types("show")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert re.match(r"classification +1 run, the last is first\n", listed.stdout)
    assert len(listed.stdout.splitlines()) == 7


def test_show_prints_a_table_in_every_form(user: User, finished: subprocess.CompletedProcess[str]) -> None:
    """The same rows for people, spreadsheets and programs."""
    options = ("--limit 2", "--format json", "--format csv --run-key first")
    table, as_json, as_csv = (one.finish() for one in [user.start(f"show sentiment {option}") for option in options])
    assert table.returncode == 0, table.stderr
    assert table.stdout.startswith("2 rows (the newest of each document; --all-runs for all)\nthe same in all: ")
    rows = [json.loads(line) for line in as_json.stdout.splitlines()]
    assert len(rows) == 36
    assert {row["model"] for row in rows} == {"baseline"}
    assert rows[0]["document_id"] in table.stdout
    read = list(csv.DictReader(io.StringIO(as_csv.stdout)))
    assert [row["document_id"] for row in read] == [row["document_id"] for row in rows]


def test_costs_are_summed_and_reconciled(user: User, finished: subprocess.CompletedProcess[str]) -> None:
    """Two accounts have one total, and the jobs' own totals agree with the ledger."""
    lines = ("costs --by analysis --format json", "costs --by run --by mode,day", "reconcile first --json --cloudwatch")
    as_json, table, reconciled = (one.finish() for one in [user.start(line) for line in lines])
    account = json.loads(as_json.stdout)
    assert [line["analysis"] for line in account["lines"]] == ["classification", "sentiment", "summarization"]
    assert account["total"]["requests"] == 108
    assert account["total"]["cost_usd"].rstrip("0") in table.stdout
    assert max(map(len, table.stdout.splitlines())) <= 110
    assert reconciled.returncode == 0, reconciled.stderr
    job, metrics = json.loads(reconciled.stdout)
    assert [figure["differs"] for figure in job["figures"]] == [False] * 4
    assert metrics["not_compared"] == "the embedded stack has none"


def test_status_and_env_lead_other_programs_to_the_stack(user: User) -> None:
    """After `eval`, plain boto3 finds the bucket and the jobs."""
    assert re.match(r"S3 at http://127\.0\.0\.1:\d+, Bedrock at ", user.types("local status").stdout)
    program = (
        "import boto3;"
        "print([b['Name'] for b in boto3.client('s3').list_buckets()['Buckets']]);"
        "print('invocationJobSummaries' in boto3.client('bedrock').list_model_invocation_jobs())"
    )
    python, docbatch = shlex.quote(sys.executable), shlex.quote(str(DOCBATCH))
    script = f'eval "$({docbatch} local env)"; {python} -c {shlex.quote(program)}'
    found = subprocess.run(
        ["/bin/bash", "-c", script], cwd=user.folder, env=user.environment, capture_output=True, text=True, check=False
    )
    assert (found.stderr, found.stdout) == ("", "['docbatch']\nTrue\n")


# What is typed, with which variables; the exit code, and what is said.
MISTAKES: list[tuple[str, dict[str, str], int, str]] = [
    ('run "my documents" --colour red', {}, 2, r"No such option: --colour"),
    ('run "my documents" --analyses mood', {}, 2, r"docbatch: analysis 'mood': not declared in .*; declared are"),
    ('run "my documents" --budget-usd much', {}, 2, r"docbatch: budget_usd = 'much': "),
    ('plan "my documents"', {"DOCBATCH_BUGDET_USD": "1"}, 2, r"docbatch: DOCBATCH_BUGDET_USD: there is no such"),
    ("run elsewhere", {}, 2, r"docbatch: .*/elsewhere: there is no such folder; SOURCE is the folder or s3:// prefix"),
    ("plan elsewhere", {}, 2, r"docbatch: .*/elsewhere: there is no such folder; SOURCE is the folder or s3:// prefix"),
    ('run "my documents" --run-key ../../x', {}, 2, r"docbatch: run key '../../x': allowed are letters .* example x-"),
    ('run "my documents" --analyses ,,', {}, 2, r"docbatch: analyses = ',,': it names no analysis; leave it out"),
    ('plan "my documents" --run-date 2026-13-40', {}, 2, r"'2026-13-40' is no day of the calendar written as YYYY-MM"),
    ('run "my documents/delivery 1.txt"', {}, 2, r"docbatch: .*delivery 1.txt: is a file; name a folder"),
    ("run .", {}, 2, r"docbatch: output = file://.*/output: lies inside the source .*; choose a place beside it"),
    ("resume frist", {}, 2, r"docbatch: run frist: there is no such run in s3://docbatch/work; there are: .*first"),
    ("status frist", {}, 2, r"docbatch: run frist: there is no such run in s3://docbatch/work; there are: .*first"),
    ("stop frist", {}, 2, r"docbatch: run frist: there is no such run in s3://docbatch/work; there are: .*first"),
    ("stop", {}, 2, r"Missing argument 'RUN'"),
    ("costs --by weekday", {}, 2, r"docbatch: by = weekday: is none of run, day, month, analysis, model, source, mode"),
    (
        "costs --since 2026-12-01 --until 2026-11-01",
        {},
        2,
        r"docbatch: until = 2026-11-01: is before since = 2026-12-01",
    ),
    ("costs --depth 1", {}, 2, r"docbatch: depth: divides sources; say --by source as well"),
    ("reconcile frist", {}, 1, r"docbatch: .*/frist: nothing is published there; published runs are .*first"),
    ("reconcile --cur bill.csv", {}, 2, r"docbatch: cur = bill.csv: there is no such file"),
    ("show first --where 1=1", {}, 2, r"docbatch: where = 1=1: first is a run and no table, .*; leave --where out"),
    ("show first --limit 0", {}, 2, r"docbatch: limit = 0: first is a run and no table, .*; leave --limit out"),
    ("show first --as-of first", {}, 2, r"docbatch: as_of = first: first is a run .*; leave --as-of out"),
    ("show first --all-runs", {}, 2, r"docbatch: all_runs: first is a run .*; leave --all-runs out, or name a table"),
    ("show first --run-key first", {}, 2, r"docbatch: run_key = first: first is a run .*; leave --run-key out"),
    ("show ledgr --output output", {}, 1, r"docbatch: .*: neither a table nor a published run is .* ledgr: tables are"),
    ("show frist", {}, 1, r"docbatch: .* called frist: tables are .*; the newest runs are first$"),
    ("report frist", {}, 1, r"docbatch: .*/output: no published run is called frist: the newest runs are first$"),
]


@pytest.fixture(scope="module")
def refused(user: User, finished: subprocess.CompletedProcess[str]) -> dict[str, subprocess.CompletedProcess[str]]:
    """What became of every mistake, all made at the same moment."""
    begun = {line: user.start(line, **variables) for line, variables, _, _ in MISTAKES}
    return {line: running.finish() for line, running in begun.items()}


def test_a_refusal_for_its_cost_has_a_line_for_every_way_out(
    user: User, finished: subprocess.CompletedProcess[str]
) -> None:
    """Exit code 3, what it would cost, and then the ways to pay less, each with its saving, and to allow more."""
    refused = user.types('run "my documents" --force --budget-usd 0.00001')
    assert refused.returncode == 3, refused.stderr
    told = refused.stderr[refused.stderr.index("docbatch: ") :].splitlines()
    assert re.match(r"docbatch: run \S+: 108 requests would cost up to \$0\.\d+, which is more than is left", told[0])
    assert [bool(re.search(r": up to \$[\d.]+ less(, .* alone)?$", line)) for line in told[1:]] == [True, False]
    assert "--budget-usd" in told[-1]


@pytest.mark.parametrize(("line", "code", "message"), [(line, code, said) for line, _, code, said in MISTAKES])
def test_a_mistake_is_one_line_and_a_code(
    refused: dict[str, subprocess.CompletedProcess[str]], line: str, code: int, message: str
) -> None:
    """The last line says what is wrong and what is allowed; there is no traceback, and nothing to continue."""
    ended = refused[line]
    assert ended.returncode == code, ended.stderr
    last = ended.stderr.splitlines()[-1]
    assert last.startswith(("docbatch: ", "Error: "))
    assert re.search(message, last)
    assert "Traceback" not in ended.stderr
    assert "docbatch resume" not in ended.stderr


def test_a_run_that_is_interrupted_can_be_continued(tmp_path: Path, shell: LoadedShell) -> None:
    """Ctrl-C ends with 130 and says how to go on, as it was begun; the stack that it had started is gone, no job is."""
    user = new_user(tmp_path, shell)
    running = user.start_anew('run "my documents" --run-key broken --output-language German --output elsewhere')
    running.read_until("round 0: prepare")
    assert list((user.home / "run").glob("*.pid"))
    running.program.send_signal(signal.SIGINT)
    ended = running.finish()
    assert ended.returncode == 130
    assert ended.stderr.splitlines()[-1].endswith("To continue it: docbatch resume broken")
    assert "Traceback" not in ended.stderr
    assert list((user.home / "run").glob("*.pid")) == []
    commands = ("status", "env", "down")
    status, env, down = (one.finish() for one in [user.start(f"local {command}") for command in commands])
    assert (status.returncode, status.stdout) == (1, "not running; start it with: docbatch local up\n")
    assert (env.returncode, env.stdout) == (1, "")
    assert env.stderr == "docbatch: the embedded stack is not running; start it with: docbatch local up\n"
    assert (down.returncode, down.stdout) == (0, "was not running\n")
    continued = user.types("resume --json")
    assert continued.returncode == 0, continued.stderr
    summary = json.loads(continued.stdout)
    assert (summary["results"], summary["requests"], summary["disagreements"]) == (108, 108, [])
    assert summary["output_language"] == "German"
    assert (user.folder / "elsewhere" / "tables").is_dir()
    assert list((user.home / "run").glob("*.pid")) == []


def test_a_run_is_stopped_by_another_process_and_resumed(tmp_path: Path, shell: LoadedShell) -> None:
    """Its job is held fast: stop ends both, resume sends what was not answered; every record is paid once."""
    user = new_user(tmp_path, shell)
    user.home.mkdir()
    (user.home / "faults.json").write_text('{"jobs": [{"kind": "stuck", "first_jobs": 1}]}', "utf-8")
    assert user.types("local up").returncode == 0
    running = user.start('run "my documents" --run-key night')
    running.read_until("round 0: prepare")
    following = user.start("status night --follow --json")
    assert following.program.stdout
    while json.loads(following.program.stdout.readline())["open_jobs"] == 0:
        pass
    stopped = user.types("stop night")
    assert stopped.returncode == 0, stopped.stderr
    assert [line.split("  ")[0] for line in stopped.stdout.splitlines()] == [
        "Run night: stopped",
        "Stopped",
        "Kept",
        "Paid",
        "Continue",
    ]
    assert stopped.stdout.endswith("Continue   docbatch resume night\n")
    ended, seen = running.finish(), following.finish()
    assert ended.returncode == 1
    assert ended.stderr.splitlines()[-1].endswith("Continue it with: docbatch resume night")
    assert (seen.returncode, json.loads(seen.stdout.splitlines()[-1])["phase"]) == (0, "stopped")
    again = user.types("stop night")
    assert (again.returncode, again.stdout.splitlines()[0]) == (0, "Run night: was stopped already")
    no_name = user.types("resume")
    assert (no_name.returncode, no_name.stderr.splitlines()[-1].endswith("name one that was stopped: night")) == (
        2,
        True,
    )
    summary = json.loads(user.types("resume night --json").stdout)
    assert (summary["results"], summary["failures"]) == (108, 0)
    runs = json.loads(user.types("status --json").stdout)
    assert [(run["run_key"], run["phase"]) for run in runs] == [("night", "published")]
    assert user.types("local down").returncode == 0


def test_force_asks_again(user: User, tmp_path: Path) -> None:
    """A second run of unchanged documents asks nothing and says how to; with --force it pays for all of them."""
    user = replace(user, folder=tmp_path)
    put_documents(user.folder, "Invoice")
    once, twice, forced = (
        user.types(f'run "my documents" --analyses sentiment --run-key {options}')
        for options in ("one", "two", "three --force")
    )
    assert "Not paid" not in once.stdout
    assert twice.stdout.startswith("Run two: 36 documents, 0 requests\n")
    assert "Nothing was asked: the results of earlier runs still hold." in twice.stdout
    assert forced.stdout.startswith("Run three: 36 documents, 36 requests\n")
    refused = user.types('run "my documents" --analyses sentiment --run-key two --force')
    assert refused.returncode == 2
    assert "was begun with force = False, not True" in refused.stderr

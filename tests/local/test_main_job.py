"""`make run`: what a person is told of a DAG that failed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pipeline.errors import RunError
from pipeline.local.main_job import follow

BEGUN = (
    "2026-11-28T10:34:45.312502Z [info     ] [DAG TEST] starting task_id={} map_index=0 [airflow.sdk] loc=dag.py:1501"
)
TRACE = ["Traceback (most recent call last):", '  File "x.py", line 7, in read', "    parse(text)"]
FOREIGN = [
    "2026-11-28T10:34:46Z [error    ] Task failed with exception [task]",
    *TRACE,
    "ValueError: Dear Ada: no number",
]
OURS = [*TRACE, "pipeline.errors.StorageError: s3://letters: the bucket does not answer. Repeat the run"]
AFTER = [
    "",
    "During handling of the above exception, another exception occurred:",
    "",
    *TRACE,
    "airflow.Skipped: Dear Ada",
]
START, READ = BEGUN.format("start"), BEGUN.format("round_0.prepare")


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (
            [START, READ, *FOREIGN, READ, *FOREIGN],
            "task round_0.prepare: ValueError, which is no error of docbatch's own",
        ),
        ([START, READ, *OURS], "task round_0.prepare: StorageError: s3://letters: the bucket does not answer"),
        ([START, *OURS, *AFTER], "task start: StorageError: s3://letters"),
        ([START, *OURS, START, READ, *FOREIGN], "task round_0.prepare: ValueError"),
        ([START, READ, *TRACE, "KeyError"], "task round_0.prepare: KeyError, which"),
        ([START, READ, "ValueError: of no traceback"], "task round_0.prepare: no error was named"),
        (["no task began"], "(no error was named)"),
    ],
)
def test_a_failed_dag_names_task_and_error(tmp_path: Path, lines: list[str], told: str) -> None:
    """Errors of ours with their words, others by their kind: their words, which may be a document's, are in the log."""
    script = f"print({chr(10).join(lines)!r}); raise SystemExit(1)"
    path = tmp_path / "main-job.log"
    with path.open("w") as log, pytest.raises(RunError) as raised:
        follow([sys.executable, "-c", script], {}, log)
    assert told in str(raised.value)
    assert str(raised.value).endswith(f"its log is {path}")
    assert "Dear Ada" not in str(raised.value)
    assert path.read_text().splitlines() == lines


def test_a_dag_that_went_well_is_no_problem(tmp_path: Path) -> None:
    """A task that failed and was tried again is not told when the DAG ended well."""
    with (tmp_path / "main-job.log").open("w") as log:
        follow([sys.executable, "-c", f"print({chr(10).join(FOREIGN)!r})"], {}, log)

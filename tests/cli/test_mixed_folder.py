"""A folder of documents as people have them, from the command line."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pyarrow.parquet as pq
import pytest

from tests.extraction import hostile, office, outlook, single
from tests.extraction.stories import STORIES
from tests.extraction.test_formats import WRITERS
from tests.loaded_shell import LoadedShell
from tests.shell import DOCBATCH, PATIENCE_SECONDS, User, own_environment

BROKEN = {
    "locked.xlsx": outlook.locked_office(),
    "scan.pdf": single.scanned_pdf(),
    "half a letter.docx": office.docx(STORIES["en"])[:1_200],
    "bomb ' and \" quotes.docx": hostile.swollen_docx(150_000_000),
}


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user with a folder in which every name is wrong."""
    shell = LoadedShell(own_environment())
    folder = tmp_path_factory.mktemp("mixed")
    user = User(folder, folder / "home", shell)
    (folder / "docs").mkdir()
    for form, write in WRITERS.items():
        ending = form if form in ("csv", "json") else "txt"
        (folder / "docs" / f"{form} 100% ‮é.{ending}").write_bytes(write(STORIES["fr"]))
    for name, content in BROKEN.items():
        (folder / "docs" / name).write_bytes(content)
    yield user
    user.types("local down")
    shell.close()


def test_a_mixed_folder_runs_to_its_end(user: User) -> None:
    """Everything that can be read has its results, the rest a reason and advice; the exit code is 0."""
    ended = user.start_anew("run docs --output out --run-key mixed --json").finish()
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["documents"] == len(WRITERS) + len(BROKEN)
    documents = read_table(user.folder / "out", "documents")
    assert {row["format"] for row in documents if not row["failure"]} == set(WRITERS)
    assert {row["language"] for row in documents if not row["failure"]} == {"fr"}
    failures = read_table(user.folder / "out", "failures")
    assert {row["reason"] for row in failures} == {"encrypted", "no_text", "damaged", "exceeded"}
    assert all(row["advice"] and row["detail"] for row in failures)


def read_table(output: Path, name: str) -> list[dict[str, object]]:
    return pq.read_table(output / "tables" / name / "mixed" / "part-0000.parquet").to_pylist()


def test_a_forecast_reads_the_same_documents(user: User) -> None:
    """`plan` opens what a run would open, and counts what it cannot read."""
    planned = user.types("plan docs")
    assert planned.returncode == 0, planned.stderr
    assert f"{len(WRITERS) + len(BROKEN)} documents listed" in planned.stdout
    assert f"{len(BROKEN)} of them cannot be read" in planned.stdout


def test_ctrl_c_while_parsing_leaves_nothing_behind(user: User) -> None:
    """The command ends with 130, and with it the processes that were parsing."""
    slow = user.folder / "slow"
    slow.mkdir()
    (slow / "slow.pdf").write_bytes(hostile.slow_pdf(3_000_000))
    running = user.start_anew("plan slow")
    program = running.program
    workers = parsing(psutil.Process(program.pid))
    program.send_signal(signal.SIGINT)
    assert running.finish().returncode == 130
    _, alive = psutil.wait_procs(workers, PATIENCE_SECONDS)
    assert alive == []


def test_ctrl_c_while_a_run_reads_is_taken_up_again(user: User) -> None:
    """Typed at a terminal, it reaches everything that the command started: 130, nothing left running, and one line that
    says how to go on; which then reads what there was to be read."""
    many = user.folder / "many"
    many.mkdir()
    for language, story in STORIES.items():
        (many / f"{language}.pdf").write_bytes(single.story_pdf(story))
    (many / "a slow one.pdf").write_bytes(hostile.slow_pdf(3_000_000))
    command = [str(DOCBATCH), "run", "many", "--output", "out of many", "--run-key", "broken"]
    program = subprocess.Popen(
        command, cwd=user.folder, env=user.environment, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    started = psutil.Process(program.pid)
    parsing(started)
    begun = started.children(recursive=True)
    os.killpg(program.pid, signal.SIGINT)
    _, said = program.communicate(timeout=PATIENCE_SECONDS)
    assert (program.returncode, "Traceback" in said) == (130, False), said
    assert said.splitlines()[-1].endswith("To continue it: docbatch resume broken")
    _, alive = psutil.wait_procs(begun, PATIENCE_SECONDS)
    assert alive == []
    assert list((user.home / "run").glob("*.pid")) == []
    (many / "a slow one.pdf").unlink()
    resumed = user.types("resume broken --json")
    assert resumed.returncode == 0, resumed.stderr
    summary = json.loads(resumed.stdout)
    assert (summary["documents"], summary["reasons"]) == (len(STORIES) + 1, {"vanished": 3})


def parsing(parent: psutil.Process) -> list[psutil.Process]:
    """The workers of a command, once one has done more than to start."""
    while True:
        workers = [one for one in parent.children() if "pipeline.extraction.worker" in " ".join(one.cmdline())]
        if any(one.cpu_times().user > 0.5 for one in workers):
            return workers

"""`make run`: the nightly DAG over a folder of documents, on the embedded stack, from nothing to tables."""

from __future__ import annotations

import argparse
import datetime as dt
import re
import subprocess
import sys
from pathlib import Path
from typing import TextIO

import orjson

from pipeline.domain import short_hash
from pipeline.errors import DocbatchError, RunError, SettingsError
from pipeline.local import launch, stack
from pipeline.local.borrowing import borrowed
from pipeline.local.embedded import shell_variables
from pipeline.reports.writing import drawn_report
from pipeline.settings import load_settings
from pipeline.steps.start import claim_run_key
from pipeline.steps.summary import read_summary
from pipeline.storage.objects import ObjectStore, S3Access, absolute_uri, open_store
from pipeline.terminal import console

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "sample_data"
DAG = "document_analysis"
SET_UP = "pipeline.airflow.setting_up"
# What our tasks say, in a line of Airflow's log; and the last line of one of our errors' traceback.
_TOLD = re.compile(r"\[\w+ *\] (.*?) +\[pipeline\.airflow\.")
_FAILED = re.compile(r"pipeline\.errors\.(\w+): (.*)")
_BEGUN = re.compile(r"\[DAG TEST\] starting task_id=(\S+)")
_KIND = re.compile(r"[A-Za-z_][\w.]*(?=:|$)")
INTERRUPTED = 130


def main() -> int:
    """Exit code 0 when the run was published, else the error's own code."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--documents", type=Path, help="folder of documents; default: sample_data")
    parser.add_argument("--output", default=str(ROOT / "output"), help="folder for the tables")
    options = parser.parse_args()
    try:
        run_main_job(options.documents, absolute_uri(options.output))
    except DocbatchError as error:
        say(f"docbatch: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        say("Stopped. What was sent and answered is kept in the state folder; the next `make run` uses it.")
        return INTERRUPTED
    return 0


def run_main_job(documents: Path | None, output_uri: str) -> None:
    """Upload, run the DAG, print what came out. Raises RunError when the DAG failed, naming its log."""
    home = ROOT / load_settings().home
    folders = [documents] if documents else sample_folders(home)
    for folder in folders:
        if not folder.is_dir():
            what = "is a file; name the folder that holds it" if folder.exists() else "there is no such folder"
            raise SettingsError(f"DOCS = {folder}: {what}")
    say("Starting the embedded S3 and Bedrock")
    with borrowed(home, load_settings().engine) as running:
        source = upload(running, folders)
        run_key = claim_run_key(_open(running, "work"), dt.datetime.now(dt.UTC), source, output_uri)
        _run_dag(home, running, {"source": source, "output": output_uri, "run_key": run_key})
        summary = read_summary(_open(running, f"work/runs/{run_key}"))
        output = open_store(summary.output_uri, _access(running))
        report = drawn_report(output, run_key)
    console.print_summary(summary, sys.stdout, report)


def _open(running: stack.Stack, prefix: str) -> ObjectStore:
    return open_store(f"s3://{running.bucket}/{prefix}", _access(running))


def _access(running: stack.Stack) -> S3Access:
    return S3Access(running.region, running.s3_url, running.access_key_id, running.secret_access_key)


def sample_folders(home: Path) -> list[Path]:
    """The committed sample documents, and those too large to commit."""
    return [SAMPLE / "documents", made_documents(home)]


def made_documents(home: Path) -> Path:
    """The sample documents that are too large to commit, written by their script."""
    folder = home / "made_documents"
    if not folder.is_dir():
        script = [sys.executable, str(SAMPLE / "make_documents.py"), str(folder)]
        subprocess.run(script, check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own script
    return folder


def upload(running: stack.Stack, folders: list[Path]) -> str:
    """Put the documents under a prefix of their folder's own, so that it holds these and no others; its uri."""
    store = _open(running, f"documents/{short_hash(*(str(folder.absolute()) for folder in folders))[:8]}")
    for folder in folders:
        for path in folder.rglob("*"):
            if not str(path).isprintable():
                raise SettingsError(
                    f"{str(path)!a}: S3 takes no such name; rename the file, or read the folder where it is: "
                    "docbatch run FOLDER"
                )
    wanted = {
        path.relative_to(folder).as_posix(): path for folder in folders for path in folder.rglob("*") if path.is_file()
    }
    for entry in list(store.list()):
        if entry.key not in wanted:
            store.delete(entry.key)
    for key, path in sorted(wanted.items()):
        with path.open("rb") as file:
            store.write(key, file)
    say(f"Uploaded {len(wanted)} documents to {store.uri()}")
    return store.uri()


def _run_dag(home: Path, running: stack.Stack, conf: dict[str, str]) -> None:
    """`airflow dags test` in an Airflow home of our own; what the tasks say is shown, the rest goes to the log."""
    environment = {**launch.own_environment(), **shell_variables(running), **airflow_variables(home)}
    log = home / "logs" / "main-job.log"
    ready = home / "airflow" / "ready"
    with log.open("w") as file:
        if not ready.exists():
            say("Preparing Airflow's own database (once)")
            for module in (["airflow", "db", "migrate"], [SET_UP]):
                command = [sys.executable, "-m", *module]
                if subprocess.run(command, env=environment, stdout=file, stderr=file, check=False).returncode:  # noqa: S603
                    raise RunError(f"{' '.join(module)} failed; its log is {log}")
            ready.touch()
        say(f"Running the DAG {DAG} through Airflow; its log is {log}")
        test = [sys.executable, "-m", "airflow", "dags", "test", DAG, "--conf", orjson.dumps(conf).decode()]
        follow(test, environment, file)


class Problem:
    """Which task failed last, and by what, out of the lines of Airflow's log.

    Of an error that is not ours only the kind is told: its message may hold text of a document, and stays in the log.
    """

    def __init__(self) -> None:
        self._task, self._failed, self._said = "", "", ""
        self._ours = self._in_traceback = False

    def see(self, line: str) -> None:
        if begun := _BEGUN.search(line):
            self._task = begun[1]
        kind = _KIND.match(line)
        if failed := _FAILED.match(line):
            self._set(f"{failed[1]}: {failed[2]}", ours=True)
        elif kind and self._in_traceback:
            self._set(f"{kind[0]}, which is no error of docbatch's own; what it said is in the log", ours=False)
        self._in_traceback = line.startswith("Traceback (") or (self._in_traceback and not kind)

    def _set(self, said: str, *, ours: bool) -> None:
        """What Airflow raises after an error of ours does not take its place."""
        if ours or not self._ours or self._failed != self._task:
            self._failed, self._said, self._ours = self._task, said, ours

    def __str__(self) -> str:
        task = self._failed if self._said else self._task
        return f"task {task}: {self._said or 'no error was named'}" if task else self._said or "no error was named"


def follow(command: list[str], environment: dict[str, str], log: TextIO) -> None:
    """Run to the end; every line goes to the log, what our tasks say also to the person. Raises RunError."""
    problem = Problem()
    pipe = subprocess.PIPE
    with subprocess.Popen(command, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True) as child:  # noqa: S603 - ours
        for line in child.stdout or ():
            log.write(line)
            if told := _TOLD.search(line):
                say(f"  {told[1].strip()}")
            problem.see(line)
    if child.returncode:
        raise RunError(f"the DAG failed ({problem}); its log is {log.name}")


def airflow_variables(home: Path) -> dict[str, str]:
    """An Airflow of its own under the state folder, which knows our DAGs and nothing else."""
    return {
        "AIRFLOW_HOME": str(home / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__LOGGING__COLORED_CONSOLE_LOG": "False",
    }


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - a command speaks through print


if __name__ == "__main__":
    sys.exit(main())

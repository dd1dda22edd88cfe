"""Processes that send the same batch to the same endpoint: raced, stopped and killed, they pay nothing twice."""

from __future__ import annotations

import datetime as dt
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from pipeline.local.embedded import embedded_environment, embedded_settings, shell_variables
from pipeline.manifest import output_folder
from pipeline.settings import Settings
from pipeline.steps import RunOrder, connect, plan, prepare, start
from pipeline.steps.run import Run
from pipeline.storage.objects import absolute_uri
from tests.local.embedded_clients import wait_for_end
from tests.local.test_control import Control, control

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pipeline.local.stack import Stack

__all__ = ["control"]

BATCH = "r00-b0000"
SENDER = f"""
import sys
from pipeline.settings import load_settings, read_aws_environment
from pipeline.steps import connect, submit
services = connect(load_settings(), read_aws_environment())
print("ready", flush=True)
sys.stdin.readline()
print(submit(services, sys.argv[1], 0, {BATCH!r}), flush=True)
"""
PATIENCE_SECONDS = 60


class Bench:
    """A planned run on the stack, processes that send its first batch, and what they were billed."""

    def __init__(self, stack: Stack, control: Control, folder: Path, documents: int) -> None:
        self._stack, self._control = stack, control
        settings = embedded_settings(Settings(), stack)
        (folder / "documents").mkdir(parents=True)
        for number in range(documents):
            text = f"Document {number} of {documents} for {folder.name}."
            (folder / "documents" / f"{number}.txt").write_text(text, "utf-8")
        source, output = absolute_uri(str(folder / "documents")), absolute_uri(str(folder / "output"))
        services = connect(settings, embedded_environment(stack))
        order = RunOrder(folder.name, dt.date(2026, 11, 23), source, output, str(settings.work_uri))
        self.run = Run(services, start(services, order))
        uri = self.run.store.uri()
        prepare(services, uri, 0, 0)
        (batch,) = plan(services, uri, 0).batches
        assert (batch.batch_key, batch.records) == (BATCH, 3 * documents)
        self._processes: list[subprocess.Popen[str]] = []
        self._billed_before = dict(control.bill()["prompts"])

    def sender(self) -> subprocess.Popen[str]:
        """A process that is ready to send and waits for a line."""
        pipe, env = subprocess.PIPE, os.environ | shell_variables(self._stack)
        command = [sys.executable, "-c", SENDER, self.run.store.uri()]
        process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=env)
        self._processes.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    def answers(self) -> int:
        return sum(1 for _ in self.run.store.list(output_folder(0, BATCH)))

    def wait_for_answers(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.answers() < count:
            assert time.monotonic() < deadline, f"{self.answers()} answers after {PATIENCE_SECONDS} s"
            time.sleep(0.02)  # a real process is looked at; nothing tells when it has got there

    def billed(self) -> list[int]:
        """How often each prompt was billed since the bench was made."""
        now: dict[str, int] = self._control.bill()["prompts"]
        return [times for prompt, before in now.items() if (times := before - self._billed_before.get(prompt, 0))]

    def close(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


@pytest.fixture
def make_bench(stack: Stack, control: Control, tmp_path: Path) -> Iterator[Any]:
    """Benches whose processes end with the test."""
    made: list[Bench] = []

    def make(name: str, documents: int) -> Bench:
        made.append(Bench(stack, control, tmp_path / name, documents))
        return made[-1]

    yield make
    for bench in made:
        bench.close()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def end(process: subprocess.Popen[str]) -> str:
    printed, _ = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    return printed.strip()


def test_two_processes_start_one_job(make_bench: Any, bedrock: Any) -> None:
    """Both print the same ARN, Bedrock has one job, and no record is billed twice."""
    bench = make_bench("race-for-a-job", 34)
    senders = [bench.sender(), bench.sender()]
    for sender in senders:
        go(sender)
    (arn,) = {end(sender) for sender in senders}
    job = wait_for_end(bedrock, arn)
    found = bedrock.list_model_invocation_jobs(nameContains=job["jobName"])["invocationJobSummaries"]
    assert [one["jobArn"] for one in found] == [arn]
    assert bench.billed() == [1] * 102


def test_two_processes_ask_every_record_once(make_bench: Any) -> None:
    """One asks, the other waits for it; both end with all answers in the store."""
    bench = make_bench("race-on-demand", 33)
    senders = [bench.sender(), bench.sender()]
    for sender in senders:
        go(sender)
    assert {end(sender) for sender in senders} == {"None"}
    assert bench.answers() == 99
    assert bench.billed() == [1] * 99


@pytest.mark.parametrize("fate", ["killed", "stopped"])
def test_another_process_goes_on_where_one_fell_silent(make_bench: Any, control: Control, fate: str) -> None:
    """At about record 73 of 99: only what was in flight is paid twice, and who wakes up later asks nothing more."""
    bench = make_bench(f"one-is-{fate}", 33)
    control.plan(calls=[{"operation": "invoke", "kind": "slow", "share": 1.0, "seconds": 0.1}])
    first, second = bench.sender(), bench.sender()
    go(first)
    bench.wait_for_answers(66)
    first.send_signal(signal.SIGKILL if fate == "killed" else signal.SIGSTOP)
    kept = bench.answers()
    assert kept < 99
    go(second)
    assert end(second) == "None"
    if fate == "stopped":
        first.send_signal(signal.SIGCONT)
        assert end(first) == "None"
    assert bench.answers() == 99
    billed = bench.billed()
    assert len(billed) == 99
    assert sum(billed) <= 99 + Settings().on_demand_threads

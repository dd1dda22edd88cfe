"""Waiting for jobs in Airflow's trigger runner: what thousands of waits cost, and how late an end is seen."""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.table import Table

from benchmarks.job_server import JobServer, serving
from benchmarks.measuring import in_child, peak_bytes

if TYPE_CHECKING:
    from rich.console import Console

JOBS = 5_000
JOBS_OF_PROVIDER = 250  # it makes a client for each: five thousand would take the machine's memory
POLL_SECONDS = 30.0
ENDS_SECONDS = (60.0, 180.0)
PATIENCE_SECONDS = 400.0


@dataclass(frozen=True)
class Waited:
    """What it took to wait for all jobs, and how late each end was seen."""

    seconds: float
    cpu_seconds: float
    grown_bytes: int
    delays_seconds: list[float]

    @property
    def minutes(self) -> float:
        return self.seconds / 60


def report(console: Console) -> None:
    table = Table("waits at once", "CPU s a minute", "calls a second", "memory", "end seen after, median", "p99")
    for name, count, make in (("docbatch", JOBS, ours), ("amazon provider", JOBS_OF_PROVIDER, of_provider)):
        with serving(count, *ENDS_SECONDS) as server:
            waited = in_child(wait, server.url, server.ends, make, POLL_SECONDS)
            add_row(table, f"{name}, {count:,}", waited, server)
    console.print(table)
    first, last = ENDS_SECONDS
    console.print(
        f"A look every {POLL_SECONDS:.0f} s; jobs end one after another between {first:.0f} and {last:.0f} s."
    )


def add_row(table: Table, name: str, waited: Waited, server: JobServer) -> None:
    delays = waited.delays_seconds
    table.add_row(
        name,
        f"{waited.cpu_seconds / waited.minutes:.1f}",
        f"{server.calls() / waited.seconds:.1f}",
        f"{waited.grown_bytes / 1e6:,.0f} MB",
        f"{statistics.median(delays):.1f} s",
        f"{statistics.quantiles(delays, n=100)[-1]:.1f} s",
    )


def ours(arn: str) -> Any:
    from pipeline.airflow.triggers import JobTrigger

    return JobTrigger(arn=arn, began=time.time(), limit_seconds=24 * 3600)


def of_provider(arn: str) -> Any:
    from airflow.providers.amazon.aws.triggers.bedrock import BedrockBatchInferenceCompletedTrigger

    return BedrockBatchInferenceCompletedTrigger(
        job_arn=arn, waiter_delay=int(POLL_SECONDS), waiter_max_attempts=1_000, aws_conn_id=None
    )


def wait(url: str, ends: dict[str, float], make: Callable[[str], Any], poll_seconds: float) -> Waited:
    """Run a trigger for each job in Airflow's runner, until all have fired. For a process of its own."""
    with tempfile.TemporaryDirectory(prefix="docbatch-bench-") as home:
        os.environ |= {
            "AIRFLOW_HOME": home,
            "AWS_ENDPOINT_URL_BEDROCK": url,
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_REGION": "us-west-2",
            "AWS_DEFAULT_REGION": "us-west-2",
            "DOCBATCH_POLL_SECONDS": str(poll_seconds),
        }
        from benchmarks.triggerer import be_quiet

        be_quiet()
        return asyncio.run(_wait(ends, make))


async def _wait(ends: dict[str, float], make: Callable[[str], Any]) -> Waited:
    from benchmarks.triggerer import FedRunner

    runner = FedRunner()
    make(next(iter(ends)))  # imports what it needs
    started, cpu, memory = time.time(), time.process_time(), peak_bytes()
    jobs = {runner.add(make(arn)): arn for arn in ends}
    running = asyncio.create_task(runner.arun())
    while len(runner.fired) < len(jobs) and time.time() < started + PATIENCE_SECONDS:
        await asyncio.sleep(0.1)
    runner.end()
    await running
    missing = len(jobs) - len(runner.fired)
    assert not missing, f"{missing} of {len(jobs)} ends were not seen"
    delays = [at - ends[jobs[number]] for number, (at, _event) in runner.fired.items()]
    assert min(delays) >= 0, "an end was told before it came"
    return Waited(time.time() - started, time.process_time() - cpu, peak_bytes() - memory, delays)

"""A process that runs runs: it loads everything once, and forks a child for each order, which may die of kill -9.

    python -m tests.chaos.one_run      an order a line on stdin, what became of it a line on stdout

The stack and the settings come from the environment. It opens no store and starts no thread itself, so that
a child begins as a process of its own would.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from pathlib import Path

import orjson
import pyiceberg.catalog.sql  # noqa: F401 - it takes a second, which the children need not spend

from pipeline.errors import DocbatchError
from pipeline.local.embedded import embedded_environment, embedded_settings
from pipeline.local.stack import Stack
from pipeline.loop import Looped, run_to_the_end
from pipeline.settings import load_settings
from pipeline.steps import RunOrder, Services, connect, plan, prepare, start
from pipeline.steps.run import Run
from pipeline.steps.withdrawing import withdraw
from tests.chaos.seam import Seam, behind
from tests.world import TODAY, Unseen

STACK = "CHAOS_STACK"  # the stack's fields as JSON
THREADS = Path("/proc/self/task")  # where Linux tells them


@dataclass(frozen=True, slots=True)
class Order:
    """One run. It dies right after call number `dies_after`, counted from 1; 0 before the first, None never.

    Its calls are written to `log`, each when it took effect. The budget is that of all runs of the work store.
    One that only plans ends before it sends anything; one that withdraws takes the published run out of the tables.
    """

    run_key: str
    source_uri: str
    output_uri: str
    work_uri: str
    log: str
    dies_after: int | None = None
    only_effects: bool = True
    budget_day_usd: str | None = None
    only_plans: bool = False
    withdraws: bool = False


@dataclass(frozen=True, slots=True)
class Ended:
    """What became of a run: the signal that it died of, else its exit code."""

    killed_by: int | None
    code: int | None


def obey(order: Order, services: Services) -> int:
    """Run to the end, unless the order is to die; the exit code."""
    log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)

    def strike(number: int, name: str) -> None:
        os.write(log, f"{name}\n".encode())
        if number == order.dies_after:
            os.kill(os.getpid(), signal.SIGKILL)

    if order.dies_after == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    if order.budget_day_usd is not None:
        budget = {"budget_day_usd": Decimal(order.budget_day_usd)}
        services = replace(services, settings=services.settings.model_copy(update=budget))
    asked = RunOrder(order.run_key, TODAY, order.source_uri, order.output_uri, order.work_uri)
    seam = Seam(strike, only_effects=order.only_effects)
    if order.withdraws:
        withdraw(behind(seam, services), f"{order.work_uri}/runs/{order.run_key}")
        return 0
    if order.only_plans:
        _plan_first_round(behind(seam, services), asked)
        return 0
    run_to_the_end(behind(seam, services), asked, Unseen(), Looped(services.settings.poll_seconds))
    return 0


def _plan_first_round(services: Services, asked: RunOrder) -> None:
    uri = start(services, asked)
    for shard in range(Run(services, uri).manifest.shards):
        prepare(services, uri, 0, shard)
    plan(services, uri, 0)


def main(lines: Iterable[str]) -> None:
    services = loaded(Stack(**orjson.loads(os.environ[STACK])))
    if THREADS.exists():
        assert len(list(THREADS.iterdir())) == 1, "a child would wait for ever for what another thread holds"
    print("ready", flush=True)  # noqa: T201 - how the process speaks
    for line in lines:
        child = os.fork()
        if child == 0:
            _end_with(Order(**orjson.loads(line)), services)
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        ended = Ended(os.WTERMSIG(status) if killed else None, None if killed else os.WEXITSTATUS(status))
        print(orjson.dumps(asdict(ended)).decode(), flush=True)  # noqa: T201 - how the process speaks


def loaded(stack: Stack) -> Services:
    """Services on a running stack, with vocabulary and prompts in memory."""
    settings = embedded_settings(load_settings(), stack)
    services = connect(settings, embedded_environment(stack))
    warm = behind(Seam(), services)
    warm.analyses(settings.analyses, settings.output_language)
    assert warm.counter.count("A word.") > 0
    return services


def _end_with(order: Order, services: Services) -> None:
    """The child's whole life. It ends without the parent's own ending."""
    code = 1
    try:
        code = obey(order, services)
    except BaseException as error:  # noqa: BLE001 - it is written down, and the code says so
        code = error.exit_code if isinstance(error, DocbatchError) else 1
        with suppress(OSError):
            Path(order.log).with_suffix(".error").write_text(traceback.format_exc(), "utf-8")
    os._exit(code)


if __name__ == "__main__":
    main(sys.stdin)

"""Work in a fresh process: its CPU seconds over all threads, and the most memory that it held."""

from __future__ import annotations

import re
import resource
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


def in_child(work: Callable[P, T], *args: P.args, **named: P.kwargs) -> T:
    """What `work` returns, called in a new process that ends with it."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(work, *args, **named).result()


def cpu_seconds(work: Callable[[], object]) -> float:
    """CPU time of all threads of this process while `work` ran."""
    started = time.process_time()
    work()
    return time.process_time() - started


def peak_bytes() -> int:
    """The most memory that this process has held. Linux's getrusage would count the parent's before exec, too."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+([0-9]+) kB", status.read_text())):
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024

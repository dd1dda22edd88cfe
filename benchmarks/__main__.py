"""`python -m benchmarks [NAME]...` prints the figures of README and docs/; without a name, all REPORTS."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

from rich.console import Console

from benchmarks import chunking, collect, forecast, formats, history, known, memory, million, prepare, waiting

REPORTS: dict[str, Callable[[Console], None]] = {
    "prepare": prepare.report,
    "collect": collect.report,
    "memory": memory.report,
    "million": million.report,
    "known": known.report,
    "forecast": forecast.report,
    "waiting": waiting.report,
    "formats": formats.report,
    "history": history.report,
    "chunking": lambda _console: chunking.main(),
}


def main(names: list[str]) -> int:
    console = Console(width=max(100, Console().width), highlight=False)
    unknown = [name for name in names if name not in REPORTS]
    if unknown:
        console.print(f"{unknown[0]}: there is no such benchmark; there are {', '.join(REPORTS)}")
        return 2
    today = dt.datetime.now(dt.UTC).date()
    versions = ", ".join(f"{name} {version(name)}" for name in ("jinja2", "orjson", "pyarrow", "obstore", "tiktoken"))
    console.print(f"docbatch {version('docbatch')}, {today}, Python {platform.python_version()}, {versions}")
    console.print(f"{_processor()}, {os.cpu_count()} cores, {platform.system()}")
    console.print("CPU time of all threads of a fresh process; compare ratios, which were taken in one run.\n")
    for name in names or REPORTS:
        started = time.monotonic()
        REPORTS[name](console)
        console.print(f"({name}: {time.monotonic() - started:.0f} s)\n")
    return 0


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", listed.read_text()) if listed.exists() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Specifications of charts to SVG, in a process that may die.

What measures texts aborts on some of them, and would take the run along.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import altair as alt

from pipeline.errors import RunError
from pipeline.reports.drawing import NAMES

PATIENCE_SECONDS = 120.0  # with all charts of a page, on a machine that has much else to do
_COLOUR = re.compile(r'"(#0102[0-9a-f]{2})"')
_SIZE = re.compile(r'<svg [^>]*?width="([\d.]+)" height="([\d.]+)"[^>]*>')
_COMMAND = [sys.executable, "-P", str(Path(__file__).with_name("painter.py"))]


def paint(specs: Sequence[Mapping[str, Any]]) -> list[str]:
    """The drawings, with the colours that the page's style sheet names. Raises RunError where they cannot be drawn."""
    if not specs:
        return []
    version = ".".join(alt.SCHEMA_VERSION.removeprefix("v").split(".")[:2])
    try:
        done = subprocess.run(  # noqa: S603 - our own module
            _COMMAND,
            input=json.dumps([version, specs]).encode(),
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RunError(
            f"charts: were not drawn within {PATIENCE_SECONDS:.0f} s; repeat it when there is less to do"
        ) from None
    if done.returncode:
        last = (done.stderr.decode("utf-8", "replace").strip().splitlines() or ["nothing was said"])[-1]
        raise RunError(f"charts: the process that draws them ended with {done.returncode} ({last[:200]})")
    return [_named(svg) for svg in json.loads(done.stdout)]


def _named(drawn: str) -> str:
    """Hidden from readers of the screen: its figure says what it shows."""
    size = 'aria-hidden="true" focusable="false" preserveAspectRatio="xMinYMin meet"'
    plain = _SIZE.sub(rf'<svg {size} viewBox="0 0 \1 \2">', drawn, count=1)
    return _COLOUR.sub(lambda found: f'"var(--{NAMES[found[1]]})"', plain)

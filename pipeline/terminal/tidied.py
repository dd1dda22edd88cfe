"""What was tidied, or would be, as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TextIO

from pipeline.loop import counted
from pipeline.terminal.console import console_on
from pipeline.tidying import Expired, Leftover, OldTexts, Orphan
from pipeline.tidying.orphans import Done

_UNITS = ("bytes", "KB", "MB", "GB")
_THOUSAND = 1_000


def print_tidied(
    orphans: Sequence[Orphan],
    runs: Sequence[Leftover],
    texts: OldTexts,
    expired: Expired,
    stream: TextIO,
    *,
    dry_run: bool,
) -> None:
    """A line for each job and run by its name, and what the texts and tables lost."""
    console = console_on(stream)
    lines = [*orphan_lines(orphans, dry_run=dry_run), *run_lines(runs, dry_run=dry_run)]
    for line in (*lines, *text_lines(texts, dry_run=dry_run), *snapshot_lines(expired, dry_run=dry_run)):
        console.print(line, soft_wrap=True)


def run_lines(runs: Sequence[Leftover], *, dry_run: bool) -> Iterator[str]:
    """What went, in all and by run, and what is old and stays."""
    going = [one for one in runs if one.kept_because is None]
    files, whole = sum(one.files for one in going), sum(one.size_bytes for one in going)
    of = f" of {counted(len(going), 'run')}" if going else ""
    yield f"{_done('Deleted', dry_run)} {counted(files, 'work file')}{of}, {shown_bytes(whole)}"
    for one in runs:
        was = "published" if one.published else "last touched"
        about = (
            f"  {one.run_key}: {was} {one.since:%Y-%m-%d}, {counted(one.files, 'file')}, {shown_bytes(one.size_bytes)}"
        )
        yield about + (f"; kept: {one.kept_because}" if one.kept_because else "")


def text_lines(texts: OldTexts, *, dry_run: bool) -> Iterator[str]:
    """How many kept texts went; nothing where none did."""
    if texts.files:
        yield f"{_done('Deleted', dry_run)} {counted(texts.files, 'kept text')}, {shown_bytes(texts.size_bytes)}"


def snapshot_lines(expired: Expired, *, dry_run: bool) -> Iterator[str]:
    """The runs that were written together, how many snapshots the tables lost, and the files that only those needed."""
    if expired.compacted:
        runs = ", ".join(f"{name} {count}" for name, count in expired.compacted.items())
        yield f"{_done('Compacted', dry_run)} the rows of small runs ({runs})"
    tables = [f"{name} {count}" for name, count in expired.snapshots.items() if count]
    files = "" if expired.files is None else f"; {counted(expired.files, 'file')} that no snapshot needs deleted"
    of = f" ({', '.join(tables)})" if tables else ""
    yield f"{_done('Expired', dry_run)} {counted(sum(expired.snapshots.values()), 'snapshot')}{of}{files}"


def orphan_lines(orphans: Sequence[Orphan], *, dry_run: bool) -> Iterator[str]:
    """Every job in flight that nobody waits for."""
    done = {Done.ADOPTED: _done("Adopted", dry_run), Done.STOPPED: _done("Stopped", dry_run), Done.LEFT: "Left running"}
    for one in orphans:
        advice = "; set DOCBATCH_STOP_ORPHANS to stop it" if one.done is Done.LEFT else ""
        yield f"{done[one.done]}: job {one.name} of run {one.run_key}, {one.arn}: {one.why}{advice}"
    if not orphans:
        yield "No job is in flight that no run waits for"


def shown_bytes(size: int) -> str:
    """`0 bytes`, `177.2 KB`."""
    amount, unit = float(size), 0
    while amount >= _THOUSAND and unit + 1 < len(_UNITS):
        amount, unit = amount / _THOUSAND, unit + 1
    return f"{amount:,.1f} {_UNITS[unit]}" if unit else f"{size} bytes"


def _done(word: str, dry_run: bool) -> str:
    return f"Would have {word.lower()}" if dry_run else word

"""The command that takes a published run out of the tables again."""

from __future__ import annotations

import shlex
import sys
from typing import Annotated

import typer

from pipeline.cli.connecting import AsJson, Output, connected, say, sending_nothing
from pipeline.cli.operating import RunKey, find_run
from pipeline.loop import counted
from pipeline.reports.writing import take_out_report
from pipeline.settings import load_settings
from pipeline.steps import RunSummary, work_uri_for
from pipeline.steps.status import Phase, phase_of
from pipeline.steps.summary import read_summary
from pipeline.steps.withdrawing import withdraw as take_out
from pipeline.storage.objects import absolute_uri
from pipeline.terminal import console


def withdraw(
    run_key: RunKey,
    output: Output = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask first")] = False,
    as_json: AsJson = False,
) -> None:
    """Take a published run out of all tables: readers see what they saw without it. `docbatch resume` undoes it."""
    settings = load_settings({"output": output})
    with connected(sending_nothing(settings), quiet=as_json) as services:
        work_uri = work_uri_for(services.settings, absolute_uri(settings.output))
        run = find_run(services, work_uri, run_key)
        asks = phase_of(run) is Phase.PUBLISHED and not (yes or as_json) and sys.stdin.isatty()
        if asks and not _agreed(_question(read_summary(run.store))):
            say(f"Nothing was changed: run {run_key} stays in the tables.")
            raise typer.Exit(1)
        found = take_out(services, run.store.uri())
        take_out_report(services, run.manifest.output_uri, run_key)
        summary = read_summary(run.store)
    if as_json:
        print(console.to_json(found))
        return
    files = sum(len(keys) for keys in found.set_aside.values())
    of = f" --output {shlex.quote(output)}" if output else ""
    print(f"Run {run_key}: withdrawn; no table has rows of it. {counted(files, 'file')} of rows set aside")
    print(f"Paid       {console.usd(summary.cost_usd)}, as before; `docbatch costs` no longer counts it")
    print("Next run   takes its documents for new or changed, and its answers as known: they are not paid again")
    print("           (with --force they are asked anew)")
    print(f"Bring back docbatch resume {run_key}{of}")


def _agreed(question: str) -> bool:
    """Only a yes is one; the end of input is a no, and Ctrl-C stays what it is."""
    try:
        return typer.confirm(question)
    except typer.Abort as error:
        say("")
        if isinstance(error.__context__, KeyboardInterrupt):
            raise KeyboardInterrupt from None
        return False


def _question(summary: RunSummary) -> str:
    came_to = f"{summary.results:,} results and {summary.failures:,} failures of {summary.documents:,} documents"
    return f"Take run {summary.run_key} of {summary.ended:%Y-%m-%d} ({came_to}) out of all tables?"

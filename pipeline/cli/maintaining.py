"""The command of whoever keeps work store and tables small: what the DAG `document_maintenance` does, once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipeline.cli.connecting import AsJson, Output, connected, sending_nothing
from pipeline.cli.operating import find_run
from pipeline.errors import SettingsError
from pipeline.loop import counted
from pipeline.settings import Settings, load_settings
from pipeline.steps import work_uri_for
from pipeline.storage.objects import absolute_uri
from pipeline.terminal.console import to_json
from pipeline.terminal.tidied import print_tidied
from pipeline.tidying import erase, expire_snapshots, settle_orphans, tidy_runs, tidy_texts

_ERASE = "Delete what this withdrawn run has left at once and for good: rows, texts, prompts, answers"


def tidy(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done")] = False,
    erase_run: Annotated[str | None, typer.Option("--erase", metavar="RUN", help=_ERASE)] = None,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Delete old working files and snapshots, write small runs together, and see to jobs that no run waits for.

    Tables and answers stay.
    """
    settings = load_settings({"output": output})
    output_uri = absolute_uri(settings.output)
    if erase_run is not None:
        if dry_run:
            raise SettingsError("--erase deletes at once, and has no --dry-run; docbatch withdraw can still be undone")
        _erase(settings, output_uri, erase_run, as_json=as_json)
        return
    with connected(sending_nothing(settings), quiet=as_json) as services:
        work_uri = work_uri_for(services.settings, output_uri)
        orphans = settle_orphans(services, work_uri, dry_run=dry_run)
        runs = tidy_runs(services, work_uri, dry_run=dry_run)
        texts = tidy_texts(services, work_uri, dry_run=dry_run)
        expired = expire_snapshots(services, output_uri, dry_run=dry_run)
    if as_json:
        print(to_json({"dry_run": dry_run, "orphans": orphans, "runs": runs, "texts": texts, "tables": expired}))
    else:
        print_tidied(orphans, runs, texts, expired, sys.stdout, dry_run=dry_run)


def _erase(settings: Settings, output_uri: str, run_key: str, *, as_json: bool) -> None:
    with connected(sending_nothing(settings), quiet=as_json) as services:
        run = find_run(services, work_uri_for(services.settings, output_uri), run_key)
        found = erase(services, run.store.uri())
    if as_json:
        print(to_json(found))
        return
    print(f"Run {run_key}: erased; it cannot be brought back, and what it asked would be paid again")
    print(f"Deleted    {counted(found.tables, 'file')} of tables, {counted(found.work, 'working file')}")
    print(f"           {counted(found.answers, 'list')} of answers, {counted(found.texts, 'kept text')} of all runs")

"""The command of whoever keeps work store and tables small: what the DAG `document_maintenance` does, once."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from pipeline.cli.connecting import AsJson, Output, connected, sending_nothing
from pipeline.settings import load_settings
from pipeline.steps import work_uri_for
from pipeline.storage.objects import absolute_uri
from pipeline.terminal.console import to_json
from pipeline.terminal.tidied import print_tidied
from pipeline.tidying import expire_snapshots, settle_orphans, tidy_runs, tidy_texts


def tidy(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done")] = False,
    output: Output = None,
    as_json: AsJson = False,
) -> None:
    """Delete old working files and snapshots, write small runs together, and see to jobs that no run waits for.

    Tables and answers stay.
    """
    settings = load_settings({"output": output})
    output_uri = absolute_uri(settings.output)
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

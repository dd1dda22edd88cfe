"""What each task of the DAG `document_maintenance` does: call one step, log what went, return the counts.

Imports of the pipeline stand inside the functions, so that parsing the DAG loads none of it.
"""

from __future__ import annotations

import logging
from typing import Any

log = logging.getLogger(__name__)
PARAMS = frozenset({"dry_run", "output"})


def see_to_orphans(params: dict[str, Any]) -> dict[str, int]:
    """Adopt jobs whose run had begun them, stop or report those that no run waits for; how many of each."""
    from pipeline.airflow.connecting import services
    from pipeline.terminal.tidied import orphan_lines
    from pipeline.tidying import settle_orphans
    from pipeline.tidying.orphans import Done

    found = settle_orphans(services(), _places(params)[1], dry_run=params["dry_run"])
    for line in orphan_lines(found, dry_run=params["dry_run"]):
        log.info("%s", line)
    return {str(done): sum(one.done is done for one in found) for done in Done}


def delete_work_files(params: dict[str, Any]) -> dict[str, int]:
    """Delete the working files of runs that were published long ago, and old texts; how many runs, files and bytes."""
    from pipeline.airflow.connecting import services
    from pipeline.terminal.tidied import run_lines, text_lines
    from pipeline.tidying import tidy_runs, tidy_texts

    dry_run: bool = params["dry_run"]
    found = tidy_runs(services(), _places(params)[1], dry_run=dry_run)
    texts = tidy_texts(services(), _places(params)[1], dry_run=dry_run)
    for line in (*run_lines(found, dry_run=dry_run), *text_lines(texts, dry_run=dry_run)):
        log.info("%s", line)
    gone = [one for one in found if one.kept_because is None]
    sizes = (sum(one.files for one in gone), sum(one.size_bytes for one in gone))
    return {
        "runs": len(gone),
        "files": sizes[0],
        "bytes": sizes[1],
        "kept_runs": len(found) - len(gone),
        "texts": texts.files,
    }


def expire_old_snapshots(params: dict[str, Any]) -> dict[str, int]:
    """Compact small runs, forget old snapshots of the tables, delete the files that only they needed; how many."""
    from pipeline.airflow.connecting import services
    from pipeline.terminal.tidied import snapshot_lines
    from pipeline.tidying import expire_snapshots

    found = expire_snapshots(services(), _places(params)[0], dry_run=params["dry_run"])
    for line in snapshot_lines(found, dry_run=params["dry_run"]):
        log.info("%s", line)
    counts = {"snapshots": sum(found.snapshots.values()), "files": found.files or 0}
    return counts | {"compacted_runs": max(found.compacted.values(), default=0)}


def _places(params: dict[str, Any]) -> tuple[str, str]:
    """The uris of output and work store. Raises SettingsError for a Param that there is not: it may be a dry run."""
    from pipeline.errors import SettingsError
    from pipeline.settings import load_settings
    from pipeline.steps import work_uri_for
    from pipeline.storage.objects import absolute_uri

    if unknown := sorted(params.keys() - PARAMS):
        raise SettingsError(f"Param {unknown[0]}: there is no such Param; allowed are {', '.join(sorted(PARAMS))}")
    settings = load_settings()
    output_uri = absolute_uri(params.get("output") or settings.output)
    return output_uri, work_uri_for(settings, output_uri)

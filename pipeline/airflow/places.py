"""Which run an Airflow context is about, and how it stands in the work store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pipeline.steps.status import RunStatus


def run_key_of(context: Any) -> str:
    """The key that the Param `run_key` names, or that Airflow's run id becomes."""
    from pipeline.manifest import derive_run_key

    params = context.get("params") or {}
    return derive_run_key(params.get("run_key") or context["run_id"])


def run_uri_of(context: Any) -> str:
    """Where the run keeps its state. Raises SettingsError."""
    from pipeline.manifest import run_folder
    from pipeline.settings import load_settings
    from pipeline.steps import work_uri_for
    from pipeline.storage.objects import absolute_uri

    settings, params = load_settings(), context.get("params") or {}
    output_uri = absolute_uri(params.get("output") or settings.output)
    return f"{work_uri_for(settings, output_uri)}/{run_folder(run_key_of(context))}"


def status_of(context: Any) -> RunStatus | None:
    """How the run stands, by its work store alone; None when it has not begun. Raises DocbatchError."""
    from pipeline.airflow.connecting import services
    from pipeline.errors import ObjectMissing
    from pipeline.steps.status import read_status

    try:
        return read_status(services(), run_uri_of(context), ask_bedrock=False)
    except ObjectMissing:
        return None


def is_first_to_tell(context: Any) -> bool:
    """Whether no other task of the run has told of its failure since somebody cleared tasks last.

    A run that has not begun has one task at a time; where the work store cannot be reached, all tell.
    """
    from pipeline.airflow.connecting import services
    from pipeline.errors import DocbatchError, ObjectExists
    from pipeline.manifest import MANIFEST, told_key

    try:
        store = services().open(run_uri_of(context))
        if store.exists(MANIFEST):
            store.write(told_key(context["dag_run"].clear_number), b"", create=True)
    except ObjectExists:
        return False
    except DocbatchError:
        return True
    return True

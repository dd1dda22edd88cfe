"""Which runs an open run still waits for: their files are not to be touched."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any

import orjson

from pipeline.errors import ObjectMissing
from pipeline.manifest import OPEN_RUNS, collected_key, plan_key, run_folder
from pipeline.steps.run import Services
from pipeline.storage.objects import ObjectStore


def awaited_runs(services: Services, work: ObjectStore) -> dict[str, str]:
    """The runs whose answers others are yet to collect: key -> an open run that does.

    Plans are read as they are, so that a run of another version counts as well.
    """
    found: dict[str, str] = {}
    for entry in work.list(OPEN_RUNS):
        run_key = entry.key.rpartition("/")[2]
        for awaited in _awaited_by(services.open(work.uri(run_folder(run_key)))):
            found.setdefault(awaited, run_key)
    return found


def _awaited_by(store: ObjectStore) -> Iterator[str]:
    for number in count():
        try:
            plan: dict[str, Any] = orjson.loads(store.read(plan_key(number)))
        except ObjectMissing:
            return
        for batch in plan["batches"]:
            if batch.get("awaits") and not store.exists(collected_key(number, batch["batch_key"])):
                yield batch["awaits"]["run_uri"].rpartition("/")[2]

"""A run without AWS: its stores in memory or in folders, and job output as Bedrock would have written it."""

from __future__ import annotations

import datetime as dt
import tempfile
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit
from zlib import crc32

import orjson
import pyarrow as pa
from obstore.store import MemoryStore

from pipeline.errors import ServiceRejected
from pipeline.manifest import job_key, output_folder
from pipeline.settings import Settings
from pipeline.steps import RunOrder, Services
from pipeline.steps.plan import read_plan
from pipeline.steps.run import Run
from pipeline.storage.folders import Folder
from pipeline.storage.objects import ObjectStore
from pipeline.tokens import TokenCounter, load_counter

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pipeline.domain import Batch

DAY = dt.date(2026, 11, 23)
JOB_ID = "abcdefghij12"
ANSWERS = {
    '{"category": "': ['news"}', 'review"}', 'support"}', 'contract"}'],
    '{"sentiment": "': ['mixed", "score": 0.1}', 'neutral", "score": 0.0}', 'negative", "score": -0.7}'],
    '{"summary": "': [f'Report {n} on a bridge.", "key_points": ["It is {n} m long."]}}' for n in range(50)],
}


@dataclass
class Stores:
    """Opens file: uris as folders, made where they are missing; every other uri is one store in memory."""

    opened: dict[str, ObjectStore] = field(default_factory=dict)

    def open(self, uri: str, *, make: bool = False) -> ObjectStore:  # noqa: ARG002 - an Opener; always made here
        if uri not in self.opened:
            local = uri.startswith("file:")
            self.opened[uri] = ObjectStore(cast("Any", Disk(uri)), uri) if local else ObjectStore.in_memory(uri)
        return self.opened[uri]


class Disk:
    """A folder with leases, which no folder can hold: one process at a time works here, so they lie in its memory."""

    def __init__(self, uri: str) -> None:
        path = Path(unquote(urlsplit(uri).path))
        path.mkdir(parents=True, exist_ok=True)
        self._folder, self._leases = Folder(path), MemoryStore()
        self.list, self.list_with_delimiter = self._folder.list, self._folder.list_with_delimiter

    def get(self, key: str) -> Any:
        return self._place(key).get(key)

    def head(self, key: str) -> Any:
        return self._place(key).head(key)

    def put(self, key: str, content: Any, **how: Any) -> Any:
        return self._place(key).put(key, content, **how)

    def delete(self, key: str) -> None:
        self._place(key).delete(key)

    def _place(self, key: str) -> Any:
        return self._leases if key.endswith(".lease") else self._folder


class TiktokenServices(Services):
    """Services whose counter is the one that every installation has."""

    @cached_property
    def counter(self) -> TokenCounter:
        return load_counter(fast=False)


def services_on(stores: Stores, analyses: tuple[str, ...]) -> Services:
    def refuse() -> Any:
        raise ServiceRejected("there is no Bedrock in a benchmark")

    return TiktokenServices(Settings(analyses=analyses), stores.open, "role", refuse, refuse)


def warm_up(services: Services) -> None:
    """Load what a process loads once: vocabulary, prompts, and pandas, which pyarrow imports where it is installed."""
    _ = services.counter
    services.analyses(services.settings.analyses, services.settings.output_language)
    pa.array([])


def order_from(source_uri: str, work_uri: str, output_folder: str) -> RunOrder:
    """The tables lie in a real folder: a catalog cannot be kept in memory."""
    return RunOrder("bench", DAY, source_uri, Path(output_folder).as_uri(), work_uri)


def answer_round(run: Run, round_number: int = 0, *, forget_input: bool = False) -> None:
    """Every batch of the round as an ended job: a valid answer for each record, and the job's totals.

    With `forget_input`, each input file goes once it is answered.
    """
    for batch in read_plan(run, round_number).batches:
        kept = {"arn": f"arn:aws:bedrock:us-west-2:123456789012:model-invocation-job/{JOB_ID}", "name": "bench"}
        run.store.write(job_key(round_number, batch.batch_key), orjson.dumps(kept))
        lines = _Lines(run, batch)
        folder = f"{output_folder(round_number, batch.batch_key)}/{JOB_ID}"
        with tempfile.TemporaryFile() as spool:
            spool.writelines(lines)
            spool.seek(0)
            run.store.write(f"{folder}/{batch.batch_key}.jsonl.out", spool)
        run.store.write(f"{folder}/manifest.json.out", orjson.dumps(lines.totals()))
        if forget_input:
            run.store.delete(run.store.key(batch.input_uri))


@dataclass
class _Lines:
    """The output lines of a batch; their tokens are known once all were read."""

    run: Run
    batch: Batch
    input_tokens: int = 0
    output_tokens: int = 0

    def __iter__(self) -> Iterator[bytes]:
        for line in self.run.store.lines(self.run.store.key(self.batch.input_uri)):
            record = orjson.loads(line)
            prompt = record["modelInput"]["prompt"]
            begun = next(begun for begun in ANSWERS if prompt.endswith(begun))
            generation = ANSWERS[begun][crc32(prompt.encode()) % len(ANSWERS[begun])]
            tokens = {"prompt_token_count": len(prompt) // 4, "generation_token_count": len(generation) // 4}
            self.input_tokens += tokens["prompt_token_count"]
            self.output_tokens += tokens["generation_token_count"]
            output = {"generation": generation, **tokens, "stop_reason": "stop"}
            yield orjson.dumps(record | {"modelOutput": output}, option=orjson.OPT_APPEND_NEWLINE)

    def totals(self) -> dict[str, int]:
        return {
            "totalRecordCount": self.batch.records,
            "successRecordCount": self.batch.records,
            "errorRecordCount": 0,
            "inputTokenCount": self.input_tokens,
            "outputTokenCount": self.output_tokens,
        }

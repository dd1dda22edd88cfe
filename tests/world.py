"""A whole run in one process: memory for S3, the in-process Bedrock for Bedrock, a folder for the documents."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pytest
from obstore.store import MemoryStore

from pipeline.analyses import shipped_prompts
from pipeline.bedrock.client import BotoBatchClient, BotoOnDemandClient
from pipeline.catalog.reading import read_table
from pipeline.local.engine import Engine
from pipeline.local.inprocess import InProcessBedrock
from pipeline.local.objects import Objects
from pipeline.local.vocabulary import LlamaVocabulary
from pipeline.local.work import Rules
from pipeline.loop import Looped, Watch, run_to_the_end
from pipeline.settings import Settings
from pipeline.steps import RunOrder, RunSummary, Services
from pipeline.steps.run import Run
from pipeline.storage.folders import Folder
from pipeline.storage.objects import ObjectStore, S3Access, absolute_uri, open_store
from pipeline.tokens import load_counter
from tests.stand_ins import Broken, Canned, Prefixed, Shared, Unseen, Wire, Writing

__all__ = [
    "ANALYSES",
    "BUCKET",
    "FIXED",
    "NOW",
    "ROLE",
    "TODAY",
    "WORK_URI",
    "Broken",
    "Canned",
    "Shared",
    "Unseen",
    "World",
    "make_world",
    "world",
]

BUCKET = "bucket"
WORK_URI = f"s3://{BUCKET}/work"
ROLE = "arn:aws:iam::123456789012:role/batch"
TODAY = dt.date(2026, 11, 23)
NOW = dt.datetime(2026, 11, 23, 2, 0, tzinfo=dt.UTC)
FIXED = ("documents", "ledger", "failures", "runs")
ANALYSES = ("classification", "sentiment", "summarization")


class World:
    """A source folder, an output folder, a bucket, a Bedrock, and the services that reach them."""

    def __init__(self, folder: Path, engine: Engine | None = None, least: int = 4, **settings: Any) -> None:
        self.folder = folder
        self.source, self.output = folder / "documents", folder / "output"
        self.source.mkdir(parents=True, exist_ok=True)
        self.bucket = MemoryStore()
        self.engine = engine or Canned()
        objects = Objects(lambda _name: self.bucket)
        rules = Rules(minimum_records=least, state_seconds=0.0)
        self.bedrock = InProcessBedrock(
            self.engine, folder / "scratch", objects, LlamaVocabulary(load_counter(fast=False)), rules
        )
        self.wire = Wire(self.bedrock)
        self.now = NOW
        self.engine_name: str | None = None
        self.on_write: Callable[[str], None] = lambda _key: None
        self.on_publish: Callable[[str], None] = lambda _what: None
        self.settings = Settings(**{"min_records_per_job": least, "retry_seconds": 0.0, **settings})

    def with_settings(self, **changed: Any) -> None:
        self.settings = Settings(**{**self.settings.model_dump(), **changed})

    @property
    def services(self) -> Services:
        return Shared(
            self.settings,
            self._open,
            ROLE,
            lambda: BotoBatchClient(cast("Any", self.wire), self.settings.retry_seconds),
            lambda: BotoOnDemandClient(cast("Any", self.wire), self.settings.retry_seconds),
            self._tick,
            engine=self.engine_name,
            seen=lambda what: self.on_publish(what),
        )

    def _tick(self) -> dt.datetime:
        """Time goes on by a second whenever somebody looks."""
        self.now += dt.timedelta(seconds=1)
        return self.now

    def _open(self, uri: str, *, make: bool = False) -> ObjectStore:
        if not uri.startswith("s3://"):
            open_store(uri, S3Access("us-west-2"), make=make)
            folder = Folder(Path(unquote(urlsplit(uri).path)))
            return Writing(
                folder,
                uri,
                lambda key: self.on_publish(f"before the writing of {key}"),
                lambda key: self.on_publish(f"before the deletion of {key}"),
            )
        prefix = uri.removeprefix(f"s3://{BUCKET}").strip("/")
        return Writing(Prefixed(self.bucket, prefix), uri, lambda key: self.on_write(key))

    def put(self, name: str, text: str | bytes) -> str:
        """A document; its uri."""
        path = self.source / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path.absolute().as_uri()

    def put_many(self, count: int) -> None:
        for number in range(count):
            self.put(f"{number:03d}.txt", f"Document number {number} of {count}.")

    def own_prompts(self, analysis: str, **lines: object) -> Path:
        """A copy of the shipped prompts as the run's own, with lines put at the top of one declaration."""
        prompts = self.folder / "prompts"
        if not prompts.exists():
            shutil.copytree(shipped_prompts(), prompts)
        path = prompts / analysis / "analysis.toml"
        added = "".join(f"{name} = {value}\n" for name, value in lines.items())
        path.write_text(added + path.read_text("utf-8"), "utf-8")
        self.with_settings(prompts=prompts)
        return prompts

    def order(self, key: str = "night", day: dt.date = TODAY, *, force: bool = False) -> RunOrder:
        source, output = absolute_uri(str(self.source)), absolute_uri(str(self.output))
        return RunOrder(key, day, source, output, WORK_URI, force)

    def run(
        self, key: str = "night", watch: Watch | None = None, day: dt.date = TODAY, *, force: bool = False
    ) -> RunSummary:
        pace = Looped(1.0, sleep=lambda _seconds: None)
        return run_to_the_end(self.services, self.order(key, day, force=force), watch or Unseen(), pace)

    def break_off(self, do: Callable[[], object], moment: int) -> str:
        """Whoever does that is killed at the moment (from 0) of those that `on_publish` sees; what was said of it."""
        left = iter(range(moment, -1, -1))

        def count_down(what: str) -> None:
            if next(left) == 0:
                raise Broken(what)

        self.on_publish = count_down
        with pytest.raises(Broken) as broken:
            do()
        self.on_publish = lambda _what: None
        return str(broken.value)

    def state(self, key: str = "night") -> Run:
        return Run(self.services, f"{WORK_URI}/runs/{key}")

    def table(self, name: str, key: str | None = "night") -> pa.Table:
        """The rows of one run, or of all."""
        with self.services.catalog(absolute_uri(str(self.output))) as catalog:
            return read_table(catalog, name, key)

    def rows(self, name: str, key: str | None = "night") -> list[dict[str, Any]]:
        return self.table(name, key).to_pylist()

    def files(self) -> dict[str, bytes]:
        """Every published file of rows by its path below the output; those of the catalog hold random ids."""
        paths = sorted(path for path in (self.output / "tables").rglob("*") if path.is_file())
        return {str(path.relative_to(self.output)): path.read_bytes() for path in paths}

    def outputs(self, key: str = "night") -> list[str]:
        """The keys of every output file of a run, in the bucket."""
        entries = [entry["path"] for page in self.bucket.list(f"work/runs/{key}") for entry in page]
        return [path for path in entries if path.endswith(".jsonl.out")]

    def rewrite(self, change: Callable[[list[bytes]], list[bytes]], key: str = "night") -> None:
        """Every output file with its lines (without line ends) changed."""
        for path in self.outputs(key):
            lines = bytes(self.bucket.get(path).bytes()).splitlines()
            self.bucket.put(path, b"\n".join(change(lines)) + b"\n")


@pytest.fixture
def world(tmp_path: Path) -> World:
    """An empty world whose jobs need four records."""
    return World(tmp_path / "a world")


@pytest.fixture
def make_world(tmp_path: Path) -> Callable[..., World]:
    """Makes worlds, each in a folder of its own (or in the folder that is named)."""
    made = 0

    def make(*, folder: str = "", **how: Any) -> World:
        nonlocal made
        made += 1
        return World(tmp_path / (folder or f"world {made}"), **how)

    return make

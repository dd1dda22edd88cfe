"""What stands in for the world outside in a run of the tests, and what watches or breaks it off."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar
from zlib import crc32

from obstore.store import MemoryStore

from pipeline.analyses import Analysis
from pipeline.catalog import Catalog
from pipeline.local.inprocess import InProcessBedrock
from pipeline.loop import Step
from pipeline.steps import Services
from pipeline.steps.progress import Progress
from pipeline.storage.objects import ObjectStore
from pipeline.tokens import TokenCounter, load_counter

BEGUN = {
    "classification": '{"category": "',
    "sentiment": '{"sentiment": "',
    "summarization": '{"summary": "',
}
_BEGUN_FUSED = re.compile(r'\{"\w+": \{"\w+": "$')
_FUSED_NAME = re.compile(r"^## (\w+)$", re.MULTILINE)
LABELS = ("review", "support", "news", "contract", "minutes", "other")


class Broken(Exception):
    """What a test raises to break a run off; no error of the project."""


@dataclass
class Canned:
    """An engine that answers at once, from a checksum of the prompt; `script` may answer first.

    `script` gets the prompt and how often this very prompt was asked before; None leaves the answer to the engine.
    """

    script: Callable[[str, int], str | None] = lambda _prompt, _before: None
    name: str = "canned"
    asked: dict[str, int] = field(default_factory=dict)

    def complete(self, prompt: str, *_parameters: float) -> str:
        before = self.asked.get(prompt, 0)
        self.asked[prompt] = before + 1
        scripted = self.script(prompt, before)
        return good_answer(prompt) if scripted is None else scripted


def good_answer(prompt: str) -> str:
    """What follows a prompt of the shipped analyses, fused ones too; another prompt, another answer."""
    number = crc32(prompt.encode())
    if begun := _BEGUN_FUSED.search(prompt):
        alone = [f"{name}\n\n{BEGUN[name]}" for name in _FUSED_NAME.findall(prompt)]
        parts = [f'"{one.partition(chr(10))[0]}": {one.rpartition(chr(10))[2]}{good_answer(one)}' for one in alone]
        return ("{" + ", ".join(parts) + "}").removeprefix(begun[0])
    if prompt.endswith('{"category": "'):
        return LABELS[number % len(LABELS)] + '"}'
    if prompt.endswith('{"sentiment": "'):
        return f'mixed", "score": {number % 200 / 100 - 1}}}'
    return f'Summary {number}.", "key_points": ["Point {number % 7}."]}}'


class Prefixed:
    """The part of a vendor store that lies below a prefix."""

    def __init__(self, store: MemoryStore, prefix: str) -> None:
        self._store, self._prefix = store, prefix + "/" if prefix else ""

    def list(self, prefix: str | None) -> Iterator[list[dict[str, Any]]]:
        below = (self._prefix + (prefix or "")).rstrip("/")
        for page in self._store.list(below or None):
            yield [{**entry, "path": entry["path"].removeprefix(self._prefix)} for entry in page]

    def list_with_delimiter(self, prefix: str) -> Any:
        found = self._store.list_with_delimiter(self._prefix + prefix)
        return {"common_prefixes": [one.removeprefix(self._prefix) for one in found["common_prefixes"]]}

    def delete(self, keys: str | Sequence[str]) -> Any:
        named = [keys] if isinstance(keys, str) else keys
        return self._store.delete([self._prefix + key for key in named])

    def get(self, key: str) -> Any:
        return self._store.get(self._prefix + key)

    def head(self, key: str) -> Any:
        return self._store.head(self._prefix + key)

    def put(self, key: str, content: Any, **how: Any) -> Any:
        return self._store.put(self._prefix + key, content, **how)


@dataclass
class Wire:
    """The in-process Bedrock with its calls counted; `fail` may raise before or after a call of the given name."""

    bedrock: InProcessBedrock
    calls: list[str] = field(default_factory=list)
    before: Callable[[str, int], None] = lambda _name, _count: None
    after: Callable[[str, int], None] = lambda _name, _count: None

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.bedrock, name)

        def call(**request: Any) -> Any:
            self.calls.append(name)
            self.before(name, self.count(name))
            answer = method(**request)
            self.after(name, self.count(name))
            return answer

        return call

    def count(self, name: str) -> int:
        return self.calls.count(name)

    @property
    def created(self) -> int:
        return self.count("create_model_invocation_job")

    @property
    def invoked(self) -> int:
        return self.count("invoke_model")


class Writing(ObjectStore):
    """A store that tells `seen` of every key before it is written, and `going` before it is deleted."""

    def __init__(
        self, vendor: Any, uri: str, seen: Callable[[str], None], going: Callable[[str], None] = lambda _key: None
    ) -> None:
        super().__init__(vendor, uri)
        self._seen, self._going = seen, going

    def write(self, key: str, content: Any, *, create: bool = False) -> None:
        self._seen(key)
        super().write(key, content, create=create)

    def delete(self, key: str) -> None:
        self._going(key)
        super().delete(key)


@dataclass(frozen=True)
class Watched(Catalog):
    """A catalog that tells `seen` of every commit, before and after it."""

    seen: Callable[[str], None] = lambda _what: None

    def commit(self, table: str, *what: Any) -> bool:
        self.seen(f"before the commit of {table}")
        changed = super().commit(table, *what)
        self.seen(f"after the commit of {table}")
        return changed

    def withdraw(self, table: str, run_key: str) -> bool:
        self.seen(f"before the withdrawal from {table}")
        changed = super().withdraw(table, run_key)
        self.seen(f"after the withdrawal from {table}")
        return changed


@dataclass(frozen=True)
class Shared(Services):
    """Services that load the vocabulary once, and prompts once for the same files: a run has a dozen steps."""

    seen: Callable[[str], None] = lambda _what: None
    _loaded: ClassVar[dict[object, dict[str, Analysis]]] = {}

    @cached_property
    def counter(self) -> TokenCounter:
        return load_counter(fast=False)

    def analyses(self, names: tuple[str, ...], output_language: str) -> dict[str, Analysis]:
        files = sorted(path for path in self.prompts.rglob("*") if path.is_file())
        contents = tuple((str(path.relative_to(self.prompts)), path.read_bytes()) for path in files)
        key = (names, output_language, contents)
        if key not in self._loaded:
            self._loaded[key] = super().analyses(names, output_language)
        return self._loaded[key]

    @contextmanager
    def catalog(self, output_uri: str, *, make: bool = False) -> Iterator[Catalog]:
        with super().catalog(output_uri, make=make) as found:
            yield Watched(found.vendor, found.namespace, found.place, found.clock, seen=self.seen)


class Unseen:
    """A watch that shows nothing; it may break off at the n-th step, or do something when the named step begins."""

    def __init__(self, break_at: int | None = None, at: Mapping[str, Callable[[], object]] | None = None) -> None:
        self.names: list[str] = []
        self.notes: list[str] = []
        self._break_at = break_at
        self._at = at or {}

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        if len(self.names) == self._break_at:
            raise Broken(name)
        self.names.append(name)
        self._at.get(name, lambda: None)()
        yield self

    def advance(self, done: int, total: int) -> None:
        assert done <= total

    def read(self, progress: Progress) -> None:
        assert progress.done.documents <= progress.total.documents

    def note(self, text: str) -> None:
        self.notes.append(text)

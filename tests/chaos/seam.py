"""The seam between a run and the world outside: every call through it is counted, and may be the run's last."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from functools import cache
from typing import Any, BinaryIO, TypeVar

from pyiceberg.table import Table

from pipeline.catalog.commits import Catalog
from pipeline.steps import Services
from pipeline.storage.objects import Listed, ObjectStore
from tests.world import Shared

T = TypeVar("T")
Strike = Callable[[int, str], None]
"""Called with a call's number, counted from 1, and its name."""

BEDROCK_CALLS = {"start", "find", "describe", "in_flight", "unended", "stop", "invoke"}
CATALOG_CALLS = {"create_namespace_if_not_exists", "commit_table", "load_table", "list_tables"}
WRITES = ("write ", "create ", "replace ", "delete ", "catalog commit", "catalog about", "catalog create", "bedrock ")


class Killed(SystemExit):
    """The end of a process that is only played: nothing that it does afterwards reaches the world.

    As SystemExit, it ends a thread without a word, as a process that dies does.
    """


def spare(_number: int, _name: str) -> None:
    """A strike that does nothing."""


class Seam:
    """Counts calls from any number of threads. `after` strikes when a call took effect and its caller does not know it.

    A strike that raises Killed ends the process that is played: no later call reaches the world. With `only_effects`,
    calls that change nothing are not counted: to die after one is to die after the last that changed something.
    """

    def __init__(self, after: Strike = spare, before: Strike = spare, *, only_effects: bool = False) -> None:
        self.names: list[str] = []
        self._after, self._before, self._only_effects = after, before, only_effects
        self._lock = threading.Lock()
        self._dead = False

    @property
    def dead(self) -> bool:
        return self._dead

    def call(self, name: str, act: Callable[[], T]) -> T:
        """The call's answer, unless the run dies of it. Raises Killed."""
        if self._only_effects and not name.startswith(WRITES):
            return self._last_breath(name, act)
        with self._lock:
            self.names.append(name)
            number = len(self.names)
        try:
            self._struck(self._before, number, name)
            return self._last_breath(name, act)
        finally:
            self._struck(self._after, number, name)

    def _last_breath(self, name: str, act: Callable[[], T]) -> T:
        if self._dead:
            raise Killed(name)
        return act()

    def _struck(self, strike: Strike, number: int, name: str) -> None:
        if self._dead:
            raise Killed(name)
        try:
            strike(number, name)
        except Killed:
            self._dead = True
            raise


def dying_at(number: int, *, only_effects: bool = False) -> Seam:
    """A seam at which the played process dies once call `number` has taken effect."""

    def strike(reached: int, name: str) -> None:
        if reached == number:
            raise Killed(name)

    return Seam(strike, only_effects=only_effects)


class SeamStore(ObjectStore):
    """A store whose every call passes the seam; `uri`, `key` and `lines` are those of the store."""

    def __init__(self, store: ObjectStore, seam: Seam) -> None:
        super().__init__(store._store, store.uri())
        self._inner, self._seam = store, seam

    def folders(self, prefix: str) -> list[str]:
        return self._seam.call(f"folders {self.uri(prefix)}", lambda: self._inner.folders(prefix))

    def list(self, prefix: str = "") -> Iterator[Listed]:
        yield from self._seam.call(f"list {self.uri(prefix)}", lambda: iter([*self._inner.list(prefix)]))

    def read(self, key: str) -> bytes:
        return self._seam.call(f"read {self.uri(key)}", lambda: self._inner.read(key))

    def stream(self, key: str) -> Iterator[bytes]:
        yield from self._seam.call(f"read {self.uri(key)}", lambda: iter([*self._inner.stream(key)]))

    def read_version(self, key: str) -> tuple[bytes, str]:
        return self._seam.call(f"read {self.uri(key)}", lambda: self._inner.read_version(key))

    def exists(self, key: str) -> bool:
        return self._seam.call(f"exists {self.uri(key)}", lambda: self._inner.exists(key))

    def write(self, key: str, content: bytes | BinaryIO, *, create: bool = False) -> None:
        self._seam.call(
            f"{'create' if create else 'write'} {self.uri(key)}", lambda: self._inner.write(key, content, create=create)
        )

    def replace(self, key: str, content: bytes, etag: str) -> str:
        return self._seam.call(f"replace {self.uri(key)}", lambda: self._inner.replace(key, content, etag))

    def delete(self, key: str) -> None:
        self._seam.call(f"delete {self.uri(key)}", lambda: self._inner.delete(key))

    def delete_all(self, keys: Sequence[str]) -> None:
        self._seam.call(f"delete {len(keys)} of {self.uri()}", lambda: self._inner.delete_all(keys))


class SeamClient:
    """A client of Bedrock whose every call passes the seam."""

    def __init__(self, client: Any, seam: Seam) -> None:
        self._client, self._seam = client, seam

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._client, name)
        if name not in BEDROCK_CALLS:
            return method
        return lambda *given: self._seam.call(f"bedrock {name}", lambda: method(*given))


class SeamCatalog:
    """The vendor's catalog whose calls pass the seam; before a commit, its files lie there already."""

    def __init__(self, vendor: Any, seam: Seam) -> None:
        self._vendor, self._seam = vendor, seam

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._vendor, name)
        if name not in CATALOG_CALLS:
            return method

        def call(*given: Any, **named: Any) -> Any:
            if name == "commit_table":
                self._seam.call("catalog about to commit", lambda: None)
            return self._seam.call(f"catalog {name}", lambda: self._mine(method(*given, **named)))

        return call

    def _mine(self, answer: Any) -> Any:
        """A table commits to the catalog that it came from: to this one."""
        if isinstance(answer, Table):
            answer.catalog = self  # type: ignore[assignment] # it has every method that a table calls
        return answer


@dataclass(frozen=True)
class SeamServices(Shared):
    """Services of which all that is outside the process lies behind the seam."""

    seam: Seam = field(default_factory=Seam)

    @contextmanager
    def catalog(self, output_uri: str, *, make: bool = False) -> Iterator[Catalog]:
        with super().catalog(output_uri, make=make) as found:
            vendor: Any = SeamCatalog(found.vendor, self.seam)
            yield replace(found, vendor=vendor)


def behind(seam: Seam, services: Services) -> SeamServices:
    """The services, each call to the world through the seam."""
    given = {one.name: getattr(services, one.name) for one in fields(services)}

    def opened(uri: str, *, make: bool = False) -> ObjectStore:
        return SeamStore(services.open(uri, make=make), seam)

    given |= {
        "open": opened,
        "batch_client": cache(lambda: SeamClient(services.batch_client(), seam)),
        "on_demand_client": cache(lambda: SeamClient(services.on_demand_client(), seam)),
    }
    return SeamServices(**given, seam=seam)

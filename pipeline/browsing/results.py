"""The results of one output as the pages see them: an index that keeps up with what is published, and the labels."""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.analyses import Analysis, load_analysis
from pipeline.browsing.gold import Label, add_label, holding, read_more
from pipeline.browsing.index import Index, build
from pipeline.catalog.reading import committed_runs
from pipeline.declared import declared
from pipeline.errors import DeclarationError, ObjectMissing, SettingsError, StorageError
from pipeline.schemas import GOLD_TABLE
from pipeline.steps import Services

if TYPE_CHECKING:
    from pipeline.catalog import Catalog

LOOK_SECONDS = 5.0  # between two looks at what is published
BUILD_ATTEMPTS = 3
# A commit copies what the table knows of every snapshot, so that the thousandth label would take seconds.
FORGET_AFTER_LABELS = 50
FORGET_OLDER = dt.timedelta(minutes=1)


class Results:
    """Answers and labels of an output. Any number of threads may use it at the same time."""

    def __init__(
        self,
        services: Services,
        output_uri: str,
        folder: Path,
        monotonic: Callable[[], float] = time.monotonic,
        forget_after: int = FORGET_AFTER_LABELS,
    ) -> None:
        self.services, self.output_uri = services, output_uri
        self._folder, self._monotonic = folder, monotonic
        self._forget_after, self._stored = forget_after, 0
        self._lock = threading.Lock()
        self._index: Index | None = None
        self._runs: tuple[str, ...] = ()
        self._label_files: frozenset[str] = frozenset()
        self._looked = 0.0
        self._folders: list[Path] = []
        self.labels: dict[tuple[str, str, str], Label] = {}

    @cached_property
    def analyses(self) -> dict[str, Analysis]:
        """The declared analyses that can be loaded: labels and schemas of the others are not known."""
        found = {}
        root = self.services.prompts
        with suppress(SettingsError, DeclarationError):
            for name in declared(root):
                with suppress(DeclarationError):
                    found[name] = load_analysis(root, name, output_language=self.services.settings.output_language)
        return found

    def index(self) -> Index:
        """What is published now, as of the last five seconds."""
        with self._lock:
            now = self._monotonic()
            if self._index is None or now - self._looked >= LOOK_SECONDS:
                self._look()
                self._looked = now
            assert self._index is not None
            return self._index

    def mark(self, label: Label, instead_of: str | None = None) -> Label | None:
        """Store a label, and show it from now on. Raises StorageError.

        `instead_of` is the mark_id of the label that was seen, empty for none: where another holds by now, whoever
        stored it, that one is returned, and nothing stored. The same said again is that label already.
        """
        self.index()
        output = self.services.open(self.output_uri)
        with self._lock, self.services.catalog(self.output_uri) as catalog:
            self._look_at_labels(catalog)  # the last look is seconds old, and others mark, too
            holds = self.labels.get(label.about)
            if instead_of is not None and holds is not None and holds.mark_id != instead_of:
                return None if holds.says_as(label) else holds
            if holds is not None and holds.marked >= label.marked:  # by another machine's clock, and it was seen
                label = replace(label, marked=holds.marked + dt.timedelta(microseconds=1))
            add_label(catalog, output, label)
            self._note([label])
            self._stored += 1
            if self._stored % self._forget_after == 0:
                with suppress(StorageError):  # the label is stored; the next time will do
                    catalog.expire(GOLD_TABLE, label.marked - FORGET_OLDER)
        return None

    def catalog(self) -> AbstractContextManager[Catalog]:
        return self.services.catalog(self.output_uri)

    def _look(self) -> None:
        with self.services.catalog(self.output_uri) as catalog:
            if self._index is None or tuple(committed_runs(catalog)) != self._runs:
                self._index, self._runs = self._built(catalog)
                self._index.mark(self.labels.values())
            self._look_at_labels(catalog)

    def _built(self, catalog: Catalog) -> tuple[Index, tuple[str, ...]]:
        """An index, and the runs that it was made of. The files of one that is withdrawn meanwhile are gone: again."""
        properties = {name: one.declaration.label_property for name, one in self.analyses.items()}
        attempt = 1
        while True:
            runs, file = tuple(committed_runs(catalog)), self._new_folder() / "index.duckdb"
            try:
                build(catalog, file, properties)
            except StorageError:
                if attempt == BUILD_ATTEMPTS:
                    raise
                attempt += 1
            else:
                return Index(file), runs

    def _look_at_labels(self, catalog: Catalog) -> None:
        self._label_files, labels = read_more(catalog, self._label_files)
        self._note(labels)

    def _note(self, labels: list[Label]) -> None:
        assert self._index is not None
        newest = holding(sorted([*self.labels.values(), *labels], key=lambda label: label.marked))
        changed = [label for about, label in newest.items() if self.labels.get(about) != label]
        self.labels = newest
        self._index.mark(changed)

    def _new_folder(self) -> Path:
        """Searches may still go on in the one before; what is older goes."""
        for old in self._folders[:-1]:
            shutil.rmtree(old, ignore_errors=True)
        self._folders = [*self._folders[-1:], Path(tempfile.mkdtemp(dir=self._folder))]
        return self._folders[-1]

    def refuse_unpublished(self) -> None:
        """Raises ObjectMissing where there is nothing to look at."""
        if not self.index().choices.runs:
            raise ObjectMissing(f"{self.output_uri}: nothing is published there; first: docbatch run")

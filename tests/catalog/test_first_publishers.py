"""Two runs that are the first to an output make its catalog at the same moment; neither is refused for it."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

from pipeline.catalog import open_catalog
from pipeline.schemas import table_schemas
from pipeline.settings import Settings
from pipeline.storage.objects import S3Access


class Overtaken:
    """A vendor's catalog that is overtaken by another process between its look for the namespace and its making."""

    def __init__(self, vendor: Any, other: Any) -> None:
        self._vendor, self._other = vendor, other

    def __getattr__(self, name: str) -> Any:
        return getattr(self._vendor, name)

    def create_namespace_if_not_exists(self, namespace: str) -> None:
        """What SqlCatalog does, with the other's making in the middle of it."""
        looks = self._vendor.namespace_exists

        def look(name: str) -> bool:
            found: bool = looks(name)
            self._other.create_namespace(name)
            return found

        self._vendor.namespace_exists = look
        try:
            self._vendor.create_namespace_if_not_exists(namespace)
        finally:
            self._vendor.namespace_exists = looks


def test_a_namespace_that_another_made_meanwhile_is_as_good(tmp_path: Path) -> None:
    """The database refuses the second making; the tables are made in what the first one made."""
    opened = [
        open_catalog(Settings(), (tmp_path / "output").as_uri(), S3Access("us-west-2"), _now, make=True)
        for _ in range(2)
    ]
    vendor: Any = Overtaken(opened[0].vendor, opened[1].vendor)
    late = replace(opened[0], vendor=vendor)
    late.prepare(table_schemas({}))
    assert opened[1].tables() == sorted(table_schemas({}))
    for one in opened:
        one.close()


def _now() -> dt.datetime:
    return dt.datetime(2026, 11, 23, tzinfo=dt.UTC)

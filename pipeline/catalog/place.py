"""Where an output's files lie: their keys, and the places by which Iceberg's metadata names them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from urllib.parse import unquote_to_bytes, urlsplit

from pipeline.errors import SettingsError

OWN_DATABASE = "catalog/catalog.db"  # of the SQLite catalog that lies in an output itself


@dataclass(frozen=True, slots=True)
class Place:
    """Where an output lies: as our uri, and as Iceberg's metadata names it (local: the plain path, never encoded)."""

    uri: str

    @property
    def root(self) -> str:
        if self.uri.startswith("file:"):
            return os.fsdecode(unquote_to_bytes(urlsplit(self.uri).path))
        if "#" in self.uri or "?" in self.uri:
            raise SettingsError(f"output = {self.uri}: Iceberg allows no `#` and no `?` in a place; choose another")
        return self.uri

    def location(self, key: str) -> str:
        return f"{self.root}/{key}"

    def key(self, location: str) -> str | None:
        """The key of a location below the output; None for any other, for example what another engine wrote."""
        return location.removeprefix(f"{self.root}/") if location.startswith(f"{self.root}/") else None

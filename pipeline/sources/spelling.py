"""How sources are said: one text for one or several, the same in commands, settings, Params and manifests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qsl, quote

from pipeline.errors import SettingsError
from pipeline.settings.fields import BETWEEN_SOURCES
from pipeline.storage.places import absolute_uri

SEPARATOR = BETWEEN_SOURCES.strip()
MANIFEST = "/manifest.json"
FORMS = ("csv", "tsv", "jsonl", "ndjson", "parquet", "orc")
PACKED = tuple(f"{form}.gz" for form in FORMS[:4])


class Kind(StrEnum):
    """What lies at the place of a source."""

    PREFIX = "prefix"  # the documents
    LIST = "list"  # a file of their uris
    INVENTORY = "inventory"  # what S3 Inventory wrote of a bucket
    ROWS = "rows"  # a file in which each row is a document


OPTIONS: Mapping[Kind, Mapping[str, str]] = {
    Kind.LIST: {"uri": "uri"},
    Kind.INVENTORY: {},
    Kind.ROWS: {"text": "text", "id": "id", "extra": ""},
}


@dataclass(frozen=True, slots=True)
class Scope:
    """Of which documents a run may say that they are gone: those whose uri begins so, and those of such an origin."""

    below: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Source:
    """One place that documents come from. `options` name columns; what is not named has the name in OPTIONS."""

    kind: Kind
    uri: str
    options: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        said = "&".join(f"{name}={quote(self.options[name], safe=',')}" for name in sorted(self.options))
        return self.uri if self.kind is Kind.PREFIX else f"{self.kind}:{self.uri}" + (f"?{said}" if said else "")

    def option(self, name: str) -> str:
        return self.options.get(name, OPTIONS[self.kind][name])

    @property
    def origin(self) -> str:
        """What the documents of this source are known by in later runs; an inventory has another manifest each day."""
        if self.kind is Kind.PREFIX:
            return self.uri
        dated = self.kind is Kind.INVENTORY and self.uri.endswith(MANIFEST)
        return f"{self.kind}:{self.uri.rsplit('/', 2)[0] if dated else self.uri}"


def parse_sources(text: str) -> tuple[Source, ...]:
    """Every source that a text names, once each. Raises SettingsError."""
    parts = [part.strip() for part in text.replace("\n", SEPARATOR).split(SEPARATOR)]
    found = [parse_source(part) for part in parts if part] or [parse_source("")]
    return tuple({str(one): one for one in found}.values())


def parse_source(text: str) -> Source:
    """A place, or `list:`, `inventory:` or `rows:` before it. Raises SettingsError."""
    named, _, rest = text.partition(":")
    if named not in OPTIONS or rest.startswith("//"):
        return Source(Kind.PREFIX, absolute_uri(text))
    kind = Kind(named)
    place, mark, query = rest.rpartition("?")
    if not mark:
        place, query = rest, ""
    source = Source(kind, absolute_uri(place), _options(text, kind, query))
    _refuse_unknown_form(text, source)
    return source


def _options(text: str, kind: Kind, query: str) -> dict[str, str]:
    try:
        found = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    except ValueError:
        raise SettingsError(f"{text}: what follows `?` is not written name=column&name=column") from None
    if unknown := sorted(found.keys() - OPTIONS[kind].keys()):
        known = f"allowed are {', '.join(OPTIONS[kind])}" if OPTIONS[kind] else f"{kind}: takes none"
        raise SettingsError(f"{text}: there is no option {unknown[0]}; {known}")
    return found


def _refuse_unknown_form(text: str, source: Source) -> None:
    name = source.uri.rpartition("/")[2].lower()
    if source.kind is not Kind.INVENTORY and not name.endswith(tuple(f".{form}" for form in (*FORMS, *PACKED))):
        known = ", ".join(f".{form}" for form in FORMS)
        raise SettingsError(f"{text}: names no file that is read as a table; its name must end in {known} (or .csv.gz)")
    if source.kind is Kind.INVENTORY and name.endswith(".json") and not source.uri.endswith(MANIFEST):
        raise SettingsError(f"{text}: name the manifest.json of an S3 Inventory, or the folder with its dated folders")


def joined(sources: Iterable[Source | str]) -> str:
    """The text of several sources; `parse_sources` reads it."""
    return BETWEEN_SOURCES.join(map(str, sources))


def absolute_sources(*texts: str) -> str:
    """What several texts name, as one text with full uris. Raises SettingsError."""
    return joined(parse_sources(SEPARATOR.join(texts)))


def scope_of(sources: Iterable[Source]) -> Scope:
    """What the sources of a run speak of."""
    found = tuple(sources)
    ends = {Kind.PREFIX: "/", Kind.ROWS: "#"}
    below = tuple(one.uri + ends[one.kind] for one in found if one.kind in ends)
    return Scope(below, tuple(one.origin for one in found if one.kind is not Kind.PREFIX))

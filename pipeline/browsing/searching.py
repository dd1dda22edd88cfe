"""What somebody looks for: filters and order as a page's address holds them, and as SQL over the index."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from urllib.parse import urlencode

LONGEST_WORD = 1_000  # characters of one filter
MOST_USD = Decimal(10_000_000)


class Order(StrEnum):
    """What stands first."""

    URI = "uri"
    COST = "cost"
    TOKENS = "tokens"


class Marked(StrEnum):
    """Whether somebody has judged the answer."""

    ANY = ""
    NOT = "unmarked"
    RIGHT = "right"
    WRONG = "wrong"


# Ascending, so that one comparison serves all orders; what is unknown stands last.
SORT = {
    Order.URI: "name",
    Order.COST: "-coalesce(cost_usd, -1)",
    Order.TOKENS: "-coalesce(input_tokens + output_tokens, -1)",
}


@dataclass(frozen=True, slots=True)
class Key:
    """What names a row of the index."""

    document_id: str
    analysis: str
    run_key: str

    @property
    def path(self) -> str:
        """As it stands in addresses: every part is of letters, digits and a few signs that need no escape."""
        return f"{self.document_id}/{self.analysis}/{self.run_key}"


@dataclass(frozen=True, slots=True)
class Search:
    """Filters, all of which must hold; an empty one holds always. Without a run, what is newest of each document."""

    q: str = ""
    analysis: str = ""
    label: str = ""
    run: str = ""
    reason: str = ""
    language: str = ""
    cost: str = ""
    marked: Marked = Marked.ANY
    order: Order = Order.URI

    @property
    def address(self) -> str:
        """The filters that are set, as the query of an address."""
        found = {one.name: str(getattr(self, one.name)) for one in fields(self)}
        found["order"] = "" if self.order is Order.URI else self.order
        return urlencode({name: value for name, value in found.items() if value})

    @property
    def least_usd(self) -> Decimal | None:
        """The cost from which rows are shown; None for any, also where it is no number."""
        try:
            found = Decimal(self.cost)
        except InvalidOperation:
            return None
        return found if found.is_finite() and 0 <= found < MOST_USD else None

    def condition(self) -> tuple[str, list[object]]:
        """The filters as a condition with its values in order."""
        pairs = [pair for pair in self._conditions() if pair is not None]
        return " and ".join(text for text, _ in pairs), [value for _, values in pairs for value in values]

    def _conditions(self) -> list[tuple[str, list[object]] | None]:
        words: list[object] = [f"%{escaped(word)}%" for word in dict.fromkeys(self.q.split())]
        least = self.least_usd
        return [
            ("run_key = ?", [self.run]) if self.run else ("newest", []),
            ("analysis = ?", [self.analysis]) if self.analysis else None,
            ("list_contains(labels, ?)", [self.label]) if self.label else None,
            ("reason = ?", [self.reason]) if self.reason else None,
            ("language = ?", [self.language]) if self.language else None,
            ("cost_usd >= ?", [least]) if least is not None else None,
            ("verdict = ?", [str(self.marked)]) if self.marked in (Marked.RIGHT, Marked.WRONG) else None,
            ("verdict is null and reason is null", []) if self.marked is Marked.NOT else None,
            *(("found ilike ? escape '\\'", [word]) for word in words),
        ]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page of the list begins: after a row, or ends: before it."""

    key: Key
    before: bool


def place_of(query: Mapping[str, str], is_there: Callable[[Key], bool]) -> Place | None:
    """The place that an address names; None for none, also where no row is there that it names."""
    for name in ("before", "after"):
        key = key_of(query.get(name, ""))
        if key and is_there(key):
            return Place(key, before=name == "before")
    return None


def key_of(text: str) -> Key | None:
    parts = text.split("/")
    return Key(*parts) if len(parts) == 3 and all(parts) else None


def search_of(query: Mapping[str, str]) -> Search:
    """The search of an address; what cannot be one is left out."""
    given = {one.name: query.get(one.name, "").strip()[:LONGEST_WORD] for one in fields(Search)}
    marked = given["marked"] if given["marked"] in list(Marked) else ""
    order = given["order"] if given["order"] in list(Order) else Order.URI
    return Search(**{**given, "marked": Marked(marked), "order": Order(order)})  # type: ignore[arg-type] # both are enums


def ignored(query: Mapping[str, str], is_there: Callable[[Key], bool]) -> list[str]:
    """What an address asks for and cannot have, with why; the page is as without it."""
    search = search_of(query)
    found = {name: query.get(name, "").strip()[:LONGEST_WORD] for name in ("cost", "marked", "order", "page", "part")}
    allowed: dict[str, list[Marked] | list[Order]] = {"marked": list(Marked), "order": list(Order)}
    said = [f"cost from {found['cost']}: is no sum in USD"] if found["cost"] and search.least_usd is None else []
    for name, values in allowed.items():
        if found[name] and found[name] not in values:
            said.append(f"{name} {found[name]}: is none of {', '.join(one for one in values if one)}")
    said += [
        f"{name} {found[name]}: is no number from 1 on"
        for name in ("page", "part")
        if found[name] and page_number(found[name]) is None
    ]
    said += [
        f"{one.name}: only its first {LONGEST_WORD:,} characters are taken"
        for one in fields(Search)
        if len(query.get(one.name, "").strip()) > LONGEST_WORD
    ]
    return said + _ignored_places(query, is_there)


def _ignored_places(query: Mapping[str, str], is_there: Callable[[Key], bool]) -> list[str]:
    place, said = place_of(query, is_there), []
    for name in ("after", "before"):
        text = query.get(name, "")
        key = key_of(text)
        if text and (key is None or not is_there(key)):
            said.append(f"{name} {text[:LONGEST_WORD]}: names no answer that is there; its run may be withdrawn")
        elif key and place != Place(key, before=name == "before"):
            said.append(f"{name} {text[:LONGEST_WORD]}: stands beside another place of the list")
    return said


def page_number(text: str) -> int | None:
    """From 1 on; None for what is none."""
    found = int(text) if text.isascii() and text.isdecimal() and len(text) < 7 else 0
    return found or None


def escaped(word: str) -> str:
    """A word as ILIKE finds it, whatever signs it holds."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

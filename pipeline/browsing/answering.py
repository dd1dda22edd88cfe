"""One answer as its page shows it: read together from the tables, the source, and the files of its run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pipeline.browsing.facts import Facts, SourceText, read_facts, read_ledger, read_payers, read_source
from pipeline.browsing.index import Line
from pipeline.browsing.searching import Key
from pipeline.browsing.sent import Asked, Shown, find_asked, find_run, read_asked, render_again
from pipeline.domain import Failure, Generation
from pipeline.errors import DocbatchError
from pipeline.steps import Services, work_uri_for

if TYPE_CHECKING:
    from pipeline.catalog import Catalog
    from pipeline.steps.run import Run

PAGE_CHARACTERS = 20_000


@dataclass(frozen=True, slots=True)
class Page:
    """A part of a long text, numbered from 1."""

    text: str
    number: int
    of: int
    characters: int


@dataclass(frozen=True, slots=True)
class Question:
    """A request with the ledger's row of it, if this run paid for it; else `paid_by` names who did, None for nobody
    that is known."""

    asked: Asked
    ledger: dict[str, Any] | None
    paid_by: str | None


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything about one answer. `said` explains what is not there, or not as it was."""

    facts: Facts
    ledger: list[dict[str, Any]]
    text: Page | None
    questions: list[Question]
    chosen: Question | None = None
    prompt: Page | None = None
    generation: Generation | None = None
    text_said: str | None = None
    prompt_said: str | None = None


@dataclass(frozen=True, slots=True)
class _Prompts:
    """What is known of the requests; `said` explains what is not."""

    run: Run | None
    asked: list[Asked]
    said: str | None


def see(
    services: Services, output_uri: str, catalog: Catalog, line: Line, chosen: str = "", pages: tuple[int, int] = (1, 1)
) -> Seen:
    """The answer of a line; `chosen` names one of its requests, `pages` count those of the document and the prompt."""
    key = line.key
    facts = read_facts(catalog, key, failed=line.reason is not None)
    text, text_said = _text(services, facts)
    found = _prompts(services, output_uri, key)
    own = read_ledger(catalog, key.run_key, key.document_id, [one.request.record_id for one in found.asked])
    if not found.asked and isinstance(text, SourceText):
        found = _again(found, key, facts, text, own)
        own = read_ledger(catalog, key.run_key, key.document_id, [one.request.record_id for one in found.asked])
    own = [row for row in own if row["analysis"] == key.analysis]
    questions = _questions(catalog, found.asked, own, key.run_key)
    shown = next((one for one in questions if one.asked.name == chosen), questions[0] if questions else None)
    prompt, said = _prompt(found, shown)
    return Seen(
        facts,
        own,
        page_of(text.text, pages[0]) if isinstance(text, SourceText) else None,
        questions,
        shown,
        page_of(prompt.prompt, pages[1]) if prompt else None,
        prompt.generation if prompt else None,
        text_said,
        said,
    )


def page_of(text: str, number: int) -> Page:
    """The page with that number, or the one next to it that there is."""
    pages = max(1, -(-len(text) // PAGE_CHARACTERS))
    number = min(max(1, number), pages)
    return Page(text[(number - 1) * PAGE_CHARACTERS : number * PAGE_CHARACTERS], number, pages, len(text))


def _text(services: Services, facts: Facts) -> tuple[SourceText | None, str | None]:
    """The text as the source has it now, and what is to be said of it."""
    if any(facts.document.get(name) is None for name in ("uri", "size_bytes", "last_modified")):
        return None, "The tables of this run do not say where the document lies."
    if facts.document.get("extra") is not None:
        return None, "The document is a row of a table: its text stands in the prompt."
    try:
        found = read_source(services, facts)
    except DocbatchError as error:
        return None, f"The document cannot be read again: {error}"
    if isinstance(found, Failure):
        return None, f"The document cannot be read: {found.reason}, {found.detail}. {found.reason.advice}"
    if not found.is_same:
        return found, "The document has changed since: this is its text now, not the one that was asked about."
    return found, None


def _prompts(services: Services, output_uri: str, key: Key) -> _Prompts:
    run = None
    try:
        run = find_run(services, work_uri_for(services.settings, output_uri), key.run_key)
        asked = find_asked(run, key.document_id, key.analysis)
    except DocbatchError as error:
        return _Prompts(run, [], f"The prompt that was sent is not there: {error}.")
    return _Prompts(run, asked, None if asked else "Nothing was asked about this document: it could not be read.")


def _again(found: _Prompts, key: Key, facts: Facts, text: SourceText, ledger: list[dict[str, Any]]) -> _Prompts:
    """The prompts rendered again, where the text is still the same and the run's intention is known."""
    if found.run is None or not text.is_same or facts.content_hash is None:
        return found
    try:
        others = {row["analysis"] for row in ledger if row["level"] == 0}
        asked = render_again(found.run, key.document_id, facts.content_hash, text.text, key.analysis, others)
    except DocbatchError as error:
        return _Prompts(found.run, [], f"{found.said} It cannot be made again either: {error}")
    sent = {row["record_id"] for row in ledger}
    same = all(one.request.record_id in sent for one in asked)
    proof = "Their ids are those of the ledger, so they are what was sent." if same else "They may differ from it."
    return _Prompts(found.run, asked, f"{found.said} It was made again from the document as it is now. {proof}")


def _questions(catalog: Catalog, asked: list[Asked], ledger: list[dict[str, Any]], run_key: str) -> list[Question]:
    paid = {(row["record_id"], row["round"]): row for row in ledger}
    unpaid = [one.request.record_id for one in asked if (one.request.record_id, one.round_number) not in paid]
    payers = read_payers(catalog, unpaid, run_key) if unpaid else {}
    return [
        Question(one, paid.get((one.request.record_id, one.round_number)), payers.get(one.request.record_id))
        for one in asked
    ]


def _prompt(found: _Prompts, shown: Question | None) -> tuple[Shown | None, str | None]:
    if shown is None or found.run is None:
        return None, found.said
    try:
        asked = shown.asked
        if asked.prompt is not None:
            return Shown(asked.prompt, found.run.asked(asked.request.analysis).generation), found.said
        return read_asked(found.run.store, asked), found.said
    except DocbatchError as error:
        return None, f"The prompt that was sent cannot be read: {error}"

"""The pages: a list of answers, one answer beside its document, and the one form that stores something."""

from __future__ import annotations

import datetime as dt
import hmac
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jinja2
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from pipeline.browsing.answering import see
from pipeline.browsing.correcting import PREFIX, Field, fields_of, read_form
from pipeline.browsing.facts import read_facts
from pipeline.browsing.gold import Label, Verdict, canonical
from pipeline.browsing.index import Line
from pipeline.browsing.results import Results
from pipeline.browsing.searching import Key, Search, ignored, page_number, place_of, search_of
from pipeline.domain import short_hash
from pipeline.errors import DocbatchError

PAGE_LINES = 50
MOST_FORM_BYTES = 1_000_000
MOST_NOTE_CHARACTERS = 4_000
NOT_THERE = "There is no such answer, or its run was withdrawn."
_SAID = ("verdict", "known", "note")  # of the form's fields, those that a person fills
_FILES = Path(__file__).parent / "pages"
_KINDS = {"style.css": "text/css", "keys.js": "text/javascript", "icon.svg": "image/svg+xml"}


@dataclass(frozen=True)
class Pages:
    """The pages over some results. `token` stands in their forms; `marked_by` in the labels, None for unknown."""

    results: Results
    token: str
    marked_by: str | None
    clock: Callable[[], dt.datetime]

    def app(self) -> Starlette:
        answer = "/answers/{document_id}/{analysis}/{run_key}"
        return Starlette(
            routes=[
                Route("/", self.listed, methods=["GET"]),
                Route(answer, self.answer, methods=["GET"]),
                Route(answer, self.mark, methods=["POST"]),
                *(Route(f"/{name}", _file(name, kind), methods=["GET"]) for name, kind in _KINDS.items()),
            ],
            exception_handlers={HTTPException: _refused, DocbatchError: _failed, FileNotFoundError: _gone},
        )

    def listed(self, request: Request) -> Response:
        """The lines that a search finds, a page of them."""
        search, index = search_of(request.query_params), self.results.index()
        place = place_of(request.query_params, index.has)
        lines = index.lines(search, PAGE_LINES, place.key if place else None, before=bool(place and place.before))
        first, last = (lines[0].key, lines[-1].key) if lines else (None, None)
        return _page(
            "list.html",
            search=search,
            ignored=ignored(request.query_params, index.has),
            lines=lines,
            choices=index.choices,
            count=index.count(search),
            earlier=first if first and index.lines(search, 1, first, before=True) else None,
            later=last if last and index.lines(search, 1, last) else None,
        )

    def answer(self, request: Request) -> Response:
        """One answer."""
        line, search = self._line(request), search_of(request.query_params)
        return self._answer(request, line, search, saved=request.query_params.get("saved", ""))

    async def mark(self, request: Request) -> Response:
        """Store what the form says of an answer, and go on to the next one."""
        form = await _form(request)
        if not hmac.compare_digest(_one(form, "token").encode(), self.token.encode()):
            raise HTTPException(403, "The form is not from this server, or from before it was started anew.")
        return await run_in_threadpool(self._marked, request, form)

    def _marked(self, request: Request, form: dict[str, list[str]]) -> Response:
        line, search = self._line(request), search_of(request.query_params)
        verdict = _one(form, "verdict")
        if verdict not in list(Verdict) or line.reason is not None:
            raise HTTPException(400, "An answer is marked as right or wrong; a failure is not marked.")
        with self.results.catalog() as catalog:
            row = read_facts(catalog, line.key, failed=False).row
        if not row:  # the list is some seconds old
            raise HTTPException(404, NOT_THERE)
        if row.get("content_hash") is None:
            raise HTTPException(
                409, "The row is of an older version and names no text, so that no label can hold for it."
            )
        seen = _json_of(self.results.index().answer(line.key))
        if _fingerprint(seen) != _one(form, "seen"):
            raise HTTPException(409, "The answer has changed since the page was opened; look at it again.")
        corrected, wrong = self._corrected(line, Verdict(verdict), form)
        if wrong:
            return self._answer(request, line, search, wrong=wrong, typed=corrected, note=_one(form, "note"))
        following = self.results.index().lines(search, 1, line.key)
        label = self._label(line, row, Verdict(verdict), seen, corrected, _one(form, "note"))
        if newer := self.results.mark(label, instead_of=_one(form, "before")):
            mine = {name: form[name] for name in form if name in _SAID or name.startswith(PREFIX)}
            return self._answer(
                request,
                line,
                search,
                typed=corrected,
                note=label.note,
                newer=newer,
                mine=mine,
                mine_corrected=label.corrected,
            )
        place = f"/answers/{following[0].key.path}" if following else "/"
        return RedirectResponse(f"{place}?{_joined(search.address, f'saved={verdict}')}", 303)

    def _corrected(
        self, line: Line, verdict: Verdict, form: dict[str, list[str]]
    ) -> tuple[dict[str, Any] | None, list[str]]:
        analysis = self.results.analyses.get(line.key.analysis)
        if verdict is Verdict.RIGHT or analysis is None or _one(form, "known") != "yes":
            return None, []
        typed, wrong = read_form(analysis, form)
        if not wrong and _fingerprint(typed) == _one(form, "seen"):
            wrong = ["The corrected answer is the one that was given; change it, or say that you do not know it."]
        return typed, wrong

    def _label(self, line: Line, row: dict[str, Any], verdict: Verdict, seen: Any, corrected: Any, note: str) -> Label:
        key = line.key
        return Label(
            document_id=key.document_id,
            uri=line.uri,
            analysis=key.analysis,
            verdict=verdict,
            answer=canonical(seen),
            corrected=canonical(corrected),
            note=note.strip()[:MOST_NOTE_CHARACTERS] or None,
            marked=self.clock(),
            marked_by=self.marked_by,
            content_hash=row["content_hash"],
            model=row.get("model"),
            prompt_fingerprint=row.get("prompt_fingerprint"),
            method_id=row.get("method_id"),
            run_key=key.run_key,
        )

    def _answer(
        self,
        request: Request,
        line: Line,
        search: Search,
        wrong: list[str] | None = None,
        typed: dict[str, Any] | None = None,
        **shown: Any,
    ) -> Response:
        query, index = request.query_params, self.results.index()
        pages = page_number(query.get("page", "")) or 1, page_number(query.get("part", "")) or 1
        with self.results.catalog() as catalog:
            seen = see(self.results.services, self.results.output_uri, catalog, line, query.get("prompt", ""), pages)
        if not seen.facts.row:  # the list is some seconds old
            raise HTTPException(404, NOT_THERE)
        answer = _json_of(index.answer(line.key))
        label = self.results.labels.get((line.key.document_id, line.key.analysis, seen.facts.content_hash or ""))
        following, previous = index.lines(search, 1, line.key), index.lines(search, 1, line.key, before=True)
        return _page(
            "answer.html",
            status=409 if shown.get("newer") else 422 if wrong else 200,
            line=line,
            search=search,
            ignored=ignored(query, index.has),
            seen=seen,
            answer=answer,
            fingerprint=_fingerprint(answer),
            label=label,
            fields=self._fields(line, typed, label, answer),
            siblings=index.siblings(line.key),
            next=following[0].key if following else None,
            previous=previous[0].key if previous else None,
            token=self.token,
            wrong=wrong or [],
            **{"saved": "", "note": label.note if label else "", "newer": None, **shown},
        )

    def _fields(self, line: Line, typed: Any, label: Label | None, answer: Any) -> list[Field]:
        """The form begins with what was typed, else with what is known to be right, else with the answer."""
        analysis = self.results.analyses.get(line.key.analysis)
        known = _json_of(label.truth) if label else None
        return fields_of(analysis, typed or known or answer or {}) if analysis else []

    def _line(self, request: Request) -> Line:
        key = Key(*(request.path_params[name] for name in ("document_id", "analysis", "run_key")))
        line = self.results.index().find(key)
        if line is None:
            raise HTTPException(404, NOT_THERE)
        return line


def _environment() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_FILES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {"usd": _usd, "count": _count, "query": _joined}
    return found


def _usd(value: Decimal | None) -> str:
    """Unknown is told as such; small sums keep the digits that tell them apart."""
    return "unknown" if value is None else f"${value:,.6f}"


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _joined(*parts: str) -> str:
    """The parts of an address' query."""
    return "&".join(part for part in parts if part)


_TEMPLATES = _environment()


def _page(template: str, status: int = 200, **values: Any) -> Response:
    text = _TEMPLATES.get_template(template).render(values)
    return HTMLResponse(text.encode("utf-8", "replace"), status)  # a document may hold half a character


def _refused(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _page("message.html", error.status_code, message=error.detail)


def _failed(_request: Request, error: Exception) -> Response:
    """Our own errors name places and reasons, no text of a document."""
    return _page("message.html", 503, message=str(error))


def _gone(_request: Request, _error: Exception) -> Response:
    """A file of rows that left while it was read: its run is being withdrawn."""
    return _page("message.html", 404, message=NOT_THERE)


def _file(name: str, kind: str) -> Callable[[Request], Response]:
    content = (_FILES / name).read_bytes()
    return lambda _request: Response(content, media_type=kind)


async def _form(request: Request) -> dict[str, list[str]]:
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > MOST_FORM_BYTES:
            raise HTTPException(413, "The form is too large.")
    try:
        return parse_qs(content.decode("utf-8"), keep_blank_values=True, max_num_fields=1_000)
    except ValueError:
        raise HTTPException(400, "The form cannot be read.") from None


def _one(form: dict[str, list[str]], name: str) -> str:
    return form.get(name, [""])[0]


def _fingerprint(answer: Any) -> str:
    """What stands for an answer in its form."""
    return short_hash(canonical(answer) or "")


def _json_of(text: str | None) -> Any:
    return None if text is None else json.loads(text)

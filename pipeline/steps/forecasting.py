"""What a source would cost, without writing or sending anything."""

from __future__ import annotations

from collections.abc import Callable

from pipeline.comparison import ListedDocument
from pipeline.domain import Change, Document, Request
from pipeline.ledger import Forecast, forecast
from pipeline.planning import Planner
from pipeline.records import DocumentRecord
from pipeline.steps.prepare import first_requests, read_documents
from pipeline.steps.run import Services, limits_for
from pipeline.steps.start import listed_documents


def forecast_source(
    services: Services, source_uri: str, report: Callable[[int, int], None]
) -> tuple[dict[str, Forecast], int, int]:
    """The forecast of the first round by analysis, and how many documents there are and cannot be read.

    Raises SettingsError, DeclarationError, StorageError.
    """
    settings = services.settings
    limits = limits_for(services, settings.model)
    analyses = services.analyses(settings.analyses, settings.output_language)
    planners = {name: Planner(analysis, limits, services.counter) for name, analysis in analyses.items()}
    source = services.open(source_uri)
    documents = sorted(map(_as_new, listed_documents(source)), key=lambda document: document.uri)
    asked: dict[str, dict[str, Request]] = {name: {} for name in analyses}  # copies of one text are asked once
    seen: list[DocumentRecord] = []
    for request, _ in first_requests(
        read_documents(source, documents, settings), planners, services.counter, seen.append
    ):
        asked[request.analysis].setdefault(request.record_id, request)
        report(len(seen), len(documents))
    unreadable = sum(record.failure is not None for record in seen)
    return {name: forecast(list(found.values())) for name, found in asked.items()}, len(documents), unreadable


def _as_new(document: Document) -> ListedDocument:
    return ListedDocument(document.uri, document.etag, document.size_bytes, document.last_modified, Change.NEW, "")

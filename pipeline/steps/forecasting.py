"""What a source would cost, without writing or sending anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pipeline.analyses import Analysis
from pipeline.comparison import ListedDocument
from pipeline.domain import Change, Document, Request
from pipeline.fusing import fuse
from pipeline.ledger import Forecast, forecast
from pipeline.planning import FusedPlanner, Planner
from pipeline.records import DocumentRecord
from pipeline.settling import Limits
from pipeline.steps.prepare import first_requests, read_documents
from pipeline.steps.run import Services, limits_for
from pipeline.steps.start import listed_documents


def forecast_source(
    services: Services, source_uri: str, report: Callable[[int, int], None]
) -> tuple[dict[str, Forecast], int, int]:
    """The forecast of the first round by analysis, and how many documents there are and cannot be read. Analyses that
    are fused have one, under their joined names.

    Raises SettingsError, DeclarationError, StorageError.
    """
    settings = services.settings
    limits = limits_for(services, settings.model)
    analyses = services.analyses(settings.analyses, settings.output_language)
    counter = services.counter
    planners = {name: Planner(analysis, limits, counter, services.fused) for name, analysis in analyses.items()}
    fused = _fused(services, analyses, limits) if services.fused and len(analyses) > 1 else None
    source = services.open(source_uri)
    documents = sorted(map(_as_new, listed_documents(source)), key=lambda document: document.uri)
    names = [fused.asked.name] if fused else list(analyses)
    asked: dict[str, dict[str, Request]] = {name: {} for name in names}  # copies of one text are asked once
    seen: list[DocumentRecord] = []
    together = (lambda _names: fused) if fused else None
    read = read_documents(source, documents, settings)
    for request, _ in first_requests(read, planners, counter, seen.append, together):
        asked[request.analysis].setdefault(request.record_id, request)
        report(len(seen), len(documents))
    unreadable = sum(record.failure is not None for record in seen)
    return {name: forecast(list(found.values())) for name, found in asked.items()}, len(documents), unreadable


def _fused(services: Services, analyses: Mapping[str, Analysis], limits: Limits) -> FusedPlanner:
    together = fuse(services.prompts, analyses, list(analyses), limits.max_output_tokens)
    return FusedPlanner(together, limits, services.counter)


def _as_new(document: Document) -> ListedDocument:
    return ListedDocument(document.uri, document.etag, document.size_bytes, document.last_modified, Change.NEW, "")

"""What a source would cost, without writing or sending anything."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from pipeline.domain import Request
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
    limits = limits_for(settings, settings.model)
    analyses = services.analyses(settings.analyses, settings.output_language)
    planners = {name: Planner(analysis, limits, services.counter) for name, analysis in analyses.items()}
    source = services.open(source_uri)
    documents = sorted(listed_documents(source), key=lambda document: document.uri)
    asked: dict[str, list[Request]] = defaultdict(list)
    seen: list[DocumentRecord] = []
    for request, _ in first_requests(
        read_documents(source, documents, settings), planners, services.counter, seen.append
    ):
        asked[request.analysis].append(request)
        report(len(seen), len(documents))
    unreadable = sum(record.failure is not None for record in seen)
    return {name: forecast(asked[name]) for name in analyses}, len(documents), unreadable

"""What a source would cost, without writing or sending anything: from all of its documents, or from a sample."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.analyses import Analysis
from pipeline.catalog.reading import usual_output_tokens
from pipeline.domain import FUSED_BY, Change, Failure, Request
from pipeline.errors import ObjectMissing
from pipeline.forecasts.amounts import Amounts, PlannedAnalysis, SourceForecast
from pipeline.forecasts.drawing import SEED, draw, strata_of, stratum
from pipeline.forecasts.estimating import Estimate, estimate, member
from pipeline.forecasts.outlooks import together
from pipeline.fusing import fuse
from pipeline.known.comparison import Comparison, ListedDocument
from pipeline.known.recall import answer_lists, read_ids
from pipeline.manifest import Held
from pipeline.planning import FusedPlanner, Mapper, Planner, method_id
from pipeline.settling import Limits
from pipeline.sources.spelling import parse_sources, scope_of
from pipeline.sources.spool import Spool
from pipeline.steps.listing import Contents, add_listing, spooled_contents
from pipeline.steps.prepare import mappers_for
from pipeline.steps.progress import Meter, Show, Volume
from pipeline.steps.reading import ReadDocument, read_documents
from pipeline.steps.run import Services, limits_for
from pipeline.steps.start import add_published
from pipeline.tokens import TokenCounter, count_prompt

# A listing of more documents is forecast from a sample of so many, or of fewer when they are large.
READ_WHOLE = 2_000
READ_BYTES = 32_000_000
LEAST_READ = 200
# So much text is counted prompt by prompt; of more, each text once for all analyses, which may miss one at a seam.
COUNTED_BYTES = 2_000_000


@dataclass(frozen=True, slots=True)
class PlanOrder:
    """What is to be forecast. Without an output or a work store, nothing is taken for known.

    `sample` is how many documents are read at most; None leaves it to the forecast. With `alone` the forecast is of the
    sample and not of the source: of a run that asks about so many documents.
    """

    source_uri: str
    output_uri: str | None = None
    work_uri: str | None = None
    sample: int | None = None
    seed: int = SEED
    force: bool = False
    alone: bool = False


def forecast_source(services: Services, order: PlanOrder, show: Show) -> SourceForecast:
    """What the first round would send; `show` sees how far the reading is.

    Raises SettingsError, DeclarationError, StorageError.
    """
    settings = services.settings
    limits = limits_for(services, settings.model)
    analyses = services.analyses(settings.analyses, settings.output_language)
    methods = {name: method_id(one, limits, services.fused) for name, one in analyses.items()}
    with tempfile.TemporaryDirectory(prefix="docbatch-") as folder, closing(Spool(Path(folder))) as spool:
        compared = _compared(services, order, methods, Path(folder), spool)
        mappers = _Mappers(services, analyses, limits)
        return _forecast(services, order, show, compared, spooled_contents(services, spool), mappers)


def _forecast(
    services: Services,
    order: PlanOrder,
    show: Show,
    compared: _Compared,
    contents: Contents,
    mappers: _Mappers,
) -> SourceForecast:
    present = [one for one in compared.documents if one.change is not Change.DELETED]
    if order.alone and order.sample:
        present = draw(present, order.sample, order.seed)
    drawn = draw(present, (not order.alone and order.sample) or _affordable(present), order.seed)
    count = _Count(services.counter, exact=sum(one.size_bytes for one in drawn) <= COUNTED_BYTES)
    asked: list[_Asked] = []
    work = services.open(order.work_uri) if order.work_uri else None
    report = Meter(show, Volume(len(drawn), sum(one.size_bytes for one in drawn)))
    for one in read_documents(contents, drawn, services.settings, work, add=False):
        asked.append(_Asked(one.listed, list(count.requests(one, mappers)), isinstance(one.text, Failure)))
        report(one.listed.size_bytes)
    totals = _Totals(present, asked, _known(services, order, asked))
    return SourceForecast(
        tuple(
            PlannedAnalysis(
                name,
                totals.of(frozenset([name])),
                mapper.asked.generation.max_output_tokens,
                together(name, compared.usual_output_tokens),
                sum(compared.unchanged[part] for part in parts),
            )
            for name, (mapper, parts) in mappers.used.items()
        ),
        totals.of(frozenset(mappers.used)),
        compared.held,
        compared.listed,
        sum(one.change is Change.NEW for one in present),
        sum(one.change is not Change.NEW for one in present),
        sum(one.change is Change.DELETED for one in compared.documents),
        len(present),
        len(drawn),
        totals.unreadable,
        order.work_uri is not None,
    )


class _Mappers:
    """What asks for the analyses of a document, and which of it was used: by name, with the analyses that it is told
    about. Those that ask for a part of the analyses, where the others hold, stand beside the one for all."""

    def __init__(self, services: Services, analyses: Mapping[str, Analysis], limits: Limits) -> None:
        self._services, self._analyses, self._limits = services, analyses, limits
        self._planners = {
            name: Planner(one, limits, services.counter, services.fused) for name, one in analyses.items()
        }
        self._together: dict[str, Mapper] = {}
        self.used: dict[str, tuple[Mapper, list[str]]] = {}
        for mapper in mappers_for(self._planners, "", self._fused if services.fused else None):
            self.used[mapper.asked.name] = (mapper, mapper.asked.name.split(FUSED_BY))

    def of(self, held: str) -> list[Mapper]:
        found = mappers_for(self._planners, held, self._fused if self._services.fused else None)
        for mapper in found:
            self.used.setdefault(mapper.asked.name, (mapper, []))
        return found

    def _fused(self, names: Sequence[str]) -> Mapper:
        name = FUSED_BY.join(names)
        if name not in self._together:
            fused = fuse(self._services.prompts, self._analyses, names, self._limits.max_output_tokens)
            self._together[name] = FusedPlanner(fused, self._limits, self._services.counter)
        return self._together[name]


@dataclass(frozen=True, slots=True)
class _Compared:
    documents: list[ListedDocument]
    listed: int
    unchanged: dict[str, int]
    held: Held
    usual_output_tokens: dict[str, float | None]


def _compared(
    services: Services, order: PlanOrder, methods: Mapping[str, str], folder: Path, spool: Spool
) -> _Compared:
    """The listing beside what the output holds, as a run would see it."""
    usual: dict[str, float | None] = {}
    with Comparison(folder) as comparison:
        add_listing(services, order.source_uri, comparison, spool)
        if order.output_uri is not None:
            with suppress(ObjectMissing), services.catalog(order.output_uri) as catalog:
                if catalog.tables():
                    usual = usual_output_tokens(catalog, methods)
                    add_published(comparison, catalog, {} if order.force else methods, "")
        comparison.compare(scope_of(parse_sources(order.source_uri)), methods)
        found = comparison.shard(0, 1)
        return _Compared(found.documents, comparison.documents, found.unchanged, comparison.held(), usual)


def _affordable(documents: list[ListedDocument]) -> int:
    """How many documents are read when nobody says: all of few, and of many or large ones about READ_BYTES."""
    size = sum(one.size_bytes for one in documents)
    if size <= READ_BYTES:
        return READ_WHOLE
    return min(READ_WHOLE, max(LEAST_READ, len(documents) * READ_BYTES // size // 2))


@dataclass(frozen=True, slots=True)
class _Asked:
    """What one document asks: its requests with their tokens, and how many of these may be missed by a seam."""

    listed: ListedDocument
    requests: list[tuple[Request, int]]
    unreadable: bool


class _Count:
    """The tokens of a document's prompts: exactly, or those of its text once for all analyses."""

    def __init__(self, counter: TokenCounter, *, exact: bool) -> None:
        self._counter, self._exact = counter, exact

    def requests(self, one: ReadDocument, mappers: _Mappers) -> Iterator[tuple[Request, int]]:
        if isinstance(one.text, Failure):
            return
        text, text_tokens = one.text.content, -1
        for mapper in mappers.of(one.listed.held):
            for request, prompt in mapper.map_requests(one.document_id, one.content_hash, text):
                tokens = request.input_tokens
                if tokens is None and self._exact:
                    tokens = count_prompt(prompt, self._counter)
                elif tokens is None:
                    text_tokens = self._counter.count(text) if text_tokens < 0 else text_tokens
                    tokens = mapper.base.tokens + text_tokens
                yield request, tokens


def _known(services: Services, order: PlanOrder, asked: list[_Asked]) -> set[str]:
    """The questions among those asked that some run of the work store has answered."""
    if order.work_uri is None or order.force:
        return set()
    questions = {part.question_id for one in asked for request, _ in one.requests for part in request.parts()}
    wanted = pa.array(questions, pa.string())
    work, found = services.open(order.work_uri), set[str]()
    for key in answer_lists(work):
        ids = read_ids(work, key)
        found.update(str(one) for one in ids.filter(pc.is_in(ids, wanted)).to_pylist())
    return found


class _Totals:
    """Over all documents that are to be done, from those that were read."""

    def __init__(self, documents: list[ListedDocument], asked: list[_Asked], known: set[str]) -> None:
        self._strata = strata_of(documents)
        self._rows: list[tuple[int, int, dict[str, list[int]]]] = []
        seen: set[str] = set()
        for one in asked:
            counts: dict[str, list[int]] = {}
            for request, tokens in one.requests:
                answered = all(part.question_id in known for part in request.parts())
                place = 2 if answered else 4 if request.record_id in seen else 0
                seen.add(request.record_id)
                found = counts.setdefault(request.analysis, [0] * 6)
                found[place] += 1
                found[place + 1] += tokens
            self._rows.append((stratum(one.listed), one.listed.size_bytes, counts))
        unreadable = [(stratum(one.listed), one.listed.size_bytes, int(one.unreadable)) for one in asked]
        self.unreadable = self._estimated(unreadable)

    def of(self, names: frozenset[str]) -> Amounts:
        return Amounts(*(self._amount(names, place) for place in range(6)))

    def _amount(self, names: frozenset[str], place: int) -> Estimate:
        return self._estimated(
            (key, size, sum(found[place] for name, found in counts.items() if name in names))
            for key, size, counts in self._rows
        )

    def _estimated(self, values: Iterable[tuple[int, int, int]]) -> Estimate:
        strata = dict(self._strata)
        for key, size, value in values:
            strata[key] += replace(member(size, value), members=0, size=0)
        return estimate(strata.values())

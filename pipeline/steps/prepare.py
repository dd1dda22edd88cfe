"""The requests of one shard for one round: from its documents at first, then from what is still owed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from pipeline.domain import Change, Failure, Request
from pipeline.forecasts.languages import OTHER
from pipeline.forecasts.outlooks import Outlook, Tally
from pipeline.known.comparison import ListedDocument
from pipeline.manifest import content_digest, documents_key, prepared_key, requests_folder
from pipeline.planning import Mapper, Planner, Rendered
from pipeline.records import DocumentRecord, from_parquet, to_parquet
from pipeline.segments import SegmentWriter
from pipeline.settling import Again, Reduce, Settled
from pipeline.steps.listing import put_contents
from pipeline.steps.progress import Report, silent
from pipeline.steps.reading import ReadDocument, read_documents, record_of
from pipeline.steps.rounds import read_plan
from pipeline.steps.run import Run, Services
from pipeline.steps.sampling import Sampler
from pipeline.steps.state import Key, Prepared, ShardState, load_state, read_prepared, write_prepared
from pipeline.steps.tombstones import refuse_tidied
from pipeline.tokens import count_prompt
from pipeline.wire import read_prompt, read_record_id, write_record
from pipeline.wordings import Owed

Together = Callable[[Sequence[str]], Mapper]
"""What asks for several analyses at once."""


def prepare(services: Services, run_uri: str, round_number: int, shard: int, report: Report = silent) -> int:
    """Write the requests that a shard has in a round; how many there are. Done once: a repetition reads the count.

    Raises StorageError, RunError, VocabularyError.
    """
    run = Run(services, run_uri)
    if not run.store.exists(prepared_key(round_number, shard)):
        refuse_tidied(run)
        if round_number == 0:
            _prepare_documents(run, shard, report)
        else:
            _, first = read_prepared(run.store, 0, shard)
            prepared = _spooled(run, round_number, shard, _later_round(run, round_number, shard), first)
            write_prepared(run.store, round_number, shard, prepared)
    segments, _ = read_prepared(run.store, round_number, shard)
    return sum(segment.records for segment in segments)


def _spooled(
    run: Run, round_number: int, shard: int, lines: Iterable[tuple[Request, bytes]], like: Outlook
) -> Prepared:
    """The lines put as segments; their texts are like those of the other outlook."""
    tally = Tally(like.bases)
    folder = requests_folder(round_number, shard)
    with SegmentWriter(run.store, folder, shard, run.services.quotas) as writer:
        for request, line in lines:
            writer.add(request, line)
            tally.add(request)
    return writer.segments, Outlook(tally.forecasts(), like.densities, like.bases)


def _prepare_documents(run: Run, shard: int, report: Report) -> None:
    """The first round, with what became of reading every document."""
    listed = list(from_parquet(ListedDocument, run.store.read(run.manifest.listing[shard])))
    documents = [one for one in listed if one.change is not Change.DELETED]
    records = [record_of(one) for one in listed if one.change is Change.DELETED]
    quick = run.services.settings.fast_counting
    sampler = Sampler(run.planners, run.services.counter, [one.size_bytes for one in documents], quick=quick)
    prepared = _spooled(run, 0, shard, _first_round(run, documents, sampler, records, report), sampler.outlook)
    content = to_parquet(DocumentRecord, records)
    key = documents_key(shard, content_digest(content))
    run.store.write(key, content)
    write_prepared(run.store, 0, shard, prepared, documents=key)


def _first_round(
    run: Run, documents: list[ListedDocument], sampler: Sampler, records: list[DocumentRecord], report: Report
) -> Iterator[tuple[Request, bytes]]:
    contents = put_contents(run.services, run.store)
    read = read_documents(contents, documents, run.services.settings, run.work)
    fused = run.fused_planner if run.manifest.fused else None

    def keep(record: DocumentRecord) -> None:
        records.append(record)
        report(record.size_bytes)

    for rendered in first_requests(read, run.planners, sampler, keep, fused):
        yield _line(run, rendered)


def first_requests(
    read: Iterable[ReadDocument],
    planners: Mapping[str, Planner],
    sampler: Sampler,
    keep: Callable[[DocumentRecord], None],
    fused: Together | None = None,
) -> Iterator[Rendered]:
    """The map requests of every readable document, for every analysis whose result does not hold.

    `keep` gets every document, read or not. Copies of one text have requests with equal ids. `fused` gives what asks
    for several analyses at once, where that is wanted.
    """
    owners: dict[str, str] = {}
    for one in read:
        owner = owners.setdefault(one.content_hash, one.document_id)
        tokens = None if isinstance(one.text, Failure) else sampler.tokens_of(one.text.content)
        keep(one.record(None if owner == one.document_id else owner, tokens))
        if isinstance(one.text, Failure):
            continue
        who, text = (one.document_id, one.content_hash), one.text.content
        language = one.language or OTHER
        counted = True
        for mapper in mappers_for(planners, one.listed.held, fused):
            sampler.expect(mapper)
            for rendered in mapper.map_requests(*who, text, language):
                found = sampler.counted(rendered)
                counted = counted and found[0].input_tokens is not None
                yield found
        if not counted:
            sampler.look(text, one.content_hash, language)


def mappers_for(planners: Mapping[str, Planner], held: str, fused: Together | None) -> list[Mapper]:
    """What asks for the analyses of a document whose result does not hold: together where that is wanted, or each."""
    names = [name for name in planners if name not in held.split(",")]
    return [fused(names)] if fused and len(names) > 1 else [planners[name] for name in names]


def _later_round(run: Run, round_number: int, shard: int) -> Iterator[tuple[Request, bytes]]:
    """Questions once more, with the very lines they had or in other words, and the next level of every reduction."""
    if not read_plan(run, round_number - 1).owed:
        return  # nothing was owed then, so nothing is now
    state = load_state(run, shard, round_number)
    positions = [pair for pair in state.positions(run) if not isinstance(pair[1], Settled)]
    for (_, analysis), position in positions:
        if isinstance(position, Reduce):
            for rendered in run.planners[analysis].reduce_requests(position):
                yield _line(run, _counted(run, rendered))
    again: dict[str, list[Owed]] = defaultdict(list)  # of copies of one text, each asks
    for owed in (owed for _, position in positions if isinstance(position, Again) for owed in position.owed):
        again[owed.source_id].append(owed)
    for earlier in range(round_number if again else 0):
        for segment in read_prepared(run.store, earlier, shard)[0]:
            for line in run.store.lines(segment.key):
                yield from _all_again(run, state, again.pop(read_record_id(line), []), line)


def _all_again(run: Run, state: ShardState, owing: list[Owed], line: bytes) -> Iterator[tuple[Request, bytes]]:
    """What is sent in place of a line, of which several documents and analyses may owe something."""
    whole: dict[Key, Request] = {}
    for owed in owing:
        if owed.request.record_id == owed.source_id:
            sent = state.fused.get((owed.request.document_id, owed.source_id), owed.request)
            whole[sent.document_id, sent.analysis] = sent  # a fused line goes as a whole, and once
        elif rendered := _reworded(run, state, owed, read_prompt(line)):
            yield _line(run, _counted(run, rendered))
    for request in whole.values():
        yield request, line + b"\n"


def _reworded(run: Run, state: ShardState, owed: Owed, prompt: str) -> Rendered | None:
    """The prompt in other words, a part of a fused one on its own; None where a correction does not fit the window."""
    planner = run.planners[owed.request.analysis]
    sent = state.fused.get((owed.request.document_id, owed.source_id))
    if sent is not None:
        owed, prompt = planner.alone(owed, prompt, run.fused(sent.analysis))
    return planner.corrected(owed, prompt)


def _counted(run: Run, rendered: Rendered) -> Rendered:
    """With its tokens: it is not like the prompts of the first round, whose density would tell nothing of it."""
    request, prompt = rendered
    if request.input_tokens is not None:
        return rendered
    return replace(request, input_tokens=count_prompt(prompt, run.services.counter)), prompt


def _line(run: Run, rendered: Rendered) -> tuple[Request, bytes]:
    request, prompt = rendered
    generation = run.asked(request.analysis).generation
    if request.max_output_tokens != generation.max_output_tokens:
        generation = replace(generation, max_output_tokens=request.max_output_tokens)
    return request, write_record(request.record_id, prompt, generation)

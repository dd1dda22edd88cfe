"""Read what a batch produced: one outcome for every request, kept by shard, with the job's own totals beside it."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass

import orjson

from pipeline.analyses import Analysis
from pipeline.answers import Parsed, parse_answer
from pipeline.domain import Batch, Failure, Fate, JobStatus, Mode, Outcome, Reason, Request, Span, Usage
from pipeline.errors import JobFailed
from pipeline.fusing import Fused, read_parts
from pipeline.known.recall import remember
from pipeline.ledger import disagreement, shared
from pipeline.manifest import REOPENED, STOPPED, collected_key, outcomes_folder, shard_of
from pipeline.money.hours import joined
from pipeline.records import OutcomeRecord, to_parquet
from pipeline.segments import read_index
from pipeline.steps.outputs import Output, output_of
from pipeline.steps.rounds import COLLECTED, Collected, read_batch, read_collected
from pipeline.steps.run import Run, Services
from pipeline.steps.tombstones import refuse_tidied
from pipeline.wire import Reply

DETAIL_CHARACTERS = 300
RAW_CHARACTERS = 20_000  # kept of what a model wrote; the longest answer, 2,048 tokens of prose, is half of that
NEXT = "a job is never started twice: once the cause is mended, begin a run with another key"
# Bedrock charges for the tokens that it processed; the job's own totals confirm that these records had none.
UNBILLED = Usage(0, 0)


Outcomes = list[Outcome]
"""Of one record: one, or one for each part of a fused request, in the order of the parts."""


@dataclass(frozen=True, slots=True)
class _Judged:
    """What the output of a batch came to, by record id; `replied` counts the answers, good or not, `called` when."""

    outcomes: dict[str, Outcomes]
    unreadable: int
    unknown: int
    replied: int
    called: tuple[Span, ...]


Requests = dict[str, list[Request]]
"""By record id; of shards that hold the same text, each has the request."""


def collect(services: Services, run_uri: str, round_number: int, batch_key: str) -> Collected:
    """Turn a batch's output into outcomes. Done once: a repetition reads the counts, or raises the same again.

    Raises JobFailed when the job failed before any record, or refused every record for one reason.
    """
    run = Run(services, run_uri)
    key = collected_key(round_number, batch_key)
    if not run.store.exists(key):
        refuse_tidied(run)
        run.store.write(key, COLLECTED.dump_json(_collect(run, round_number, read_batch(run, round_number, batch_key))))
    collected = read_collected(run, round_number, batch_key)
    if collected.job_failure:
        raise JobFailed(collected.job_failure)
    return collected


def is_collected(services: Services, run_uri: str, round_number: int, batch_key: str) -> bool:
    """Whether a batch's outcomes are kept already, so that its job need not be asked for any more."""
    return Run(services, run_uri).store.exists(collected_key(round_number, batch_key))


def judge(reply: Reply, asked: Analysis | Fused, request: Request, asked_model: str) -> Outcomes:
    """The outcome of one reply, or of each part of it: parsed and valid, or failed with a reason."""
    model = reply.engine or asked_model
    if reply.text is None:
        failure = Failure(Reason.REFUSED, f"{reply.error_code}: {reply.error_message}"[:DETAIL_CHARACTERS])
        refused = Outcome(reply.record_id, Fate.FAILED, None, failure, reply.retryable, UNBILLED, model)
        return [refused] * len(request.analyses)
    if isinstance(asked, Fused):
        parts = read_parts(reply.text, asked.map.begun, asked.parts)
        usages = shared(reply.usage, [one.written_bytes for one in parts]) if reply.usage else [None] * len(parts)
        return [_judged(reply, one.parsed, one.raw, used, model) for one, used in zip(parts, usages, strict=True)]
    prompt = asked.prompt(request.stage)
    parsed = parse_answer(reply.text, prompt.begun, asked.validator, asked.declaration.labels)
    return [_judged(reply, parsed, reply.text, reply.usage, model)]


def _judged(reply: Reply, parsed: Parsed, raw: str, usage: Usage | None, model: str) -> Outcome:
    return Outcome(
        reply.record_id,
        Fate.FAILED if parsed.answer is None else Fate.ANSWERED,
        answer=parsed.answer,
        failure=parsed.failure,
        usage=usage,
        model=model,
        truncated=reply.reached_limit and parsed.cut,
        raw=raw[:RAW_CHARACTERS] if parsed.answer is None else None,
    )


def _worst(outcomes: Outcomes) -> Outcome:
    """What stands for a record as a whole: the first part that failed, else the first."""
    return next((one for one in outcomes if one.failure), outcomes[0])


def _collect(run: Run, round_number: int, batch: Batch) -> Collected:
    requests: Requests = defaultdict(list)
    for request in read_index(run.store, batch.index_keys):
        requests[request.record_id].append(request)
    output = output_of(run, round_number, batch)
    found = _judge_all(run, output, requests)
    failure = _job_failure(run, batch, output, found.outcomes)
    missing = Failure(Reason.MISSING, "the job ended without this record")
    absent = requests.keys() - found.outcomes.keys()
    outcomes = found.outcomes | {
        record_id: [Outcome(record_id, Fate.MISSING, None, missing, retryable=True, usage=UNBILLED)]
        * len(requests[record_id][0].analyses)
        for record_id in absent
    }
    if failure is None:
        _keep(run, round_number, batch, output, requests, outcomes)
    fates = Counter(_worst(found).fate for found in outcomes.values())
    counts = (fates[Fate.ANSWERED], fates[Fate.FAILED], fates[Fate.MISSING])
    if output.paid_by is not None:
        return Collected(0, *counts, unreadable=0, unknown=0, input_tokens=0, output_tokens=0, disagreement=None)
    used = sum((one.usage for found in outcomes.values() for one in found if one.usage), UNBILLED)
    left_out, tokens = (found.unreadable, found.unknown), (used.input_tokens, used.output_tokens)
    differences = _differences(run, batch, output, found, used)
    uncounted = sum(any(one.usage is None for one in found) for found in outcomes.values())
    return Collected(batch.records, *counts, *left_out, *tokens, differences, failure, found.called, uncounted)


def _judge_all(run: Run, output: Output, requests: Requests) -> _Judged:
    """Every line of an output judged once; a line that is no record, or nobody's, is counted and left out."""
    outcomes: dict[str, Outcomes] = {}
    called: list[Span] = []
    unreadable = unknown = replied = 0
    for reply in output.replies():
        if reply is None:
            unreadable += 1
        elif reply.record_id not in requests or not _is_news(reply, outcomes.get(reply.record_id)):
            unknown += 1
        else:
            unknown += reply.record_id in outcomes
            request = requests[reply.record_id][0]
            replied += reply.text is not None
            called += [reply.called] if reply.called else []
            outcomes[reply.record_id] = judge(reply, run.asked(request.analysis), request, run.manifest.model)
    return _Judged(outcomes, unreadable, unknown, replied, joined(called))


def _differences(run: Run, batch: Batch, output: Output, found: _Judged, used: Usage) -> str | None:
    """What is wrong with the output of a batch as a whole, in a sentence; None when nothing is."""
    told = []
    if batch.mode is Mode.BATCH:
        summary = output.job_summary()
        if summary is not None or not _was_stopped(run, output):  # a job that is stopped leaves no totals by nature
            told.append(disagreement(summary, used, found.replied))
    if found.unreadable:
        told.append(f"lines that could not be read: {found.unreadable}")
    if found.unknown:
        told.append(f"lines that are repeated or answer nothing that was asked: {found.unknown}")
    kept = "; ".join(each for each in told if each)
    return f"{batch.batch_key}: {kept}" if kept else None


def _was_stopped(run: Run, output: Output) -> bool:
    """Whether the run was stopped, and with it this job."""
    if output.arn is None or not (run.store.exists(STOPPED) or run.store.exists(REOPENED)):
        return False
    return run.services.batch_client().describe(output.arn).status is JobStatus.STOPPED


def _is_news(reply: Reply, seen: Outcomes | None) -> bool:
    """Whether a line says more than one about the same record before it: an answer more than an error."""
    return seen is None or (reply.text is not None and seen[0].failure is not None and seen[0].raw is None)


def _job_failure(run: Run, batch: Batch, output: Output, outcomes: dict[str, Outcomes]) -> str | None:
    """Why a job came to nothing as a whole: it failed before any record, or refused each of them for one reason.

    A job that was stopped or expired says nothing about its records: they are missing, and asked again. Messages that
    differ in numbers only are one reason: they name lengths or places.
    """
    if output.paid_by is not None:
        return None  # its own run fails of it; this one asks again, and sees for itself
    arn, where = output.arn, f"batch {batch.batch_key}, job {output.arn}"
    if not outcomes:
        job = run.services.batch_client().describe(arn) if arn else None
        failed = job is not None and job.status is JobStatus.FAILED and job.message
        return f"{where}: {job.status}: {job.message} ({NEXT})" if job and failed else None
    if batch.mode is not Mode.BATCH or len(outcomes) < batch.records:
        return None
    worst = map(_worst, outcomes.values())
    refusals = [one.failure.detail for one in worst if one.failure and _is_refused(one)]
    alike = len({re.sub(r"\d+", "#", detail) for detail in refusals}) == 1
    if not alike or len(refusals) < len(outcomes):
        return None
    return f"{where}: all {batch.records} records failed: {min(refusals)} ({NEXT})"


def _is_refused(outcome: Outcome) -> bool:
    return outcome.failure is not None and outcome.failure.reason is Reason.REFUSED and not outcome.retryable


def _keep(
    run: Run,
    round_number: int,
    batch: Batch,
    output: Output,
    requests: Requests,
    outcomes: dict[str, Outcomes],
) -> None:
    """By shard, and the answers for later runs. Of several requests with one record, the first paid for it."""
    by_shard: dict[int, list[OutcomeRecord]] = defaultdict(list)
    answers = []
    for record_id, asked in requests.items():
        for place, request in enumerate(asked):
            paid_by = output.paid_by if place == 0 else run.manifest.run_key
            for part, outcome in zip(request.parts(), outcomes[record_id], strict=True):
                record = _record(part, outcome, round_number, batch.mode, output.arn, paid_by)
                by_shard[shard_of(part.document_id, run.manifest.shards)].append(record)
                if not (outcome.truncated and part.attempt == 0):  # a longer answer may follow
                    answers.append(record)
    for shard, records in by_shard.items():
        key = f"{outcomes_folder(round_number, shard)}/{batch.batch_key}.parquet"
        run.store.write(key, to_parquet(OutcomeRecord, records))
    remember(run.work, run.manifest.run_key, batch.batch_key, answers)


def _record(
    request: Request, outcome: Outcome, round_number: int, mode: Mode, arn: str | None, paid_by: str | None
) -> OutcomeRecord:
    return OutcomeRecord(
        record_id=outcome.record_id,
        question_id=request.question_id,
        fate=outcome.fate,
        round_number=round_number,
        mode=mode,
        job_arn=arn,
        answer=None if outcome.answer is None else orjson.dumps(outcome.answer).decode(),
        reason=outcome.failure.reason if outcome.failure else None,
        detail=outcome.failure.detail if outcome.failure else None,
        retryable=outcome.retryable,
        truncated=outcome.truncated,
        model=outcome.model,
        input_tokens=outcome.usage.input_tokens if outcome.usage else None,
        output_tokens=outcome.usage.output_tokens if outcome.usage else None,
        raw=outcome.raw,
        paid_by=paid_by,
    )

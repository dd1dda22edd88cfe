"""Take a batch job through its life: validate, answer every record, write output and manifest."""

from __future__ import annotations

import logging
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial, reduce
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from pipeline.domain import JobStatus
from pipeline.local.active_faults import ActiveFaults
from pipeline.local.bill import Bill, prompt_sha256
from pipeline.local.faults import Fault, invalid
from pipeline.local.records import Line, Shuffle, Totals, answer_line, check_line, kept_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from pipeline.local.engine import Engine
    from pipeline.local.fault_plan import JobFault, JobKind
    from pipeline.local.jobs import JobStore, StoredJob
    from pipeline.local.llama import Vocabulary
    from pipeline.local.objects import Input, Objects
    from pipeline.local.records import Answered

_log = logging.getLogger(__name__)
_AT_ONCE_RECORDS = 4
_SLICE_RECORDS = 32
_SLICE_BYTES = 4_000_000
_STUCK_SECONDS = 0.05
_DISAGREEMENT = Totals(succeeded=1, output_tokens=1000)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the service allows (bedrock.md, quotas), and how fast its time runs here.

    `state_seconds` passes before each change of state; `hour_seconds` is how long an hour of timeoutDurationInHours is.
    """

    minimum_records: int = 100
    maximum_records: int = 100_000
    maximum_file_bytes: int = 1_000_000_000
    maximum_job_bytes: int = 5_000_000_000
    maximum_jobs: int = 100
    state_seconds: float = 0.1
    hour_seconds: float = 3600.0
    default_hours: int = 24


@dataclass(frozen=True, slots=True)
class Place:
    """A bucket and a key or prefix in it."""

    bucket: str
    key: str

    @classmethod
    def of(cls, uri: str) -> Place:
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        return cls(bucket, key)


class Interrupted(Exception):
    """The job goes no further; what it has answered so far is kept."""


class NotYet(Exception):
    """The job is stuck in the state that it is in."""


@dataclass(frozen=True, slots=True)
class Worker:
    """Runs jobs to their end. `clock` gives seconds since the epoch, `sleep` waits; both are injected."""

    jobs: JobStore
    objects: Objects
    engine: Engine
    vocabulary: Vocabulary
    scratch: Path
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    rules: Rules = field(default_factory=Rules)
    bill: Bill = field(default_factory=lambda: Bill(":memory:"))
    faults: ActiveFaults = field(default_factory=ActiveFaults)

    def run(self, job_id: str) -> bool:
        """From wherever the job is to an end. A job that was InProgress when its process died starts over.

        False where the fault plan keeps the job from its end: run it again.
        """
        try:
            self._run(job_id)
        except NotYet:
            self.sleep(_STUCK_SECONDS)
            return False
        except Interrupted:
            if not self.jobs.stopped(job_id, self.clock()):
                self.jobs.advance(job_id, JobStatus.EXPIRED, self.clock())
        except Fault as fault:
            self._fail(job_id, fault.message)
        except Exception as error:  # noqa: BLE001 - a thread that dies silently would leave the job InProgress for ever
            _log.exception("job %s", job_id)
            self._fail(job_id, f"Internal error: {error}"[:2048])
        return True

    def _fail(self, job_id: str, message: str) -> None:
        if not self.jobs.advance(job_id, JobStatus.FAILED, self.clock(), message):
            self.jobs.stopped(job_id, self.clock())

    def _run(self, job_id: str) -> None:
        job, faults = self._step(job_id, JobStatus.VALIDATING), self.faults.of_job(job_id)
        if job.status is JobStatus.SCHEDULED:
            self._hold(job, faults)
        source = Place.of(job.request["inputDataConfig"]["s3InputDataConfig"]["s3Uri"])
        inputs = self._find(source)
        records = sum(self._check(source.bucket, found) for found in inputs)
        self._check_total(records)
        self._hold(self._step(job_id, JobStatus.SCHEDULED), faults)
        _end_early(faults)
        job = self._step(job_id, JobStatus.IN_PROGRESS)
        totals = self._answer_all(job, source.bucket, inputs, records, faults)
        ending = _first(faults, "partial", "stopped")
        if ending and ending.kind == "stopped":
            self.jobs.stop(job_id, self.clock())
        self._finish(job, totals)

    def _hold(self, job: StoredJob, faults: tuple[JobFault, ...]) -> None:
        stuck = _first(faults, "stuck")
        if stuck and (stuck.seconds is None or self.clock() < job.submitted + stuck.seconds):
            raise NotYet

    def _step(self, job_id: str, status: JobStatus) -> StoredJob:
        """Pause, then move forward to `status`; a job that was further already (a restart) stays where it is."""
        self.sleep(self.rules.state_seconds)
        job = self.jobs.get(job_id)
        if job is None or self._interruption(job):
            raise Interrupted
        if _ORDER.index(job.status) < _ORDER.index(status) and not self.jobs.advance(job_id, status, self.clock()):
            raise Interrupted
        return job

    def _interruption(self, job: StoredJob) -> bool:
        return job.status not in _ORDER or self.clock() >= expires(job, self.rules)

    def _find(self, source: Place) -> list[Input]:
        inputs = self.objects.find(source.bucket, source.key)
        where = f"s3://{source.bucket}/{source.key}"
        if not inputs:
            raise invalid(f"Could not find a .jsonl file at the input location {where}.")
        if max(found.size_bytes for found in inputs) > self.rules.maximum_file_bytes:
            raise invalid(f"A file at {where} is larger than the allowed maximum of: {self.rules.maximum_file_bytes}")
        if sum(found.size_bytes for found in inputs) > self.rules.maximum_job_bytes:
            raise invalid(f"Input at {where} is larger than the allowed maximum of: {self.rules.maximum_job_bytes}")
        return inputs

    def _check(self, bucket: str, found: Input) -> int:
        count = 0
        for count, line in enumerate(self.objects.lines(bucket, found.key), start=1):
            check_line(line, f"line {count} of {found.name}")
        return count

    def _check_total(self, records: int) -> None:
        least, most = self.rules.minimum_records, self.rules.maximum_records
        if records < least:
            raise invalid(f"Batch job contains less records ({records}) than the required minimum of: {least}")
        if records > most:
            raise invalid(f"Batch job contains more records ({records}) than the allowed maximum of: {most}")

    def _answer_all(
        self, job: StoredJob, bucket: str, inputs: list[Input], records: int, faults: tuple[JobFault, ...]
    ) -> Totals:
        totals = Totals(total=records)
        self.jobs.count(job.job_id, records, 0, 0)
        ending, target, folder = _first(faults, "partial", "stopped"), output_place(job), self.scratch / job.job_id
        limit = ending.reached(records) if ending else records
        hits = self.faults.of_records(job.job_id, islice(self._named_prompts(bucket, inputs), limit))
        answer = partial(answer_line, self.engine, self.vocabulary, job.job_id, hits)
        folder.mkdir(parents=True, exist_ok=True)
        with ThreadPoolExecutor(_AT_ONCE_RECORDS) as pool:
            for found in inputs:
                lines = islice(self._lines(bucket, found), limit - totals.taken)
                totals = self._answer_file(job, partial(pool.map, answer), lines, folder / "output", totals)
                self.objects.put(target.bucket, f"{target.key}{found.name}.out", folder / "output")
        shutil.rmtree(folder)
        if not _first(faults, "no-manifest"):
            told = totals.plus(_DISAGREEMENT) if _first(faults, "wrong-manifest") else totals
            self.objects.put(target.bucket, f"{target.key}manifest.json.out", told.manifest())
        return totals

    def _lines(self, bucket: str, found: Input) -> Iterator[Line]:
        for position, content in enumerate(self.objects.lines(bucket, found.key), start=1):
            yield Line(content, position, found.name)

    def _named_prompts(self, bucket: str, inputs: list[Input]) -> Iterator[tuple[str, str]]:
        """The id of every record, and the sha256 of its prompt."""
        for line in chain.from_iterable(self._lines(bucket, found) for found in inputs):
            record_id, model_input = line.read()
            yield kept_name(record_id), prompt_sha256(model_input)

    def _answer_file(
        self,
        job: StoredJob,
        answers: Callable[[list[Line]], Iterable[Answered]],
        lines: Iterator[Line],
        path: Path,
        totals: Totals,
    ) -> Totals:
        """Write the output of one input file to `path`; gives `totals` with this file's records added."""
        shuffle, torn = Shuffle(job.job_id), list[bytes]()
        with path.open("wb") as sink:
            for part in _slices(lines):
                if self._asked_to_end(job):
                    break
                answered = list(answers(part))
                self.bill.add((each.charge for each in answered if each.charge), self.clock())
                totals = reduce(Totals.plus, (each.totals for each in answered), totals)
                self.jobs.count(job.job_id, totals.total, totals.succeeded, totals.failed)
                sink.writelines(shuffle.exchange(line for each in answered for line in each.lines))
                torn += [each.torn for each in answered if each.torn]
            sink.writelines(shuffle.rest())
            sink.write(b"\n".join(torn))
        return totals

    def _asked_to_end(self, job: StoredJob) -> bool:
        current = self.jobs.get(job.job_id)
        return current is None or self._interruption(current)

    def _finish(self, job: StoredJob, totals: Totals) -> None:
        status = JobStatus.COMPLETED if totals.taken == totals.total else JobStatus.PARTIALLY_COMPLETED
        if not self.jobs.advance(job.job_id, status, self.clock()):
            self.jobs.stopped(job.job_id, self.clock())


_ORDER = [JobStatus.SUBMITTED, JobStatus.VALIDATING, JobStatus.SCHEDULED, JobStatus.IN_PROGRESS]


def expires(job: StoredJob, rules: Rules) -> float:
    """When the job's time runs out, in seconds since the epoch."""
    hours: int = job.request.get("timeoutDurationInHours", rules.default_hours)
    return job.submitted + hours * rules.hour_seconds


def output_place(job: StoredJob) -> Place:
    """The folder of the job's output: `<output uri>/<job id>/`."""
    config: dict[str, Any] = job.request["outputDataConfig"]["s3OutputDataConfig"]
    place = Place.of(config["s3Uri"])
    prefix = place.key.rstrip("/")
    return Place(place.bucket, f"{prefix}/{job.job_id}/" if prefix else f"{job.job_id}/")


def _first(faults: tuple[JobFault, ...], *kinds: JobKind) -> JobFault | None:
    return next((fault for fault in faults if fault.kind in kinds), None)


def _end_early(faults: tuple[JobFault, ...]) -> None:
    """Raise what ends a job before its first record, where the plan says so."""
    ending = _first(faults, "expired", "failed")
    if ending is not None:
        raise Interrupted if ending.message is None else invalid(ending.message)


def _slices(lines: Iterator[Line]) -> Iterator[list[Line]]:
    """Lines in parts that are small enough to hold, each with its answers, in memory."""
    part: list[Line] = []
    for line in lines:
        part.append(line)
        if len(part) == _SLICE_RECORDS or sum(len(each.content) for each in part) > _SLICE_BYTES:
            yield part
            part = []
    if part:
        yield part

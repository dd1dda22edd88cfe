"""What is to go wrong, as one value, and which calls, jobs and records it hits: by seed and name, not by chance.

A plan as JSON; what it does not name does not happen:

    {"seed": 7,
     "calls":   [{"operation": "create", "kind": "throttled", "first": 3}],
     "jobs":    [{"kind": "partial", "at": 0.4, "first_jobs": 1}],
     "records": [{"kind": "prose", "count": 10, "first_attempts": 1}, {"kind": "error-500", "share": 0.05}],
     "objects": [{"method": "GET", "kind": "slow-down", "first": 2}]}

A job whose records all fail and whose status is Completed is `{"kind": "error-400", "share": 1}` under `records`.
Output lines leave in another order than they came with or without a plan.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from pipeline.domain import Mode
from pipeline.errors import SettingsError

Operation = Literal["create", "get", "list", "stop", "invoke"]
CallKind = Literal["throttled", "error-500", "unavailable", "quota", "slow", "reset"]
Method = Literal["GET", "HEAD", "PUT", "POST", "DELETE"]
ObjectKind = Literal["slow-down", "reset"]
JobKind = Literal["stuck", "expired", "failed", "partial", "stopped", "no-manifest", "wrong-manifest"]
AnswerKind = Literal["prose", "fenced", "truncated", "empty", "over-long", "wrong-label"]
ErrorKind = Literal["error-400", "error-429", "error-500"]
LineKind = Literal["skipped", "dropped", "duplicated", "unknown", "half-line"]
RecordKind = Literal[AnswerKind, ErrorKind, LineKind]

Share = Annotated[float, Field(gt=0, le=1)]
Count = Annotated[int, Field(ge=1)]
_SPACE = 2**64


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class CallFault(_Strict):
    """What meets the calls of one operation: its `first` ones since the plan began, or a `share` of them.

    `reset` carries the operation out and then closes the connection without an answer; `slow` waits `seconds` first;
    the others refuse before anything is done.
    """

    operation: Operation
    kind: CallKind
    first: Count | None = None
    share: Share | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _check(self) -> CallFault:
        _exactly_one(first=self.first, share=self.share)
        _only_with(self.kind, ("slow",), required=True, seconds=self.seconds)
        return self


class JobFault(_Strict):
    """What meets the `first_jobs` jobs created since the plan began, or every job.

    `partial` and `stopped` end a job when the share `at` of its records, rounded down, was answered; `stuck` stays in
    Scheduled until the job expires, is stopped or is `seconds` old; `failed` ends with `message` before any record.
    """

    kind: JobKind
    first_jobs: Count | None = None
    at: Annotated[float, Field(ge=0, lt=1)] | None = None
    message: Annotated[str, Field(min_length=1, max_length=2048)] | None = None
    seconds: Annotated[float, Field(ge=0)] | None = None

    @model_validator(mode="after")
    def _check(self) -> JobFault:
        _only_with(self.kind, ("partial", "stopped"), required=True, at=self.at)
        _only_with(self.kind, ("failed",), required=True, message=self.message)
        _only_with(self.kind, ("stuck",), required=False, seconds=self.seconds)
        return self

    def reached(self, records: int) -> int:
        """How many of a job's records are answered before it ends."""
        return int(round((self.at or 0) * records, 6))


class RecordFault(_Strict):
    """What meets records: those with these `ids`, a `share` of all ids, or exactly `count` in each job.

    `first_attempts` spares a record that was asked that often before, so that asking again succeeds; `mode` limits to
    one mode. `count` is drawn among the records of a job that nothing else hits, fewer where there are fewer.
    `skipped` was never answered and bills nothing; `dropped` was answered and billed, and its line is lost. On demand
    both end the connection, and the other faults of lines mean nothing.
    """

    kind: RecordKind
    ids: tuple[str, ...] | None = None
    share: Share | None = None
    count: Count | None = None
    first_attempts: Count | None = None
    mode: Annotated[Mode, Field(strict=False)] | None = None

    @model_validator(mode="after")
    def _check(self) -> RecordFault:
        _exactly_one(ids=self.ids, share=self.share, count=self.count)
        if self.count is not None and self.mode is Mode.ON_DEMAND:
            raise ValueError("count: is drawn within a job, and on demand there is none; give share instead")
        return self

    def reaches(self, attempt: int, mode: Mode) -> bool:
        """Whether a record's `attempt`, counted from 1, in this mode is one that the fault can hit."""
        return attempt <= (self.first_attempts or attempt) and mode is (self.mode or mode)


class ObjectFault(_Strict):
    """What meets the requests of one method to the object store, behind `pipeline.local.s3_proxy` only.

    `slow-down` refuses with S3's 503; `reset` closes the connection in the middle of the body that is read, or once
    the object is written and before the answer.
    """

    method: Method
    kind: ObjectKind
    first: Count | None = None
    share: Share | None = None

    @model_validator(mode="after")
    def _check(self) -> ObjectFault:
        _exactly_one(first=self.first, share=self.share)
        return self


class FaultPlan(_Strict):
    """Everything that goes wrong. A record suffers one fault at most; a call and a job suffer each that hits them."""

    seed: int = 0
    calls: tuple[CallFault, ...] = ()
    jobs: tuple[JobFault, ...] = ()
    records: tuple[RecordFault, ...] = ()
    objects: tuple[ObjectFault, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> FaultPlan:
        total = sum(fault.share or 0 for fault in self.records)
        if total > 1 + 1e-9:
            raise ValueError(f"records: the shares add up to {total:g}, and there is no more than 1 to give away")
        return self

    @classmethod
    def read(cls, content: bytes | str) -> FaultPlan:
        """A plan of its JSON. Raises SettingsError, which names every field that is wrong."""
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            wrong = "; ".join(_shown(each["loc"], each["msg"]) for each in error.errors(include_url=False))
            advice = "The docstring of pipeline.local.fault_plan shows its form."
            raise SettingsError(f"The fault plan is wrong. {wrong}. {advice}") from error

    def of_call(self, operation: Operation, number: int) -> tuple[CallFault, ...]:
        """The faults that meet the `number`-th call of `operation`, counted from 1."""
        return tuple(
            fault
            for place, fault in enumerate(self.calls)
            if fault.operation == operation and self._meets(fault, number, f"call {place}")
        )

    def of_object(self, method: str, number: int) -> ObjectKind | None:
        """The first fault that meets the `number`-th request of `method` to the object store, counted from 1."""
        hits = (
            fault.kind
            for place, fault in enumerate(self.objects)
            if fault.method == method and self._meets(fault, number, f"object {place}")
        )
        return next(hits, None)

    def of_job(self, number: int) -> tuple[JobFault, ...]:
        """The faults that meet the `number`-th job created, counted from 1."""
        return tuple(fault for fault in self.jobs if number <= (fault.first_jobs or number))

    def of_records(self, attempts: Mapping[str, int], mode: Mode) -> dict[str, RecordKind]:
        """The hit ones among records that are asked together. `attempts` gives each id's attempt, counted from 1."""
        hits = {record_id: kind for record_id in attempts for kind in self._of_record(record_id, attempts, mode)}
        if mode is Mode.ON_DEMAND:
            return hits
        drawn = sorted(attempts.keys() - hits.keys(), key=lambda record_id: _point(self.seed, "count", record_id))
        for fault in self.records:
            open_ids = (each for each in drawn if each not in hits and fault.reaches(attempts[each], mode))
            hits |= {record_id: fault.kind for record_id, _ in zip(open_ids, range(fault.count or 0), strict=False)}
        return hits

    def _meets(self, fault: CallFault | ObjectFault, number: int, name: str) -> bool:
        if fault.first is not None:
            return number <= fault.first
        return _point(self.seed, name, number) < (fault.share or 0)

    def _of_record(self, record_id: str, attempts: Mapping[str, int], mode: Mode) -> Iterable[RecordKind]:
        """The first fault by id, else the one in whose part of [0, 1) the record lies; none or one."""
        for fault in self.records:
            if fault.ids is not None and record_id in fault.ids and fault.reaches(attempts[record_id], mode):
                return [fault.kind]
        point = _point(self.seed, "record", record_id)
        return [
            fault.kind
            for fault, (low, high) in zip(self.records, _intervals(self.records), strict=True)
            if low <= point < high and fault.reaches(attempts[record_id], mode)
        ]


def _intervals(faults: tuple[RecordFault, ...]) -> Iterator[tuple[float, float]]:
    ends = list(accumulate(fault.share or 0 for fault in faults))
    return zip([0.0, *ends], ends, strict=False)


def _point(*names: str | int) -> float:
    """A number in [0, 1) that only the names decide."""
    digest = hashlib.sha256("\0".join(map(str, names)).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8], "big") / _SPACE


def _exactly_one(**given: object) -> None:
    if sum(value is not None for value in given.values()) != 1:
        raise ValueError(f"{', '.join(given)}: give exactly one of these")


def _only_with(kind: str, kinds: tuple[str, ...], *, required: bool, **given: object) -> None:
    """Raise ValueError where the one option `given` stands with another kind, or lacks where it is `required`."""
    ((name, value),) = given.items()
    if value is not None and kind not in kinds:
        raise ValueError(f"{name}: has a meaning with {' and '.join(kinds)} only, not with {kind}")
    if value is None and kind in kinds and required:
        raise ValueError(f"{name}: must be given with {kind}")


def _shown(location: tuple[int | str, ...], message: str) -> str:
    """`records.0.share: ...`. An error of a whole model begins with its field itself."""
    where = ".".join(map(str, location))
    own = message.removeprefix("Value error, ")
    if own != message:
        return f"{where}.{own}" if where else own
    return f"{where}: {own}" if where else own

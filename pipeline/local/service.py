"""The operations of Bedrock that this project uses, on plain dictionaries: no HTTP and no threads."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from pipeline.domain import JobStatus, Mode
from pipeline.errors import ServiceBusy, ServiceError
from pipeline.local import llama, shapes
from pipeline.local.active_faults import ActiveFaults
from pipeline.local.bill import Bill, Charge, prompt_sha256
from pipeline.local.faults import ConnectionCut, Fault, invalid, planned_refusal
from pipeline.local.jobs import Selection
from pipeline.local.spoiling import Spoiled, is_of_answer
from pipeline.local.work import Rules, expires

if TYPE_CHECKING:
    from pipeline.local.engine import Engine
    from pipeline.local.fault_plan import Operation
    from pipeline.local.jobs import JobStore, StoredJob

_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"
_ARN = f"arn:aws:bedrock:{llama.REGION}:{llama.ACCOUNT_ID}:model-invocation-job/"
_PAGE_JOBS = 100
_SEQUENCES = 2**63  # SQLite's
P = ParamSpec("P")
R = TypeVar("R")


def _troubled(
    operation: Operation,
) -> Callable[[Callable[Concatenate[Service, P], R]], Callable[Concatenate[Service, P], R]]:
    """Meet a call with what the fault plan holds for it: a pause and a refusal before, a cut connection after."""

    def decorate(answer: Callable[Concatenate[Service, P], R]) -> Callable[Concatenate[Service, P], R]:
        @wraps(answer)
        def meet(service: Service, /, *arguments: P.args, **named: P.kwargs) -> R:
            faults = service.faults.of_call(operation)
            for fault in faults:
                service.sleep(fault.seconds or 0.0)
            for fault in faults:
                if refusal := planned_refusal(fault.kind):
                    raise refusal
            answered = answer(service, *arguments, **named)
            if any(fault.kind == "reset" for fault in faults):
                raise ConnectionCut
            return answered

        return meet

    return decorate


@dataclass(frozen=True, slots=True)
class Service:
    """What the endpoint and `InProcessBedrock` have in common. `submit` is told the id of every new job.

    Where the fault plan cuts a connection, ConnectionCut is raised.
    """

    jobs: JobStore
    engine: Engine
    vocabulary: llama.Vocabulary
    submit: Callable[[str], None]
    clock: Callable[[], float]
    rules: Rules = field(default_factory=Rules)
    bill: Bill = field(default_factory=lambda: Bill(":memory:"))
    faults: ActiveFaults = field(default_factory=ActiveFaults)
    sleep: Callable[[float], None] = lambda _: None

    @_troubled("create")
    def create(self, request: dict[str, Any]) -> dict[str, Any]:
        """CreateModelInvocationJob. A token that was seen before gives the job of then, whatever else is asked."""
        shapes.check("bedrock", "CreateModelInvocationJob", request)
        token = request.get("clientRequestToken") or secrets.token_hex(16)
        earlier = self.jobs.by_token(token)
        if earlier is not None:
            return {"jobArn": _ARN + earlier.job_id}
        base_model = llama.base_model(request["modelId"])
        self._check_quota(base_model)
        job_id = _job_id(token)
        known = _known_members(request)
        if self.jobs.add(job_id=job_id, token=token, base_model=base_model, request=known, now=self.clock()):
            self.faults.created(job_id)
            self.submit(job_id)
        return {"jobArn": _ARN + job_id}

    @_troubled("get")
    def get(self, request: dict[str, Any]) -> dict[str, Any]:
        """GetModelInvocationJob, by ARN or by the 12-character id."""
        shapes.check("bedrock", "GetModelInvocationJob", request)
        return self._described(self._job(request["jobIdentifier"]))

    @_troubled("list")
    def list(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListModelInvocationJobs, newest first and 100 to a page unless the request says otherwise."""
        shapes.check("bedrock", "ListModelInvocationJobs", request)
        limit = request.get("maxResults", _PAGE_JOBS)
        found = self.jobs.select(_selection(request), limit + 1)
        page = {"invocationJobSummaries": [self._described(job) for job in found[:limit]]}
        return page | ({"nextToken": _page_token(found[limit - 1].sequence)} if len(found) > limit else {})

    @_troubled("stop")
    def stop(self, request: dict[str, Any]) -> dict[str, Any]:
        """StopModelInvocationJob. The job is Stopping until the worker lets go of it."""
        shapes.check("bedrock", "StopModelInvocationJob", request)
        job = self._job(request["jobIdentifier"])
        if not self.jobs.stop(job.job_id, self.clock()):
            raise Fault("ConflictException", f"The job {_ARN}{job.job_id} has ended and cannot be stopped.")
        return {}

    def tags(self, request: dict[str, Any]) -> dict[str, Any]:
        """ListTagsForResource, of jobs alone."""
        shapes.check("bedrock", "ListTagsForResource", request)
        return {"tags": self._job(request["resourceARN"]).request.get("tags", [])}

    @_troubled("invoke")
    def invoke(self, model_id: str, content: bytes, request_id: str | None = None) -> llama.Completion:
        """InvokeModel with the native body of the Llama family. `request_id` names the call on the bill."""
        shapes.check("bedrock-runtime", "InvokeModel", {"modelId": model_id})
        llama.refuse_unknown(model_id)
        try:
            body = json.loads(content)
        except ValueError as error:
            raise invalid("Malformed input request, please reformat your input and try again.") from error
        checked = llama.check_body(body)
        return self._completed(checked, prompt_sha256(body), request_id or secrets.token_hex(16))

    def _completed(self, body: llama.Body, prompt: str, request_id: str) -> llama.Completion:
        """Ask the engine and bill it. What hits the record by the fault plan does so before or after that."""
        hit = self.faults.of_prompt(request_id, prompt)
        if hit == "skipped":
            raise ConnectionCut
        if refusal := planned_refusal(hit):
            raise refusal
        completion = self._answered(Spoiled(self.engine, hit) if is_of_answer(hit) else self.engine, body)
        used = (completion.prompt_tokens, completion.generation_tokens)
        self.bill.add([Charge(request_id, "", Mode.ON_DEMAND, None, prompt, *used)], self.clock())
        if hit == "dropped":
            raise ConnectionCut
        return completion

    def _answered(self, engine: Engine, body: llama.Body) -> llama.Completion:
        try:
            return llama.answer(engine, self.vocabulary, body)
        except Fault:
            raise
        except ServiceBusy as error:
            raise Fault("ServiceUnavailableException", str(error)) from error
        except ServiceError as error:
            raise Fault("ModelErrorException", str(error)) from error

    def _job(self, identifier: str) -> StoredJob:
        job = self.jobs.get(identifier.rpartition("/")[2])
        if job is None:
            raise Fault("ResourceNotFoundException", f"The model invocation job {identifier} was not found.")
        return job

    def _check_quota(self, base_model: str) -> None:
        if len(self.jobs.unended(base_model)) >= self.rules.maximum_jobs:
            raise Fault(
                "ServiceQuotaExceededException",
                f"Your account has reached {self.rules.maximum_jobs} submitted and in-progress batch inference jobs "
                f"that use the base model {base_model}. Wait until one has ended.",
            )

    def _described(self, job: StoredJob) -> dict[str, Any]:
        """The members of GetModelInvocationJobResponse; times as ISO 8601 strings."""
        known = {name: value for name, value in job.request.items() if name != "tags"}
        described = known | {
            "jobArn": _ARN + job.job_id,
            "clientRequestToken": job.token,
            "status": job.status.value,
            "message": job.message,
            "submitTime": _iso(job.submitted),
            "lastModifiedTime": _iso(job.modified),
            "endTime": _iso(job.ended),
            "timeoutDurationInHours": job.request.get("timeoutDurationInHours", self.rules.default_hours),
            "jobExpirationTime": _iso(expires(job, self.rules)),
            "totalRecordCount": job.total,
            "processedRecordCount": job.succeeded + job.failed,
            "successRecordCount": job.succeeded,
            "errorRecordCount": job.failed,
        }
        return {name: value for name, value in described.items() if value is not None}


def _known_members(request: dict[str, Any]) -> dict[str, Any]:
    shape = shapes.operation("bedrock", "CreateModelInvocationJob").input_shape
    members: dict[str, Any] = shape.members if shape is not None else {}
    return {name: request[name] for name in members if request.get(name) is not None}


def _job_id(token: str) -> str:
    """12 letters and digits, derived from the token: the same request is the same job on any machine."""
    number = int.from_bytes(hashlib.sha256(token.encode()).digest(), "big")
    return "".join(_ALPHABET[number // len(_ALPHABET) ** place % len(_ALPHABET)] for place in range(12))


def _selection(request: dict[str, Any]) -> Selection:
    token = request.get("nextToken")
    return Selection(
        status=JobStatus(request["statusEquals"]) if "statusEquals" in request else None,
        name_contains=request.get("nameContains"),
        after=_seconds(request, "submitTimeAfter"),
        before=_seconds(request, "submitTimeBefore"),
        ascending=request.get("sortOrder") == "Ascending",
        beyond_sequence=_sequence(token) if token is not None else None,
    )


def _seconds(request: dict[str, Any], member: str) -> float | None:
    if member not in request:
        return None
    try:
        return datetime.fromisoformat(request[member]).timestamp()
    except ValueError as error:
        raise invalid(f"Value '{request[member]}' at '{member}' is not an ISO 8601 time") from error


def _page_token(sequence: int) -> str:
    return base64.urlsafe_b64encode(f"after:{sequence}".encode()).decode()


def _sequence(token: str) -> int:
    try:
        sequence = int(base64.urlsafe_b64decode(token).removeprefix(b"after:"))
    except ValueError as error:
        raise invalid("The provided nextToken is invalid.") from error
    if sequence >= _SEQUENCES:
        raise invalid("The provided nextToken is invalid.")
    return sequence


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")

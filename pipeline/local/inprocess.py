"""The same service without HTTP, processes or threads: a Bedrock for tests, with boto3's method names and errors."""

from __future__ import annotations

import io
import itertools
import json
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError, ConnectionClosedError

from pipeline.local.active_faults import ActiveFaults
from pipeline.local.bill import Bill
from pipeline.local.faults import ConnectionCut, Fault
from pipeline.local.jobs import JobStore
from pipeline.local.objects import Objects, in_memory
from pipeline.local.service import Service
from pipeline.local.vocabulary import LlamaVocabulary
from pipeline.local.work import Rules, Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pipeline.local.engine import Engine
    from pipeline.local.llama import Vocabulary

_URL = "memory://bedrock"
_TIMES = ("submitTime", "lastModifiedTime", "endTime", "jobExpirationTime")


@dataclass(frozen=True, slots=True)
class InProcessBedrock:
    """Stands in for both boto3 clients, `bedrock` and `bedrock-runtime`.

    A job is Submitted until the first Get or List, which runs every waiting job to its end. Time stands still unless
    `clock` moves it. `bill` is what all of it would have cost; `faults` is what goes wrong, with a plan of its own:
    `faults=ActiveFaults(FaultPlan(...))`. Where it cuts a connection, botocore's ConnectionClosedError is raised.
    """

    engine: Engine
    scratch: Path
    objects: Objects = field(default_factory=in_memory)
    vocabulary: Vocabulary = field(default_factory=LlamaVocabulary.load)
    rules: Rules = field(default_factory=lambda: Rules(state_seconds=0.0))
    clock: Callable[[], float] = itertools.repeat(1_800_000_000.0).__next__
    jobs: JobStore = field(default_factory=lambda: JobStore(":memory:"))
    waiting: deque[str] = field(default_factory=deque)
    bill: Bill = field(default_factory=lambda: Bill(":memory:"))
    faults: ActiveFaults = field(default_factory=ActiveFaults)
    sleep: Callable[[float], None] = lambda _: None

    def create_model_invocation_job(self, **request: Any) -> dict[str, Any]:
        return _as_boto3("CreateModelInvocationJob", self._service().create, request)

    def get_model_invocation_job(self, **request: Any) -> dict[str, Any]:
        self.run_waiting()
        return _with_times(_as_boto3("GetModelInvocationJob", self._service().get, request))

    def list_model_invocation_jobs(self, **request: Any) -> dict[str, Any]:
        self.run_waiting()
        page = _as_boto3("ListModelInvocationJobs", self._service().list, _times_as_text(request))
        return page | {"invocationJobSummaries": [_with_times(job) for job in page["invocationJobSummaries"]]}

    def stop_model_invocation_job(self, **request: Any) -> dict[str, Any]:
        return _as_boto3("StopModelInvocationJob", self._service().stop, request)

    def list_tags_for_resource(self, **request: Any) -> dict[str, Any]:
        return _as_boto3("ListTagsForResource", self._service().tags, request)

    def invoke_model(self, *, modelId: str, body: str | bytes, **_: Any) -> dict[str, Any]:  # noqa: N803 - boto3's name
        def invoke(request: dict[str, Any]) -> dict[str, Any]:
            content = request["body"].encode() if isinstance(request["body"], str) else request["body"]
            return self._service().invoke(request["modelId"], content).body()

        answer = _as_boto3("InvokeModel", invoke, {"modelId": modelId, "body": body})
        return {"contentType": "application/json", "body": io.BytesIO(json.dumps(answer).encode())}

    def run_waiting(self) -> None:
        """Run every job that was created and has not ended; one that the fault plan holds fast goes on waiting."""
        worker = Worker(
            self.jobs,
            self.objects,
            self.engine,
            self.vocabulary,
            self.scratch,
            self.clock,
            self.sleep,
            self.rules,
            self.bill,
            self.faults,
        )
        held = []
        while self.waiting:
            job_id = self.waiting.popleft()
            if not worker.run(job_id):
                held.append(job_id)
        self.waiting.extend(held)

    def _service(self) -> Service:
        return Service(
            self.jobs,
            self.engine,
            self.vocabulary,
            self.waiting.append,
            self.clock,
            self.rules,
            self.bill,
            self.faults,
            self.sleep,
        )


def _as_boto3(
    operation: str, answer: Callable[[dict[str, Any]], dict[str, Any]], request: dict[str, Any]
) -> dict[str, Any]:
    try:
        return answer(request)
    except ConnectionCut:
        raise ConnectionClosedError(endpoint_url=_URL) from None
    except Fault as fault:
        error = {"Code": fault.code, "Message": fault.message}
        metadata = {"HTTPStatusCode": fault.status}
        raise ClientError({"Error": error, "ResponseMetadata": metadata}, operation) from fault  # type: ignore[typeddict-item]  # boto3 fills the rest from HTTP


def _with_times(job: dict[str, Any]) -> dict[str, Any]:
    return job | {name: datetime.fromisoformat(job[name]) for name in _TIMES if name in job}


def _times_as_text(request: dict[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in request.items()}

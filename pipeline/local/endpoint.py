"""The HTTP endpoint: routes of `bedrock` and `bedrock-runtime` on one port, and the threads that run the jobs."""

from __future__ import annotations

import argparse
import json
import logging
import queue
import re
import secrets
import shutil
import threading
import time
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from pipeline.local.bill import Bill
from pipeline.local.control import control_routes, load_faults
from pipeline.local.engine import load_engine
from pipeline.local.faults import ConnectionCut, Fault, invalid
from pipeline.local.hanging_up import ConnectedHttp, HungUp
from pipeline.local.jobs import JobStore
from pipeline.local.objects import in_s3
from pipeline.local.orphans import end_when_abandoned
from pipeline.local.service import Service
from pipeline.local.state import REGION, State, read_state
from pipeline.local.vocabulary import LlamaVocabulary
from pipeline.local.work import Rules, Worker

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from starlette.requests import Request

_log = logging.getLogger(__name__)
_AT_ONCE_JOBS = 4
_BODY_BYTES = 25_000_000
_ERROR_TYPE = "http://internal.amazon.com/coral/com.amazon.bedrock/"
_KEY = re.compile(r"Credential=([^/,\s]+)/")


def application(service: Service, state: State, plan_file: Path, start: Callable[[], None]) -> Starlette:
    """The routes. `start` is called once, when the server accepts requests."""

    def invoke(request: Request, content: bytes) -> Response:
        began, request_id = time.monotonic(), secrets.token_hex(16)
        completion = service.invoke(request.path_params["model"], content, request_id)
        headers = {
            "x-amzn-RequestId": request_id,
            "X-Amzn-Bedrock-Input-Token-Count": str(completion.prompt_tokens),
            "X-Amzn-Bedrock-Output-Token-Count": str(completion.generation_tokens),
            "X-Amzn-Bedrock-Invocation-Latency": str(int((time.monotonic() - began) * 1000)),
        }
        return JSONResponse(completion.body(), headers=headers)

    def create(_request: Request, content: bytes) -> Response:
        return JSONResponse(service.create(_json_object(content)))

    def get(request: Request, _content: bytes) -> Response:
        return JSONResponse(service.get({"jobIdentifier": request.path_params["job"]}))

    def stop(request: Request, _content: bytes) -> Response:
        return JSONResponse(service.stop({"jobIdentifier": request.path_params["job"]}))

    def listed(request: Request, _content: bytes) -> Response:
        return JSONResponse(service.list(_query(request)))

    def tags(_request: Request, content: bytes) -> Response:
        return JSONResponse(service.tags(_json_object(content)))

    def route(path: str, method: str, answer: Callable[[Request, bytes], Response]) -> Route:
        return Route(path, _guarded(answer, state.access_key_id), methods=[method])

    async def health(_request: Request) -> Response:
        return JSONResponse({"instance": state.instance, "s3_url": state.s3_url, "engine": service.engine.name})

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        start()
        yield

    routes = [
        Route("/health", health),
        route("/model-invocation-job", "POST", create),
        route("/model-invocation-jobs", "GET", listed),
        # Job ARNs hold a slash, which arrives percent-encoded and is decoded before routing.
        route("/model-invocation-job/{job:path}/stop", "POST", stop),
        route("/model-invocation-job/{job:path}", "GET", get),
        route("/listTagsForResource", "POST", tags),
        route("/model/{model:path}/invoke", "POST", invoke),
        *(
            route(path, method, answer)
            for path, method, answer in control_routes(service.faults, service.bill, plan_file)
        ),
        route("/{rest:path}", "GET", _unknown),
        route("/{rest:path}", "POST", _unknown),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def _guarded(
    answer: Callable[[Request, bytes], Response], access_key_id: str
) -> Callable[[Request], Awaitable[Response]]:
    async def guarded(request: Request) -> Response:
        try:
            _check_caller(request, access_key_id)
            response = await run_in_threadpool(answer, request, await _body(request))
        except Fault as fault:
            response = _refusal(fault)
        except ConnectionCut:
            return HungUp()
        except Exception:  # noqa: BLE001 - whatever it is, the caller gets the service's own 500
            _log.exception("%s %s", request.method, request.url.path)
            response = _refusal(Fault("InternalServerException", "The server met an error; its log says which."))
        response.headers.setdefault("x-amzn-RequestId", secrets.token_hex(16))
        return response

    return guarded


def _check_caller(request: Request, access_key_id: str) -> None:
    named = _KEY.search(request.headers.get("authorization", ""))
    if named is None or named[1] != access_key_id:
        raise Fault("UnrecognizedClientException", "The security token included in the request is invalid.")


async def _body(request: Request) -> bytes:
    received = bytearray()
    async for piece in request.stream():
        received += piece
        if len(received) > _BODY_BYTES:
            raise invalid(f"The request body is larger than {_BODY_BYTES} bytes.")
    return bytes(received)


def _refusal(fault: Fault) -> Response:
    return JSONResponse({"message": fault.message}, fault.status, {"x-amzn-ErrorType": f"{fault.code}:{_ERROR_TYPE}"})


def _unknown(request: Request, _content: bytes) -> Response:
    raise Fault("UnknownOperationException", f"This endpoint has no {request.method} {request.url.path}.")


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(content or b"{}")
    except ValueError as error:
        raise invalid(f"The request body is not JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise invalid("The request body is not a JSON object.")
    return parsed


def _query(request: Request) -> dict[str, Any]:
    query: dict[str, Any] = dict(request.query_params)
    if query.get("maxResults", "").isdecimal():
        query["maxResults"] = int(query["maxResults"])
    return query


def run_jobs(worker: Worker, waiting: queue.Queue[str]) -> None:
    """Start the threads that take job ids from `waiting`; first in line is what an earlier endpoint left unended."""
    for job in worker.jobs.unended():
        waiting.put(job.job_id)

    def work() -> None:
        while True:
            job_id = waiting.get()
            if not worker.run(job_id):
                waiting.put(job_id)

    for _ in range(_AT_ONCE_JOBS):
        threading.Thread(target=work, daemon=True).start()


def serve(home: Path, state: State, state_seconds: float) -> None:
    """Serve until a signal ends the process, or `home` is deleted.

    Raises SettingsError where <home>/faults.json holds no plan.
    """
    folder = home / "bedrock"
    shutil.rmtree(folder / "scratch", ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    jobs, waiting = JobStore(folder / "jobs.sqlite"), queue.Queue[str]()
    engine, vocabulary, rules = load_engine(state.engine), LlamaVocabulary.load(), Rules(state_seconds=state_seconds)
    objects = in_s3(state.s3_url, state.access_key_id, state.secret_access_key, REGION)
    bill, faults = Bill(folder / "bill.sqlite"), load_faults(home / "faults.json", folder / "faults.sqlite")
    clock, sleep = time.time, time.sleep
    worker = Worker(jobs, objects, engine, vocabulary, folder / "scratch", clock, sleep, rules, bill, faults)
    service = Service(jobs, engine, vocabulary, waiting.put, clock, rules, bill, faults, sleep)
    end_when_abandoned(home, state)
    app = application(service, state, home / "faults.json", lambda: run_jobs(worker, waiting))
    quiet: dict[str, Any] = {"log_level": "warning", "access_log": False}
    uvicorn.run(app, host="127.0.0.1", port=state.bedrock_port, http=ConnectedHttp, **quiet)


def main() -> None:
    """`python -m pipeline.local.endpoint --home <folder> --instance <name>`: reads the rest from the stack's state."""
    parser = argparse.ArgumentParser(prog="pipeline.local.endpoint", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--instance", required=True, help="names this process among others")
    parser.add_argument("--state-seconds", type=float, default=Rules().state_seconds)
    arguments = parser.parse_args()
    state = read_state(arguments.home)
    if state is None or state.instance != arguments.instance:
        parser.error(f"{arguments.home}/stack.json does not describe the stack {arguments.instance}")
    serve(arguments.home, state, arguments.state_seconds)


if __name__ == "__main__":
    main()

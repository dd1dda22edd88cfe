"""Airflow as a cluster runs it: each part a program with a home of its own, joined by PostgreSQL, Redis and S3 only."""

from __future__ import annotations

import base64
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from pipeline.local.embedded import shell_variables
from pipeline.local.launch import own_environment
from pipeline.local.main_job import DAG, ROOT, SET_UP
from pipeline.local.ports import free_port
from pipeline.local.stack import Stack
from tests.cluster.programs import Program, started

AIRFLOW = [sys.executable, "-m", "airflow"]
WORKERS = ("worker-1", "worker-2")
SLOTS = 2  # of a worker
HEARTBEAT_TIMEOUT_SECONDS = 20
HEALTHY_SECONDS = 240.0

# Short where a production cluster waits minutes (docs/where-it-runs.md), so that the test need not.
SETTINGS = {
    "CORE__EXECUTOR": "CeleryExecutor",
    "CORE__DAGS_FOLDER": str(ROOT / "dags"),
    "CORE__LOAD_EXAMPLES": "False",
    "CORE__PARALLELISM": str(2 * SLOTS),  # no task waits in the queue for long: its token ends
    "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
    "API__WORKERS": "1",
    "API__HOST": "127.0.0.1",
    "CELERY__WORKER_CONCURRENCY": str(SLOTS),
    "CELERY__OPERATION_TIMEOUT": "10",
    "CELERY_BROKER_TRANSPORT_OPTIONS__VISIBILITY_TIMEOUT": "600",
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT_SECONDS),
    "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    "WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "LOGGING__COLORED_CONSOLE_LOG": "False",
    "USAGE_DATA_COLLECTION__ENABLED": "False",
}


@dataclass(frozen=True)
class Fleet:
    """A cluster that runs: its workers by name, and its REST API."""

    folder: Path
    workers: dict[str, Program]
    others: list[Program]
    api: Api


class Api:
    """Airflow's REST API, as any client uses it."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, trust_env=False, timeout=120.0)  # a busy machine is no failure

    def health(self) -> dict[str, Any]:
        found: dict[str, Any] = self._client.get("/api/v2/monitor/health").raise_for_status().json()
        return found

    def log_in(self) -> None:
        token = self._client.get("/auth/token").raise_for_status().json()["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, content: dict[str, Any] | None = None, **query: Any) -> Any:
        answer = self._client.request(method, f"/api/v2/{path}", json=content, params=query)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def trigger(self, conf: dict[str, Any]) -> str:
        """Begin a run without a logical date, as by hand; its id."""
        self.ask("PATCH", f"dags/{DAG}", {"is_paused": False})
        return str(self.ask("POST", f"dags/{DAG}/dagRuns", {"conf": conf, "logical_date": None})["dag_run_id"])

    def state(self, run_id: str) -> str:
        return str(self.ask("GET", f"dags/{DAG}/dagRuns/{run_id}")["state"])

    def tasks(self, run_id: str) -> list[dict[str, Any]]:
        path = f"dags/{DAG}/dagRuns/{run_id}/taskInstances"
        found: list[dict[str, Any]] = self.ask("GET", path, limit=1000)["task_instances"]
        return found


@contextmanager
def fleet(folder: Path, database: str, broker: str, stack: Stack, settings: dict[str, str]) -> Iterator[Fleet]:
    """All parts, healthy; ended together. `settings` are the pipeline's, the same for every part."""
    port = free_port()
    shared = own_environment() | shell_variables(stack) | settings | _airflow_variables(database, broker, port)
    _set_up(folder / "set-up", shared)
    with ExitStack() as ends:

        def start(name: str, *command: str) -> Program:
            home = folder / name
            program = started(name, [*AIRFLOW, *command], home, _of_its_own(home, shared))
            ends.callback(program.kill)  # its database is thrown away: nothing to be brought to an end
            return program

        others = [start(name, name) for name in ("api-server", "scheduler", "dag-processor", "triggerer")]
        options = ("--without-mingle", "--without-gossip", "--skip-serve-logs")
        workers = {name: start(name, "celery", "worker", "-H", name, *options) for name in WORKERS}
        api = Api(f"http://127.0.0.1:{port}")
        _wait_until_healthy(api, [*others, *workers.values()])
        api.log_in()
        yield Fleet(folder, workers, others, api)


def _airflow_variables(database: str, broker: str, port: int) -> dict[str, str]:
    """What all parts must share; the secrets sign and encrypt what they send each other."""
    joined = {
        "DATABASE__SQL_ALCHEMY_CONN": database,
        "CELERY__BROKER_URL": broker,
        "CELERY__RESULT_BACKEND": f"db+{database}",
        "API__PORT": str(port),
        "API__BASE_URL": f"http://127.0.0.1:{port}",
        "CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "API__SECRET_KEY": secrets.token_hex(16),
        "API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
    }
    return {f"AIRFLOW__{name}": value for name, value in (SETTINGS | joined).items()}


def _of_its_own(home: Path, shared: dict[str, str]) -> dict[str, str]:
    """A part's environment: nothing of its file system is another's, as on machines of their own."""
    for folder in (home, home / "tmp"):
        folder.mkdir(parents=True, exist_ok=True)
    return shared | {
        "HOME": str(home),
        "TMPDIR": str(home / "tmp"),
        "AIRFLOW_HOME": str(home / "airflow"),
        "DOCBATCH_HOME": str(home / "docbatch"),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
    }


def _set_up(home: Path, shared: dict[str, str]) -> None:
    """What is done once for a metadata database."""
    environment = _of_its_own(home, shared)
    for command in ([*AIRFLOW, "db", "migrate"], [sys.executable, "-m", SET_UP]):
        done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr[-4000:]


def _wait_until_healthy(api: Api, parts: list[Program]) -> None:
    deadline = time.monotonic() + HEALTHY_SECONDS
    wanted = ("metadatabase", "scheduler", "dag_processor", "triggerer")
    seen: dict[str, Any] = {}
    while time.monotonic() < deadline:
        for part in parts:
            part.check()
        try:
            seen = api.health()
        except httpx.HTTPError:
            seen = {}
        ready = all("ready" in part.log.read_text("utf-8", "replace") for part in parts if part.name in WORKERS)
        if ready and all(seen.get(part, {}).get("status") == "healthy" for part in wanted):
            return
        time.sleep(0.5)  # between two looks at another program
    raise AssertionError(f"not healthy after {HEALTHY_SECONDS} s: {seen}; logs of {[str(one.log) for one in parts]}")

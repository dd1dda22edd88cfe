"""A whole Airflow on loopback, its programs apart so that each can be killed, and its REST API as a client asks it."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from pipeline.local import launch
from pipeline.local.airflow_server import (
    PASSWORDS,
    SET_UP,
    end_group,
    part_states,
    served_environment,
    wait_until_healthy,
)
from pipeline.local.main_job import DAG
from pipeline.local.ports import free_port
from pipeline.local.stack import Stack

FOLLOWER, UPSTREAM = "document_digest", "lake"
PROGRAMS = ("api-server", "scheduler", "dag-processor", "triggerer")
PATIENCE_SECONDS = 600.0
# The dead are missed after seconds, where Airflow waits for minutes.
QUICK = {
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC": "2",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "20",
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "2",
    "AIRFLOW__API__WORKERS": "1",
}


class Server:
    """Airflow's four programs with a home of their own; our DAG is unpaused. `end` must be called."""

    def __init__(self, home: Path, running: Stack, **settings: str) -> None:
        self.home, self.port = home, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **served_environment(home, running, self.port),
            **QUICK,
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "airflow" / "logs"),
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(32),
            **settings,
        }
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._api = httpx.Client(base_url=f"{self.url}/api/v2", timeout=60.0, trust_env=False)

    def begin(self) -> None:
        """Make the database, start all programs, and wait until they are well and know the DAG."""
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        self.airflow("db", "migrate")
        self._ran("-m", SET_UP)
        for program in PROGRAMS:
            self.start(program)
        wait_until_healthy(self._all_alive, self.port, self.log("api-server"))
        login = dict(zip(("username", "password"), self.login(), strict=True))
        token = self._api.post(f"{self.url}/auth/token", json=login).raise_for_status().json()["access_token"]
        self._api.headers["Authorization"] = f"Bearer {token}"
        for dag in (FOLLOWER, UPSTREAM, DAG):
            self.until(lambda dag=dag: self._api.get(f"/dags/{dag}").is_success, f"Airflow does not know {dag}")
            self.ask("PATCH", f"/dags/{dag}", {"is_paused": False})

    def end(self) -> None:
        for child in self._running.values():
            end_group(child)
        self._api.close()

    def log(self, program: str) -> Path:
        return self.home / "logs" / f"{program}.log"

    def start(self, program: str) -> None:
        """Start one of the programs, in a session of its own with all that it starts."""
        with self.log(program).open("ab") as log:
            command = [sys.executable, "-m", "airflow", program]
            self._running[program] = subprocess.Popen(
                command, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, program: str) -> None:
        """SIGKILL to the program and all that it started, as when its machine goes."""
        child = self._running[program]
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()

    def airflow(self, *arguments: str) -> str:
        """What an `airflow` command prints."""
        return self._ran("-m", "airflow", *arguments)

    def _ran(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def login(self) -> tuple[str, str]:
        """User and password."""
        ((user, password),) = json.loads((self.home / "airflow" / PASSWORDS).read_text("utf-8")).items()
        return user, password

    def health(self) -> dict[str, str]:
        return part_states(self.port)

    def ask(self, method: str, path: str, content: object = None, **query: Any) -> Any:
        answer = self._api.request(method, path, json=content, params=query)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, content: object = None) -> tuple[int, str]:
        """The status and the text of a request that must not succeed."""
        answer = self._api.request(method, path, json=content)
        assert answer.is_client_error, answer.text
        return answer.status_code, answer.text

    def trigger(self, **conf: Any) -> str:
        """A run without a logical date, as programs and assets make it (the form fills the date in); its id."""
        answer = self.ask("POST", f"/dags/{DAG}/dagRuns", {"logical_date": None, "conf": conf})
        assert answer["logical_date"] is None
        return str(answer["dag_run_id"])

    def runs(self, dag: str = DAG, **query: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"/dags/{dag}/dagRuns", **query)["dag_runs"]
        return found

    def states(self, run_id: str) -> dict[str, str | None]:
        """The state of every task of a run; of a mapped one `name[index]`."""
        found = self.ask("GET", f"/dags/{DAG}/dagRuns/{run_id}/taskInstances", limit=200)["task_instances"]
        return {_name(task): task["state"] for task in found}

    def ended(self, run_id: str, expected: str = "success") -> None:
        """Wait for the end of a run, which must be the expected one."""
        self.until(lambda: self._state(run_id) in {"success", "failed"}, lambda: f"{run_id}: {self.states(run_id)}")
        assert self._state(run_id) == expected, self.states(run_id)

    def reaches(self, run_id: str, task: str, *wanted: str) -> None:
        """Wait until a task is in one of the wanted states."""
        self.until(
            lambda: self.states(run_id).get(task) in wanted, lambda: f"{task} is not {wanted}: {self.states(run_id)}"
        )

    def xcom(self, run_id: str, task: str) -> Any:
        """What a task returned; of a mapped one, its only instance."""
        name, _, index = task.rstrip("]").partition("[")
        path = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/{name}/xcomEntries/return_value"
        return self.ask("GET", path, map_index=int(index) if index else -1, deserialize=True)["value"]

    def told(self, run_id: str, task: str) -> list[str]:
        """What the first try of a task says in its log, without what Airflow says before it begins."""
        path = f"/dags/{DAG}/dagRuns/{run_id}/taskInstances/{task}/logs/1"
        events = [str(line["event"]) for line in self.ask("GET", path)["content"]]
        begins = max(place for place, event in enumerate(events) if event.startswith("Worker startup parse complete"))
        return [event for event in events[begins + 1 :] if not event.startswith("::")]

    def clear(self, run_id: str, *tasks: str) -> None:
        """Clear these tasks and no others."""
        body = {"dag_run_id": run_id, "task_ids": tasks, "only_failed": False, "dry_run": False}
        self.ask("POST", f"/dags/{DAG}/clearTaskInstances", body)

    def clear_failed(self, run_id: str) -> None:
        """What the button of a failed run does."""
        self.ask("POST", f"/dags/{DAG}/dagRuns/{run_id}/clear", {"dry_run": False, "only_failed": True})

    def until(self, holds: Callable[[], bool], problem: str | Callable[[], str]) -> None:
        """Wait until something holds; fails the test with the problem after a while."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            assert time.monotonic() < deadline, problem if isinstance(problem, str) else problem()
            assert self._all_alive(), f"{self._dead()} ended: {launch.last_lines(self.log(self._dead()[0]))}"
            time.sleep(0.3)  # between two looks at another program

    def _state(self, run_id: str) -> str:
        return str(self.ask("GET", f"/dags/{DAG}/dagRuns/{run_id}")["state"])

    def _all_alive(self) -> bool:
        return not self._dead()

    def _dead(self) -> list[str]:
        return [name for name, child in self._running.items() if child.poll() is not None]


def _name(task: dict[str, Any]) -> str:
    return f"{task['task_id']}[{task['map_index']}]" if task["map_index"] >= 0 else str(task["task_id"])

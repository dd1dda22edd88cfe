"""`make airflow`: Airflow with the DAG in it, wired to the embedded stack, until Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from pipeline.errors import DocbatchError, StackError
from pipeline.local import launch, stack
from pipeline.local.borrowing import borrowed
from pipeline.local.embedded import shell_variables
from pipeline.local.main_job import DAG, ROOT, SET_UP, airflow_variables, sample_folders, say, upload
from pipeline.local.ports import free_port
from pipeline.settings import load_settings

PATIENCE_SECONDS = 240.0
PARTS = ("metadatabase", "scheduler", "dag_processor", "triggerer")
PASSWORDS = "simple_auth_manager_passwords.json.generated"


def main() -> int:
    """Exit code 0 after Ctrl-C, 1 when Airflow did not come up."""
    for number in (signal.SIGTERM, signal.SIGINT):  # a plain kill cleans up as Ctrl-C does
        signal.signal(number, signal.default_int_handler)
    settings = load_settings()
    home = ROOT / settings.home
    try:
        with borrowed(home, settings.engine) as running:
            return _serve(home, running)
    except DocbatchError as error:
        say(f"docbatch: {error}")
        return error.exit_code
    except KeyboardInterrupt:
        return 0


def _serve(home: Path, running: stack.Stack) -> int:
    source = upload(running, sample_folders(home))
    port = free_port()
    own = {"DOCBATCH_SOURCE": source, "DOCBATCH_OUTPUT": str(ROOT / "output")}
    environment = served_environment(home, running, port) | own
    log = home / "logs" / "airflow.log"
    say(f"Starting Airflow (a minute or two); its log is {log}")
    with log.open("w") as file:
        command = [sys.executable, "-m", "airflow", "standalone"]
        # A session of its own, so that all that standalone starts can be ended together.
        child = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)  # noqa: S603
        try:
            wait_until_healthy(lambda: child.poll() is None, port, log)
            for module in ([SET_UP], ["airflow", "dags", "unpause", "--yes", DAG]):
                command = [sys.executable, "-m", *module]
                subprocess.run(command, env=environment, stdout=file, stderr=file, check=False)  # noqa: S603 - ours
            say(f"Airflow: http://127.0.0.1:{port}  login {_login(home)}")
            say("Trigger document_analysis there; Ctrl-C here ends Airflow and what was started with it.")
            return child.wait()
        finally:
            end_group(child)


def served_environment(home: Path, running: stack.Stack, port: int) -> dict[str, str]:
    """What Airflow's programs need to serve our DAGs on a port of loopback, wired to the stack; with small means."""
    inherited = launch.own_environment()
    return {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}:{inherited.get('PATH', '')}",  # standalone looks for `airflow` there
        **shell_variables(running),
        **airflow_variables(home),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",  # without it every task fails on another port
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__PARALLELISM": "4",
    }


def wait_until_healthy(alive: Callable[[], bool], port: int, log: Path) -> None:
    """Wait until every part of Airflow says that it is well. Raises StackError, with the end of `log`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and alive():
        if set(part_states(port).values()) == {"healthy"}:
            return
        time.sleep(1.0)
    raise StackError(f"Airflow did not become healthy. The end of its log {log}:\n{launch.last_lines(log)}")


def part_states(port: int) -> dict[str, str]:
    """Each part of Airflow and how it says that it is; `silent` where the server does not answer."""
    try:
        health = httpx.get(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5.0, trust_env=False).json()
    except (httpx.TransportError, json.JSONDecodeError):
        health = {}
    return {part: str(health.get(part, {}).get("status") or "silent") for part in PARTS}


def _login(home: Path) -> str:
    passwords = json.loads((home / "airflow" / PASSWORDS).read_text("utf-8"))
    return ", ".join(f"{user} / {password}" for user, password in passwords.items())


def end_group(child: subprocess.Popen[bytes]) -> None:
    """Ask a program and all that it started to end; what is left after a while is killed."""
    for number, seconds in ((signal.SIGINT, 30.0), (signal.SIGTERM, 10.0), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        left = _signalled(child.pid, number)
        while left and time.monotonic() < deadline:
            time.sleep(0.2)
            child.poll()
            left = _signalled(child.pid, 0)
        if not left:
            return


def _signalled(group: int, number: int) -> bool:
    """Send a signal (0: none) to a process group; False when nobody is left in it."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())

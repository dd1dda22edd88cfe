"""`make airflow`: Airflow with the DAG in it, wired to the embedded stack, until Ctrl-C."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
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
    inherited = launch.own_environment()
    environment = {
        **inherited,
        "PATH": f"{Path(sys.executable).parent}:{inherited.get('PATH', '')}",  # standalone looks for `airflow` there
        **shell_variables(running),
        **airflow_variables(home),
        "DOCBATCH_SOURCE": source,
        "DOCBATCH_OUTPUT": str(ROOT / "output"),
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",  # without it every task fails on another port
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__CORE__PARALLELISM": "4",
    }
    log = home / "logs" / "airflow.log"
    say(f"Starting Airflow (a minute or two); its log is {log}")
    with log.open("w") as file:
        command = [sys.executable, "-m", "airflow", "standalone"]
        # A session of its own, so that all that standalone starts can be ended together.
        child = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)  # noqa: S603
        try:
            _wait_until_healthy(child, port, log)
            for module in ([SET_UP], ["airflow", "dags", "unpause", "--yes", DAG]):
                command = [sys.executable, "-m", *module]
                subprocess.run(command, env=environment, stdout=file, stderr=file, check=False)  # noqa: S603 - ours
            say(f"Airflow: http://127.0.0.1:{port}  login {_login(home)}")
            say("Trigger document_analysis there; Ctrl-C here ends Airflow and what was started with it.")
            return child.wait()
        finally:
            _end(child)


def _wait_until_healthy(child: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and child.poll() is None:
        try:
            health = httpx.get(f"http://127.0.0.1:{port}/api/v2/monitor/health", timeout=5.0, trust_env=False).json()
            parts = ("metadatabase", "scheduler", "dag_processor", "triggerer")
            if all(health.get(part, {}).get("status") == "healthy" for part in parts):
                return
        except (httpx.TransportError, json.JSONDecodeError):
            pass
        time.sleep(1.0)
    raise StackError(f"Airflow did not become healthy. The end of its log {log}:\n{launch.last_lines(log)}")


def _login(home: Path) -> str:
    passwords = json.loads((home / "airflow" / PASSWORDS).read_text("utf-8"))
    return ", ".join(f"{user} / {password}" for user, password in passwords.items())


def _end(child: subprocess.Popen[bytes]) -> None:
    """Ask standalone and all that it started to end; what is left after a while is killed."""
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

"""Start programs that outlive their starter, recognise them later, and end them."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import StackError

_POLL_SECONDS = 0.05
_SHELL_SECONDS = 30.0
_LOG_BYTES = 10_000_000
# The shell writes its own pid before it becomes the program: a starter that is killed leaves no unknown orphan.
_WRITE_PID_THEN_BECOME = 'echo $$ > "$1"; shift; exec "$@"'


@dataclass(frozen=True, slots=True)
class Program:
    """A program of the stack. `marker` is a part of its command line that no other program has."""

    name: str
    home: Path
    command: tuple[str, ...]
    environment: dict[str, str]
    marker: str

    @property
    def log(self) -> Path:
        return self.home / "logs" / f"{self.name}.log"

    @property
    def pid_file(self) -> Path:
        return self.home / "run" / f"{self.name}.pid"


def start(program: Program) -> None:
    """Start detached from this session; when this returns, the pid is in `program.pid_file`.

    Raises:
        StackError: the program cannot be executed.
    """
    for folder in (program.log.parent, program.pid_file.parent):
        folder.mkdir(parents=True, exist_ok=True)
    program.pid_file.unlink(missing_ok=True)
    shell = ["/bin/sh", "-c", _WRITE_PID_THEN_BECOME, "sh", str(program.pid_file), *program.command]
    with program.log.open("wb" if _is_long(program.log) else "ab") as log:
        try:
            subprocess.Popen(  # noqa: S603 - the command is ours
                shell,
                cwd=program.home,
                env=program.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        except OSError as error:
            raise StackError(f"Cannot start {program.name}: {error}. Its command is {program.command[0]}.") from error
    deadline = time.monotonic() + _SHELL_SECONDS
    while not _is_written(program.pid_file) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)


def pid_of(pid_file: Path, marker: str) -> int | None:
    """The pid of a program that runs and is the one recorded, not a stranger who got its number."""
    try:
        pid = int(pid_file.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        return None
    return pid if marker in _command_line(pid) else None


def stop(pid_file: Path, marker: str, *, patience_seconds: float = 15.0) -> bool:
    """End the recorded program, by SIGKILL if SIGTERM is not enough; False where it was not running.

    Raises:
        StackError: it is still there after both.
    """
    pid = pid_of(pid_file, marker)
    if pid is not None and not end(pid, marker, patience_seconds=patience_seconds):
        raise StackError(f"The process in {pid_file} does not end. End it by hand, then try again.")
    pid_file.unlink(missing_ok=True)
    return pid is not None


def end(pid: int, marker: str, *, patience_seconds: float = 15.0) -> bool:
    """End the program with that pid and marker as `stop` does; False where it is still there."""
    for number, seconds in ((signal.SIGTERM, patience_seconds), (signal.SIGKILL, 5.0)):
        deadline = time.monotonic() + seconds
        if marker in _command_line(pid):
            _signal(pid, number)
        while marker in _command_line(pid) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
    return marker not in _command_line(pid)


def last_lines(log: Path, count: int = 12) -> str:
    """The end of a log, for an error message."""
    try:
        with log.open("rb") as source:
            source.seek(max(0, log.stat().st_size - 8000))
            text = source.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return "(there is no log)"
    return "\n".join(text.splitlines()[-count:])


def own_environment() -> dict[str, str]:
    """This process's environment without its AWS settings, which would send a local program to the real AWS."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    # glibc gives every thread an arena of its own otherwise, and the endpoint twice the memory.
    return {"MALLOC_ARENA_MAX": "2", **kept}


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _command_line(pid: int) -> str:
    """Arguments joined by blanks; empty for a process that is gone or only waits to be reaped."""
    if Path("/proc/self/cmdline").exists():
        return _linux_command_line(Path(f"/proc/{pid}"))
    listed = subprocess.run(  # noqa: S603 - a number that we wrote
        ["/bin/ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return listed.stdout


def _linux_command_line(process: Path) -> str:
    deadline = time.monotonic() + 1.0
    try:
        # While one program becomes another, its command line is empty for a moment.
        while not (written := (process / "cmdline").read_bytes()) and time.monotonic() < deadline:
            if (process / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[0] in ("Z", "X"):
                return ""
            time.sleep(_POLL_SECONDS / 10)
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return written.replace(b"\0", b" ").decode("utf-8", "replace")


def _is_written(pid_file: Path) -> bool:
    return pid_file.exists() and pid_file.read_text("ascii").endswith("\n")


def _is_long(log: Path) -> bool:
    return log.exists() and log.stat().st_size > _LOG_BYTES

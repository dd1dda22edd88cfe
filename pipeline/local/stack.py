"""The embedded stack as a whole: start it, end it, say whether it runs."""

from __future__ import annotations

import fcntl
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import httpx

from pipeline.errors import StackError
from pipeline.local import launch, ports, seaweed
from pipeline.local.engine import check_spec
from pipeline.local.state import BUCKET, REGION, State, new_keys, read_state, write_state

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_PATIENCE_SECONDS = 60.0
_POLL_SECONDS = 0.1
_PORT_SECONDS = 2.0
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Stack:
    """A running stack, and what a client must know of it."""

    s3_url: str
    bedrock_url: str
    access_key_id: str
    secret_access_key: str
    engine: str
    region: str = REGION
    bucket: str = BUCKET

    def environment(self) -> dict[str, str]:
        """The variables with which boto3, obstore and the AWS command line reach this stack and nothing else."""
        return {
            "AWS_ENDPOINT_URL_S3": self.s3_url,
            "AWS_ENDPOINT_URL_BEDROCK": self.bedrock_url,
            "AWS_ENDPOINT_URL_BEDROCK_RUNTIME": self.bedrock_url,
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
        }


def up(home: Path, *, engine: str = "baseline") -> Stack:
    """Start what does not run, and wait until all of it answers. Callers at the same moment get the same stack.

    A running endpoint with another engine is started again with this one; unfinished jobs go on there.

    Raises:
        StackError: a server did not start; the message holds the end of its log.
    """
    check_spec(engine)
    home = home.absolute()
    home.mkdir(parents=True, exist_ok=True)
    with _alone(home):
        state = read_state(home) or State(
            **new_keys(), engine=engine, s3_ports=ports.free_ports(), bedrock_port=ports.free_port()
        )
        state = _ensure_s3(home, state)
        return _stack(_ensure_endpoint(home, state, engine))


def down(home: Path) -> bool:
    """End the stack; True where something ran. Objects, jobs, keys and ports stay for the next `up`."""
    home = home.absolute()
    if read_state(home) is None:
        return False
    with _alone(home):
        state = read_state(home)
        if state is None:
            return False
        # The endpoint first: it must not meet a store that has gone.
        ended = [launch.stop(program.pid_file, program.marker) for program in _programs(home, state)]
        seaweed.remove_sockets(state)
        return any(ended)


def status(home: Path) -> Stack | None:
    """The stack of `home` if both of its servers answer as themselves, else None."""
    home = home.absolute()
    state = read_state(home)
    if state is None or not (_endpoint_answers(state) and seaweed.answers(state)):
        return None
    return _stack(state)


def _programs(home: Path, state: State) -> tuple[launch.Program, launch.Program]:
    return _endpoint_program(home, state), seaweed.program(home, state)


def _stack(state: State) -> Stack:
    return Stack(state.s3_url, state.bedrock_url, state.access_key_id, state.secret_access_key, state.engine)


@contextmanager
def _alone(home: Path) -> Iterator[None]:
    with (home / "stack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _ensure_s3(home: Path, state: State) -> State:
    program = seaweed.program(home, state)
    if launch.pid_of(program.pid_file, program.marker) is not None and seaweed.answers(state):
        return state
    launch.stop(program.pid_file, program.marker)
    for _ in range(_ATTEMPTS):
        if not _free_soon(ports.with_twins(state.s3_ports)):
            state = replace(state, s3_ports=ports.free_ports(taken=[state.bedrock_port]))
        if _started(home, state, seaweed.program(home, state), seaweed.ready):
            return state
        if ports.are_free(ports.with_twins(state.s3_ports)):
            break  # not for its ports did it fail: trying again cannot help
    raise _not_started(program)


def _ensure_endpoint(home: Path, state: State, engine: str) -> State:
    program = _endpoint_program(home, state)
    running = launch.pid_of(program.pid_file, program.marker) is not None and _endpoint_answers(state)
    if running and state.engine == engine:
        return state
    launch.stop(program.pid_file, program.marker)
    state = replace(state, engine=engine)
    for _ in range(_ATTEMPTS):
        if not _free_soon([state.bedrock_port]):
            state = replace(state, bedrock_port=ports.free_port(taken=ports.with_twins(state.s3_ports)))
        if _started(home, state, _endpoint_program(home, state), _endpoint_answers):
            return state
        if ports.are_free([state.bedrock_port]):
            break
    raise _not_started(program)


def _free_soon(wanted: list[int]) -> bool:
    """A server that was killed a moment ago may still hold its ports; a stranger keeps them."""
    deadline = time.monotonic() + _PORT_SECONDS
    while not (free := ports.are_free(wanted)) and time.monotonic() < deadline:
        time.sleep(_POLL_SECONDS)
    return free


def _started(home: Path, state: State, program: launch.Program, answers: Callable[[State], bool]) -> bool:
    """Start and wait; False where the program ended by itself, for example because its port was taken meanwhile."""
    write_state(home, state)
    launch.start(program)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if answers(state):
            return True
        if launch.pid_of(program.pid_file, program.marker) is None:
            break
        time.sleep(_POLL_SECONDS)
    # Nothing may be left of an attempt that failed: two servers on the same files would spoil them.
    launch.stop(program.pid_file, program.marker)
    return False


def _not_started(program: launch.Program) -> StackError:
    return StackError(
        f"The {program.name} server did not start. The end of its log {program.log}:\n{launch.last_lines(program.log)}"
    )


def _endpoint_program(home: Path, state: State) -> launch.Program:
    identity = f"--instance {state.instance}"
    command = (sys.executable, "-m", "pipeline.local.endpoint", "--home", str(home), *identity.split())
    return launch.Program("bedrock", home, command, launch.own_environment(), identity)


def _endpoint_answers(state: State) -> bool:
    try:
        seen = httpx.get(f"{state.bedrock_url}/health", timeout=5.0, trust_env=False).json()
    except (httpx.TransportError, ValueError):
        return False
    # An endpoint that still writes to an S3 server which has moved is not ours any more.
    return isinstance(seen, dict) and (seen.get("instance"), seen.get("s3_url")) == (state.instance, state.s3_url)

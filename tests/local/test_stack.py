"""The stack as processes: started once, found again, ended, and nothing lost in between."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pipeline.errors import StackError
from pipeline.local.launch import _command_line
from pipeline.local.orphans import is_abandoned
from pipeline.local.stack import Stack, down, status, up
from pipeline.local.state import State, write_state
from tests.local.embedded_clients import MODEL, ROLE, input_lines, make_client, wait_for_end

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One folder for the tests of this file; each brings the stack into the state it needs."""
    home = tmp_path_factory.mktemp("processes") / "the home"
    yield home
    down(home)


def _pid(home: Path, name: str) -> int:
    return int((home / "run" / f"{name}.pid").read_text())


def _until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "waited 30 seconds in vain"
        time.sleep(0.02)


def _put(stack: Stack, key: str, body: bytes) -> None:
    make_client(stack, "s3").put_object(Bucket=stack.bucket, Key=key, Body=body)


def _get(stack: Stack, key: str) -> bytes:
    content: bytes = make_client(stack, "s3").get_object(Bucket=stack.bucket, Key=key)["Body"].read()
    return content


def test_callers_at_the_same_moment_get_one_stack(home: Path) -> None:
    """Three concurrent `up` give one stack, and a fourth finds it running; `status` says the same."""
    assert status(home) is None
    with ThreadPoolExecutor(3) as pool:
        stacks = set(pool.map(up, [home] * 3))
    pids = (_pid(home, "s3"), _pid(home, "bedrock"))
    assert stacks == {up(home)} == {status(home)}
    assert (_pid(home, "s3"), _pid(home, "bedrock")) == pids


def test_only_the_owner_can_read_the_keys(home: Path) -> None:
    """The state holds a secret: mode 0600; and no command line shows it."""
    stack = up(home)
    assert (home / "stack.json").stat().st_mode & 0o777 == 0o600
    for name in ("s3", "bedrock"):
        shown = _command_line(_pid(home, name))
        assert str(home) in shown
        assert stack.secret_access_key not in shown


@pytest.mark.skipif(
    not Path("/proc/net/tcp").exists(), reason="only Linux tells who listens where without further tools"
)
def test_everything_listens_on_loopback_only(home: Path) -> None:
    """No port of the stack can be reached from another machine."""
    up(home)
    inodes = {
        str(link.readlink()).removeprefix("socket:[").rstrip("]")
        for pid in (_pid(home, "s3"), _pid(home, "bedrock"))
        for link in Path(f"/proc/{pid}/fd").iterdir()
        if str(link.readlink()).startswith("socket:")
    }
    tables = (Path("/proc/net") / name for name in ("tcp", "tcp6"))
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    listening = [row[1] for row in rows if row[3] == "0A" and row[9] in inodes]
    assert len(listening) >= 5
    assert {address.partition(":")[0] for address in listening} == {"0100007F"}


def test_objects_jobs_and_keys_outlive_down_and_up(home: Path) -> None:
    """After `down` nothing answers; the next `up` has the same keys, urls, objects and jobs."""
    stack = up(home)
    _put(stack, "kept/ä b", b"content")
    arn = _create(stack, "kept/in.jsonl")
    wait_for_end(make_client(stack, "bedrock"), arn)
    assert down(home)
    assert status(home) is None
    assert not down(home)
    assert up(home) == stack
    assert _get(stack, "kept/ä b") == b"content"
    assert make_client(stack, "bedrock").get_model_invocation_job(jobIdentifier=arn)["status"] == "Failed"


def test_ports_that_were_taken_meanwhile_are_replaced(home: Path) -> None:
    """Strangers on the old ports: the stack moves, and its objects with it."""
    before = up(home)
    _put(before, "moved", b"content")
    down(home)
    with socket.socket() as first, socket.socket() as second:
        for stranger, url in ((first, before.s3_url), (second, before.bedrock_url)):
            stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            stranger.bind(("127.0.0.1", int(url.rpartition(":")[2])))
            stranger.listen()
        after = up(home)
    assert after.s3_url != before.s3_url
    assert after.bedrock_url != before.bedrock_url
    assert _get(after, "moved") == b"content"


def test_a_killed_endpoint_loses_no_job(home: Path) -> None:
    """A job whose endpoint is killed under it completes after the next `up`, with all of its records."""
    stack = up(home)
    _put(stack, "killed/in.jsonl", input_lines(3000))
    bedrock = make_client(stack, "bedrock")
    arn = _create(stack, "killed/in.jsonl")
    _until(lambda: bedrock.get_model_invocation_job(jobIdentifier=arn)["status"] == "InProgress")
    os.kill(_pid(home, "bedrock"), signal.SIGKILL)
    _until(lambda: status(home) is None)
    job = wait_for_end(make_client(up(home), "bedrock"), arn)
    assert (job["status"], job["successRecordCount"]) == ("Completed", 3000)
    output = _get(stack, f"killed/out/{arn.rpartition('/')[2]}/in.jsonl.out")
    assert len(output.splitlines()) == 3000


def test_a_killed_store_comes_back_with_its_objects(home: Path) -> None:
    """Every object that was acknowledged before SIGKILL is there after the next `up`."""
    stack = up(home)
    for number in range(20):
        _put(stack, f"acknowledged/{number}", b"x" * 5000)
    os.kill(_pid(home, "s3"), signal.SIGKILL)
    again = up(home)
    assert all(_get(again, f"acknowledged/{number}") == b"x" * 5000 for number in range(20))


def test_another_engine_takes_over_the_endpoint(home: Path) -> None:
    """`up` with another engine starts the endpoint again, and only that."""
    up(home)
    pid = _pid(home, "s3")
    assert up(home, engine="openai:http://127.0.0.1:9/v1").engine == "openai:http://127.0.0.1:9/v1"
    assert up(home).engine == "baseline"
    assert _pid(home, "s3") == pid


def test_a_killed_up_leaves_no_orphan(tmp_path: Path) -> None:
    """Whatever had been started when `up` was killed is known to the next `down`."""
    program = "import sys, pathlib, pipeline.local.stack as s; s.up(pathlib.Path(sys.argv[1]))"
    starter = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    _until((tmp_path / "run" / "s3.pid").exists)
    starter.kill()
    starter.wait()
    _until(lambda: (tmp_path / "run" / "s3.pid").read_text().strip())
    pid = _pid(tmp_path, "s3")
    _until(lambda: "weed mini" in _command_line(pid).replace("-logtostderr=true ", ""))
    assert down(tmp_path)
    assert not _command_line(pid)


def test_a_stack_whose_folder_is_deleted_ends(tmp_path: Path) -> None:
    """Nobody could find it any more: the endpoint ends the S3 server, and then itself."""
    home = tmp_path / "home"
    up(home)
    pids = [_pid(home, name) for name in ("s3", "bedrock")]
    assert all(_command_line(pid) for pid in pids)
    shutil.rmtree(home, ignore_errors=True)  # weed may put a file into a folder while it is deleted
    _until(lambda: not any(_command_line(pid) for pid in pids))


@pytest.mark.parametrize(
    ("change", "abandoned"),
    [
        (lambda path: path.touch(), False),
        (lambda path: path.write_text("{}"), False),
        (lambda path: path.unlink(), True),
        (lambda path: shutil.rmtree(path.parent), True),
        (lambda path: path.write_text(path.read_text().replace("our own", "another")), True),
    ],
)
def test_a_stack_is_abandoned_when_its_state_is_gone(
    tmp_path: Path, change: Callable[[Path], object], abandoned: bool
) -> None:
    """Deleted, or made anew for another stack; a file that cannot be read says nothing."""
    home = tmp_path / "home"
    home.mkdir()
    state = State("key", "secret", "our own", "baseline", {"s3.port": 1}, 2)
    write_state(home, state)
    change(home / "stack.json")
    assert is_abandoned(home, state) is abandoned


def test_a_stranger_with_our_pid_is_left_alone(home: Path) -> None:
    """After a reboot the recorded number may be another program's: `down` does not touch it."""
    up(home)
    down(home)
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        for name in ("s3", "bedrock"):
            (home / "run" / f"{name}.pid").write_text(str(stranger.pid))
        assert not down(home)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_a_server_that_cannot_start_shows_its_log(tmp_path: Path) -> None:
    """The error names the log and holds its end."""
    (tmp_path / "bedrock").write_text("a file where a folder must be")
    try:
        with pytest.raises(StackError, match="bedrock server did not start") as caught:
            up(tmp_path)
        assert str(tmp_path / "logs" / "bedrock.log") in str(caught.value)
        assert "FileExistsError" in str(caught.value)
    finally:
        down(tmp_path)


def test_a_spoilt_state_is_named(tmp_path: Path) -> None:
    """The message says which file to delete."""
    (tmp_path / "stack.json").write_text("{}")
    with pytest.raises(StackError, match=r"stack\.json cannot be read .* Delete it"):
        up(tmp_path)


def _create(stack: Stack, key: str) -> str:
    folder = key.rpartition("/")[0]
    arn: str = make_client(stack, "bedrock").create_model_invocation_job(
        jobName="job",
        roleArn=ROLE,
        modelId=MODEL,
        inputDataConfig={"s3InputDataConfig": {"s3Uri": f"s3://{stack.bucket}/{key}"}},
        outputDataConfig={"s3OutputDataConfig": {"s3Uri": f"s3://{stack.bucket}/{folder}/out/"}},
    )["jobArn"]
    return arn

"""`docbatch browse` as a user types it: where it serves, what it shows, how it ends."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.loaded_shell import LoadedShell
from tests.shell import User, new_user, own_environment


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user who has published one run, and whose embedded stack does not run any more."""
    shell = LoadedShell(own_environment())
    user = new_user(tmp_path_factory.mktemp("user"), shell)
    assert user.types('run "my documents" --run-key night --json').returncode == 0
    yield user
    shell.close()


def test_from_the_command_to_a_stored_label_and_its_end(user: User) -> None:
    """The printed address opens the results with their prompts, a label is stored, and Ctrl-C ends it quietly."""
    running = user.start("browse --marked-by somebody")
    seen = running.read_until("Ctrl-C")
    (address,) = re.findall(r"http://\S+", seen)
    with httpx.Client(base_url=address.partition("/?")[0], timeout=60) as client:
        assert client.get(address).status_code == 303
        path = re.findall(r'/answers/[^"?]+', client.get("/").text)[0]
        page = client.get(path).text
        assert "Exactly as it was sent" in page
        assert "came late, but the kettle is excellent." in page
        hidden = dict(re.findall(r'name="(token|seen)" value="([^"]+)"', page))
        origin = {"Origin": str(client.base_url).rstrip("/")}
        assert client.post(path, data={**hidden, "verdict": "right"}, headers=origin).status_code == 303
    running.program.send_signal(signal.SIGINT)
    ended = running.finish()
    assert ended.returncode == 0
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr
    shown = user.types("show gold --format csv").stdout.splitlines()
    assert len(shown) == 2
    assert "right" in shown[1]
    assert "somebody" in shown[1]
    assert "gold" in user.types("show").stdout


def test_what_is_refused(user: User) -> None:
    """Other machines without leave, a port that is taken, an output without anything in it."""
    remote = user.types("browse --host 0.0.0.0")
    assert (remote.returncode, "--allow-remote" in remote.stderr) == (2, True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = user.types(f"browse --port {port}")
        assert (busy.returncode, f"port {port}: cannot be listened on" in busy.stderr) == (2, True)
    empty = user.types("browse --output nowhere")
    assert (empty.returncode, "nowhere: there is no such folder" in empty.stderr) == (1, True)

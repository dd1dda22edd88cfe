"""`docbatch browse` as a user types it: where it serves, what it shows, how it ends."""

from __future__ import annotations

import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.loaded_shell import LoadedShell
from tests.shell import Running, User, new_user, own_environment


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
    with opened(user.start("browse --marked-by somebody")) as client:
        path = re.findall(r'/answers/[^"?]+', client.get("/").text)[0]
        page = client.get(path).text
        assert "Exactly as it was sent" in page
        assert "came late, but the kettle is excellent." in page
        assert client.post(path, data={**hidden(page), "verdict": "right"}).status_code == 303
    shown = user.types("show gold --format csv").stdout.splitlines()
    assert len(shown) == 2
    assert "right" in shown[1]
    assert "somebody" in shown[1]
    assert "gold" in user.types("show").stdout


@contextmanager
def opened(running: Running) -> Iterator[httpx.Client]:
    """A browser at the address that the command printed, which Ctrl-C ends."""
    try:
        (address,) = re.findall(r"http://\S+", running.read_until("Ctrl-C"))
        with httpx.Client(base_url=address.partition("/?")[0], timeout=60) as client:
            client.headers["Origin"] = str(client.base_url).rstrip("/")
            assert client.get(address).status_code == 303
            yield client
    finally:
        running.program.send_signal(signal.SIGINT)
        ended = running.finish()
    assert ended.returncode == 0
    assert ended.stdout == ""
    assert "Traceback" not in ended.stderr


def hidden(page: str) -> dict[str, str]:
    """The hidden fields of the first form of a page."""
    return dict(re.findall(r'name="(token|seen|before)" value="([^"]*)"', page.partition("</form>")[0]))


def test_two_people_with_a_process_each(user: User) -> None:
    """Who marks moments after the other sees that mark before his own is taken."""
    one, other = (user.start(f"browse --marked-by {name}") for name in ("Anna", "Bert"))
    with opened(one) as anna, opened(other) as bert:
        path = re.findall(r'/answers/[^"?]+', anna.get("/?analysis=summarization").text)[1]
        forms = [{**hidden(client.get(path).text), "verdict": "right"} for client in (anna, bert)]
        assert anna.post(path, data=forms[0]).status_code == 303
        late = bert.post(path, data={**forms[1], "note": "late"})
        assert late.status_code == 409
        assert "Anna marked this at" in late.text
        assert "Your mark is not stored." in late.text
        assert bert.post(path, data={**hidden(late.text), "verdict": "right", "note": "late"}).status_code == 303
    shown = [
        line for line in user.types("show gold --format csv").stdout.splitlines() if "Anna" in line or "late" in line
    ]
    assert sorted("Bert" in line for line in shown) == [False, True]


@pytest.mark.parametrize(("broken", "told"), [("stack.json", "cannot be read"), ("", "File exists")])
def test_without_the_stack_tables_are_shown(user: User, tmp_path: Path, broken: str, told: str) -> None:
    """Where it cannot be started the command says so, and the pages say of each prompt that it is not there."""
    home = tmp_path / "broken home"
    place = home / broken
    place.parent.mkdir(exist_ok=True)
    place.write_text("{", "utf-8")
    running = user.start("browse", DOCBATCH_HOME=str(home))
    said = running.read_until("Prompts cannot be shown")
    assert told in said
    with opened(running) as client:
        listed = client.get("/?analysis=summarization")
        path = re.findall(r'/answers/[^"?]+', listed.text)[0]
        page = client.get(path)
        assert page.status_code == 200
        assert "came late, but the kettle is excellent." in page.text
        assert "The prompt that was sent is not there" in page.text
        assert "Exactly as it was sent" not in page.text
        assert client.post(path, data={**hidden(page.text), "verdict": "right"}).status_code in (303, 409)


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

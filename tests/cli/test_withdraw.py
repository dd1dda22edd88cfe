"""`docbatch withdraw` as a user types it: what it says, what every other command says then, and how it is undone."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.loaded_shell import LoadedShell
from tests.shell import User, new_user, own_environment


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose embedded stack runs, and who has published one run."""
    shell = LoadedShell(own_environment())
    user = new_user(tmp_path_factory.mktemp("user"), shell)
    assert user.types("local up").returncode == 0
    assert user.types('run "my documents" --run-key night --analyses sentiment').returncode == 0
    yield user
    user.types("local down")
    shell.close()


def reports(user: User) -> dict[str, str]:
    """The pages beside the tables, by name."""
    return {path.name: path.read_text("utf-8") for path in (user.folder / "output" / "reports").iterdir()}


def test_a_run_is_withdrawn_and_brought_back(user: User) -> None:
    """Its rows are gone for `show` and `costs`, its name is not; `resume` makes all as it was."""
    commands = ("show", "show sentiment --format csv", "costs --format json", "show runs --as-of night --format json")
    before = [user.types(one).stdout for one in commands]
    pages = reports(user)
    assert set(pages) == {"night.html", "index.html"}
    told = user.types("withdraw night")
    assert told.returncode == 0, told.stderr
    assert told.stdout.startswith("Run night: withdrawn; no table has rows of it. ")
    assert "Bring back docbatch resume night" in told.stdout
    assert user.types("show").stdout == ""
    assert "published runs are none" in user.types("show runs --as-of night").stderr
    left = reports(user)
    assert set(left) == {"index.html"}
    assert "night" not in left["index.html"]
    status = user.types("status night").stdout
    assert "Run night: withdrawn" in status
    assert "Bring them back with: docbatch resume night" in status
    assert "left the tables" in user.types("status").stdout
    assert "withdrawn on" in user.types("stop night").stdout
    assert json.loads(user.types("withdraw night --json").stdout)["run_key"] == "night"
    assert "had been withdrawn, and its rows are back" in user.types("resume night").stdout
    assert [user.types(one).stdout for one in commands] == before
    assert reports(user) == pages
    assert "nothing is left to do" in user.types("resume night").stdout


def test_an_unknown_run_is_named(user: User) -> None:
    """The message says which runs there are; nothing happens."""
    told = user.types("withdraw nosuch")
    assert (told.returncode, told.stdout) == (2, "")
    assert "run nosuch: there is no such run" in told.stderr
    assert "night" in told.stderr

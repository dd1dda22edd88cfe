"""`docbatch tidy` as a user types it: what it would delete, what it deletes, and every other command after it."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from pipeline.local import stack
from pipeline.local.embedded import embedded_environment, embedded_settings
from pipeline.loop import Looped, run_to_the_end
from pipeline.settings import load_settings
from pipeline.steps import RunOrder, connect, work_uri_for
from pipeline.storage.objects import absolute_uri
from tests.loaded_shell import LoadedShell
from tests.shell import User, new_user, own_environment
from tests.world import Unseen


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[User]:
    """A user whose embedded stack runs, and whose only run was published forty days ago."""
    shell = LoadedShell(own_environment())
    user = new_user(tmp_path_factory.mktemp("user"), shell)
    assert user.types("local up").returncode == 0
    running = stack.status(user.home)
    assert running is not None
    settings = embedded_settings(load_settings({}, {}, user.folder), running)
    clock = lambda: dt.datetime.now(dt.UTC) - dt.timedelta(days=40)  # noqa: E731 - one expression, passed on
    services = replace(connect(settings, embedded_environment(running)), clock=clock)
    source, output = (absolute_uri(str(user.folder / name)) for name in ("my documents", "output"))
    order = RunOrder("old", dt.date(2026, 11, 23), source, output, work_uri_for(settings, output))
    run_to_the_end(services, order, Unseen(), Looped(0.1))
    yield user
    user.types("local down")
    shell.close()


def test_tidying_leaves_every_other_command_as_it_was(user: User) -> None:
    """Said first, done once; then status, costs, reconcile and show say the same, and a run asks nothing."""
    commands = ("costs --format json", "reconcile", "show", "show summarization --format csv", "status")
    before = [user.types(one) for one in commands]
    assert [one.returncode for one in before] == [0] * len(commands)
    dry = json.loads(user.types("tidy --dry-run --json").stdout)
    told = user.types("tidy").stdout.splitlines()
    (run,) = dry["runs"]
    assert (run["run_key"], run["published"], run["kept_because"], dry["orphans"]) == ("old", True, None, [])
    assert told[0] == "No job is in flight that no run waits for"
    assert told[1].startswith(f"Deleted {run['files']} work files of 1 run, ")
    assert told[2].startswith(f"  old: published {run['since'][:10]}, {run['files']} files, ")
    assert told[3].startswith("Expired 0 snapshots; 0 files that no snapshot needs deleted")
    assert json.loads(user.types("tidy --json").stdout)["runs"] == []
    assert [user.types(one).stdout for one in commands] == [one.stdout for one in before]
    assert "Its work files were deleted on " in user.types("status old").stdout
    assert "Its work files were deleted on " in user.types("resume old").stdout
    again = json.loads(user.types('run "my documents" --json').stdout)
    assert (again["requests"], again["cost_usd"]) == (0, "0")


def test_a_withdrawn_run_is_erased(user: User) -> None:
    """Refused before it is withdrawn, and with --dry-run; then done, and resume cannot bring it back."""
    refused = user.types("tidy --erase old")
    assert (refused.returncode, "begin with docbatch withdraw old" in refused.stderr) == (1, True)
    assert user.types("withdraw old --yes").returncode == 0
    dry = user.types("tidy --erase old --dry-run")
    assert (dry.returncode, "has no --dry-run" in dry.stderr) == (2, True)
    told = user.types("tidy --erase old")
    assert (told.returncode, told.stdout.splitlines()[0]) == (
        0,
        "Run old: erased; it cannot be brought back, and what it asked would be paid again",
    )
    assert user.types("resume old").returncode == 1

"""What whoever operates runs is told, and told to type."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.cli.operating import carry_out, find_run, newest_open, resume_command
from pipeline.errors import SettingsError
from pipeline.loop import Looped, run_to_the_end
from pipeline.storage.objects import absolute_uri
from tests.world import WORK_URI, Broken, Unseen, World, world

__all__ = ["world"]


@pytest.mark.parametrize(
    ("work_uri", "output", "command"),
    [
        (None, None, "docbatch resume night"),
        (None, "s3://tables/of a night", "docbatch resume night --output 's3://tables/of a night'"),
        ("s3://bucket/work", "s3://tables", "docbatch resume night"),
    ],
)
def test_the_output_is_named_where_the_work_store_is_found_by_it(
    world: World, work_uri: str | None, output: str | None, command: str
) -> None:
    """What is printed can be typed as it stands."""
    world.with_settings(work_uri=work_uri)
    assert resume_command(world.services, "night", output) == command


def test_a_published_run_that_is_named_again_says_so(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    """Not the summary alone, which looks like a new run: when it was published, and how to begin another."""
    world.put_many(4)
    carry_out(world.services, world.order(), None, as_json=False)
    first = capsys.readouterr().out
    assert "was published on" not in first
    carry_out(world.services, world.order(), None, as_json=False)
    told, advice, *summary = capsys.readouterr().out.splitlines()
    assert told.startswith("Run night was published on 2026-11-23 02:00 UTC. Nothing was asked again, nothing paid")
    assert advice.startswith("To begin another run: leave --run-key out, or name another")
    assert summary == first.splitlines()
    assert world.wire.created == 1


def test_a_run_that_was_killed_while_it_listed_is_to_be_started(world: World) -> None:
    """It has no manifest, so there is nothing to resume: the message says what to type instead."""
    world.put_many(1)

    def die(key: str) -> None:
        if key == "run.json":
            raise Broken(key)

    world.on_write = die
    with pytest.raises(Broken):
        world.run()
    with pytest.raises(SettingsError, match=r"night: had not begun anything .* docbatch run SOURCE --run-key night$"):
        find_run(world.services, WORK_URI, "night")


@pytest.mark.parametrize(
    ("count", "listed"),
    [
        (0, "there are: none"),
        (2, "there are: night-01, night-00"),
        (10, "night-01, night-00"),
        (12, "there are: night-11, .*, night-02 and 2 more .docbatch status shows all."),
    ],
)
def test_of_many_runs_the_last_are_named(world: World, count: int, listed: str) -> None:
    """However many there are, the message about one that is not there stays short."""
    for number in range(count):
        world.services.open(WORK_URI).write(f"runs/night-{number:02d}/run.json", b"")
    with pytest.raises(SettingsError, match=f"run frist: there is no such run in {WORK_URI}; .*{listed}$"):
        find_run(world.services, WORK_URI, "frist")


def test_a_name_that_no_run_can_have_is_refused(world: World) -> None:
    """Before it becomes a place in the store."""
    with pytest.raises(SettingsError, match=r"run key '\.\./\.\./x': allowed are letters"):
        find_run(world.services, WORK_URI, "../../x")


def test_without_a_name_the_newest_open_run_of_the_output_is_resumed(world: World) -> None:
    """Not one that writes elsewhere; where there is none, those of other outputs are named with their place."""
    world.put_many(4)
    for key in ("one", "two"):
        order = replace(world.order(key), output_uri=absolute_uri(str(world.folder / key)))
        with pytest.raises(Broken):
            run_to_the_end(world.services, order, Unseen(break_at=1), Looped(1.0, sleep=lambda _: None))
    found = [newest_open(world.services, WORK_URI, name and str(world.folder / name)) for name in (None, "one", "two")]
    assert found == ["two", "one", "two"]
    with pytest.raises(
        SettingsError, match=r"no run that writes to .*/three is open; .*: two \(.*/two\), one \(.*/one\)$"
    ):
        newest_open(world.services, WORK_URI, str(world.folder / "three"))

"""What whoever operates runs is told, and told to type."""

from __future__ import annotations

import pytest

from pipeline.operating import carry_out, resume_command
from tests.world import World, world

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

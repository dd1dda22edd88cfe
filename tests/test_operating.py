"""What whoever operates runs is told to type."""

from __future__ import annotations

import pytest

from pipeline.operating import resume_command
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

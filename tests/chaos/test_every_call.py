"""A run that dies at any of its calls to the world outside goes on to the same tables, and pays for nothing twice."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.domain import Mode
from pipeline.loop import Looped, run_to_the_end
from pipeline.steps import RunSummary
from pipeline.steps.rounds import read_plan
from tests.chaos.scene import THREADS, Billed, scene, tables_of, world_over
from tests.chaos.seam import Killed, Seam, behind, dying_at
from tests.world import Unseen, World

# A played process that dies ends the thread that renews its lease, too.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
EVERY = 6  # in `make test` the run dies after every sixth of its calls, in `make chaos` after each
LEASE_CALLS = 10  # by so many the number of calls may vary: leases are renewed by the clock
PACE = Looped(1.0, sleep=lambda _seconds: None)


def run(world: World, seam: Seam) -> RunSummary:
    return run_to_the_end(behind(seam, world.services), world.order(), Unseen(), PACE)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, World, list[str]]:
    """The folder of a run that nothing befell, its world, and the names of its calls that change something."""
    folder = tmp_path_factory.mktemp("undisturbed")
    world = scene(folder / "world", folder / "output")
    seam = Seam(only_effects=True)
    run(world, seam)
    return folder / "world", world, seam.names


def test_the_scene_has_everything_that_can_be_broken_off(undisturbed: tuple[Path, World, list[str]]) -> None:
    """Two modes, corrections, records asked again, a reduction, copies in two shards, and failures."""
    _, world, calls = undisturbed
    rows = world.rows("ledger")
    assert {row["mode"] for row in rows} == {"batch", "on-demand"}
    assert {row["status"] for row in rows} == {"answered", "failed", "missing"}
    assert {row["stage"] for row in rows} == {"map", "reduce"}
    assert world.state().manifest.shards > 1
    copies = [row["document_id"] for row in world.rows("documents") if "copy" in row["uri"]]
    assert len({row[:2] for row in copies}) > 1
    assert [row["reason"] for row in world.rows("failures")] == ["empty"]
    assert [read_plan(world.state(), number).mode for number in (0, 1)] == [Mode.BATCH, Mode.ON_DEMAND]
    kinds = {re.sub(r" (s3|file):.*", "", call) for call in calls}
    assert kinds >= {"write", "replace", "delete", "bedrock start", "bedrock invoke", "catalog commit_table"}


def test_a_run_may_die_at_any_call_that_changes_something(
    undisturbed: tuple[Path, World, list[str]],
    tmp_path: Path,
    chaos: bool,
    figures: Callable[[str], None],
) -> None:
    """The call took effect, and the run never knew: with the same key it ends as if nothing had been."""
    folder, first, calls = undisturbed
    tables, bill = tables_of(first.output), Billed.of(first.bedrock.bill.charges())
    began, twice = time.monotonic(), list[int]()
    for number in range(1, len(calls) + 1, 1 if chaos else EVERY):
        world, seam = world_over(folder, tmp_path / str(number)), dying_at(number, only_effects=True)
        with suppress(Killed):
            run(world, seam)
        told = f"died after call {number}, {seam.names[-1]}"
        assert seam.dead or number > len(calls) - LEASE_CALLS, "the run made fewer calls than the undisturbed one"
        run(world, Seam())
        assert tables_of(world.output) == tables, told
        twice.append(Billed.of(world.bedrock.bill.charges()).twice_on_demand(bill))
        assert 0 <= twice[-1] <= THREADS, told
    found = f"died after {len(twice)} of {len(calls)} calls in turn, {time.monotonic() - began:.0f} s"
    figures(f"in process: {found}: 0 batch records billed twice, {max(twice)} on demand at most")

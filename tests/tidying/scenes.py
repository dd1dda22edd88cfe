"""A world that is tidied later: time goes by, and what lies in its bucket."""

from __future__ import annotations

import datetime as dt

from pipeline.local.fault_plan import FaultPlan, JobFault
from tests.world import NOW, World


def later(world: World, days: float = 31) -> None:
    """So many days go by: on the world's clock, by which runs end, and on the store's, by which files are dated."""
    world.now = max(world.now, NOW, dt.datetime.now(dt.UTC)) + dt.timedelta(days=days)


def bucket(world: World, below: str = "work") -> dict[str, bytes]:
    """Every object of the bucket but leases, by its key."""
    keys = sorted(entry["path"] for page in world.bucket.list(below) for entry in page)
    return {key: bytes(world.bucket.get(key).bytes()) for key in keys if "lease" not in key}


def empty(world: World, below: str) -> None:
    """Nothing lies below there any more."""
    world.bucket.delete([entry["path"] for page in world.bucket.list(below) for entry in page])


def hold(world: World) -> None:
    """Jobs that are created from now on stay in flight."""
    world.bedrock.faults.replace(FaultPlan(jobs=(JobFault(kind="stuck"),)))


def let_go(world: World) -> None:
    world.bedrock.faults.replace(FaultPlan())


def statuses(world: World) -> list[str]:
    return [job["status"] for job in world.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]]

"""A night on the fleet: its documents, and a watch over the run that kills a worker in the middle of a shard."""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.manifest import prepared_key
from pipeline.segments import SPOOL_BUFFER_BYTES
from pipeline.storage.objects import ObjectStore
from tests.cluster.fleet import Fleet
from tests.cluster.programs import Program

DOCUMENTS, SHARDS, EMPTY = 20_000, 8, 20
LONGEST_SECONDS = 1500.0
SHARD_TASK = "round_0.prepare"
LEAST_BYTES = SPOOL_BUFFER_BYTES // 2  # of requests on a worker's disk, by which its shard has begun
UNDER_WAY = ("queued", "running")
MOODS = ("It works well and I am happy.", "It broke on the second day.", "It is as it was described.")


def put_documents(store: ObjectStore) -> None:
    """Small ones, all different; a few are empty, and so will be failures."""
    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(lambda number: store.write(f"{number:05d}.txt", _text(number)), range(DOCUMENTS)):
            pass


def _text(number: int) -> bytes:
    if number % (DOCUMENTS // EMPTY) == 0:
        return b""
    return f"Order {number}: the kettle came on time. {MOODS[number % len(MOODS)]}".encode()


@dataclass
class Watch:
    """What is seen of a run from outside: who was killed when, and how much memory each worker took at most."""

    fleet: Fleet
    work: ObjectStore
    run_id: str
    began: float = field(default_factory=time.monotonic)
    peak_bytes: dict[str, int] = field(default_factory=Counter)
    killed: str = ""
    killed_shard: int | None = None

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def until_the_end(self) -> str:
        """The state in which the run ended."""
        while (state := self.fleet.api.state(self.run_id)) in UNDER_WAY:
            assert self.seconds < LONGEST_SECONDS, self.states()
            for name, worker in self.fleet.workers.items():
                self.peak_bytes[name] = max(self.peak_bytes[name], worker.memory_bytes())
            if self.killed_shard is None:
                self._kill_one()
            time.sleep(0.1 if self.killed_shard is None else 1.0)  # between two looks at another program
        return state

    def cpu_seconds(self) -> float:
        """What all parts of the fleet have used, from their start on, but for a worker that is gone."""
        return sum(one.cpu_seconds() for one in (*self.fleet.others, *self.fleet.workers.values()))

    def states(self) -> Counter[str]:
        """How many tasks are in which state."""
        return Counter(f"{one['task_id']} {one['state']}" for one in self.fleet.api.tasks(self.run_id))

    def _kill_one(self) -> None:
        for task in self.fleet.api.tasks(self.run_id):
            if task["task_id"] != SHARD_TASK or task["state"] != "running":
                continue
            for worker in self.fleet.workers.values():
                works_there = task["pid"] in {one.pid for one in worker.tree()}
                if works_there and self._killed_in_the_middle(worker, task):
                    return

    def _killed_in_the_middle(self, worker: Program, task: dict[str, Any]) -> bool:
        """Kill the worker when it has written a part of the shard to its own disk; False where it was done before."""
        done = prepared_key(0, task["map_index"])
        while (written := _spooled_bytes(task["pid"])) < LEAST_BYTES:
            if self.work.exists(done) or not Path(f"/proc/{task['pid']}").exists():
                return False
            time.sleep(0.01)  # between two looks at another program
        worker.freeze()
        if self.work.exists(done):
            worker.go_on()
            return False
        worker.kill()
        self.killed_shard = task["map_index"]
        self.killed = f"{worker.name} was killed after {self.seconds:.0f} s, in shard {self.killed_shard}, "
        self.killed += f"of which {written / 1e6:.1f} MB of requests were written"
        return True


def _spooled_bytes(pid: int) -> int:
    """The size of the file without a name in which a shard's requests gather before they are put."""
    sizes = [0]
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            place = str(entry.readlink())
            if "/tmp/" in place and place.endswith("(deleted)"):
                sizes.append(entry.stat().st_size)
    except (FileNotFoundError, PermissionError):
        return 0
    return max(sizes)

"""Trouble drawn from a seed: what befalls calls, jobs, records and the store, and when the run dies."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Literal, get_args

import orjson

from pipeline.errors import ObjectExists, ServiceBusy, StorageError
from pipeline.local.fault_plan import AnswerKind, ErrorKind, FaultPlan, JobKind, LineKind
from tests.chaos.seam import Killed, Seam

Blow = Literal["dies", "refused", "lost", "conflict"]
"""What befalls a call: the process dies of it, it is refused, its answer is lost, or its own repetition meets it."""

# On demand each of these is asked again by the same step until it passes, so it has to pass one day.
BUSY_ON_DEMAND = {"skipped", "dropped", "error-429", "error-500"}
RECORD_KINDS = get_args(AnswerKind) + get_args(ErrorKind) + get_args(LineKind)
JOB_KINDS = get_args(JobKind)
# By operation, what may meet its calls; a lost answer to stop or list is only a call to be repeated.
CALL_KINDS = {
    "create": ["throttled", "error-500", "unavailable", "quota", "reset"],
    "get": ["throttled", "error-500", "reset"],
    "list": ["throttled", "error-500", "reset"],
    "invoke": ["throttled", "error-500", "unavailable", "reset"],
}
FIRST_CALLS = 900  # the blows fall on some of so many calls


@dataclass(frozen=True, slots=True)
class Trouble:
    """One night: its documents and settings, and all that goes wrong. `blows` are by the number of the call."""

    seed: int
    plan: FaultPlan
    documents: int
    copies: int
    settings: dict[str, Any]
    blows: dict[int, Blow]

    def as_json(self) -> str:
        """All of it, to be read and played again."""
        shown = asdict(self) | {"plan": self.plan.model_dump(mode="json", exclude_defaults=True)}
        return orjson.dumps(shown, option=orjson.OPT_NON_STR_KEYS).decode()


def draw(seed: int) -> Trouble:
    """The trouble of a seed; the same on any machine."""
    rng = Random(seed)
    plan = {"seed": seed, "calls": _calls(rng), "jobs": _jobs(rng), "records": _records(rng)}
    analyses = rng.sample(["classification", "sentiment", "summarization"], rng.randint(1, 2))
    settings = {
        "analyses": tuple(sorted(analyses)),
        "max_rounds": rng.randint(2, 5),
        "shard_documents": rng.choice([3, 8, 100]),
        "batch_records": rng.choice([10, 25_000]),
        "on_demand_threads": rng.choice([1, 2, 4]),
    }
    blows: list[Blow] = ["dies", "refused", "lost", "conflict"]
    falling = {rng.randint(1, FIRST_CALLS): rng.choice(blows) for _ in range(rng.randint(0, 8))}
    return Trouble(seed, FaultPlan.read(orjson.dumps(plan)), rng.randint(3, 12), rng.randint(0, 3), settings, falling)


def _calls(rng: Random) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for operation in rng.sample(sorted(CALL_KINDS), rng.randint(0, 3)):
        often = {"first": rng.randint(1, 3)} if rng.random() < 0.5 else {"share": round(rng.uniform(0.05, 0.3), 2)}
        found.append({"operation": operation, "kind": rng.choice(CALL_KINDS[operation]), **often})
    return found


def _jobs(rng: Random) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for kind in rng.sample(JOB_KINDS, rng.choice([0, 1, 1, 2])):
        if kind == "failed" and rng.random() < 0.7:
            continue  # it ends the run, and little can be learned after it
        more: dict[str, Any] = {"first_jobs": rng.randint(1, 2)}
        if kind in {"partial", "stopped"}:
            more["at"] = round(rng.random() * 0.9, 2)
        if kind == "failed":
            more["message"] = "The role cannot read the input."
        found.append({"kind": kind, **more})
    return found


def _records(rng: Random) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for kind in rng.sample(RECORD_KINDS, rng.randint(0, 4)):
        one: dict[str, Any] = {"kind": kind, "share": round(rng.uniform(0.03, 0.24), 2)}
        if rng.random() < 0.5 or kind in BUSY_ON_DEMAND:
            one["first_attempts"] = rng.randint(1, 2)
        if rng.random() < 0.4:
            one["mode"] = rng.choice(["batch", "on-demand"])
        found.append(one)
    return found


class Blows:
    """The blows of a trouble, falling on the calls of one process after the other."""

    def __init__(self, blows: dict[int, Blow]) -> None:
        self._blows = blows
        self._passed = 0  # calls of the processes before
        self.deaths = 0
        self.answers_lost = 0  # on demand: the call was paid, and its answer could not be kept

    def next_seam(self) -> Seam:
        """The seam of the next process."""
        before_this = self._passed

        def before(number: int, name: str) -> None:
            self._passed = max(self._passed, before_this + number)
            if self._blows.get(before_this + number) == "refused" and not name.startswith("catalog"):
                self.answers_lost += name.endswith(".jsonl.out")
                raise _refusal(name)

        def after(number: int, name: str) -> None:
            blow = self._blows.get(before_this + number)
            if blow == "dies":
                self.deaths += 1
                raise Killed(name)
            if blow == "lost" and not name.startswith("catalog"):
                self.answers_lost += name == "bedrock invoke"
                raise _refusal(name)
            if blow == "conflict" and name.startswith("create "):
                raise ObjectExists(f"{name}: already exists")

        return Seam(after, before)


def _refusal(name: str) -> ServiceBusy | StorageError:
    text = f"{name}: as the trouble will have it"
    return ServiceBusy(text) if name.startswith("bedrock") else StorageError(text)

"""Fault plans as values: what they refuse, and whom they hit."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.domain import Mode
from pipeline.errors import SettingsError
from pipeline.local import fault_plan
from pipeline.local.active_faults import ActiveFaults
from pipeline.local.fault_plan import CallFault, FaultPlan, JobFault, RecordFault

IDS = [f"r{n}" for n in range(1000)]
FIVE = ("error-500", "prose", "skipped", "truncated", "fenced")


def _records(*faults: dict[str, Any], seed: int = 0) -> FaultPlan:
    return FaultPlan.read(json.dumps({"seed": seed, "records": faults}))


def _hits(plan: FaultPlan, ids: list[str], attempt: int = 1, mode: Mode = Mode.BATCH) -> dict[str, str]:
    return dict(plan.of_records(dict.fromkeys(ids, attempt), mode))


def test_the_plan_of_the_docstring_is_one() -> None:
    """What the module shows as its form is read, and nothing of it is lost."""
    shown = (fault_plan.__doc__ or "").split("\n\n")[2]
    plan = FaultPlan.read(shown)
    assert (plan.seed, *map(len, (plan.calls, plan.jobs, plan.records, plan.objects))) == (7, 1, 1, 2, 1)
    assert FaultPlan.read(plan.model_dump_json()) == plan


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("[", "Invalid JSON"),
        ('{"sed": 1}', "sed: Extra"),
        ('{"seed": "1"}', "seed: "),
        ('{"records": [{"kind": "prosa", "share": 0.1}]}', "records.0.kind: "),
        ('{"records": [{"kind": "prose"}]}', "records.0.ids, share, count: give exactly one"),
        ('{"records": [{"kind": "prose", "share": 0.1, "count": 3}]}', "records.0.ids, share, count: give exactly one"),
        ('{"records": [{"kind": "prose", "share": 1.1}]}', "records.0.share: "),
        ('{"records": [{"kind": "prose", "share": 0}]}', "records.0.share: "),
        ('{"records": [{"kind": "prose", "count": 0}]}', "records.0.count: "),
        ('{"records": [{"kind": "prose", "count": 1, "first_attempts": 0}]}', "records.0.first_attempts: "),
        ('{"records": [{"kind": "prose", "count": 1, "mode": "on-demand"}]}', "records.0.count: "),
        ('{"records": [{"kind": "prose", "share": 0.1, "mode": "later"}]}', "records.0.mode: "),
        (
            '{"records": [{"kind": "prose", "share": 0.6}, {"kind": "empty", "share": 0.5}]}',
            "wrong. records: the shares add up to 1.1",
        ),
        ('{"objects": [{"method": "GET", "kind": "slow-down"}]}', "objects.0.first, share: give exactly one"),
        ('{"objects": [{"method": "get", "kind": "slow-down", "first": 1}]}', "objects.0.method: "),
        ('{"calls": [{"operation": "create", "kind": "throttled"}]}', "calls.0.first, share: give exactly one"),
        ('{"calls": [{"operation": "delete", "kind": "throttled", "first": 1}]}', "calls.0.operation: "),
        ('{"calls": [{"operation": "get", "kind": "slow", "first": 1}]}', "calls.0.seconds: must be given"),
        ('{"calls": [{"operation": "get", "kind": "reset", "first": 1, "seconds": 1}]}', "calls.0.seconds: has a"),
        ('{"jobs": [{"kind": "partial"}]}', "jobs.0.at: must be given"),
        ('{"jobs": [{"kind": "partial", "at": 1}]}', "jobs.0.at: "),
        ('{"jobs": [{"kind": "failed"}]}', "jobs.0.message: must be given"),
        ('{"jobs": [{"kind": "expired", "message": "x"}]}', "jobs.0.message: has a meaning"),
        ('{"jobs": [{"kind": "stopped", "at": 0.5, "seconds": 3}]}', "jobs.0.seconds: has a meaning"),
        ('{"jobs": [{"kind": "stuck", "first_jobs": -1}]}', "jobs.0.first_jobs: "),
    ],
)
def test_a_wrong_plan_is_refused_and_the_field_named(content: str, named: str) -> None:
    """The message says which field of which fault is wrong."""
    with pytest.raises(SettingsError) as caught:
        FaultPlan.read(content)
    assert named in str(caught.value)


def test_counts_are_exact_and_disjoint() -> None:
    """Ten of each of five kinds are fifty of the thousand, whatever the order in which they are asked."""
    plan = _records(*({"kind": kind, "count": 10} for kind in FIVE))
    hits = _hits(plan, IDS)
    assert Counter(hits.values()) == dict.fromkeys(FIVE, 10)
    assert _hits(plan, IDS[::-1]) == hits
    assert set(_hits(_records({"kind": "prose", "count": 10}, seed=1), IDS)) != {
        each for each in hits if hits[each] == "prose"
    }


def test_a_count_beyond_the_job_hits_all_of_it() -> None:
    """There are no more hits than records, and the first fault of the plan goes first."""
    plan = _records({"kind": "prose", "count": 3}, {"kind": "empty", "count": 10})
    assert Counter(_hits(plan, IDS[:7]).values()) == {"prose": 3, "empty": 4}


@given(st.integers(), st.lists(st.sampled_from(IDS), unique=True, max_size=40), st.data())
def test_a_share_belongs_to_the_record_alone(seed: int, ids: list[str], choice: st.DataObject) -> None:
    """Whether a share hits a record does not depend on the others that are asked with it, nor on the mode."""
    plan = _records({"kind": "prose", "share": 0.3}, {"kind": "empty", "share": 0.3}, seed=seed)
    some = choice.draw(st.lists(st.sampled_from(ids), unique=True)) if ids else []
    hits = _hits(plan, ids)
    assert _hits(plan, some, mode=Mode.ON_DEMAND) == {each: hits[each] for each in some if each in hits}


def test_shares_are_about_as_large_as_they_say() -> None:
    """Of many ids each share gets its part, none is hit twice, and a share of 1 leaves none out."""
    counted = Counter(_hits(_records({"kind": "prose", "share": 0.1}, {"kind": "empty", "share": 0.3}), IDS).values())
    assert 70 < counted["prose"] < 130
    assert 250 < counted["empty"] < 350
    assert set(_hits(_records({"kind": "error-400", "share": 1}), IDS)) == set(IDS)


def test_first_attempts_and_mode_limit_a_fault() -> None:
    """The third attempt is spared where two are hit, and the other mode always; ids go before shares."""
    plan = _records(
        {"kind": "empty", "ids": ["r1"], "first_attempts": 2},
        {"kind": "prose", "share": 1, "first_attempts": 1, "mode": "batch"},
    )
    seen = [[_hits(plan, ["r1", "r2"], attempt, mode) for attempt in (1, 2, 3)] for mode in Mode]
    assert seen == [[{"r1": "empty", "r2": "prose"}, {"r1": "empty"}, {}], [{"r1": "empty"}, {"r1": "empty"}, {}]]


def test_calls_and_jobs_are_hit_by_number() -> None:
    """The first ones are the first ones; a share is decided by seed and number; faults of a call add up."""
    plan = FaultPlan(
        seed=3,
        calls=(
            CallFault(operation="create", kind="throttled", first=2),
            CallFault(operation="create", kind="reset", share=0.5),
        ),
        jobs=(JobFault(kind="partial", at=0.29, first_jobs=1), JobFault(kind="no-manifest")),
    )
    kinds = [[fault.kind for fault in plan.of_call("create", number)] for number in range(1, 200)]
    assert [("throttled" in each) for each in kinds] == [True, True] + [False] * 197
    assert 70 < sum("reset" in each for each in kinds) < 130
    assert plan.of_call("get", 1) == ()
    assert [[fault.kind for fault in plan.of_job(number)] for number in (1, 2)] == [
        ["partial", "no-manifest"],
        ["no-manifest"],
    ]
    assert [plan.jobs[0].reached(records) for records in (100, 7, 1)] == [29, 2, 0]


def test_attempts_are_counted_by_record_across_jobs_and_modes() -> None:
    """A job that runs again is the same attempt; a prompt that a job asked is, on demand, that record asked again."""
    fault = RecordFault(kind="empty", share=1, first_attempts=2)
    faults = ActiveFaults(FaultPlan(records=(fault,)))
    hits = [bool(faults.of_records(job, [("r1", "sha")])) for job in ("a", "a", "b", "c", "a")]
    assert hits == [True, True, True, False, True]
    assert faults.of_prompt("request-1", "sha") is None
    assert [faults.of_prompt(request, "another") for request in ("2", "3", "4")] == ["empty", "empty", None]


def test_counters_outlive_a_restart_and_end_with_the_plan(tmp_path: Any) -> None:
    """The same plan goes on where it was; another one, or putting one anew, begins at zero."""
    plan = FaultPlan(calls=(CallFault(operation="get", kind="unavailable", first=2),))

    def met(faults: ActiveFaults) -> bool:
        found = bool(faults.of_call("get"))
        faults.close()
        return found

    path = tmp_path / "faults.sqlite"
    assert [met(ActiveFaults(plan, path)) for _ in range(3)] == [True, True, False]
    assert not met(ActiveFaults(None, path))
    assert met(ActiveFaults(plan, path))
    faults = ActiveFaults(plan)
    seen = [bool(faults.of_call("get")) for _ in range(3)]
    faults.replace(plan)
    assert [*seen, bool(faults.of_call("get"))] == [True, True, False, True]

"""Whatever goes wrong in a night, every document ends once, no answer is asked again, and the bill is told."""

from __future__ import annotations

import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from pipeline.domain import Mode
from pipeline.local.bill import Charge
from pipeline.steps import RunSummary
from tests.chaos.night import FIRST_SEED, Night, cut_at_first, price_of
from tests.chaos.random_plans import Trouble, draw
from tests.chaos.seam import Seam

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
PLANS, PLANS_OF_CHAOS = 25, 200
WORDINGS = 3


@dataclass(frozen=True, slots=True)
class Published:
    """A published run: its summary, the rows of its ledger, and what was billed until then."""

    night: Night
    summary: RunSummary
    ledger: list[dict[str, Any]]
    charges: list[Charge]

    def check_ends(self, names: Sequence[str]) -> None:
        """Every listed document ends in every analysis, once."""
        world, key = self.night.world, self.summary.run_key
        listed = Counter(row["document_id"] for row in world.rows("documents", key))
        assert listed.total() == sum(path.is_file() for path in world.source.iterdir())
        for name in names:
            ends = Counter(row["document_id"] for row in world.rows(name, key))
            ends += Counter(row["document_id"] for row in world.rows("failures", key) if row["analysis"] == name)
            assert ends == listed, name

    def check_attempts(self) -> None:
        """A record is sent once a round, and never again after an answer; a question has three wordings at most."""
        rows = defaultdict(list)
        wordings = defaultdict(set)
        for row in sorted(self.ledger, key=lambda row: row["round"]):
            rows[row["record_id"], row["analysis"]].append(row)
            place = (row["document_id"], row["analysis"], row["level"], row["position"])
            wordings[place].add(row["record_id"])
        for (record_id, _), tried in rows.items():
            assert len({row["round"] for row in tried}) == len(tried) <= self.night.trouble.settings["max_rounds"]
            assert [row for row in tried[:-1] if row["input_tokens"]] == [], f"{record_id} was asked after its answer"
        assert all(len(found) <= WORDINGS for found in wordings.values())
        sent = Counter(record_id for record_id, _ in calls_in(self.ledger, Mode.BATCH))
        billed = Counter(one.record_id for one in self.charges if one.mode is Mode.BATCH)
        assert billed <= sent, "a job was billed for a record that the ledger does not have in it"

    def check_bill(self) -> None:
        """Ledger and bill are equal where every answer arrived; where one of a job did not, the run says so."""
        lost = self._tokens_lost_by_job()
        for job_id, batch_key in lost.items():
            assert any(batch_key in told for told in self.summary.disagreements), (job_id, batch_key)
        kept = calls_in([row for row in self.ledger if row["input_tokens"]], Mode.ON_DEMAND)
        billed = [one for one in self.charges if one.mode is Mode.ON_DEMAND]
        surplus = len(billed) - len(kept)
        assert 0 <= surplus <= self.night.may_be_lost_on_demand()
        cost = sum((row["cost_usd"] for row in self.ledger), Decimal(0))
        assert cost == self.summary.cost_usd
        assert (cost == price_of(self.charges)) if not lost and not surplus else (cost < price_of(self.charges))
        if not lost and not surplus:
            for mode in Mode:
                assert self._booked(mode) == self._billed(mode), mode
        wasted = sum((row["cost_usd"] for row in self.ledger if not row["used"]), Decimal(0))
        assert self.summary.unused is not None
        assert wasted == self.summary.unused.usd

    def check_results_rest_on_used_answers(self, names: Sequence[str]) -> None:
        """Whatever is used belongs to a document with a result; what belongs to a failure was paid for nothing."""
        for name in names:
            held = {row["document_id"] for row in self.night.world.rows(name, self.summary.run_key)}
            mine = [row for row in self.ledger if row["analysis"] == name]
            assert {row["document_id"] for row in mine if row["used"]} <= held
            assert all(row["status"] == "answered" and row["input_tokens"] for row in mine if row["used"])

    def _booked(self, mode: Mode) -> tuple[int, int, int, Decimal]:
        """Paid records, tokens in and out, and USD of a mode in the ledger, attempts that came to nothing included."""
        rows = [row for row in self.ledger if row["mode"] == mode and row["input_tokens"] + row["output_tokens"]]
        sums = (sum(row[name] for row in rows) for name in ("input_tokens", "output_tokens"))
        return (len(calls_in(rows, mode)), *sums, sum((row["cost_usd"] for row in rows), Decimal(0)))  # type: ignore[return-value]

    def _billed(self, mode: Mode) -> tuple[int, int, int, Decimal]:
        """The same on the endpoint's own bill."""
        found = [one for one in self.charges if one.mode is mode]
        tokens = (sum(one.input_tokens for one in found), sum(one.output_tokens for one in found))
        return (len(found), *tokens, price_of(found))

    def _tokens_lost_by_job(self) -> dict[str, str]:
        """The jobs that were billed for other tokens than the ledger has of them, with their batches."""
        billed, told = Counter[tuple[str, str]](), Counter[tuple[str, str]]()
        for one in self.charges:
            if one.mode is Mode.BATCH:
                billed[one.source_id, "in"] += one.input_tokens
                billed[one.source_id, "out"] += one.output_tokens
        for row in self.ledger:
            if row["job_arn"]:
                told[row["job_arn"].rpartition("/")[2], "in"] += row["input_tokens"]
                told[row["job_arn"].rpartition("/")[2], "out"] += row["output_tokens"]
        jobs = self.night.world.bedrock.list_model_invocation_jobs()["invocationJobSummaries"]
        names = {job["jobArn"].rpartition("/")[2]: job["jobName"].split("-") for job in jobs}
        differing = [job for job in names if any(billed[job, way] != told[job, way] for way in ("in", "out"))]
        return {job_id: "-".join(names[job_id][1:3]) for job_id in differing}


def calls_in(ledger: list[dict[str, Any]], *modes: Mode) -> set[tuple[str, int]]:
    """The record and round of every call: of a fused one, several rows."""
    return {(row["record_id"], row["round"]) for row in ledger if row["mode"] in (modes or list(Mode))}


def check_next_run(night: Night, before: Published | None) -> None:
    """Another run asks nothing that was answered, pays for what it asks, and leaves nothing open."""
    billed = night.charges()
    summary = night.run("next", Seam())
    added = [one for one in night.charges() if one not in billed]
    ledger = night.world.rows("ledger", "next")
    assert len(added) == len(calls_in(ledger)) == summary.requests
    if before is not None:
        newest = {(row["record_id"], row["analysis"]): row["status"] for row in before.ledger}
        answered = {record_id for record_id, _ in newest}
        answered -= {record_id for (record_id, _), status in newest.items() if status != "answered"}
        asked = {row["record_id"] for row in ledger}
        assert asked & answered <= cut_at_first(night, "night"), "what was answered is asked by the next run"
    names = summary.analyses
    held = {name: summary.unchanged[name] + names[name].results + names[name].failures for name in names}
    assert set(held.values()) == {summary.documents}


def one_night(trouble: Trouble, folder: Path) -> tuple[int, bool, int]:
    """The checks of one seed: tries, whether it was published, answers that were billed and did not arrive."""
    night = Night(folder, trouble)
    summary = night.run_to_the_end("night")["night"]
    night.calm()
    published = None
    if summary is not None:
        published = Published(night, summary, night.world.rows("ledger"), night.charges())
        published.check_ends(list(summary.analyses))
        published.check_attempts()
        published.check_bill()
        published.check_results_rest_on_used_answers(list(summary.analyses))
    check_next_run(night, published)
    return night.tries, summary is not None, night.may_be_lost_on_demand()


@pytest.mark.parametrize("fuse", [False, True], ids=["plain", "fused"])
def test_random_trouble_loses_nothing_and_pays_nothing_twice(
    tmp_path: Path, chaos: bool, figures: Callable[[str], None], fuse: bool
) -> None:
    """Plans of faults from a seed: each document ends once, attempts are bounded, the ledger is the bill."""
    plans = PLANS_OF_CHAOS if chaos else PLANS
    began, tries, published, lost = time.monotonic(), 0, 0, 0
    for seed in range(FIRST_SEED, FIRST_SEED + plans):
        trouble = draw(seed)
        if fuse:
            trouble = replace(trouble, settings={**trouble.settings, "analyses": (), "fuse": True})
        try:
            tried, ended, lost_now = one_night(trouble, tmp_path / str(seed))
        except Exception as error:  # raised again, with the plan that led to it
            error.add_note(f"seed {seed}: {trouble.as_json()}")
            raise
        tries, published, lost = tries + tried, published + ended, lost + lost_now
        shutil.rmtree(tmp_path / str(seed))
    ends = f"{published} published after {tries} tries, {plans - published} ended by a failed job"
    told = f"{lost} on demand cut or in flight at a death, {time.monotonic() - began:.0f} s"
    drawn = f"{plans} random plans{', fused,' if fuse else ''} from seed {FIRST_SEED}"
    figures(f"{drawn}: {ends}; {told}: no answer was asked again")

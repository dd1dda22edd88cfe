"""Two runs over the same documents, in the same trouble, each going on whenever the other breaks off."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.domain import Mode
from pipeline.steps import RunSummary
from tests.chaos.night import FIRST_SEED, Night, cut_at_first
from tests.chaos.random_plans import draw

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
KEYS = ("night", "rival")
PLANS, PLANS_OF_CHAOS = 8, 100


def check_rivals(night: Night, ended: dict[str, RunSummary | None]) -> None:
    """No record has an answer in two ledgers, and both together say what was billed."""
    published = {key: summary for key, summary in ended.items() if summary is not None}
    for summary in published.values():
        names = summary.analyses
        held = {name: summary.unchanged[name] + names[name].results + names[name].failures for name in names}
        assert set(held.values()) == {summary.documents}
    rows = [row for key in published for row in night.world.rows("ledger", key)]
    # An answer that could not be used is nobody's: whoever comes next may ask again.
    answered = Counter(row["record_id"] for row in rows if row["status"] == "answered")
    twice = {record_id for record_id, times in answered.items() if times > 1}
    assert twice <= cut_at_first(night, *KEYS), "a record was answered and paid in both runs"
    if len(published) < len(ended):
        return  # what a failed run paid for stands in no ledger
    sent = Counter(row["record_id"] for row in rows if row["mode"] == Mode.BATCH)
    billed = Counter(one.record_id for one in night.charges() if one.mode is Mode.BATCH)
    assert billed <= sent, "a job was billed for a record that no ledger has in it"
    surplus = sum(one.mode is Mode.ON_DEMAND for one in night.charges())
    surplus -= sum(row["mode"] == Mode.ON_DEMAND and row["input_tokens"] > 0 for row in rows)
    assert 0 <= surplus <= night.may_be_lost_on_demand()


def test_rivals_in_trouble_pay_once(tmp_path: Path, chaos: bool, figures: Callable[[str], None]) -> None:
    """Whatever one leaves half done, the other waits for, finishes or takes over; both end, and pay once."""
    plans = PLANS_OF_CHAOS if chaos else PLANS
    began, tries = time.monotonic(), 0
    for seed in range(FIRST_SEED, FIRST_SEED + plans):
        night = Night(tmp_path / str(seed), draw(seed))
        try:
            ended = night.run_to_the_end(*KEYS)
            night.calm()
            check_rivals(night, ended)
        except Exception as error:  # raised again, with the plan that led to it
            error.add_note(f"seed {seed}: {draw(seed).as_json()}")
            raise
        tries += night.tries
        shutil.rmtree(tmp_path / str(seed))
    told = f"{tries} tries, {time.monotonic() - began:.0f} s: no answer was asked by both"
    figures(f"{plans} random plans for two runs at once from seed {FIRST_SEED}: {told}")

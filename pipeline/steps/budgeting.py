"""Hold a round against the budgets of its run, day and month, and keep what it may cost where the next planner looks.

Planning is one run's at a time, so whoever plans sees all that others may spend, and two runs cannot pass a budget
together.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal

from pydantic import TypeAdapter

from pipeline.batching import choose_mode
from pipeline.domain import Batch, Usage
from pipeline.errors import BudgetExceeded, ObjectMissing, RunError
from pipeline.forecasts.outlooks import Outlook
from pipeline.ledger import cost_of
from pipeline.manifest import collected_key, commitment_key, commitments_folder, run_folder
from pipeline.money.budgets import Budget, Offer, shown, tightest
from pipeline.steps.intents import revoked_by
from pipeline.steps.rounds import RoundPlan, read_collected, read_plan
from pipeline.steps.run import Run

FREE = Decimal(0)


@dataclass(frozen=True, slots=True)
class Commitment:
    """What a planned round may cost at most; `spent_usd` is what it did cost once `settled`. None where unknown."""

    forecast_usd: Decimal | None
    settled: bool = False
    spent_usd: Decimal | None = None


_COMMITMENT = TypeAdapter(Commitment)


def within_budgets(run: Run, round_number: int, made: RoundPlan, outlook: Outlook) -> RoundPlan:
    """The plan as it may be carried out. Of a later round above a budget, what other runs send is all that is left.

    Raises BudgetExceeded when it is the first round, or when it cannot be checked.
    """
    budgets = list(_budgets(run, round_number, made.planned)) if made.requests else []
    why = _unchecked(run, made, budgets) if budgets else None
    if not budgets or (why and run.manifest.allow_unknown_price):
        return made
    if why and round_number > 0:  # what was paid for is to be published
        return _without_sending(made, f"round {round_number} was not sent: {why}, so the budget cannot be checked")
    if why:
        raise BudgetExceeded(
            f"run {run.manifest.run_key}: {why}, so the budget cannot be checked; nothing was submitted. Add the price "
            "(DOCBATCH_MODELS), remove the budget, or pass --allow-unknown-price (DOCBATCH_ALLOW_UNKNOWN_PRICE)"
        )
    forecast = made.forecast_usd or FREE
    budget = tightest(budgets, forecast)
    if budget is None:
        return made
    told = f"{made.requests} requests would cost up to ${shown(forecast)}, which is more than is left of {budget}"
    if round_number == 0:
        raise BudgetExceeded(_refusal(run, told, budget, made, outlook))
    return _without_sending(made, f"round {round_number} was not sent: its {told}")


def _without_sending(made: RoundPlan, why: str) -> RoundPlan:
    awaited = tuple(batch for batch in made.batches if batch.awaits is not None)
    nothing = {"requests": 0, "input_tokens": 0, "input_low_tokens": 0, "input_high_tokens": 0, "output_tokens": 0}
    free = {"usual_output_tokens": 0, "forecast_usd": FREE, "expected_usd": FREE}
    return replace(made, batches=awaited, parts=(), over_budget=why, **nothing, **free)  # type: ignore[arg-type] # all are numbers


def commit(run: Run, round_number: int, made: RoundPlan) -> None:
    """Keep what a round may cost. Before its plan: a crash in between leaves too much committed, never too little."""
    if made.requests:
        key = commitment_key(made.planned, run.manifest.run_key, round_number)
        run.work.write(key, _COMMITMENT.dump_json(Commitment(made.forecast_usd)))


def _refusal(run: Run, told: str, budget: Budget, made: RoundPlan, outlook: Outlook) -> str:
    quotas, forecast = run.quotas, made.forecast_usd or FREE
    least = 1 if quotas.on_demand_only else quotas.min_records  # for a job
    offer = Offer(
        outlook,
        lambda requests: run.price(choose_mode(requests, quotas)),
        forecast,
        budget.left_usd,
        least,
        force=run.manifest.force,
    )
    lines = [
        f"run {run.manifest.run_key}: {told}; nothing was submitted. This run keeps the budget that it was begun "
        "with. In another one, with another key:",
        *(f"  {one}" for one in offer.lowerings()),
        f"  raise the budget: {budget.advice}",
    ]
    if budget.setting != "budget_usd":
        lines.append(f"Or repeat this run when the budget {budget.of} is a new one.")
    return "\n".join(lines)


def _unchecked(run: Run, made: RoundPlan, budgets: list[Budget]) -> str | None:
    """Why a budget cannot be checked; None when it can."""
    manifest = run.manifest
    if made.forecast_usd is None:
        return f"the {made.mode} price of {manifest.priced_as} on {manifest.run_date} is unknown"
    unknown = sorted({one for budget in budgets for one in budget.unknown})
    return f"nobody knows the cost of {', '.join(unknown[:3])} in the same period" if unknown else None


def _budgets(run: Run, round_number: int, now: dt.datetime) -> Iterator[Budget]:
    """Every budget that is set, with what is used of it but for the round that is being planned."""
    manifest, day = run.manifest, now.astimezone(dt.UTC).date()
    if manifest.budget_usd is not None:
        spent = [_spent_on(run, number, read_plan(run, number))[0] for number in range(round_number)]
        unknown = (f"run {manifest.run_key}",) if None in spent else ()
        yield Budget("budget_usd", "for the run", manifest.budget_usd, _known(spent), unknown)
    if manifest.budget_day_usd is None and manifest.budget_month_usd is None:
        return
    used = list(_used_in_month(run, day, round_number))
    if manifest.budget_day_usd is not None:
        today = [one for one in used if one.day == day]
        yield _periodic("budget_day_usd", f"for {day} (UTC)", manifest.budget_day_usd, today)
    if manifest.budget_month_usd is not None:
        yield _periodic("budget_month_usd", f"for {day:%Y-%m} (UTC)", manifest.budget_month_usd, used)


@dataclass(frozen=True, slots=True)
class _Used:
    run_key: str
    day: dt.date
    usd: Decimal | None


def _periodic(setting: str, of: str, limit: Decimal, used: list[_Used]) -> Budget:
    unknown = tuple(sorted({f"run {one.run_key}" for one in used if one.usd is None}))
    return Budget(setting, of, limit, _known([one.usd for one in used]), unknown)


def _known(parts: list[Decimal | None]) -> Decimal:
    return sum((part for part in parts if part is not None), FREE)


def _used_in_month(run: Run, day: dt.date, round_number: int) -> Iterator[_Used]:
    """What every round planned in a month costs or may cost, of all runs; not the one that is being planned.

    What is settled is read from one object; the rest from the state of its run, and settled where that is complete.
    """
    for entry in sorted(run.work.list(commitments_folder(day)), key=lambda entry: entry.key):
        *_, number, run_key, name = entry.key.split("/")
        planned, of_round = day.replace(day=int(number)), int(name.removeprefix("r").removesuffix(".json"))
        if (run_key, of_round) == (run.manifest.run_key, round_number):
            continue
        found = _COMMITMENT.validate_json(run.work.read(entry.key))
        if not found.settled:
            found = _looked_at(run, run_key, of_round, planned, found)
            if found.settled:
                run.work.write(entry.key, _COMMITMENT.dump_json(found))
        yield _Used(run_key, planned, found.spent_usd if found.settled else found.forecast_usd)


def _looked_at(run: Run, run_key: str, round_number: int, planned: dt.date, kept: Commitment) -> Commitment:
    """A commitment as it stands now. A round that was planned on another day in the end counts there."""
    try:
        other = Run(run.services, run.work.uri(run_folder(run_key)))
        plan = read_plan(other, round_number)
    except (ObjectMissing, RunError):  # not planned yet, or by another version: it may still cost what it was to cost
        return kept
    if plan.planned.astimezone(dt.UTC).date() != planned:
        return replace(kept, settled=True, spent_usd=FREE)
    usd, ended = _spent_on(other, round_number, plan)
    return replace(kept, settled=True, spent_usd=usd) if ended else replace(kept, forecast_usd=usd)


def _spent_on(run: Run, round_number: int, plan: RoundPlan) -> tuple[Decimal | None, bool]:
    """What a round costs so far, with what is in flight at its forecast; and whether nothing of it is in flight."""
    total: Decimal | None = FREE
    ended = True
    own = [batch for batch in plan.batches if batch.awaits is None]
    whole = sum(batch.input_bytes for batch in own)
    for batch in own:
        if run.store.exists(collected_key(round_number, batch.batch_key)):
            usd = _paid(run, round_number, batch, _share(plan, batch, whole))
        elif revoked_by(run, round_number, batch.batch_key) is not None:
            usd = FREE
        else:
            usd, ended = _share(plan, batch, whole), False
        total = None if total is None or usd is None else total + usd
    return total, ended


def _share(plan: RoundPlan, batch: Batch, whole_bytes: int) -> Decimal | None:
    return plan.forecast_usd and plan.forecast_usd * batch.input_bytes / whole_bytes


def _paid(run: Run, round_number: int, batch: Batch, forecast_usd: Decimal | None) -> Decimal | None:
    """What a collected batch cost; at least its forecast where tokens were not reported, which are not free."""
    found = read_collected(run, round_number, batch.batch_key)
    usage = Usage(found.input_tokens, found.output_tokens)
    usd = FREE if usage == Usage(0, 0) else cost_of(usage, run.price(batch.mode))
    if not found.uncounted or usd is None:
        return usd
    return None if forecast_usd is None else max(usd, forecast_usd)

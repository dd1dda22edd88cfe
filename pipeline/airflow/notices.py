"""What people are told of a run: that it failed, waits for an approval, is late or was cut short. Pure text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from typing import Any

from pipeline.terminal import console

GO_ON = "Clear the failed tasks in Airflow, or: docbatch resume {run_key}. What was answered is not paid again."
NEXT = {
    "BudgetExceeded": "See the ways out above; each option is a Param of the trigger form as well. This run keeps its "
    "budget: trigger another one, with another key.",
    "ApprovalRefused": "To be asked again, clear the task `approve` and what follows it. What is asked about is set by "
    "DOCBATCH_APPROVAL_ABOVE_USD, how long by DOCBATCH_APPROVAL_HOURS.",
    "SettingsError": "Correct the setting or the Param, then clear the failed task or trigger the DAG again.",
    "DeclarationError": "Correct the file that is named, then clear the failed task or trigger the DAG again.",
    "VocabularyError": "Set DOCBATCH_VOCABULARY to Meta's tokenizer.model, then clear the failed task.",
    "RunStopped": "Somebody stopped it. To go on: docbatch resume {run_key}.",
    "AccountingError": "Nothing was published, and all of it is kept: docbatch status {run_key} shows what there is.",
    "ServiceRejected": "Correct what AWS refused (the role, a permission, the model). " + GO_ON,
    "ServiceBusy": "Bedrock was busy or away for longer than a step waits (DOCBATCH_RETRY_SECONDS). " + GO_ON,
}


@dataclass(frozen=True, slots=True)
class Notice:
    """A subject of one line, and a text in Markdown."""

    subject: str
    text: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A task that failed for good. `kind` is the name of its error, None where it was killed or lost.

    `cost` says what the run has cost so far; `log_url` is where Airflow shows the task's log.
    """

    dag_id: str
    task: str
    run_key: str
    kind: str | None
    message: str
    cost: str
    log_url: str | None


def failed(what: Failed) -> Notice:
    """What happened, what it cost so far, what to do next."""
    outcome = {"BudgetExceeded": "is above its budget", "ApprovalRefused": "was not approved"}
    headline = outcome.get(what.kind or "", "was stopped" if what.kind == "RunStopped" else "failed")
    happened = f"{what.kind}: {what.message}" if what.kind else what.message
    lines = {
        "What": f"{what.dag_id}, task {what.task}",
        "Why": happened,
        "Cost so far": what.cost,
        "Next": NEXT.get(what.kind or "", GO_ON).format(run_key=what.run_key),
        "Log": what.log_url,
    }
    return Notice(f"docbatch: run {what.run_key} {headline}", _lines(lines))


def untidied(what: Failed) -> Notice:
    """Maintenance failed; no run has to do with it."""
    lines = {
        "What": f"{what.dag_id}, task {what.task}",
        "Why": f"{what.kind}: {what.message}" if what.kind else what.message,
        "Next": "Clear the task when the trouble is gone: it goes on where it broke off. No row was touched.",
        "Log": what.log_url,
    }
    return Notice("docbatch: maintenance failed", _lines(lines))


def ended(dag_id: str, run_key: str, reason: str, cost: str) -> Notice:
    """The run as a whole failed, and no task did."""
    reasons = {"timed_out": "it took longer than the DAG's `dagrun_timeout`", "all_tasks_deadlocked": "no task can run"}
    lines = {
        "What": dag_id,
        "Why": reasons.get(reason, reason),
        "Cost so far": cost,
        "Next": GO_ON.format(run_key=run_key),
    }
    return Notice(f"docbatch: run {run_key} failed", _lines(lines))


def late(dag_id: str, run_key: str, deadline: str, state: str, cost: str) -> Notice:
    """The run was not done by its deadline. It goes on."""
    lines = {
        "What": f"{dag_id} is {state}; its results were due at {deadline}",
        "Cost so far": cost,
        "Next": f"docbatch status {run_key} shows its jobs and counts. It goes on by itself unless it has failed; "
        "DOCBATCH_DEADLINE says when it is late.",
    }
    return Notice(f"docbatch: run {run_key} is late", _lines(lines))


def cut_short(run_key: str, why: str, cost_usd: Decimal | None, failures: int) -> Notice:
    """The run was published, and a later round was not sent because of a budget."""
    lines = {
        "What": f"Its tables are published, with {failures:,} failures; those with the reason `budget` were not asked",
        "Why": why,
        "Cost": dollars(cost_usd),
        "Next": "A later run asks what is owed. To let it: DOCBATCH_BUDGET_USD, _DAY_USD, _MONTH_USD or the Params.",
    }
    return Notice(f"docbatch: run {run_key} was cut short by its budget", _lines(lines))


def suspect(run_key: str, departures: Sequence[str]) -> Notice:
    """The run was published, and its shares are not the usual ones."""
    lines = {
        "What": "Its tables are published, and marked: `runs.quality` is `suspect`",
        "Why": "; ".join(departures),
        "Next": "Look at what changed: the source, the prompt, the model. docbatch show failures and docbatch show "
        "<analysis> hold the rows. What comes again night after night becomes usual.",
    }
    return Notice(f"docbatch: run {run_key} is suspect", _lines(lines))


def to_approve(why: str, forecast: Mapping[str, Any], budgets: Mapping[str, Any], hours: float) -> Notice:
    """The forecast as the task of that name gives it, for the person who decides."""
    run_key, rows = forecast["run_key"], {**(forecast["analyses"] or {}), "in all": forecast}
    table = [
        "| analysis | requests | input tokens | output tokens | cost | at most |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {name} | {_count(row['requests'])} | {_count(row['input_tokens'])} | {_count(row['output_tokens'])} "
            f"| {dollars(row['cost_usd'])} | {at_most(row['at_most_usd'])} |"
            for name, row in rows.items()
        ),
    ]
    held = ", ".join(f"{dollars(usd)} for the {of}" for of, usd in budgets.items() if usd is not None)
    text = [
        f"Run {run_key} reads {console.shown_place(forecast['source'])} and is to ask {forecast['model']} about "
        f"{_count(forecast['documents'])} new or changed documents; {why}.",
        "\n".join(table),
        f"Budget: {held or 'none'}. Later rounds are not included. Nothing has been sent.",
        f"Approve lets it go on. Reject ends it, and nothing is sent; so does no answer within {hours:g} hours.",
    ]
    most = forecast["at_most_usd"]
    told = "nobody knows what it costs" if most is None else f"it may cost up to {at_most(most)}"
    return Notice(f"docbatch: run {run_key} waits for an approval, {told}", "\n\n".join(text))


def _count(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def dollars(usd: Decimal | float | str | None) -> str:
    """Money as it comes through XCom or from a Param."""
    return console.usd(None if usd is None else Decimal(str(usd)))


def at_most(usd: str | None) -> str:
    """Rounded up: what is said to be the most is never less than it is."""
    value = None if usd is None else Decimal(usd)
    digits = Decimal("0.01") if value and value >= 1 else Decimal("0.000001")
    return dollars(value and value.quantize(digits, ROUND_CEILING))


def _lines(named: Mapping[str, str | None]) -> str:
    return "\n\n".join(f"**{name}:** {text}" for name, text in named.items() if text)

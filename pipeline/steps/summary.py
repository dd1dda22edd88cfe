"""What a run came to: the row of `runs`, and what the command line prints."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from pydantic import TypeAdapter

from pipeline.domain import Usage
from pipeline.ledger import add_costs, cost_of
from pipeline.manifest import PUBLISHED, RunManifest
from pipeline.money.costs import NONE, Amount, Way, add_by_way
from pipeline.money.hours import billed_minutes, time_cost
from pipeline.prices import Billing
from pipeline.quality import Verdict
from pipeline.schemas import FIXED, money
from pipeline.steps.counts import AnalysisCounts, ShardCounts
from pipeline.steps.extrapolating import extrapolated
from pipeline.steps.rounds import Collected, RoundPlan
from pipeline.steps.run import Run
from pipeline.storage.objects import ObjectStore

MONEY = ("forecast_usd", "cost_usd", "budget_usd", "budget_day_usd", "budget_month_usd", "time_cost_usd")


@dataclass(frozen=True, slots=True)
class RunSummary:
    """What a run came to; the row of `runs`, and what the command line prints.

    Of a model that is billed by time: its units, the minutes that they were used for, and what that costs. `unused` is
    what was paid for nothing: None for a run of a version that did not count it. `savings` are by way. `whole_usd` is
    what a sampled run says of all documents that it was drawn from: expected, low and high. `over_budget` says why the
    last round was not sent. `quality` is `usual`, `suspect` as `departures` tell, or None while nobody can tell.
    """

    run_key: str
    run_date: dt.date
    source_uri: str
    output_uri: str
    model: str | None
    priced_as: str
    output_language: str
    docbatch_version: str
    rounds: int
    documents: int
    duplicates: int
    results: int
    failures: int
    analyses: dict[str, AnalysisCounts]
    unchanged: dict[str, int]
    deleted: int
    reasons: dict[str, int]
    requests: int
    known: int
    input_tokens: int
    output_tokens: int
    forecast_usd: Decimal | None
    cost_usd: Decimal | None
    budget_usd: Decimal | None
    disagreements: list[str]
    started: dt.datetime
    ended: dt.datetime
    billing: Billing = Billing.TOKENS
    units: int | None = None
    billed_minutes: int | None = None
    time_cost_usd: Decimal | None = None
    unused: Amount | None = None
    savings: dict[str, Amount] = field(default_factory=dict)
    expected_usd: Decimal | None = None
    left_out: int = 0
    not_selected: int = 0
    seed: int | None = None
    whole_usd: tuple[Decimal, Decimal, Decimal] | None = None
    budget_day_usd: Decimal | None = None
    budget_month_usd: Decimal | None = None
    over_budget: str | None = None
    quality: str | None = None
    departures: list[str] = field(default_factory=list)

    @property
    def tables_uri(self) -> str:
        return f"{self.output_uri}/tables"


SUMMARY = TypeAdapter(RunSummary)


def read_summary(store: ObjectStore) -> RunSummary:
    """What a run came to, from its work store. Raises ObjectMissing when it was not published yet."""
    return SUMMARY.validate_json(store.read(PUBLISHED))


def by_analysis(shards: list[ShardCounts]) -> dict[str, AnalysisCounts]:
    """The counts of all shards, by the name of the analysis, sorted."""
    names = sorted({name for shard in shards for name in shard.analyses})
    parts = {name: [shard.analyses[name] for shard in shards] for name in names}
    return {
        name: AnalysisCounts(
            sum(part.results for part in found),
            sum(part.failures for part in found),
            sum(part.input_tokens for part in found),
            sum(part.output_tokens for part in found),
            add_costs(part.cost_usd for part in found),
            sum(part.failures_again for part in found),
            sum(part.empty for part in found),
            dict(sorted(sum((Counter(part.labels) for part in found), Counter[str]()).items())),
        )
        for name, found in parts.items()
    }


def models_of(shards: list[ShardCounts]) -> str | None:
    """What answered, as `runs` has it; None when nothing did."""
    return ", ".join(sorted({model for shard in shards for model in shard.models})) or None


def used_by(shards: list[ShardCounts]) -> Usage:
    """The tokens of all shards and analyses."""
    counts = by_analysis(shards).values()
    return Usage(sum(one.input_tokens for one in counts), sum(one.output_tokens for one in counts))


def summarise(
    run: Run,
    shards: list[ShardCounts],
    plans: list[RoundPlan],
    collected: list[Collected],
    verdict: Verdict,
    ended: dt.datetime,
) -> RunSummary:
    """What the shards, plans and collected batches of a run add up to, and the verdict on it."""
    manifest, analyses, used = run.manifest, by_analysis(shards), used_by(shards)
    reasons = sum((Counter(shard.reasons) for shard in shards), Counter[str]())
    return RunSummary(
        run_key=manifest.run_key,
        run_date=manifest.run_date,
        source_uri=manifest.source_uri,
        output_uri=manifest.output_uri,
        model=models_of(shards),
        priced_as=manifest.priced_as,
        output_language=manifest.output_language,
        docbatch_version=manifest.docbatch_version,
        rounds=sum(plan.requests > 0 for plan in plans),
        documents=manifest.documents,
        duplicates=sum(shard.duplicates for shard in shards),
        results=sum(one.results for one in analyses.values()),
        failures=sum(one.failures for one in analyses.values()),
        analyses=analyses,
        unchanged=manifest.unchanged,
        deleted=manifest.deleted,
        reasons=dict(sorted(reasons.items())),
        requests=sum(one.sent for one in collected),
        known=sum(plan.known for plan in plans),
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        forecast_usd=plans[0].forecast_usd,
        cost_usd=add_costs(one.cost_usd for one in analyses.values()),
        budget_usd=manifest.budget_usd,
        disagreements=[one.disagreement for one in collected if one.disagreement],
        started=manifest.started,
        ended=ended,
        billing=manifest.billing,
        **_time_used(manifest, collected),
        unused=sum((shard.unused for shard in shards), NONE),
        savings=_savings(manifest, shards),
        expected_usd=plans[0].expected_usd,
        left_out=manifest.left_out,
        not_selected=manifest.not_selected,
        seed=manifest.seed,
        whole_usd=extrapolated(run),
        budget_day_usd=manifest.budget_day_usd,
        budget_month_usd=manifest.budget_month_usd,
        over_budget=plans[-1].over_budget,
        quality=verdict.quality,
        departures=[str(one) for one in verdict.departures],
    )


def _time_used(manifest: RunManifest, collected: list[Collected]) -> dict[str, Any]:
    """What the run owes for time; nothing where tokens are billed."""
    billing, price = manifest.billing, manifest.time_price
    if billing is Billing.TOKENS:
        return {}
    minutes = billed_minutes(billing, (span for one in collected for span in one.called))
    units, cost = price.units if price else None, time_cost(billing, price, minutes)
    return {"units": units, "billed_minutes": minutes, "time_cost_usd": cost}


def _savings(manifest: RunManifest, shards: list[ShardCounts]) -> dict[str, Amount]:
    """By way. Unchanged results saved what they had used; those that had taken an answer themselves do not say."""
    same, held = sum(manifest.unchanged.values()), manifest.held
    usage = None if held is None else Usage(held.input_tokens, held.output_tokens)
    usd = cost_of(usage, manifest.batch_price or manifest.on_demand_price)
    unknown = same if usd is None or held is None else held.uncounted
    unchanged = {str(Way.UNCHANGED): Amount(same, usd or Decimal(0), unknown)} if same else {}
    return add_by_way([unchanged, *(shard.savings for shard in shards)])


def row_of(run: Run, summary: RunSummary) -> list[object]:
    """The summary in the order of the columns of `runs`."""
    analyses = [
        {
            "analysis": name,
            "prompt_fingerprint": run.manifest.analyses[name],
            "results": counts.results,
            "failures": counts.failures,
            "unchanged": summary.unchanged[name],
            "cost_usd": money(counts.cost_usd),
            "failures_again": counts.failures_again,
            "empty": counts.empty,
            "labels": [{"label": label, "results": results} for label, results in counts.labels.items()],
        }
        for name, counts in summary.analyses.items()
    ]
    savings = [
        {
            "way": way,
            "against": Way(way).against,
            "requests": amount.requests,
            "usd": None if amount.unknown == amount.requests else money(amount.known_usd),
            "unknown_requests": amount.unknown,
        }
        for way, amount in summary.savings.items()
    ]
    replaced = {
        "analyses": analyses,
        "savings": savings,
        "unused_requests": summary.unused and summary.unused.requests,
        "unused_usd": money(summary.unused.usd) if summary.unused else None,
        "unchanged": sum(summary.unchanged.values()),
        **{name: money(getattr(summary, name)) for name in MONEY},
    }
    return [replaced[name] if name in replaced else getattr(summary, name) for name, _, _ in FIXED["runs"][1]]

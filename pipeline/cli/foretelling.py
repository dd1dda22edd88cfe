"""The command `plan`: what a source would cost, as a table for people and as one object for programs."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Any

import typer

from pipeline.batching import choose_mode
from pipeline.cli.connecting import (
    AsJson,
    Fuse,
    Output,
    RunDate,
    connected,
    refuse_missing,
    sending_nothing,
    tell_lifecycle,
)
from pipeline.domain import Mode, Usage
from pipeline.errors import SettingsError
from pipeline.forecasts.drawing import SEED
from pipeline.forecasts.estimating import Estimate
from pipeline.ledger import cost_of
from pipeline.local import stack
from pipeline.local.embedded import embedded_environment, embedded_settings
from pipeline.models import Model, find_model, load_catalogue
from pipeline.money.comparing import on_every_model
from pipeline.settings import Settings, load_settings, read_aws_environment
from pipeline.steps import Services, connect, work_uri_for
from pipeline.steps.forecasting import PlannedAnalysis, PlanOrder, SourceForecast, forecast_source
from pipeline.steps.start import refuse_model_without_batch
from pipeline.storage.objects import absolute_uri
from pipeline.terminal import console


def plan(
    source: Annotated[str, typer.Argument(help="Folder or s3:// prefix that holds the documents", show_default=False)],
    output: Output = None,
    run_date: RunDate = None,
    analyses: Annotated[str | None, typer.Option(help="Analyses to run, comma-separated; default: all")] = None,
    model: Annotated[str | None, typer.Option("--model", help="Model or inference profile of the catalogue")] = None,
    output_language: Annotated[str | None, typer.Option(help="Language of summaries, in English words")] = None,
    fuse: Fuse = None,
    sample: Annotated[int | None, typer.Option(min=1, help="Read so many documents, and extrapolate")] = None,
    seed: Annotated[int, typer.Option(help="Which documents a sample takes")] = SEED,
    force: Annotated[bool, typer.Option("--force", help="As if nothing were known")] = False,
    as_json: AsJson = False,
) -> None:
    """Say what would be sent for SOURCE and what it would cost. Writes nothing, sends nothing."""
    chosen = {"analyses": analyses, "model": model, "output_language": output_language, "output": output, "fuse": fuse}
    settings = load_settings(chosen)
    find_model(settings.model, load_catalogue(settings.models))  # a wrong name is told before anything is started
    source_uri, output_uri = absolute_uri(source), absolute_uri(settings.output)
    with _looking_on(source_uri, settings, quiet=as_json) as (services, work_uri):
        refuse_missing(services, source_uri)
        refuse_model_without_batch(services)
        day = run_date or services.clock().date()
        tell_lifecycle(services, day)
        order = PlanOrder(source_uri, output_uri, work_uri, sample, seed, force)
        with console.watch_for(sys.stderr, quiet=as_json).step("plan") as step:
            forecast = forecast_source(services, order, step.advance)
            step.note(f"{forecast.read:,} of {forecast.to_do:,} documents read")
        report = _report(forecast, _tariff(services, forecast, day), load_catalogue(settings.models))
    if as_json:
        print(console.to_json(report))
    else:
        _print(report)


@contextmanager
def _looking_on(source_uri: str, settings: Settings, *, quiet: bool) -> Iterator[tuple[Services, str | None]]:
    """Services that start nothing for a local folder, and the work store, where there is one to be reached."""
    environment = read_aws_environment()
    on_aws = settings.backend == "aws" or (settings.backend == "auto" and environment.signs)
    if on_aws or not source_uri.startswith("file:"):
        with connected(sending_nothing(settings), quiet=quiet) as services:
            yield services, _work_uri(services)
    elif running := stack.status(settings.home):
        services = connect(embedded_settings(settings, running), embedded_environment(running))
        yield services, _work_uri(services)
    else:
        yield replace(connect(sending_nothing(settings), environment), engine=settings.engine), None


def _work_uri(services: Services) -> str | None:
    try:
        return work_uri_for(services.settings, absolute_uri(services.settings.output))
    except SettingsError:
        return None


@dataclass(frozen=True, slots=True)
class Tariff:
    """What tokens cost on a day, where they are sent from."""

    model: Model
    sent_id: str
    mode: Mode
    day: dt.date
    region: str | None

    def cost(self, usage: Usage) -> Decimal | None:
        """USD; None where the price is unknown."""
        return cost_of(usage, self.model.price_on(self.mode, self.day, self.region, sent_id=self.sent_id))


def _tariff(services: Services, forecast: SourceForecast, day: dt.date) -> Tariff:
    mode = choose_mode(round(forecast.amounts.requests.expected), services.quotas)
    return Tariff(*services.find_model(services.settings.model), mode, day, services.region)


def _report(forecast: SourceForecast, tariff: Tariff, catalogue: Sequence[Model]) -> dict[str, Any]:
    """Everything that is told, as JSON has it; sums of money as Decimals."""
    expected, most = (_summed([getattr(one, name) for one in forecast.analyses]) for name in ("expected", "most"))
    most = Usage(round(forecast.amounts.input_tokens.high + 0.5), most.output_tokens) if forecast.is_sampled else most
    rows = [_row(one, tariff) for one in forecast.analyses]
    whole = {
        "analysis": "in all",
        "requests": _numbers(forecast.amounts.requests),
        "input_tokens": _numbers(forecast.amounts.input_tokens),
        "output_tokens": expected.output_tokens,
        "output_tokens_at_most": most.output_tokens,
        "output_tokens_from": None,
        "cost_usd": tariff.cost(expected),
        "cost_at_most_usd": tariff.cost(most),
    }
    elsewhere = on_every_model(catalogue, tariff.model, tariff.sent_id, expected, tariff.day, tariff.region)
    return {
        "mode": tariff.mode,
        "model": tariff.model.id,
        "prices_of": tariff.day.isoformat(),
        "documents": {
            "listed": forecast.listed,
            "new": forecast.new,
            "changed": forecast.changed,
            "deleted": forecast.deleted,
            "to_do": forecast.to_do,
            "read": forecast.read,
            "unreadable": _numbers(forecast.unreadable),
        },
        "forecast": [*rows, whole],
        "saved": _saved(forecast, tariff),
        "answers_looked_up": forecast.answers_looked_up,
        "models": [
            {
                "model": one.model,
                "end_of_life": one.end_of_life,
                **{f"{way}_usd": one.usd[way] for way in Mode},
                "why": one.why,
            }
            for one in elsewhere
        ],
    }


def _row(one: PlannedAnalysis, tariff: Tariff) -> dict[str, Any]:
    return {
        "analysis": one.name,
        "requests": _numbers(one.amounts.requests),
        "input_tokens": _numbers(one.amounts.input_tokens),
        "output_tokens": one.expected.output_tokens,
        "output_tokens_at_most": one.most.output_tokens,
        "output_tokens_from": "cap" if one.usual_output_tokens is None else "earlier runs",
        "cost_usd": tariff.cost(one.expected),
        "cost_at_most_usd": tariff.cost(one.most),
    }


def _saved(forecast: SourceForecast, tariff: Tariff) -> dict[str, Any]:
    """What need not be sent, in requests and dollars. Unchanged results are worth what they had used, at today's price;
    those that had taken an answer themselves do not say what asking costs, and are counted as unknown."""
    found: dict[str, Any] = {}
    batch = replace(tariff, mode=Mode.BATCH) if tariff.model.batch_refusal(tariff.sent_id) is None else tariff
    for name in ("known", "repeated"):
        requests = [getattr(one.amounts, name) for one in forecast.analyses]
        tokens = [getattr(one.amounts, f"{name}_tokens") for one in forecast.analyses]
        parts = zip(forecast.analyses, requests, tokens, strict=True)
        usage = _summed([one.usage_of(count, size) for one, count, size in parts])
        found[name] = {"requests": round(sum(one.expected for one in requests)), "usd": tariff.cost(usage)}
    held, same = forecast.held, sum(one.unchanged for one in forecast.analyses)
    usd = batch.cost(Usage(held.input_tokens, held.output_tokens))
    unknown = same if usd is None else held.uncounted
    found["unchanged"] = {"requests": same, "usd": usd if unknown < same or not same else None}
    return {name: {"unknown_requests": unknown if name == "unchanged" else 0, **one} for name, one in found.items()}


def _summed(parts: list[Usage]) -> Usage:
    return sum(parts, Usage(0, 0))


def _numbers(found: Estimate) -> dict[str, int]:
    return {"expected": round(found.expected), "low": int(found.low), "high": -int(-found.high // 1)}


def _print(report: dict[str, Any]) -> None:
    documents = report["documents"]
    counts = ", ".join(f"{documents[name]:,} {name}" for name in ("new", "changed", "deleted") if documents[name])
    print(f"{documents['listed']:,} documents listed: {counts or 'nothing new or changed'}")
    if documents["unreadable"]["expected"]:
        print(f"{_plain(documents['unreadable'])} of them cannot be read, and will be failures")
    console.print_forecast(report["forecast"], sys.stdout)
    print(f"{report['mode']} prices of {report['model']} on {report['prices_of']}; later rounds are not included")
    for line in _notes(report):
        print(line)
    console.print_models(report["models"], sys.stdout)


def _notes(report: dict[str, Any]) -> Iterator[str]:
    documents, saved = report["documents"], report["saved"]
    if documents["read"] < documents["to_do"]:
        yield f"Estimated  from {documents['read']:,} documents, drawn by chance; ± holds 95 times in 100"
    capped = [one["analysis"] for one in report["forecast"] if one["output_tokens_from"] == "cap"]
    if capped:
        which = "the same" if len(capped) == len(report["forecast"]) - 1 else ", ".join(capped)
        yield f"Answers    taken to be as long as they may: no earlier run has asked {which}"
    for name, text in (
        ("unchanged", "results that still hold"),
        ("known", "requests answered by some run before"),
        ("repeated", "requests for a text that another document has"),
    ):
        if saved[name]["requests"]:
            least = "at least " if saved[name]["unknown_requests"] and saved[name]["usd"] is not None else ""
            worth = f"worth {least}{console.usd(saved[name]['usd'])}"
            yield f"Saved      {saved[name]['requests']:,} {text}, {worth}"
    if not report["answers_looked_up"]:
        yield "Not seen   answers that earlier runs have kept: the embedded stack is not running (docbatch local up)"


def _plain(numbers: dict[str, int]) -> str:
    return console.with_margin(numbers)

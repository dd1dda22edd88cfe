"""The command `prices`: list what models cost and where that is from, and read the AWS Price List."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Iterable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.table import Column, Table
from rich.text import Text

from pipeline.bedrock.client import BedrockAccess
from pipeline.cli.connecting import AsJson, say
from pipeline.domain import Mode
from pipeline.errors import SettingsError
from pipeline.models import Model, catalogue_with, find_model, load_catalogue
from pipeline.money.own_models import refreshed_part, with_changes, write_whole
from pipeline.money.price_list import PRICING_REGION, Change, changes, connect_price_list, read_prices
from pipeline.prices import Billing, Price
from pipeline.settings import Settings, load_settings, read_aws_environment
from pipeline.terminal import console

REFRESH = "refresh"
SOURCE_CHARACTERS, REGION_CHARACTERS = 30, 21  # what leaves a row within 100 columns


def prices(
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL|refresh]", help="A model to list, default: all; `refresh` asks the AWS Price List"
        ),
    ] = None,
    region: Annotated[str | None, typer.Option(help="Prices in this region alone")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="With refresh: show what differs, write nothing")] = False,
    as_json: AsJson = False,
) -> None:
    """List what models cost by mode and region, since when, and where that is from; USD per million tokens.

    `refresh` reads the AWS Price List, shows where it differs, and adds those prices to the file that DOCBATCH_MODELS
    names. Prices that you wrote into it yourself stand above AWS's. Runs that have begun keep theirs.
    """
    settings = load_settings()
    today = dt.datetime.now(dt.UTC).date()
    if what == REFRESH:
        _refresh(settings, region, today, dry_run=dry_run, as_json=as_json)
        return
    if dry_run:
        raise SettingsError("--dry-run: goes with `docbatch prices refresh` alone")
    _list(load_catalogue(settings.models), what, region, today, as_json=as_json)


def _list(catalogue: tuple[Model, ...], name: str | None, region: str | None, today: dt.date, *, as_json: bool) -> None:
    chosen = (find_model(name, catalogue)[0],) if name else catalogue
    if as_json:
        print(console.to_json([row for model in chosen for row in _json_rows(model, region, today)]))
        return
    out = console.console_on(sys.stdout)
    out.print("USD per million tokens of the prompt (in) and of the answer (out), from a date on")
    for model in chosen:
        out.print(Text(f"\n{model.id}", style="bold"))
        for note in _notes(model, today):
            out.print(Text(f"  {note}"))
        out.print(_time_table(model, today) if model.billing is not Billing.TOKENS else _table(model, region, today))


def _regions(model: Model, region: str | None) -> list[str]:
    """Where the model can be called from, as far as is known, and where it has a price."""
    priced = (one for price in model.price for one in price.regions)
    return [region] if region else sorted({*model.regions, *model.profile_regions, *priced})


def _held(model: Model, region: str | None, today: dt.date) -> Iterator[tuple[Mode, list[str], str, Price | None]]:
    """By mode and routing: the regions that have one price today, and that price; None where it is unknown."""
    for mode in Mode:
        if mode is Mode.BATCH and model.batch_refusal():
            continue
        for routing, sent_id in _routings(model):
            found: dict[Price | None, list[str]] = {}
            for one in _regions(model, region) or [""]:
                found.setdefault(model.price_on(mode, today, one, sent_id=sent_id), []).append(one)
            for price, regions in found.items():
                yield mode, regions, routing, price


def _routings(model: Model) -> list[tuple[str, str]]:
    """Apart where a price says so; else a profile costs what its source region costs."""
    apart = any(price.routing for price in model.price) and model.profiles
    return [("in-region", model.id), ("cross-region", model.profiles[0])] if apart else [("", model.id)]


def _table(model: Model, region: str | None, today: dt.date) -> Table:
    right = [Column(name, justify="right") for name in ("in", "out")]
    where = Column("region", max_width=REGION_CHARACTERS)
    table = Table("mode", where, *right, "since", "source", box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for mode, regions, routing, price in _held(model, region, today):
        place = ", ".join(regions) or "every region"
        shown = (_usd(price.input_usd), _usd(price.output_usd), str(price.since), price.source) if price else None
        about = shown or ("unknown", "unknown", "", "")
        table.add_row(mode, f"{place} {routing}".strip(), *about[:3], _cut(about[3]))
    return table


def _time_table(model: Model, today: dt.date) -> Table:
    unit = "unit and hour" if model.billing is Billing.PROVISIONED else "unit and minute"
    table = Table("billing", "units", f"USD a {unit}", "since", "source", box=box.SIMPLE_HEAD)
    price = model.time_price_on(today)
    shown = (str(price.units), f"{price.usd:f}", str(price.since), _cut(price.source)) if price else ("unknown",) * 2
    table.add_row(model.billing, *shown)
    return table


def _notes(model: Model, today: dt.date) -> Iterator[str]:
    if refusal := model.batch_refusal():
        yield f"no batch jobs: {refusal}"
    if model.end_of_life:
        past = " (past)" if today >= model.end_of_life else ""
        yield f"end of life {model.end_of_life}{past}"
    quotas = {"requests": model.requests_per_minute, "tokens": model.tokens_per_minute}
    if known := [f"{quota:,} {name}" for name, quota in quotas.items() if quota]:
        yield f"on demand at most {' and '.join(known)} a minute"


def _json_rows(model: Model, region: str | None, today: dt.date) -> Iterator[dict[str, Any]]:
    if model.billing is not Billing.TOKENS:
        price = model.time_price_on(today)
        yield {"model": model.id, "billing": model.billing} | (price.model_dump() if price else {})
        return
    for mode, regions, routing, held in _held(model, region, today):
        about = (
            held.model_dump(exclude={"mode", "regions", "routing"}) if held else {"input_usd": None, "output_usd": None}
        )
        for one in regions:
            yield {"model": model.id, "mode": mode, "region": one or None, "routing": routing or None, **about}


def _refresh(settings: Settings, region: str | None, today: dt.date, *, dry_run: bool, as_json: bool) -> None:
    path = settings.models
    if path is None and not dry_run:
        raise SettingsError(
            "models: is not set. Say in which file your own prices are kept, for example DOCBATCH_MODELS=models.toml "
            "docbatch prices refresh; or look first, with --dry-run"
        )
    text = path.read_text("utf-8") if path and path.exists() else ""
    known = catalogue_with(refreshed_part(text), path or Path("models.toml"))
    found, told = _compare(settings, known, region, today)
    _show(found, as_json=as_json)
    for one in told:
        say(f"Left out: {one}")
    if path and found and not dry_run:
        refreshed = with_changes(text, found)
        _tell_own(catalogue_with(refreshed, path), found, today)
        write_whole(path, refreshed)
        say(f"{len(found)} prices written to {path}; runs that begin from now on use them")


def _compare(
    settings: Settings, catalogue: Iterable[Model], region: str | None, today: dt.date
) -> tuple[list[Change], list[str]]:
    """What differs, for each model that AWS' list has a name for; and what was left out."""
    environment = read_aws_environment()
    secret = environment.secret_access_key.get_secret_value() if environment.secret_access_key else None
    access = BedrockAccess(PRICING_REGION, environment.pricing_url, None, environment.access_key_id, secret)
    client = connect_price_list(access, settings.retry_seconds)
    found, told = list[Change](), list[str]()
    for model in catalogue:
        if model.price_list_name:
            listed, left_out = read_prices(client.products(model.price_list_name, region), model.price_list_name, today)
            found += changes(model, listed, today)
            told += left_out if listed or left_out else [f"{model.id}: the list has no price of it"]
    return found, told


def _tell_own(catalogue: tuple[Model, ...], found: Sequence[Change], today: dt.date) -> None:
    """Where a price that the owner of the file wrote stands above the one of AWS."""
    for change in found:
        price = find_model(change.model_id, catalogue)[0].price_on(change.listed.mode, today, change.region)
        if price != change.listed and price is not None:
            say(f"Your own price stays: {change.model_id}, {price.mode} in {change.region}, {price.source}")


def _show(found: Sequence[Change], *, as_json: bool) -> None:
    if as_json:
        rows = [
            {"model": one.model_id, "mode": one.listed.mode, "region": one.region, "known": _sides(one.known)}
            | {"listed": _sides(one.listed), "since": str(one.listed.since)}
            for one in found
        ]
        print(console.to_json(rows))
        return
    if not found:
        print("The AWS Price List says what is known already.")
        return
    table = Table("model", "mode", "region", "known in/out", "AWS in/out", "since", box=box.SIMPLE_HEAD)
    for one in found:
        about = (one.model_id, one.listed.mode, one.region, _pair(one.known), _pair(one.listed))
        table.add_row(*about, str(one.listed.since))
    console.console_on(sys.stdout).print(table)


def _sides(price: Price | None) -> dict[str, Decimal] | None:
    return None if price is None else {"input_usd": price.input_usd, "output_usd": price.output_usd}


def _pair(price: Price | None) -> str:
    return "unknown" if price is None else f"{_usd(price.input_usd)} / {_usd(price.output_usd)}"


def _usd(value: Decimal) -> str:
    return f"{value:f}"


def _cut(source: str) -> str:
    return source if len(source) <= SOURCE_CHARACTERS else source[: SOURCE_CHARACTERS - 1] + "…"

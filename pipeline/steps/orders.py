"""What a run is asked to do, and what is refused before anything is listed or sent."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

from pipeline.analyses import Analysis
from pipeline.errors import SettingsError
from pipeline.forecasts.drawing import SEED
from pipeline.fusing import fuse
from pipeline.manifest import RunManifest
from pipeline.models import load_catalogue
from pipeline.sources.listing import refuse_missing as refuse_missing_sources
from pipeline.sources.spelling import Kind, parse_sources
from pipeline.steps.run import Services, limits_for
from pipeline.storage.objects import refuse_unwritable

SELECTING = ("include", "exclude", "min_bytes", "max_bytes", "modified_since")


@dataclass(frozen=True, slots=True)
class RunOrder:
    """What a run is asked to do. `run_date` decides which prices hold; `force` asks again what is known.

    `source_uri` names one source or several, as `sources.spelling` reads them, with full uris.

    With `sample`, only so many of the new and changed documents are looked at, drawn by `seed`.
    """

    run_key: str
    run_date: dt.date
    source_uri: str
    output_uri: str
    work_uri: str
    force: bool = False
    sample: int | None = None
    seed: int = SEED


def refuse_order(services: Services, order: RunOrder) -> None:
    """Raises SettingsError or DeclarationError for what no run could be made of, before anything is listed."""
    refuse_missing(services, order.source_uri)
    refuse_overlap(order.source_uri, order.output_uri, order.work_uri)
    refuse_model_without_batch(services)
    refuse_unwritable(order.output_uri)
    refuse_unfusable(services, services.analyses(services.settings.analyses, services.settings.output_language))


def refuse_overlap(source_uri: str, output_uri: str, work_uri: str) -> None:
    """Tables or working files inside a source would be read as documents the next time."""
    prefixes = [source.uri for source in parse_sources(source_uri) if source.kind is Kind.PREFIX]
    for name, uri in (("output", output_uri), ("work_uri", work_uri)):
        for prefix in prefixes:
            if f"{uri}/".startswith(f"{prefix}/"):
                raise SettingsError(f"{name} = {uri}: lies inside the source {prefix}; choose a place beside it")


def refuse_missing(services: Services, source_uri: str) -> None:
    """Raises SettingsError for a local folder or a file that is not there, and for bounds that nothing meets."""
    least, most = services.settings.min_bytes, services.settings.max_bytes
    if least is not None and most is not None and least > most:
        raise SettingsError(f"min_bytes = {least}: is above max_bytes = {most}; no document can be both")
    refuse_missing_sources(services.open, parse_sources(source_uri))


def refuse_model_without_batch(services: Services) -> None:
    """Raises SettingsError for a model that the batch API refuses, unless there are to be calls on demand only.

    Also where a night may be too small for a job: whether a run works must not depend on how many documents came.
    """
    model, sent_id = services.find_model(services.settings.model)
    reason = model.batch_refusal(sent_id)
    if reason and services.settings.mode != "on-demand":
        others = [one.id for one in load_catalogue(services.settings.models) if one.batch_refusal() is None]
        raise SettingsError(
            f"model = {services.settings.model!r}: the batch API refuses it: {reason}. Nothing was sent. Set "
            "DOCBATCH_MODE=on-demand to ask it call by call, at the price of that, or choose a model that takes batch "
            f"jobs: {', '.join(others)}"
        )


def refuse_unfusable(services: Services, analyses: Mapping[str, Analysis]) -> None:
    """Raises DeclarationError where analyses are to be fused and cannot be, before anything is listed or sent."""
    if services.fused is not None and len(analyses) > 1:
        limits = limits_for(services, services.settings.model)
        fuse(services.prompts, analyses, list(analyses), limits.max_output_tokens)


def refuse_another_run(services: Services, order: RunOrder, begun: RunManifest) -> None:
    """Whoever takes a used key for something else would get the tables of the first."""
    settings = services.settings
    wanted = {
        "source": (order.source_uri, begun.source_uri),
        "output": (order.output_uri, begun.output_uri),
        "model": (services.find_model(settings.model)[1], begun.model),
        "output_language": (settings.output_language, begun.output_language),
        "analyses": (sorted(settings.analyses or begun.analyses), sorted(begun.analyses)),
        "mode": (settings.mode, "on-demand" if begun.on_demand_only else "auto"),
        "fuse": (settings.fuse, begun.fused is not None),
        **{name: (getattr(settings, name), getattr(begun, name)) for name in SELECTING},
        "force": (order.force or begun.force, begun.force),
        **{
            name: (getattr(settings, name), getattr(begun, name))
            for name in ("budget_usd", "budget_day_usd", "budget_month_usd")
        },
    }
    for name, (asked, fixed) in wanted.items():
        if asked != fixed:
            raise SettingsError(
                f"run {order.run_key}: was begun with {name} = {fixed}, not {asked}; "
                "say the same to continue it, or choose another run key"
            )

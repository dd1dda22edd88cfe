"""What every step works with: the services it may reach, and the run that it belongs to."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from pydantic import ValidationError

from pipeline.analyses import Analysis, load_analyses
from pipeline.batching import Quotas
from pipeline.bedrock.client import (
    DEFAULT_REGION,
    BatchClient,
    BedrockAccess,
    OnDemandClient,
    bedrock_access,
    connect_batch,
    connect_on_demand,
)
from pipeline.bedrock.pacing import Pacer
from pipeline.declared import shipped_prompts
from pipeline.domain import FUSED_BY, Mode
from pipeline.errors import RunError, RunStopped, SettingsError
from pipeline.fusing import Fused, fuse, fused_fingerprint
from pipeline.manifest import MANIFEST, RUNS, STOPPED, RunManifest
from pipeline.models import Model, find_model, load_catalogue
from pipeline.money.cloudwatch import MetricsClient, connect_metrics
from pipeline.planning import FusedPlanner, Planner
from pipeline.prices import Price
from pipeline.settings import AwsEnvironment, Settings
from pipeline.settling import Limits
from pipeline.storage.objects import ObjectStore, S3Access, open_store
from pipeline.tokens import TokenCounter, load_counter

if TYPE_CHECKING:
    from pipeline.catalog import Catalog


class Opener(Protocol):
    """Opens the store at a uri; `make` creates a missing local folder."""

    def __call__(self, uri: str, *, make: bool = False) -> ObjectStore: ...


@dataclass(frozen=True)
class Services:
    """Everything outside the process that steps reach, and the clock.

    `engine` names what answers where that is not the model itself: behind a Bedrock endpoint of one's own.
    `metrics_client` is None where there is no CloudWatch: beside such an endpoint, unless it has one of its own.
    """

    settings: Settings
    open: Opener
    role_arn: str
    batch_client: Callable[[], BatchClient]
    on_demand_client: Callable[[], OnDemandClient]
    clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC)
    s3: S3Access = field(default_factory=lambda: S3Access(DEFAULT_REGION))
    engine: str | None = None
    metrics_client: Callable[[], MetricsClient] | None = None
    _kept_analyses: dict[tuple[tuple[str, ...], str], dict[str, Analysis]] = field(default_factory=dict, repr=False)

    @cached_property
    def counter(self) -> TokenCounter:
        return load_counter(self.settings.vocabulary, fast=self.settings.fast_counting)

    @cached_property
    def prompts(self) -> Path:
        return self.settings.prompts or shipped_prompts()

    def analyses(self, names: tuple[str, ...], output_language: str) -> dict[str, Analysis]:
        """The declared analyses, loaded once: a process works with the prompts that it began with."""
        key = (names, output_language)
        if key not in self._kept_analyses:
            self._kept_analyses[key] = load_analyses(self.prompts, names, output_language=output_language)
        return self._kept_analyses[key]

    @contextmanager
    def catalog(self, output_uri: str, *, make: bool = False) -> Iterator[Catalog]:
        """The Iceberg catalog of an output; `make` creates a missing SQLite file."""
        from pipeline.catalog import open_catalog  # takes a second, and few commands need it

        found = open_catalog(self.settings, output_uri, self.s3, self.clock, make=make)
        try:
            yield found
        finally:
            found.close()

    @cached_property
    def fused(self) -> str | None:
        """The fingerprint of the template of fused prompts; None where analyses are not fused."""
        return fused_fingerprint(self.prompts) if self.settings.fuse else None

    @property
    def quotas(self) -> Quotas:
        chosen = self.settings
        most_records = min(chosen.batch_records, chosen.max_records_per_file)
        on_demand_only, quota = chosen.mode == "on-demand", chosen.max_records_per_file
        return Quotas(chosen.min_records_per_job, most_records, chosen.max_file_bytes, on_demand_only, quota)

    @property
    def region(self) -> str:
        """The region that calls are made from, and so the one whose prices hold."""
        return self.s3.region

    def find_model(self, name: str) -> tuple[Model, str]:
        """The model of the catalogue, the user's own file included, and the id to send. Raises SettingsError."""
        return find_model(name, load_catalogue(self.settings.models))


def connect(settings: Settings, environment: AwsEnvironment) -> Services:
    """Services on AWS, or on whatever the AWS endpoint variables name.

    Raises SettingsError when the service role is missing.
    """
    if settings.role_arn is None:
        raise SettingsError(
            "role_arn: is missing. Set DOCBATCH_ROLE_ARN to the service role that Bedrock assumes to read and write "
            "S3 (README, On AWS), or DOCBATCH_BACKEND=local to use the embedded stack."
        )
    bedrock = bedrock_access(settings, environment)
    keys = (bedrock.access_key_id, bedrock.secret_access_key, bedrock.session)
    s3 = S3Access(bedrock.region, environment.s3_url, *keys)
    retry_seconds, threads = settings.retry_seconds, settings.on_demand_threads
    pacer = cache(lambda: _pacer(settings))  # one for all clients of the process
    return Services(
        settings,
        partial(open_store, access=s3),
        settings.role_arn,
        lambda: connect_batch(bedrock, retry_seconds, load_catalogue(settings.models)),
        lambda: connect_on_demand(bedrock, retry_seconds, threads, pacer()),
        s3=s3,
        engine=settings.engine if environment.bedrock_url else None,
        metrics_client=_metrics(bedrock, environment, retry_seconds),
    )


def _pacer(settings: Settings) -> Pacer:
    """The pace that was set; else the quotas of the model, where they are known."""
    model, _ = find_model(settings.model, load_catalogue(settings.models))
    requests = settings.on_demand_requests_per_minute or model.requests_per_minute
    return Pacer(requests, settings.on_demand_tokens_per_minute or model.tokens_per_minute)


def _metrics(
    access: BedrockAccess, environment: AwsEnvironment, retry_seconds: float
) -> Callable[[], MetricsClient] | None:
    if environment.bedrock_url and not environment.cloudwatch_url:
        return None
    return lambda: connect_metrics(access, environment.cloudwatch_url, retry_seconds)


class Run:
    """One run: its manifest, its work store, and what follows from them."""

    def __init__(self, services: Services, run_uri: str) -> None:
        self.services = services
        self.store = services.open(run_uri)
        self.manifest = _read_manifest(self.store)
        self._fused: dict[str, Fused] = {}
        self._fused_planners: dict[str, FusedPlanner] = {}

    @cached_property
    def work(self) -> ObjectStore:
        """What all runs of the work store share."""
        return self.services.open(self.store.uri().rpartition(f"/{RUNS}/")[0])

    @cached_property
    def analyses(self) -> dict[str, Analysis]:
        """The analyses of the run. Raises RunError when a prompt is no longer what it was when the run began."""
        names = tuple(self.manifest.analyses)
        loaded = self.services.analyses(names, self.manifest.output_language)
        for name, analysis in loaded.items():
            if analysis.fingerprint != self.manifest.analyses[name]:
                raise RunError(
                    f"run {self.manifest.run_key}: the prompt of {name} in {self.services.prompts} has changed since "
                    "the run began; start a new run, or put the prompt back"
                )
        return loaded

    @cached_property
    def limits(self) -> Limits:
        return limits_for(self.services, self.manifest.model)

    def asked(self, name: str) -> Analysis | Fused:
        """What a request asks for by its `analysis`: one, or several that are fused."""
        return self.analyses[name] if name in self.analyses else self.fused(name)

    def fused(self, name: str) -> Fused:
        """Several analyses by their joined names. Raises RunError when the fused template is no longer what it was."""
        if name not in self._fused:
            found = fuse(self.services.prompts, self.analyses, name.split(FUSED_BY), self.limits.max_output_tokens)
            if found.fingerprint != self.manifest.fused:
                raise RunError(
                    f"run {self.manifest.run_key}: the template of fused prompts has changed since the run began; "
                    "start a new run, or put the template back"
                )
            self._fused[name] = found
        return self._fused[name]

    @property
    def quotas(self) -> Quotas:
        """Those of the settings; whether there may be jobs was fixed when the run began."""
        return replace(self.services.quotas, on_demand_only=self.manifest.on_demand_only)

    @cached_property
    def planners(self) -> dict[str, Planner]:
        counter, fused = self.services.counter, self.manifest.fused
        return {name: Planner(one, self.limits, counter, fused) for name, one in self.analyses.items()}

    def fused_planner(self, names: Sequence[str]) -> FusedPlanner:
        """What makes the requests that ask for these analyses at once."""
        name = FUSED_BY.join(names)
        if name not in self._fused_planners:
            self._fused_planners[name] = FusedPlanner(self.fused(name), self.limits, self.services.counter)
        return self._fused_planners[name]

    def price(self, mode: Mode) -> Price | None:
        return self.manifest.batch_price if mode is Mode.BATCH else self.manifest.on_demand_price


def _read_manifest(store: ObjectStore) -> RunManifest:
    try:
        return RunManifest.model_validate_json(store.read(MANIFEST))
    except ValidationError as error:
        wrong = ", ".join(sorted({str(one["loc"][0]) for one in error.errors() if one["loc"]}))
        raise RunError(
            f"{store.uri(MANIFEST)}: was written by another version of docbatch ({wrong}); finish the run with that "
            "version, or begin one with another key"
        ) from None


def as_begun(settings: Settings, begun: RunManifest) -> Settings:
    """The settings with which a run was begun, in place of today's."""
    fixed = {
        "model": begun.model,
        "output_language": begun.output_language,
        "analyses": tuple(begun.analyses),
        "fuse": begun.fused is not None,
        **{name: getattr(begun, name) for name in ("include", "exclude", "min_bytes", "max_bytes", "modified_since")},
        "budget_usd": begun.budget_usd,
        "budget_day_usd": begun.budget_day_usd,
        "budget_month_usd": begun.budget_month_usd,
        "allow_unknown_price": begun.allow_unknown_price,
        "max_rounds": begun.max_rounds,
        "mode": "on-demand" if begun.on_demand_only else "auto",
    }
    return settings.model_copy(update=fixed)


def refuse_stopped(run: Run) -> None:
    """Raises RunStopped when somebody stopped the run."""
    if run.store.exists(STOPPED):
        raise RunStopped(
            f"run {run.manifest.run_key}: was stopped; what was answered is kept. "
            f"Continue it with: docbatch resume {run.manifest.run_key}"
        )


def limits_for(services: Services, model_name: str) -> Limits:
    """What a request to a model may be, from the catalogue and the settings. Raises SettingsError."""
    model, sent_id = services.find_model(model_name)
    answers_by = sent_id if services.engine is None else f"{sent_id}, answered by {services.engine}"
    return Limits(answers_by, model.window_tokens, services.settings.margin_tokens, model.max_output_tokens)


def work_uri_for(settings: Settings, output_uri: str) -> str:
    """Where the run keeps its state: as set, else below an output that is on S3. Raises SettingsError."""
    if settings.work_uri:
        return settings.work_uri.rstrip("/")
    if output_uri.startswith("s3://"):
        return f"{output_uri}/work"
    raise SettingsError(
        "work_uri: is missing. Bedrock reads prompts from S3: set DOCBATCH_WORK_URI to an s3:// prefix, or give one "
        "to --output."
    )

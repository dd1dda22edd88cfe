"""Every setting: its name, what it may be, its default, and the line that docs/settings.md has of it."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

ROLE_ARN = r"^arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+$"  # botocore, CreateModelInvocationJob.roleArn
BETWEEN_SOURCES = " | "  # of several in one text
NOTIFIED = r"[^@\s]+@[^@\s]+|arn:aws[^:]*:sns:[^:]+:\d{12}:[\w.-]+|http:[\w.-]+"


class Settings(BaseModel):
    """Every setting, frozen. The description of a field is its line in docs/settings.md."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    backend: Literal["auto", "aws", "local"] = Field(
        "auto", description="`aws`, `local` (the embedded stack), or `auto`: AWS when the environment has AWS settings"
    )
    source: str | None = Field(
        None,
        description="What the nightly DAG reads: a folder, an s3:// prefix, `list:`, `inventory:` or `rows:` and a "
        "file; several are joined by a vertical bar (docs/sources.md)",
    )
    include: tuple[str, ...] = Field(
        (), description="Patterns of the documents that are wanted, comma-separated, as in .gitignore; default: all"
    )
    exclude: tuple[str, ...] = Field((), description="Patterns of those that are not")
    min_bytes: int | None = Field(None, ge=0, description="Smaller documents are not looked at")
    max_bytes: int | None = Field(None, ge=0, description="Larger documents are not looked at")
    modified_since: dt.datetime | None = Field(
        None, description="Documents changed before are not looked at: a date (midnight UTC), or a time with its zone"
    )
    output: str = Field("./output", description="Folder or s3:// prefix under which tables are published")
    catalog: str = Field(
        "auto",
        repr=False,  # a database's URL may hold a password
        description="Iceberg catalog of the tables: `auto` (Glue for tables on AWS, else `sqlite`), `glue`, `sqlite`, "
        "an SQLAlchemy URL such as `postgresql+psycopg2://…`, or an Iceberg REST catalog: "
        "`rest:https://host/path?warehouse=name`",
    )
    catalog_credential: str | None = Field(
        None, repr=False, description="What a REST catalog knows us by: a client's `id:secret`, or a token"
    )
    catalog_namespace: str = Field(
        "docbatch",
        pattern=r"^[a-z0-9_]{1,200}$",
        description="Glue database, or namespace in another catalog; one for each output",
    )
    sweep_hours: float = Field(
        24.0, ge=1, description="Files of tables that no snapshot refers to are deleted when they are older than this"
    )
    compact_runs: int = Field(100, ge=0, description="From so many small runs on, `tidy` compacts a table; 0: never")
    report_samples: int = Field(
        3, ge=0, le=50, description="Results of each analysis to be read in a run's report; 0 leaves their texts out"
    )
    schedule: str | None = Field("0 2 * * *", description="When the nightly DAG runs (cron, UTC)")
    home: Path = Field(Path(".docbatch"), description="State folder of the embedded stack")
    engine: str = Field(
        "baseline",
        pattern=r"^(baseline|openai:https?://.+)$",
        description="What answers in the embedded stack: `baseline`, or `openai:<base url>` of a completions server",
    )
    region: str | None = Field(None, description="AWS region; default: AWS_REGION, else us-west-2")
    aws_conn_id: str | None = Field(
        None,
        description="Airflow connection from which tasks take credentials, region and endpoints; default: as boto3 "
        "finds them. The command line does not know it",
    )
    role_arn: str | None = Field(
        None, pattern=ROLE_ARN, description="Service role that Bedrock assumes to read and write S3; required on AWS"
    )
    work_uri: str | None = Field(
        None,
        pattern=r"^s3://[a-z0-9][a-z0-9.-]+(/[-!_*'().a-zA-Z0-9]+)*/?$",
        description="s3:// prefix for prompts, job outputs and state; on AWS the default is `<output>/work`",
    )
    model: str = Field("meta.llama3-1-8b-instruct-v1:0", description="Model or inference profile of the catalogue")
    models: Path | None = Field(
        None, description="File with models and prices of your own, over those that docbatch knows (models.toml's form)"
    )
    mode: Literal["auto", "on-demand"] = Field(
        "auto",
        description="`auto`: batch jobs, and on demand below Bedrock's minimum; `on-demand`: no jobs, at that price",
    )
    prompts: Path | None = Field(None, description="Folder of analyses; default: those that ship with docbatch")
    vocabulary: Path | None = Field(None, description="Meta's tokenizer.model; default: the one in llama-models")
    fast_counting: bool = Field(
        False, description="Count tokens with fastokens (extra `fast`): ten times quicker, but 4 s to load"
    )
    analyses: tuple[str, ...] = Field((), description="Analyses to run, comma-separated; default: all declared")
    fuse: bool = Field(
        False,
        description="Ask for all analyses of a document in one request, so that its tokens are paid once; switching it "
        "asks again what was asked the other way",
    )
    output_language: str = Field(
        "the language of the document",
        pattern=r"^[\w ()-]{2,60}$",
        description="Language of summaries, in English words, for example `German`",
    )
    budget_usd: Decimal | None = Field(
        None, ge=0, description="A run whose forecast is above this is not submitted, nor a later round that passes it"
    )
    budget_day_usd: Decimal | None = Field(
        None, ge=0, description="The same for all that the runs of a work store plan in a day (UTC), in flight or paid"
    )
    budget_month_usd: Decimal | None = Field(None, ge=0, description="The same for a month (UTC)")
    allow_unknown_price: bool = Field(
        False, description="Send what has no known price although there is a budget, which is then not checked"
    )
    approval_above_usd: Decimal | None = Field(
        None,
        ge=0,
        description="In Airflow a run that may cost more than this, or nobody knows what, waits for a person",
    )
    approval_without_a_person: Literal["refuse", "go_on"] = Field(
        "refuse", description="What such a run does where no person can answer (`airflow dags test`, `dag.test()`)"
    )
    approval_hours: float = Field(
        12.0, gt=0, le=720, description="A run that waits longer than this for its approval ends as refused"
    )
    notify: tuple[str, ...] = Field(
        (),
        description="Who hears of runs that failed, wait for an approval or are late, comma-separated: mail addresses "
        "(connection `smtp_default`), ARNs of SNS topics, `http:<connection>` for a webhook that takes a JSON `text`",
    )
    deadline: dt.time | None = Field(
        None,
        description="Time of day (UTC) by which a scheduled run should be done; DOCBATCH_NOTIFY hears when it is not",
    )
    source_asset: str | None = Field(
        None, description="Uri or name of an Airflow asset of another DAG; its events start a run, besides the schedule"
    )
    suspect_failure_share: float = Field(
        0.5,
        gt=0,
        le=1,
        description="A run that fails for a larger share of its documents is published as `suspect`",
    )
    suspect_deviation: float = Field(
        0.05,
        ge=0,
        le=1,
        description="A share of failures, empty answers or a label is not `suspect` while it is nearer than this to "
        "its mean of earlier runs; beyond, it is when it is three deviations away",
    )
    cost_centre: str | None = Field(
        None,
        pattern=r"^[a-zA-Z0-9 ._:/=+@-]{1,256}$",
        description="Tag `docbatch-cost-centre` on every Bedrock job, for AWS's own cost tools",
    )
    max_rounds: int = Field(4, ge=1, le=8, description="Rounds of jobs before what is still owed becomes a failure")
    margin_tokens: int = Field(64, ge=0, le=8192, description="Tokens of the window left free in every request")
    max_document_bytes: int = Field(
        50_000_000, ge=1, description="Larger documents are failures (`too_large`) and are not read"
    )
    extract_seconds: float = Field(
        60.0, gt=0, le=3600, description="Reading one PDF, Office file or message may take so long (`exceeded`)"
    )
    extract_memory_bytes: int = Field(
        2_000_000_000, ge=500_000_000, description="Memory that reading one such document may take (Linux)"
    )
    extract_output_bytes: int = Field(
        50_000_000, ge=1, description="Text that one such document may come to, as UTF-8 (`exceeded`)"
    )
    extract_workers: int | None = Field(
        None, ge=1, le=256, description="Processes that read such documents; default: one for each core"
    )
    shard_documents: int = Field(10_000, ge=1, description="Documents one shard holds at most (up to 256 shards)")
    read_threads: int = Field(16, ge=1, le=256, description="Documents read from the source at the same time")
    min_records_per_job: int = Field(
        100, ge=1, description="Bedrock's minimum; a round with fewer records goes on-demand"
    )
    batch_records: int = Field(
        25_000, ge=1, description="Records in one job at most: smaller jobs end sooner and take less memory to collect"
    )
    max_records_per_file: int = Field(100_000, ge=1, description="Bedrock's quota on records per file and job")
    max_file_bytes: int = Field(1_000_000_000, ge=1_000_000, description="Bedrock's quota on the input file's size")
    max_jobs_in_flight: int = Field(
        100, ge=1, description="Bedrock's quota on unfinished jobs per model (November 2026); more wait their turn"
    )
    job_timeout_hours: int = Field(24, ge=24, le=168, description="After this Bedrock ends a job with what it has")
    poll_seconds: float = Field(30.0, gt=0, le=3600, description="Pause between two looks at a job (embedded: 0.2)")
    poll_longest_seconds: float = Field(
        300.0,
        gt=0,
        le=3600,
        description="In Airflow that pause grows to a twentieth of the time waited, and at most to this",
    )
    stop_jobs_on_kill: bool = Field(
        False,
        description="Stop the Bedrock job of a waiting task that somebody marks failed or successful in Airflow; a "
        "cleared or retried task never stops its job",
    )
    on_demand_threads: int = Field(8, ge=1, le=128, description="InvokeModel calls at the same time")
    on_demand_requests_per_minute: int | None = Field(
        None,
        ge=1,
        description="InvokeModel calls a minute of one process at most; default: the model's quota in the "
        "catalogue; where several processes ask on demand at once, give each its part",
    )
    on_demand_tokens_per_minute: int | None = Field(
        None,
        ge=1,
        description="Tokens a minute of one process on demand, in and out; default: the model's quota in the catalogue",
    )
    lease_seconds: float = Field(
        20.0,
        ge=0.1,
        le=3600,
        description="Silence after which another process takes over a dead one's work (embedded: 2)",
    )
    keep_work_days: int = Field(
        30,
        ge=1,
        description="Working files of a published run (texts, prompts, outputs of jobs) are deleted after so many days "
        "by `docbatch tidy` and the DAG `document_maintenance`; answers, counts and tables stay",
    )
    keep_snapshot_days: int = Field(
        30, ge=1, description="The same for snapshots of tables that were replaced so long ago; the rows of runs stay"
    )
    keep_text_days: int = Field(
        90,
        ge=1,
        description="The same for the kept texts of PDF, Office files and messages, by which a changed prompt parses "
        "none again: so long after they were written",
    )
    tidy_abandoned: bool = Field(
        False, description="Delete as well what was never published, and nobody has touched for as long"
    )
    stop_orphans: bool = Field(
        False, description="Stop Bedrock jobs of this work store that no run waits for; else they are reported"
    )
    maintenance_schedule: str | None = Field(
        "0 5 * * *", description="When the DAG `document_maintenance` runs (cron, UTC)"
    )
    retry_seconds: float = Field(
        900.0, ge=0, description="How long throttled and failed calls are repeated before the step fails"
    )

    @field_validator("analyses", mode="before")
    @classmethod
    def _split_names(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        names = tuple(part.strip() for part in value.split(",") if part.strip())
        if not names:  # nobody who wrote it meant all of them
            raise ValueError("it names no analysis; leave it out to run all that are declared")
        return names

    @field_validator("source", mode="before")
    @classmethod
    def _join_sources(cls, value: object) -> object:
        return BETWEEN_SOURCES.join(map(str, value)) if isinstance(value, list | tuple) else value

    @field_validator("include", "exclude", mode="before")
    @classmethod
    def _split_patterns(cls, value: object) -> object:
        patterns = value.split(",") if isinstance(value, str) else value
        if not isinstance(patterns, list | tuple):
            return value
        found = tuple(one.strip() for one in map(str, patterns) if one.strip())
        for one in found:
            if one.startswith("!") or not one.strip("/"):
                raise ValueError(f"{one!r} is no pattern here; `!` is not known, and `**` means everything")
        return found

    @field_validator("modified_since", mode="before")
    @classmethod
    def _with_zone(cls, value: object) -> object:
        found = value
        if isinstance(value, str):
            try:
                found = dt.datetime.fromisoformat(value.strip())
            except ValueError:
                raise ValueError("write a date like 2026-11-23, or a time like 2026-11-23T02:00:00Z") from None
            if len(value.strip()) == len("2026-11-23"):
                found = found.replace(tzinfo=dt.UTC)
        elif isinstance(value, dt.date) and not isinstance(value, dt.datetime):
            found = dt.datetime.combine(value, dt.time(), dt.UTC)
        if isinstance(found, dt.datetime) and found.tzinfo is None:
            raise ValueError("a time needs its zone, for example 2026-11-23T02:00:00Z")
        return found

    @field_validator("notify", mode="before")
    @classmethod
    def _split_places(cls, value: object) -> object:
        places = [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
        for place in places if isinstance(places, list | tuple) else ():
            if not re.fullmatch(NOTIFIED, str(place)):
                raise ValueError(f"{place!r} is no mail address, no ARN of an SNS topic, and not http:<connection>")
        return places

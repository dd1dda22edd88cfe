"""What a user can set, from DOCBATCH_… variables and a TOML file; the only reader of the environment."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator

from pipeline.errors import SettingsError

PREFIX = "DOCBATCH_"
CONFIG_FILE = "docbatch.toml"
ROLE_ARN = r"^arn:aws(-[^:]+)?:iam::([0-9]{12})?:role/.+$"  # botocore, CreateModelInvocationJob.roleArn

# Any of these in the environment means that the user has an AWS account in mind (AWS SDKs reference).
AWS_SIGNS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL_BEDROCK",
)


class Settings(BaseModel):
    """Every setting, frozen. The description of a field is its line in README's table."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    backend: Literal["auto", "aws", "local"] = Field(
        "auto", description="`aws`, `local` (the embedded stack), or `auto`: AWS when the environment has AWS settings"
    )
    source: str | None = Field(None, description="Folder or s3:// prefix that the nightly DAG reads")
    output: str = Field("./output", description="Folder or s3:// prefix under which tables are published")
    catalog: str = Field(
        "auto",
        repr=False,  # a database's URL may hold a password
        description="Iceberg catalog of the tables: `auto` (Glue for tables on AWS, else `sqlite`), `glue`, `sqlite`, "
        "or an SQLAlchemy URL such as `postgresql+psycopg2://…`",
    )
    catalog_namespace: str = Field(
        "docbatch",
        pattern=r"^[a-z0-9_]{1,200}$",
        description="Glue database, or namespace in another catalog; one for each output",
    )
    sweep_hours: float = Field(
        24.0, ge=1, description="Files of tables that no snapshot refers to are deleted when they are older than this"
    )
    schedule: str | None = Field("0 2 * * *", description="When the nightly DAG runs (cron, UTC)")
    home: Path = Field(Path(".docbatch"), description="State folder of the embedded stack")
    engine: str = Field(
        "baseline",
        pattern=r"^(baseline|openai:https?://.+)$",
        description="What answers in the embedded stack: `baseline`, or `openai:<base url>` of a completions server",
    )
    region: str | None = Field(None, description="AWS region; default: AWS_REGION, else us-west-2")
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


class AwsEnvironment(BaseModel):
    """What the standard AWS variables say. Without keys, credentials are left to boto3."""

    model_config = ConfigDict(frozen=True)

    signs: tuple[str, ...]
    region: str | None
    s3_url: str | None
    bedrock_url: str | None
    bedrock_runtime_url: str | None
    pricing_url: str | None = None
    cloudwatch_url: str | None = None
    access_key_id: str | None = None
    secret_access_key: SecretStr | None = None


def load_settings(
    overrides: Mapping[str, Any] | None = None, environ: Mapping[str, str] | None = None, folder: Path | None = None
) -> Settings:
    """Command line over environment over `docbatch.toml` (or the file that DOCBATCH_CONFIG names) over defaults.

    Raises SettingsError naming the setting, its value, where it came from and what is allowed.
    """
    environ = os.environ if environ is None else environ
    path = Path(environ.get(PREFIX + "CONFIG") or (folder or Path.cwd()) / CONFIG_FILE)
    layers: dict[str, dict[str, Any]] = {
        "file": _from_file(path, named=bool(environ.get(PREFIX + "CONFIG"))),
        "environment": _from_environment(environ),
        "argument": {name: value for name, value in (overrides or {}).items() if value is not None},
    }
    merged = {name: value for layer in layers.values() for name, value in layer.items()}
    try:
        return Settings(**merged)
    except ValidationError as error:
        raise SettingsError("\n".join(_explain(problem, layers, path) for problem in error.errors())) from None


def read_aws_environment(environ: Mapping[str, str] | None = None) -> AwsEnvironment:
    """The AWS variables that decide where docbatch connects."""
    environ = os.environ if environ is None else environ
    everywhere = environ.get("AWS_ENDPOINT_URL")
    return AwsEnvironment(
        signs=tuple(name for name in AWS_SIGNS if environ.get(name)),
        region=environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION"),
        s3_url=environ.get("AWS_ENDPOINT_URL_S3") or everywhere,
        bedrock_url=environ.get("AWS_ENDPOINT_URL_BEDROCK") or everywhere,
        bedrock_runtime_url=environ.get("AWS_ENDPOINT_URL_BEDROCK_RUNTIME")
        or environ.get("AWS_ENDPOINT_URL_BEDROCK")
        or everywhere,
        pricing_url=environ.get("AWS_ENDPOINT_URL_PRICING") or everywhere,
        cloudwatch_url=environ.get("AWS_ENDPOINT_URL_CLOUDWATCH") or everywhere,
    )


def _from_environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """DOCBATCH_ names; an empty value means unset, an unknown name is an error (a misspelt budget must not pass)."""
    found = {}
    for name, value in environ.items():
        if name.startswith(PREFIX) and name != PREFIX + "CONFIG" and value != "":
            found[name[len(PREFIX) :].lower()] = value
    return found


def _from_file(path: Path, *, named: bool) -> dict[str, Any]:
    if not named and not path.exists():
        return {}
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        origin = "; DOCBATCH_CONFIG names it" if named else ""
        raise SettingsError(f"{path}: cannot be read ({error.strerror}){origin}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: not valid TOML: {error}") from None


def _explain(problem: Any, layers: dict[str, dict[str, Any]], path: Path) -> str:
    name = str(problem["loc"][0])
    origin = next((layer for layer in reversed(layers) if name in layers[layer]), "default")
    shown = {"environment": PREFIX + name.upper(), "file": f"{name} in {path}"}.get(origin, name)
    if problem["type"] == "extra_forbidden":
        return f"{shown}: there is no such setting; allowed are {', '.join(sorted(Settings.model_fields))}"
    allowed = problem["msg"].removeprefix("Value error, ")
    allowed = allowed[0].lower() + allowed[1:]
    about = Settings.model_fields[name].description
    return f"{shown} = {problem['input']!r}: {allowed}. {name}: {about}."

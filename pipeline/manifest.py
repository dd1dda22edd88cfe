"""What a run intends, fixed when it starts, and the keys of everything that it writes."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator

from pipeline.domain import short_hash
from pipeline.errors import SettingsError
from pipeline.prices import Billing, Price, TimePrice
from pipeline.settings.fields import BETWEEN_SOURCES

SCHEMA_VERSION = 1
LONGEST_RUN_KEY = 200  # characters; tags of a job hold 256, and S3 uris 1,024
CONTENT_DIGITS = 24  # of the sha256 in the names of files that are named by what is in them
BUCKET_BITS = 8  # documents fall into 256 buckets by the first digits of their id; a shard is a range of them


@dataclass(frozen=True, slots=True)
class Held:
    """The tokens that the results which still hold had used; `uncounted` of them took an answer that was there already,
    or do not say."""

    input_tokens: int = 0
    output_tokens: int = 0
    uncounted: int = 0


class RunManifest(BaseModel):
    """The intention of a run; written once, never changed, read by every step."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    docbatch_version: str
    run_key: str
    run_date: dt.date
    started: dt.datetime
    sources: tuple[str, ...]  # as they are said, with full uris
    include: tuple[str, ...] = ()  # patterns of documents that are wanted, as the next four
    exclude: tuple[str, ...] = ()
    min_bytes: int | None = None
    max_bytes: int | None = None
    modified_since: dt.datetime | None = None
    output_uri: str
    model: str
    priced_as: str
    batch_price: Price | None
    on_demand_price: Price | None
    billing: Billing = Billing.TOKENS
    time_price: TimePrice | None = None  # of a model that is billed by time
    on_demand_only: bool = False
    analyses: dict[str, str]  # name -> prompt fingerprint
    fused: str | None = None  # fingerprint of the template of fused prompts, where analyses are fused
    methods: dict[str, str]  # name -> method_id: everything but the text that an answer depends on
    usual_output_tokens: dict[str, float | None]  # analysis -> mean of an answer in earlier runs of the same method
    output_language: str
    max_rounds: int
    budget_usd: Decimal | None
    budget_day_usd: Decimal | None = None
    budget_month_usd: Decimal | None = None
    allow_unknown_price: bool = False
    force: bool
    shards: int
    documents: int
    not_selected: int = 0  # listed documents that are not wanted: to the next run they are what they are to this
    unchanged: dict[str, int]  # analysis -> documents whose published result still holds
    held: Held | None = None  # what those results had used; None where nobody counted
    deleted: int
    left_out: int = 0  # documents that a sampled run does not look at: to the next run they are what they are to this
    seed: int | None = None  # of the sample; None when there is none
    strata: dict[int, tuple[int, int]] = {}  # size class -> documents and bytes that the sample was drawn from
    listing: tuple[str, ...]  # keys, by shard

    @model_validator(mode="before")
    @classmethod
    def _of_one_source(cls, found: Any) -> Any:
        """Runs of versions that knew one prefix only are still listed and tidied."""
        if isinstance(found, dict) and "source_uri" in found:
            return {name: value for name, value in found.items() if name != "source_uri"} | {
                "sources": (found["source_uri"],)
            }
        return found

    @property
    def source_uri(self) -> str:
        """All sources as one text."""
        return BETWEEN_SOURCES.join(self.sources)


def derive_run_key(name: str) -> str:
    """A legal and unique key for a run named by its caller, for example an Airflow run_id.

    Only letters, digits, `-` and `.` are legal both in Bedrock's S3 uris and in job names.
    """
    legal = re.sub(r"[^a-zA-Z0-9]+", "-", name).strip("-")
    if legal == name and 0 < len(name) <= LONGEST_RUN_KEY:
        return name
    return f"{legal[:40].strip('-')}-{short_hash(name)[:8]}".lstrip("-")


def refuse_illegal(name: str) -> None:
    """Raises SettingsError for a name that is no legal key as it stands, saying what is allowed."""
    legal = derive_run_key(name) if name else ""
    if legal != name or not name:
        instead = f"; take for example {legal}" if legal else ""
        raise SettingsError(
            f"run key {name!r}: allowed are letters (a to z), digits and single `-` between them, at most "
            f"{LONGEST_RUN_KEY} characters{instead}"
        )


def shard_of(document_id: str, shards: int) -> int:
    """The shard of a document: the leading bits of its id, so it depends on the number of shards alone."""
    return int(document_id[:2], 16) * shards >> BUCKET_BITS


def shards_for(documents: int, shard_documents: int) -> int:
    """The smallest power of two with at most `shard_documents` in a shard on average; 1 to 256."""
    shards = 1
    while documents > shards * shard_documents and shards < 1 << BUCKET_BITS:
        shards *= 2
    return shards


def content_digest(content: bytes) -> str:
    """What stands for a file's bytes in its name."""
    return hashlib.sha256(content).hexdigest()[:CONTENT_DIGITS]


MANIFEST = "run.json"
PUBLISHED = "published.json"
STOPPED = "stopped.json"
REOPENED = "reopened.json"  # how often a stopped run was taken up again
TIDIED = "tidied.json"  # that working files of the run were deleted, and when

ERASING = "erasing.json"  # the files that tables needed when somebody began to erase the run; until that has ended


def listing_key(shard: int, digest: str) -> str:
    """Named by its content: whoever begins the run at the same time overwrites nothing; the manifest says which."""
    return f"listing/{shard:04d}-{digest}.parquet"


def rows_key(shard: int, part: int, digest: str) -> str:
    """Texts of rows, so many in one file; named by its content, as the listing that refers to it."""
    return f"rows/{shard:04d}/{part:04d}-{digest}.parquet"


def documents_key(shard: int, digest: str) -> str:
    """Named by its content: whoever prepares a shard at the same time overwrites nothing; prepared.json says which."""
    return f"documents/{shard:04d}-{digest}.parquet"


def shared_key(round_number: int, batch_key: str, digest: str) -> str:
    """Requests of other documents for records that a batch holds already."""
    return f"rounds/{round_number:02d}/shared/{batch_key}-{digest}.parquet"


def awaited_key(round_number: int, batch_key: str, digest: str) -> str:
    """Requests whose records another run has sent."""
    return f"rounds/{round_number:02d}/awaited/{batch_key}-{digest}.parquet"


def kept_folder(round_number: int, shard: int) -> str:
    """Segments without the requests that need not be sent."""
    return f"rounds/{round_number:02d}/kept/{shard:04d}"


def requests_folder(round_number: int, shard: int) -> str:
    return f"rounds/{round_number:02d}/requests/{shard:04d}"


def prepared_key(round_number: int, shard: int) -> str:
    return f"rounds/{round_number:02d}/prepared/{shard:04d}.json"


def plan_key(round_number: int) -> str:
    return f"rounds/{round_number:02d}/plan.json"


def input_key(round_number: int, batch_key: str, digest: str) -> str:
    """Named by its content, as all that a plan refers to: a planner that lost its lease overwrites nothing."""
    return f"rounds/{round_number:02d}/input/{batch_key}-{digest}.jsonl"


def output_folder(round_number: int, batch_key: str) -> str:
    return f"rounds/{round_number:02d}/output/{batch_key}"


def job_key(round_number: int, batch_key: str) -> str:
    return f"rounds/{round_number:02d}/jobs/{batch_key}.json"


def intent_key(round_number: int, batch_key: str) -> str:
    return f"rounds/{round_number:02d}/jobs/{batch_key}.intent.json"


def lease_key(round_number: int, name: str) -> str:
    """Of the lease on one on-demand batch (its key), or on a round's turn to start jobs."""
    return f"rounds/{round_number:02d}/jobs/{name}.lease.json"


def known_key(round_number: int, shard: int, answers: str) -> str:
    """Outcomes that one list of answers gives; `answers` is the list's key."""
    name = answers.removeprefix(f"{ANSWERS}/").removesuffix(".parquet").replace("/", "-")
    return f"{outcomes_folder(round_number, shard)}/known-{name}.parquet"


def outcomes_folder(round_number: int, shard: int) -> str:
    return f"rounds/{round_number:02d}/outcomes/{shard:04d}"


def collected_key(round_number: int, batch_key: str) -> str:
    return f"rounds/{round_number:02d}/collected/{batch_key}.json"


# What all runs of a work store share, relative to it.
COMMITMENTS = "commitments"
PLANNING_LEASE = "planning.lease"
TIDYING_LEASE = "tidying.lease"
OPEN_RUNS = "open"
RUNS = "runs"
ANSWERS = "answers"
CLAIMED = "claimed"
TEXTS = "texts"
WITHDRAWN = "withdrawn"


def told_key(times_cleared: int) -> str:
    """Its presence says that people have heard of a failure of the run, since tasks were cleared last."""
    return f"told/{times_cleared:04d}"


def run_folder(run_key: str) -> str:
    return f"{RUNS}/{run_key}"


def open_key(run_key: str) -> str:
    """Its presence says that the run is not published yet."""
    return f"{OPEN_RUNS}/{run_key}"


def withdrawn_key(run_key: str) -> str:
    """Its presence says that a run that was published is taken out of the tables again, or about to be."""
    return f"{WITHDRAWN}/{run_key}"


def withdrawal_lease_key(run_key: str) -> str:
    """Of the lease of whoever withdraws a run or brings it back."""
    return f"{RUNS}/{run_key}/withdrawal.lease"


def claimed_key(run_key: str) -> str:
    """Its presence says that the key was given to a run that nobody named."""
    return f"{CLAIMED}/{run_key}"


def commitments_folder(day: dt.date) -> str:
    """Of everything that was planned in the month of a day, UTC."""
    return f"{COMMITMENTS}/{day:%Y-%m}"


def commitment_key(planned: dt.datetime, run_key: str, round_number: int) -> str:
    """What a round may cost, by the day on which it was planned, UTC."""
    day = planned.astimezone(dt.UTC).date()
    return f"{commitments_folder(day)}/{day:%d}/{run_key}/r{round_number:02d}.json"


def answers_key(run_key: str, batch_key: str) -> str:
    return f"{ANSWERS}/{run_key}/{batch_key}.parquet"


def text_key(digest: str) -> str:
    """What reading a document gave, by its bytes and by what read it; both are in the digest."""
    return f"{TEXTS}/{digest[:2]}/{digest}"


def staged_key(table: str, shard: int) -> str:
    return f"staged/{table}/part-{shard:04d}.parquet"


def staged_counts_key(shard: int) -> str:
    return f"staged/counts/{shard:04d}.json"

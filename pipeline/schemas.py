"""The schemas of the published tables: every column with its type and what it means."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import pyarrow as pa

from pipeline.analyses import Analysis, column_type
from pipeline.domain import short_hash
from pipeline.errors import DeclarationError

# Holds one token at the cheapest batch price exactly, and runs of up to ten thousand million dollars.
USD = pa.decimal128(20, 10)
SECOND_EXACT = Decimal("0.0000000001")
TIME = pa.timestamp("us", tz="UTC")

Column = tuple[str, pa.DataType, str]

_RUN: list[Column] = [
    ("run_key", pa.string(), "The run that wrote the row"),
    ("run_date", pa.date32(), "The date of that run; its prices are those of this day"),
]
_TOKENS: list[Column] = [
    ("input_tokens", pa.int64(), "Prompt tokens as Bedrock reported them; null when it reported none"),
    ("output_tokens", pa.int64(), "Answer tokens as Bedrock reported them; null when it reported none"),
]
_DOCUMENT: list[Column] = [
    ("document_id", pa.string(), "Derived from the uri; stays when the document changes"),
    ("uri", pa.string(), "Where the document lies"),
]
DOCUMENTS: list[Column] = [
    *_DOCUMENT,
    ("size_bytes", pa.int64(), "Size of the object in the source"),
    ("last_modified", TIME, "When the source says that the object was last changed"),
    ("etag", pa.string(), "The object's ETag when it was listed"),
    (
        "form",
        pa.string(),
        "The format, by content: text, html, pdf, docx, eml …; null when it could not be read",
    ),
    (
        "encoding",
        pa.string(),
        "The encoding that text was decoded from; null where the format settles it",
    ),
    ("characters", pa.int64(), "Characters of the text; null when it could not be read"),
    ("language", pa.string(), "Guessed from the first words, of the model's eight (en, de, …); null for any other"),
    ("title", pa.string(), "The title that the document says it has; null when it says none"),
    ("author", pa.string(), "The author or sender that the document names; null when it names none"),
    (
        "created",
        TIME,
        "When it says that it was made or sent (UTC where it names no zone); null when unknown",
    ),
    ("pages", pa.int64(), "Pages or slides, where the format counts them; null when unknown"),
    ("content_hash", pa.string(), "Derived from the text: equal texts are asked and paid once"),
    ("duplicate_of", pa.string(), "document_id of a document of its shard with the same text; null for most"),
    ("failure", pa.string(), "Reason why it could not be read; null when it could"),
    ("change", pa.string(), "new, changed, unchanged (read again all the same) or deleted, against the runs before"),
    *_RUN,
]
FAILURES: list[Column] = [
    *_DOCUMENT,
    ("analysis", pa.string(), "The analysis that has no result for the document"),
    ("stage", pa.string(), "Where it ended: read, map or reduce"),
    ("reason", pa.string(), "One word from the fixed list"),
    ("detail", pa.string(), "What was seen; never text of the document"),
    ("advice", pa.string(), "What to do about it"),
    ("raw_answer", pa.string(), "What the model wrote, when it could not be used"),
    *_RUN,
    *_TOKENS,
    ("cost_usd", USD, "What was paid for the document and analysis all the same; null when unknown"),
]
LEDGER: list[Column] = [
    ("record_id", pa.string(), "Derived from text, prompt, model, parameters; the same for all that is fused into it"),
    ("document_id", pa.string(), "The document that asked (of several with equal text, the first)"),
    ("analysis", pa.string(), "The analysis that asked"),
    ("stage", pa.string(), "map: reading a text or chunk; reduce: joining the answers of chunks"),
    ("level", pa.int32(), "0 for map, 1 for the first reduction, and so on"),
    ("position", pa.int32(), "Which chunk or group of its level, from 0"),
    ("round", pa.int32(), "The round in which it was sent, from 0"),
    ("attempt", pa.int32(), "Which wording of its question, from 0: a correction or a longer limit is another"),
    ("mode", pa.string(), "batch or on-demand, which have different prices"),
    ("job_arn", pa.string(), "The Bedrock job; null for on-demand calls"),
    ("status", pa.string(), "answered, failed or missing"),
    ("used", pa.bool_(), "Whether a result row rests on its answer; what is not used was paid for nothing"),
    ("model", pa.string(), "What answered: a Bedrock model, or the embedded engine by its name"),
    ("priced_as", pa.string(), "The model whose price was used"),
    *_TOKENS,
    ("input_usd_per_million", USD, "Price of a million prompt tokens; null when unknown"),
    ("output_usd_per_million", USD, "Price of a million answer tokens; null when unknown"),
    ("price_since", pa.date32(), "The date from which that price holds"),
    ("cost_usd", USD, "Tokens times price, exact; null when either is unknown, never zero for it"),
    *_RUN,
]
RUNS: list[Column] = [
    *_RUN,
    ("source_uri", pa.string(), "The prefix whose documents were listed"),
    ("output_uri", pa.string(), "Where the tables were published"),
    ("model", pa.string(), "What answered; several names when answers came from several, null when nothing was asked"),
    ("priced_as", pa.string(), "The model that was asked for, and whose price was used"),
    ("output_language", pa.string(), "The language asked for in summaries"),
    ("docbatch_version", pa.string(), "The version that ran"),
    ("rounds", pa.int32(), "Rounds in which something was sent"),
    ("documents", pa.int64(), "Documents listed"),
    ("left_out", pa.int64(), "New and changed documents that were not in the sample of a sampled run; 0 otherwise"),
    ("deleted", pa.int64(), "Documents of earlier runs that are gone from the source"),
    ("duplicates", pa.int64(), "Documents whose text another document already had"),
    ("results", pa.int64(), "Result rows over all analyses"),
    ("failures", pa.int64(), "Failure rows over all analyses"),
    ("unchanged", pa.int64(), "Documents and analyses whose published result still holds; nothing was asked"),
    (
        "analyses",
        pa.list_(
            pa.struct(
                [
                    ("analysis", pa.string()),
                    ("prompt_fingerprint", pa.string()),
                    ("results", pa.int64()),
                    ("failures", pa.int64()),
                    ("unchanged", pa.int64()),
                    ("cost_usd", USD),
                ]
            )
        ),
        "The same counts and the cost for each analysis, with the fingerprint of its prompt",
    ),
    ("requests", pa.int64(), "Requests sent, repetitions included"),
    ("known", pa.int64(), "Requests that were not sent because some run had the answer"),
    *_TOKENS,
    ("forecast_usd", USD, "What the run was expected to cost at most, before anything was sent"),
    ("cost_usd", USD, "What it cost: the sum of its ledger; null when a part is unknown"),
    ("billing", pa.string(), "What is paid for: tokens, provisioned (units by the hour) or imported (by the minute)"),
    ("units", pa.int32(), "Units of a model that is billed by time; null for tokens"),
    ("billed_minutes", pa.int64(), "Minutes that those units were used for, in begun hours or windows of five minutes"),
    ("time_cost_usd", USD, "Units times minutes times price; null for tokens, and when the price is unknown"),
    ("unused_requests", pa.int64(), "Paid requests whose answer no result rests on: malformed, corrected, superseded"),
    ("unused_usd", USD, "What those cost, which was paid for nothing; null when a part is unknown"),
    (
        "savings",
        pa.list_(
            pa.struct(
                [
                    ("way", pa.string()),
                    ("against", pa.string()),
                    ("requests", pa.int64()),
                    ("usd", USD),
                    ("unknown_requests", pa.int64()),
                ]
            )
        ),
        "What was not paid, by way, and what that is compared with; usd is of the requests whose tokens are known",
    ),
    ("budget_usd", USD, "The budget of the run that was set; null for none"),
    ("budget_day_usd", USD, "The budget of all runs in a day, as this run had it; null for none"),
    ("budget_month_usd", USD, "The budget of all runs in a month, as this run had it; null for none"),
    ("over_budget", pa.string(), "Why the last round was not sent, when it would have passed a budget; null otherwise"),
    (
        "disagreements",
        pa.list_(pa.string()),
        "By batch, where the ledger and the job's own totals differ, and how many lines of its output were left out: "
        "unreadable, repeated, or no answer to what was asked; empty when nothing is amiss",
    ),
    ("started", TIME, "When the run began"),
    ("ended", TIME, "When its tables were complete"),
]
FIXED: Mapping[str, tuple[str, list[Column]]] = {
    "documents": ("Every document listed for a run, and how it was read", DOCUMENTS),
    "failures": ("Every document and analysis without a result, and why", FAILURES),
    "ledger": (
        "One row per request and attempt: tokens, price, cost. A fused request has one for each analysis: input tokens "
        "are shared equally, output tokens by the bytes of each part in the answer, exactly by largest remainder",
        LEDGER,
    ),
    "runs": ("One row per run: parameters, counts, forecast and cost", RUNS),
}
GOLD_TABLE = "gold"
GOLD: list[Column] = [
    *_DOCUMENT,
    ("analysis", pa.string(), "The analysis whose answer was looked at"),
    ("content_hash", pa.string(), "The text that it is about, as in documents: the label holds for this text only"),
    ("verdict", pa.string(), "right or wrong"),
    ("answer", pa.string(), "The answer that was seen, as JSON"),
    ("corrected", pa.string(), "What it should have been, as JSON; null when right, or when nobody said"),
    ("note", pa.string(), "What the person wrote about it; null for nothing"),
    ("marked_by", pa.string(), "Who marked it; null when unknown"),
    ("marked", TIME, "When; of a document, analysis and text the newest label holds"),
    ("run_key", pa.string(), "The run that wrote the answer"),
    ("method_id", pa.string(), "How it was asked, as in the analysis' table"),
    ("prompt_fingerprint", pa.string(), "The prompt that asked, as in the analysis' table"),
    ("model", pa.string(), "What answered"),
]
GOLD_ABOUT = "Answers that a person marked as right or wrong in `docbatch browse`; rows are added, never changed"
_SCALARS: Mapping[str, pa.DataType] = {
    "string": pa.string(),
    "number": pa.float64(),
    "integer": pa.int64(),
    "boolean": pa.bool_(),
}


def result_columns(analysis: Analysis) -> list[Column]:
    """The columns of an analysis' table: document, answer, provenance, tokens and cost."""
    answer = [
        (name, arrow_type(spec, f"{analysis.name}.answer.{name}"), spec.get("description") or f"`{name}` of the answer")
        for name, spec in analysis.schema["properties"].items()
    ]
    return [
        *_DOCUMENT,
        *answer,
        ("truncated", pa.bool_(), "The answer reached the output limit and was closed by us"),
        *_RUN,
        ("model", pa.string(), "What answered: a Bedrock model, or the embedded engine by its name"),
        ("prompt_fingerprint", pa.string(), "sha256 of the templates, their includes and the declaration"),
        ("method_id", pa.string(), "Derived from prompt, model, parameters and language: what an answer depends on"),
        ("content_hash", pa.string(), "Derived from the text that was asked about, as in documents"),
        ("chunks", pa.int32(), "Chunks the document was split into; 1 when it fitted whole"),
        *_TOKENS,
        ("cost_usd", USD, "What the row cost, repetitions and reductions included; null when unknown"),
    ]


def table_schemas(analyses: Mapping[str, Analysis]) -> dict[str, pa.Schema]:
    """The schema of every table that a run of these analyses publishes."""
    results = {
        name: (f"{analysis.declaration.description}, one row per document", result_columns(analysis))
        for name, analysis in analyses.items()
    }
    return {name: arrow_schema(name, *about) for name, about in {**FIXED, **results}.items()}


def arrow_type(spec: Mapping[str, Any], where: str) -> pa.DataType:
    """The column type of a JSON Schema; `load_analysis` has refused what cannot become one. Raises DeclarationError."""
    kind = column_type(spec)
    if kind is None:
        raise DeclarationError(f"{where}: type {spec.get('type')!r} cannot become a column")
    if kind == "array":
        return pa.list_(arrow_type(spec["items"], where + "[]"))
    if kind == "object":
        return pa.struct([(name, arrow_type(part, f"{where}.{name}")) for name, part in spec["properties"].items()])
    return _SCALARS[kind]


def arrow_schema(table: str, description: str, columns: Sequence[Column]) -> pa.Schema:
    """The schema with its descriptions: on each field, and as JSON under the file's key `docbatch`.

    Every field, nested ones too, has an Iceberg field id that follows from its name: the same column has the same id
    in every run, whatever stands before it.
    """
    about = {"table": table, "description": description, "columns": {name: text for name, _, text in columns}}
    fields = [_numbered(pa.field(name, kind, metadata={"description": text})) for name, kind, text in columns]
    return pa.schema(fields, metadata={"docbatch": json.dumps(about, ensure_ascii=False)})


def money(value: Decimal | None) -> Decimal | None:
    """A sum as the tables hold it; exact, since no price has more than ten places a token."""
    return None if value is None else value.quantize(SECOND_EXACT)


def _numbered(field: pa.Field[Any], *parents: str) -> pa.Field[Any]:
    """The field with its id, 1 to 2**30. Two of 100 columns share one in a case of 200,000; Iceberg refuses it."""
    names = (*parents, field.name)
    field_id = (int(short_hash(*names)[:8], 16) >> 2) + 1
    metadata = {**(field.metadata or {}), b"PARQUET:field_id": str(field_id).encode()}
    return pa.field(field.name, _numbered_type(field.type, names), field.nullable, metadata)


def _numbered_type(kind: pa.DataType, names: tuple[str, ...]) -> pa.DataType:
    if isinstance(kind, pa.ListType):
        return pa.list_(_numbered(pa.field("element", kind.value_type), *names))
    if isinstance(kind, pa.StructType):
        return pa.struct([_numbered(part, *names) for part in kind])
    return kind

"""The columns of the tables that every output has, each with its type and what it means."""

from __future__ import annotations

import re
from collections.abc import Mapping

import pyarrow as pa

# Holds one token at the cheapest batch price exactly, and runs of up to ten thousand million dollars.
USD = pa.decimal128(20, 10)
TIME = pa.timestamp("us", tz="UTC")

Column = tuple[str, pa.DataType, str]
"""Name, type and description. A description that ends with `; null …` says when there is no value; without, there is
always one, in the rows of every version that knew the column."""
_NULL = re.compile(r"; null (.+)$")

RUN: list[Column] = [
    ("run_key", pa.string(), "The run that wrote the row"),
    ("run_date", pa.date32(), "The date of that run; its prices are those of this day"),
]
TOKENS: list[Column] = [
    ("input_tokens", pa.int64(), "Prompt tokens as Bedrock reported them; null when it reported none"),
    ("output_tokens", pa.int64(), "Answer tokens as Bedrock reported them; null when it reported none"),
]
DOCUMENT: list[Column] = [
    ("document_id", pa.string(), "Derived from the uri; stays when the document changes"),
    ("uri", pa.string(), "Where the document lies; of a row of a table, its file with `#` and the row's id"),
]
EXTRA: Column = (
    "extra",
    pa.string(),
    "The other columns of a document that is a row of a table, as a JSON object; null for any other",
)
DOCUMENTS: list[Column] = [
    *DOCUMENT,
    ("title", pa.string(), "The title that the document says it has; null when it says none"),
    ("author", pa.string(), "The author or sender that the document names; null when it names none"),
    ("created", TIME, "When it says that it was made or sent (UTC where it names no zone); null when unknown"),
    ("pages", pa.int64(), "Pages or slides, where the format counts them; null when unknown"),
    EXTRA,
    ("language", pa.string(), "Guessed from the first words, of the model's eight (en, de, …); null for any other"),
    ("characters", pa.int64(), "Characters of the text; null when it could not be read, or is gone"),
    (
        "tokens",
        pa.int64(),
        "Tokens of the text by exact count; null where it was not counted, as in large runs without fast counting",
    ),
    (
        "recognised_pages",
        pa.int64(),
        "Pages whose text was recognised in a picture of them (OCR), with what that may miss; null where none is",
    ),
    (
        "unread_parts",
        pa.int64(),
        "Pages, attachments and files in it that gave no text; null when it could not be read, or is gone",
    ),
    (
        "removed_characters",
        pa.int64(),
        "Characters that nobody sees and that were left out of the text: controls, marks of direction, zero width …; "
        "null when it could not be read, or is gone",
    ),
    ("failure", pa.string(), "Reason why it could not be read; null when it could"),
    ("change", pa.string(), "new, changed, unchanged (read again all the same) or deleted, against the runs before"),
    ("duplicate_of", pa.string(), "document_id of a document of its shard with the same text; null for most"),
    ("format", pa.string(), "By content: text, html, pdf, docx, eml …; null when it could not be read, or is gone"),
    ("encoding", pa.string(), "The encoding that text was decoded from; null where the format settles it"),
    ("size_bytes", pa.int64(), "Size of the object in the source"),
    ("last_modified", TIME, "When the source says that the object was last changed"),
    ("etag", pa.string(), "The object's ETag when it was listed; of a row, derived from its text and other columns"),
    (
        "source",
        pa.string(),
        "What listed it: a prefix, list, inventory or table; null where an older version listed it",
    ),
    (
        "content_hash",
        pa.string(),
        "Derived from the text: equal texts are asked and paid once; null when it could not be read, or is gone",
    ),
    *RUN,
]
FAILURES: list[Column] = [
    *DOCUMENT,
    ("analysis", pa.string(), "The analysis that has no result for the document"),
    ("stage", pa.string(), "Where it ended: read, map or reduce"),
    ("reason", pa.string(), "One word from the fixed list"),
    ("detail", pa.string(), "What was seen; never text of the document"),
    ("advice", pa.string(), "What to do about it"),
    ("raw_answer", pa.string(), "What the model wrote, when it could not be used; null when it wrote nothing"),
    EXTRA,
    *RUN,
    *TOKENS,
    ("cost_usd", USD, "What was paid for the document and analysis all the same; null when unknown"),
]
LEDGER: list[Column] = [
    ("document_id", pa.string(), "The document that asked (of several with equal text, the first)"),
    ("analysis", pa.string(), "The analysis that asked"),
    ("stage", pa.string(), "map: reading a text or chunk; reduce: joining the answers of chunks"),
    ("level", pa.int32(), "0 for map, 1 for the first reduction, and so on"),
    ("position", pa.int32(), "Which chunk or group of its level, from 0"),
    ("round", pa.int32(), "The round in which it was sent, from 0"),
    ("attempt", pa.int32(), "Which wording of its question, from 0: a correction or a longer limit is another"),
    ("status", pa.string(), "answered, failed or missing"),
    ("used", pa.bool_(), "Whether a result row rests on its answer; what is not used was paid for nothing"),
    ("mode", pa.string(), "batch or on-demand, which have different prices"),
    ("model", pa.string(), "What answered: a Bedrock model, or the embedded engine by its name; null when nothing did"),
    ("priced_as", pa.string(), "The model whose price was used"),
    ("job_arn", pa.string(), "The Bedrock job; null for on-demand calls"),
    ("record_id", pa.string(), "Derived from text, prompt, model, parameters; the same for all that is fused into it"),
    *RUN,
    *TOKENS,
    ("input_usd_per_million", USD, "Price of a million prompt tokens; null when unknown"),
    ("output_usd_per_million", USD, "Price of a million answer tokens; null when unknown"),
    ("price_since", pa.date32(), "The date from which that price holds; null when it is unknown"),
    ("cost_usd", USD, "Tokens times price, exact; null when either is unknown, never zero for it"),
]
RUNS: list[Column] = [
    *RUN,
    ("started", TIME, "When the run began"),
    ("ended", TIME, "When its tables were complete"),
    ("source_uri", pa.string(), "The sources whose documents were listed, joined by a vertical bar"),
    ("documents", pa.int64(), "Documents listed and wanted"),
    ("results", pa.int64(), "Result rows over all analyses"),
    ("failures", pa.int64(), "Failure rows over all analyses"),
    ("unchanged", pa.int64(), "Documents and analyses whose published result still holds; nothing was asked"),
    ("deleted", pa.int64(), "Documents of earlier runs that are gone from the source"),
    ("duplicates", pa.int64(), "Documents whose text another document already had"),
    ("not_selected", pa.int64(), "Documents listed that patterns, sizes or times leave out; earlier results stay"),
    ("left_out", pa.int64(), "New and changed documents that were not in the sample of a sampled run; 0 otherwise"),
    (
        "quality",
        pa.string(),
        "`suspect` when a share of failures, empty answers or a label left its usual range, else `usual`; null while "
        "there are too few runs or documents to tell",
    ),
    ("departures", pa.list_(pa.string()), "Which shares did, and what is usual; empty when none"),
    ("over_budget", pa.string(), "Why the last round was not sent, when it would have passed a budget; null otherwise"),
    (
        "disagreements",
        pa.list_(pa.string()),
        "By batch, where the ledger and the job's own totals differ, and how many lines of its output were left out: "
        "unreadable, repeated, or no answer to what was asked; empty when nothing is amiss",
    ),
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
                    ("failures_again", pa.int64()),
                    ("empty", pa.int64()),
                    ("labels", pa.list_(pa.struct([("label", pa.string()), ("results", pa.int64())]))),
                ]
            )
        ),
        "The same counts and the cost for each analysis, with the fingerprint of its prompt; failures_again are of "
        "documents that did not change, empty results say nothing, labels count results (one with several, in each)",
    ),
    ("output_uri", pa.string(), "Where the tables were published"),
    ("output_language", pa.string(), "The language asked for in summaries"),
    ("model", pa.string(), "What answered; several names when answers came from several; null when nothing was asked"),
    ("priced_as", pa.string(), "The model that was asked for, and whose price was used"),
    ("docbatch_version", pa.string(), "The version that ran"),
    ("rounds", pa.int32(), "Rounds in which something was sent"),
    ("requests", pa.int64(), "Requests sent, repetitions included"),
    ("known", pa.int64(), "Requests that were not sent because some run had the answer"),
    *TOKENS,
    ("cost_usd", USD, "What it cost: the sum of its ledger; null when a part is unknown"),
    (
        "forecast_usd",
        USD,
        "What the run was expected to cost at most, before anything was sent; null when the price is unknown",
    ),
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
    ("billing", pa.string(), "What is paid for: tokens, provisioned (units by the hour) or imported (by the minute)"),
    ("units", pa.int32(), "Units of a model that is billed by time; null for tokens, and when unknown"),
    (
        "billed_minutes",
        pa.int64(),
        "Minutes that those units were used for, in begun hours or windows of 5 minutes; null for tokens",
    ),
    ("time_cost_usd", USD, "Units times minutes times price; null for tokens, and when the price is unknown"),
    ("budget_usd", USD, "The budget of the run that was set; null for none"),
    ("budget_day_usd", USD, "The budget of all runs in a day, as this run had it; null for none"),
    ("budget_month_usd", USD, "The budget of all runs in a month, as this run had it; null for none"),
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
GOLD_ABOUT = "Answers that people marked as right or wrong in `docbatch browse`; rows are added, never changed"
GOLD: list[Column] = [
    *DOCUMENT,
    ("analysis", pa.string(), "The analysis whose answer was looked at"),
    ("verdict", pa.string(), "right or wrong"),
    ("answer", pa.string(), "The answer that was seen, as JSON"),
    ("corrected", pa.string(), "What it should have been, as JSON; null when right, and when nobody said"),
    ("note", pa.string(), "What the person wrote about it; null for nothing"),
    ("marked", TIME, "When; of a document, analysis and content_hash the newest label holds"),
    ("marked_by", pa.string(), "Who marked it; null when unknown"),
    ("content_hash", pa.string(), "The text that it is about, as in documents: the label holds for this text"),
    ("model", pa.string(), "What answered"),
    ("prompt_fingerprint", pa.string(), "The prompt that asked, as in the analysis' table"),
    ("method_id", pa.string(), "How it was asked, as in the analysis' table"),
    ("run_key", pa.string(), "The run that wrote the answer"),
]


def null_when(description: str) -> str | None:
    """When a column has no value, as its description says; None for one that always has."""
    found = _NULL.search(description)
    return found[1] if found else None

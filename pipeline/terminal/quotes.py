"""A forecast with its prices, as people read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TextIO

from pipeline.terminal import console


def print_quote(quote: Mapping[str, Any], stream: TextIO) -> None:
    """What would be sent and what it would cost, what it saves, and the same on every model."""
    documents = quote["documents"]
    told = console.console_on(stream)
    counts = ", ".join(f"{documents[name]:,} {name}" for name in ("new", "changed", "deleted") if documents[name])
    told.print(f"{documents['listed']:,} documents listed: {counts or 'nothing new or changed'}", soft_wrap=True)
    if documents["unreadable"]["expected"]:
        unreadable = console.with_margin(documents["unreadable"])
        told.print(f"{unreadable} of them cannot be read, and will be failures", soft_wrap=True)
    console.print_forecast(quote["forecast"], stream)
    prices = f"{quote['mode']} prices of {quote['model']} on {quote['prices_of']}; later rounds are not included"
    told.print(prices, soft_wrap=True)
    for line in _notes(quote):
        told.print(line, soft_wrap=True)
    console.print_models(quote["models"], stream)


def _notes(quote: Mapping[str, Any]) -> Iterator[str]:
    documents, saved = quote["documents"], quote["saved"]
    if documents["read"] < documents["to_do"]:
        yield f"Estimated  from {documents['read']:,} documents, drawn by chance; ± holds 95 times in 100"
    capped = [one["analysis"] for one in quote["forecast"] if one["output_tokens_from"] == "cap"]
    if capped:
        which = "the same" if len(capped) == len(quote["forecast"]) - 1 else ", ".join(capped)
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
    if not quote["answers_looked_up"]:
        yield "Not seen   answers that earlier runs have kept: the embedded stack is not running (docbatch local up)"

"""What a forecast takes: 100,000 documents in a folder from a sample, against reading all of them."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from benchmarks.corpus import Corpus
from benchmarks.measuring import cpu_seconds, in_child
from benchmarks.stage import Stores, services_on, warm_up
from pipeline.sources.listing import listed_documents
from pipeline.steps.forecasting import PlanOrder, forecast_source
from pipeline.steps.progress import unseen

if TYPE_CHECKING:
    from rich.console import Console

DOCUMENTS = 100_000
SIZE_BYTES = 5_000
THREE = ("classification", "sentiment", "summarization")


def report(console: Console) -> None:
    table = Table("100,000 documents of 5 KB, three analyses", "seconds", "CPU s", "input tokens")
    with tempfile.TemporaryDirectory(prefix="docbatch-bench-") as folder:
        in_child(write, folder)
        listing = in_child(list_all, folder)
        table.add_row("listing alone", f"{listing[0]:.1f}", f"{listing[1]:.1f}", "")
        some, all_ = in_child(forecast, folder, None), in_child(forecast, folder, DOCUMENTS)
    for name, (seconds, cpu, tokens) in {"forecast from a sample": some, "reading all of them": all_}.items():
        table.add_row(name, f"{seconds:.1f}", f"{cpu:.1f}", tokens)
    console.print(table)
    console.print(f"Listing is a part of both. Reading all takes {all_[0] / some[0]:.1f} times as long.")


def write(folder: str, documents: int = DOCUMENTS) -> None:
    corpus = Corpus(SIZE_BYTES)
    for number in range(documents):
        path = Path(folder) / corpus.name(number)
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(corpus.content(number))


def list_all(folder: str) -> tuple[float, float]:
    source, started = Stores().open(Path(folder).as_uri()), time.monotonic()
    cpu = cpu_seconds(lambda: list(listed_documents(source)))
    return time.monotonic() - started, cpu


def forecast(folder: str, sample: int | None) -> tuple[float, float, str]:
    """Seconds, CPU seconds, and the input tokens with their interval."""
    services = services_on(Stores(), THREE)
    warm_up(services)
    found = []
    started = time.monotonic()
    order = PlanOrder(Path(folder).as_uri(), sample=sample)
    cpu = cpu_seconds(lambda: found.append(forecast_source(services, order, unseen)))
    tokens = found[0].amounts.input_tokens
    return time.monotonic() - started, cpu, f"{tokens.expected:,.0f} ({tokens.low:,.0f} to {tokens.high:,.0f})"

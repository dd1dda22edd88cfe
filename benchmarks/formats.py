"""Documents per second and the share of the known text, per format: docbatch beside other extraction libraries."""

from __future__ import annotations

import os
import re
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.table import Column, Table

from benchmarks import readers
from benchmarks.format_files import WRITERS, Made, files
from benchmarks.measuring import cpu_seconds, in_child
from pipeline.extraction import Bounds, Text, extract
from pipeline.extraction.workers import Extractor

if TYPE_CHECKING:
    from rich.console import Console

LEAST_SECONDS, MOST_SECONDS = 0.3, 1.0  # of CPU for one figure
POOL_SECONDS = 0.4
_ANY = ("kreuzberg", "markitdown")
_BOTH = ("kreuzberg", "kreuzberg_to_markdown")
OTHERS: dict[str, tuple[str, ...]] = {
    "pdf": (*_BOTH, "markitdown", "pypdf", "pypdfium2"),
    "pdf, two columns": (*_BOTH, "markitdown", "pypdf", "pypdfium2"),
    "docx": (*_BOTH, "markitdown", "python_docx", "mammoth"),
    "pptx": (*_BOTH, "markitdown", "python_pptx"),
    "xlsx": (*_BOTH, "markitdown", "openpyxl", "python_calamine"),
    "odt": (*_BOTH, "odfpy"),
    "ods": (*_BOTH, "python_calamine", "odfpy"),
    "odp": ("odfpy",),
    "rtf": (*_BOTH, "striprtf"),
    "epub": (*_BOTH, "markitdown"),
    "html": (*_BOTH, "markitdown", "trafilatura", "html2text"),
    "eml": (*_ANY, "pythons_email"),
    "msg": (*_ANY, "python_oxmsg"),
    "text, old encodings": (*_ANY, "charset_normalizer"),
    "markdown": _ANY,
    "csv": (*_ANY, "pythons_csv"),
    "json": (*_ANY, "pythons_json"),
}
HAVE_HEADINGS = ("docx", "pptx", "odt", "odp", "epub", "html", "markdown")
HAVE_TABLES = ("docx", "pptx", "xlsx", "odt", "ods", "odp", "rtf", "epub", "html", "markdown", "csv")


@dataclass(frozen=True, slots=True)
class Found:
    """What one library makes of the files of one format; `failed` of them it did not read."""

    per_second: float
    recall: float
    headings: bool
    tables: bool
    failed: int
    why: str


def ours(made: Made) -> str:
    """As a worker of docbatch reads it."""
    found = extract(made.content, made.name)
    if not isinstance(found, Text):
        raise ValueError(f"{found.reason}: {found.detail}")
    return found.content


def measure(form: str, library: str) -> Found:
    """Each file is read once to see what it gives, which loads the library too, then all again and again."""
    read: Callable[[Made], str] = ours if library == "docbatch" else getattr(readers, library)
    made = files(form)
    texts = [_tried(read, one) for one in made]
    errors = [str(text) for text in texts if isinstance(text, Exception)]
    got = ["" if isinstance(text, Exception) else text for text in texts]
    known, there = sum(len(letters(one.text)) for one in made), 0
    for one, text in zip(made, got, strict=True):
        there += common(letters(one.text), letters(text))
    first = got[0]
    return Found(
        _per_second(read, made),
        there / known,
        bool(re.search(r"^#+ +What it costs$", first, re.MULTILINE)),
        bool(re.search(r"^\|? ?Bearings +\| +1,250\b.*$", first, re.MULTILINE) and re.search(r"---\s*\|", first)),
        len(errors),
        errors[0].splitlines()[0][:80] if errors else "",
    )


def _tried(read: Callable[[Made], str], made: Made) -> str | Exception:
    try:
        return read(made)
    except Exception as error:  # noqa: BLE001 - whatever a library raises, it has not read the file
        return error


def _per_second(read: Callable[[Made], str], made: list[Made]) -> float:
    """Documents per second of CPU, of all threads; of the files that are read, or of none."""
    count, seconds = 0, 0.0
    for number in range(10_000):
        one = made[number % len(made)]
        seconds += cpu_seconds(lambda one=one: _tried(read, one))
        count += 1
        if seconds > MOST_SECONDS or (seconds > LEAST_SECONDS and count >= len(made)):
            break
    return count / seconds


def measure_pool(form: str) -> float:
    """Documents per second of the clock through the processes in which docbatch reads, when these have started."""
    made = files(form)
    with Extractor(Bounds()) as extractor:
        _through(extractor, made, 2)
        times, began = 0, time.perf_counter()
        while time.perf_counter() - began < POOL_SECONDS:
            _through(extractor, made, 1)
            times += 1
        return times * len(made) / (time.perf_counter() - began)


def _through(extractor: Extractor, made: list[Made], times: int) -> None:
    for begun in [extractor.begin(one.content, one.name) for one in made * times]:
        found = begun.result() if isinstance(begun, Future) else begun
        if not isinstance(found, Text):
            raise ValueError(f"{found.reason}: {found.detail}")


def letters(text: str) -> str:
    """Letters, their marks, and digits: what formats lay out otherwise, and the marks of Markdown, do not count."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(letter for letter in composed if unicodedata.category(letter)[0] in "LMN")


def common(known: str, text: str) -> int:
    """The length of their longest common subsequence (Hyyrö's algorithm: a bit for each known letter)."""
    places: dict[str, int] = {}
    for at, letter in enumerate(known):
        places[letter] = places.get(letter, 0) | 1 << at
    full = (1 << len(known)) - 1
    open_places = full
    for letter in text:
        met = open_places & places.get(letter, 0)
        open_places = ((open_places + met) | (open_places - met)) & full
    return len(known) - open_places.bit_count()


def measure_all(library: str) -> dict[str, Found]:
    """One library on every format that it is asked to read."""
    return {form: measure(form, library) for form in WRITERS if library == "docbatch" or library in OTHERS[form]}


def measure_pools() -> dict[str, float]:
    return {form: measure_pool(form) for form in WRITERS}


def report(console: Console) -> None:
    libraries = ["docbatch", *dict.fromkeys(name for names in OTHERS.values() for name in names)]
    found = {name: in_child(measure_all, name) for name in libraries}
    pools = in_child(measure_pools)
    table = Table("format", "read by", *map(_right, ("documents/s", "text found")), "headings", "tables", title=TITLE)
    notes = []
    for form in WRITERS:
        for name in ("docbatch", *OTHERS[form]):
            one = found[name][form]
            table.add_row(form if name == "docbatch" else "", shown(name), *_figures(form, one))
            if one.failed:
                notes.append(f"{form}, {name}: {one.failed} of {len(files(form))} not read ({one.why})")
        table.add_row("", f"docbatch, {os.cpu_count()} workers", f"{pools[form]:,.0f}", *[""] * 3)
        table.add_section()
    console.print(table)
    for note in notes:
        console.print(note)


def shown(library: str) -> str:
    return library.replace("kreuzberg_to_m", "kreuzberg, to M").replace("pythons_", "Python's ").replace("_", "-")


TITLE = "Files of 3,000 letters in 8 languages, by CPU seconds (workers: by the clock)"


def _figures(form: str, found: Found) -> tuple[str, ...]:
    """Marks are asked of files alone that have headings, or a table."""
    headings = ("yes" if found.headings else "no") if form in HAVE_HEADINGS else ""
    tables = ("yes" if found.tables else "no") if form in HAVE_TABLES else ""
    return f"{found.per_second:,.0f}", f"{found.recall:.1%}", headings, tables


def _right(name: str) -> Column:
    return Column(name, justify="right")

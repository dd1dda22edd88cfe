"""What to type to ask the same again, and what else that takes: as far as the row of a run says."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from pipeline import __version__
from pipeline.analyses import load_analyses
from pipeline.declared import shipped_prompts
from pipeline.loop import counted
from pipeline.manifest import MANIFEST, run_folder
from pipeline.reports.figures import BASELINE
from pipeline.settings.fields import BETWEEN_SOURCES
from pipeline.terminal.console import shown_place

_BUDGETS = ("budget_usd", "budget_day_usd", "budget_month_usd")


def commands(row: Mapping[str, Any]) -> list[str]:
    """To ask the same again, and to read what came out."""
    output = shlex.quote(shown_place(row["output_uri"]))
    names = ",".join(one["analysis"] for one in row["analyses"] or ())
    sources = [shlex.quote(shown_place(one)) for one in row["source_uri"].split(BETWEEN_SOURCES)]
    words = ["docbatch run", *sources, "--output", output]
    words += ["--run-date", str(row["run_date"]), "--model", shlex.quote(str(row["priced_as"]))]
    words += ["--analyses", shlex.quote(names)] if names else []
    language = str(row["output_language"])
    words += ["--output-language", shlex.quote(language)] if language != "the language of the document" else []
    for budget in _BUDGETS:
        if row.get(budget) is not None:
            words += [f"--{budget.replace('_', '-')}", f"{row[budget].normalize():f}"]
    of_run = f"--run-key {row['run_key']} --output {output}"
    return [
        " ".join(words),
        *(f"docbatch show {one['analysis']} {of_run}" for one in row["analyses"] or ()),
        f"docbatch costs --by run,analysis --output {output}",
    ]


def again_says(row: Mapping[str, Any]) -> list[str]:
    """What no option of the command says, and what the tables do not know."""
    return [
        f"With docbatch {row['docbatch_version']}. What is known is not asked again; --force asks anew, and pays.",
        *_prompts(row),
        *_engine(row),
        *_selection(row),
        "The tables do not say whether --fuse, DOCBATCH_MODE, DOCBATCH_MODELS, DOCBATCH_MAX_ROUNDS and the other "
        "settings were left as they ship. What the run intended stands in the work store, while it is there: "
        f"{run_folder(row['run_key'])}/{MANIFEST}.",
    ]


def _prompts(row: Mapping[str, Any]) -> Iterator[str]:
    asked = {one["analysis"]: one["prompt_fingerprint"] for one in row["analyses"] or ()}
    shipped = load_analyses(shipped_prompts(), (), output_language="English")
    ours = [name for name in asked if name in shipped and shipped[name].fingerprint == asked[name]]
    others = [f"{name} {asked[name][:12]}" for name in asked if name not in ours]
    if ours:
        yield f"The prompts that ship with docbatch {__version__} asked for: {', '.join(ours)}."
    if others:
        yield (
            f"Prompts of these fingerprints are none that ship with docbatch {__version__}: {', '.join(others)}. "
            "If they were your own, set DOCBATCH_PROMPTS to their folder; else take the version above."
        )


def _engine(row: Mapping[str, Any]) -> Iterator[str]:
    engines = [one for one in str(row["model"] or "").split(", ") if one and one != row["priced_as"]]
    if BASELINE in engines:
        yield f"{BASELINE} answers where there are no AWS settings and DOCBATCH_ENGINE is not set."
    if others := [one for one in engines if one != BASELINE]:
        yield f"{', '.join(others)} answered: set DOCBATCH_ENGINE to the server that offers it, as openai:<base url>."


def _selection(row: Mapping[str, Any]) -> Iterator[str]:
    if row.get("not_selected"):
        yield (
            f"{counted(row['not_selected'], 'document')} of the source had been left out by --include, --exclude, "
            "--min-bytes, --max-bytes or --modified-since, which the tables do not hold: repeat them as well."
        )
    if row.get("left_out"):
        yield "The run took a sample: repeat its --sample and --seed as well."

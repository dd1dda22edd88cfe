"""The trigger form: the Params of the DAG, with what the settings, the folder of prompts and the catalogue allow."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from airflow.sdk import Param

from pipeline.declared import declared, shipped_prompts
from pipeline.models import load_catalogue
from pipeline.settings import Settings

LANGUAGE = r"^[\w ()-]{2,60}$"
MONEY: dict[str, Any] = {"type": ["null", "number"], "minimum": 0, "section": "Budget"}
PATTERNS: dict[str, Any] = {
    "type": ["null", "array"],
    "items": {"type": "string", "minLength": 1},
    "section": "Which documents",
}
SIZE: dict[str, Any] = {"type": ["null", "integer"], "minimum": 0, "section": "Which documents"}
RARE: dict[str, Any] = {"section": "Seldom needed"}


def make_params(settings: Settings) -> dict[str, Param]:
    """Every Param by its name. What is left empty is as in the settings."""
    analyses, models = analysis_names(settings), model_names(settings)
    return {
        "source": Param(
            settings.source,
            "Folder or s3:// prefix of the documents, list:FILE, inventory:PLACE or rows:FILE; several with |",
            type=["null", "string"],
            minLength=1,
            title="Documents",
        ),
        "analyses": Param(
            list(settings.analyses) or None,
            "What is asked of every document; none chosen means all",
            type=["null", "array"],
            items={"type": "string", "enum": analyses},
            examples=analyses,  # what makes Airflow's form offer them
            uniqueItems=True,
            title="Analyses",
        ),
        "model": Param(
            settings.model, "Model or inference profile of the catalogue", type="string", enum=models, title="Model"
        ),
        "output_language": Param(
            settings.output_language,
            "Language of summaries, in English words",
            type="string",
            pattern=LANGUAGE,
            title="Language of summaries",
        ),
        "sample": Param(
            None,
            "Ask only so many documents, drawn by chance; none means all",
            type=["null", "integer"],
            minimum=1,
            title="Sample (documents)",
        ),
        "dry_run": Param(
            False,
            "Say what it would cost, and end there; nothing is sent (a limit for real runs: under Budget)",
            type="boolean",
            title="Dry run",
        ),
        "force": Param(
            False, "Ask again what an earlier run has answered, and pay for it", type="boolean", title="Ask again"
        ),
        "fuse": Param(
            settings.fuse,
            "All analyses of a document in one request",
            type="boolean",
            title="One request for all analyses",
        ),
        "budget_usd": Param(
            _number(settings.budget_usd),
            "Nothing is sent when the forecast is above this",
            **MONEY,
            title="Budget of this run (USD)",
        ),
        "budget_day_usd": Param(
            _number(settings.budget_day_usd),
            "The same for all runs of a day (UTC)",
            **MONEY,
            title="Budget of the day (USD)",
        ),
        "budget_month_usd": Param(
            _number(settings.budget_month_usd),
            "The same for all runs of a month",
            **MONEY,
            title="Budget of the month (USD)",
        ),
        "allow_unknown_price": Param(
            settings.allow_unknown_price,
            "Send what has no known price",
            type="boolean",
            section="Budget",
            title="Allow an unknown price",
        ),
        **_selection(settings),
        "run_date": Param(
            None,
            "The day whose prices hold; left empty, that of the logical date, else today",
            type=["null", "string"],
            format="date",
            **RARE,
            title="Date of prices",
        ),
        "output": Param(
            settings.output, "Folder or s3:// prefix for the tables", type="string", minLength=1, **RARE, title="Tables"
        ),
        "run_key": Param(
            None,
            "Name of the run; default: Airflow's run id",
            type=["null", "string"],
            minLength=1,
            **RARE,
            title="Name of the run",
        ),
    }


def _selection(settings: Settings) -> dict[str, Param]:
    """Which of the documents are wanted."""
    since = settings.modified_since
    return {
        "include": Param(
            list(settings.include) or None,
            "Patterns as in .gitignore, one a line, like **/*.pdf; none means all",
            **PATTERNS,
            title="Only documents like",
        ),
        "exclude": Param(list(settings.exclude) or None, "Patterns, one a line", **PATTERNS, title="No documents like"),
        "min_bytes": Param(settings.min_bytes, "Smaller ones are not looked at", **SIZE, title="Smallest (bytes)"),
        "max_bytes": Param(settings.max_bytes, "Larger ones are not looked at", **SIZE, title="Largest (bytes)"),
        "modified_since": Param(
            since.isoformat() if since else None,
            "A date (midnight UTC), or a time with its zone",
            type=["null", "string"],
            section="Which documents",
            title="Changed since",
        ),
    }


def analysis_names(settings: Settings) -> list[str]:
    """The analyses that may be chosen: the folders that declare one."""
    return declared(settings.prompts or shipped_prompts())


def model_names(settings: Settings) -> list[str]:
    """The models and profiles that a run may have, and what is set whatever it is: a run says what is wrong with it."""
    on_demand = settings.mode == "on-demand"
    names = [
        name
        for model in load_catalogue(settings.models)
        for name in (model.id, *model.profiles)
        if on_demand or model.batch_refusal(name) is None
    ]
    return names if settings.model in names else [settings.model, *names]


def _number(budget: Decimal | None) -> float | None:
    return None if budget is None else float(budget)

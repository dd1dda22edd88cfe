"""Which analyses there are: the folders that declare one, without reading what they declare."""

from __future__ import annotations

from pathlib import Path

from pipeline.errors import DeclarationError, SettingsError

DECLARATION = "analysis.toml"
# Columns that every result table has beside those of the answer.
PROVENANCE = (
    "document_id",
    "uri",
    "run_key",
    "run_date",
    "model",
    "prompt_fingerprint",
    "method_id",
    "content_hash",
    "chunks",
    "input_tokens",
    "output_tokens",
    "cost_usd",
    "extra",
    "truncated",
    "deleted",
    "current_prompt",
)
# Tables that every output has beside those of the analyses, which are called after them.
TABLES = ("documents", "failures", "gold", "ledger", "runs")


def shipped_prompts() -> Path:
    """The analyses that come with docbatch: inside an installed wheel, or beside the package in a checkout."""
    package = Path(__file__).parent
    inside = package / "shipped_prompts"
    return inside if inside.is_dir() else package.parent / "prompts"


def declared(root: Path) -> list[str]:
    """The names of the analyses below `root`, sorted. Folders that begin with an underscore hold shared templates."""
    if not root.is_dir():
        raise SettingsError(f"{root}: there is no such folder of prompts; DOCBATCH_PROMPTS names it")
    for template in root.glob("[!_.]*/*.jinja"):
        if not (template.parent / DECLARATION).exists():
            raise DeclarationError(f"{template.parent}: has templates and no {DECLARATION}; it declares the analysis")
    return sorted(path.parent.name for path in root.glob(f"[!_.]*/{DECLARATION}"))

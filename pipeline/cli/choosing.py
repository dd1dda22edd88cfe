"""What `run` and `plan` share: where the documents come from, and which of them are wanted."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Sources = Annotated[
    list[str],
    typer.Argument(
        metavar="SOURCE...",
        help="Folder or s3:// prefix with the documents, or list:FILE, inventory:PLACE, rows:FILE (docs/sources.md)",
        show_default=False,
    ),
]
Include = Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="Only documents like `*.pdf`; repeatable")]
Exclude = Annotated[list[str] | None, typer.Option(metavar="PATTERN", help="No documents like `drafts/`; repeatable")]
MinBytes = Annotated[int | None, typer.Option(min=0, help="No smaller documents")]
MaxBytes = Annotated[int | None, typer.Option(min=0, help="No larger documents")]
ModifiedSince = Annotated[
    str | None, typer.Option(metavar="TIME", help="Only documents changed since a date, or a time with its zone")
]


def selected(
    include: list[str] | None,
    exclude: list[str] | None,
    min_bytes: int | None,
    max_bytes: int | None,
    modified_since: str | None,
) -> dict[str, Any]:
    """The options as settings; what was not given leaves the setting as it is."""
    patterns = {"include": tuple(include or ()) or None, "exclude": tuple(exclude or ()) or None}
    return {**patterns, "min_bytes": min_bytes, "max_bytes": max_bytes, "modified_since": modified_since}

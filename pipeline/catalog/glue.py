"""The connection to AWS Glue, which is told of each column what it can hold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog as Vendor

# What botocore's model of Glue says of a comment, and boto3 does not look at. The tables themselves have all of it.
COMMENT_UNITS = 255  # of UTF-16, as Java counts
_NOT_IN_A_LINE = re.compile(r"[\x00-\x1f\s\ufffe\uffff]+")


def connect_glue(name: str, region: str, session: Any, storage: Mapping[str, str]) -> Vendor:
    """Glue of a region, with the credentials of a boto3 session, or those that boto3 finds."""
    from pyiceberg.catalog.glue import GlueCatalog

    client = session.client("glue", region_name=region) if session else None
    found = GlueCatalog(name, client, **{"glue.region": region}, **storage)
    for operation in ("CreateTable", "UpdateTable"):
        found.glue.meta.events.register(f"provide-client-params.glue.{operation}", _shorten_comments)
    return found


def comment(description: str) -> str:
    """A description in one line, cut where Glue would refuse the table."""
    line = _NOT_IN_A_LINE.sub(" ", description)
    units = line.encode("utf-16-le")
    if len(units) <= 2 * COMMENT_UNITS:
        return line
    return units[: 2 * (COMMENT_UNITS - 1)].decode("utf-16-le", "ignore") + "…"


def _shorten_comments(params: dict[str, Any], **_event: Any) -> None:
    """pyiceberg passes them as they are, of present and of former columns."""
    for column in params["TableInput"]["StorageDescriptor"]["Columns"]:
        if "Comment" in column:
            column["Comment"] = comment(column["Comment"])

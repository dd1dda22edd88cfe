"""The connection to an Iceberg REST catalog, as `rest:https://host/path?warehouse=name` names it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit, urlunsplit

from pydantic import ValidationError
from pyiceberg.exceptions import BadRequestError, ForbiddenError, OAuthError, RESTError, UnauthorizedError

from pipeline.errors import AccessDenied, SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pyiceberg.catalog import Catalog as Vendor

SCHEME = "rest:"
NAMED = {"warehouse", "oauth2-server-uri", "scope"}  # as pyiceberg calls them; tokens come from the catalog by default
WRITTEN = "write it as rest:https://host/path, with ?warehouse=name where the server has several"


def connect_rest(name: str, text: str, credential: str | None, storage: Mapping[str, str]) -> Vendor:
    """The catalog at the place that the setting names; the server says there whether it knows us.

    `credential` is a client's id and secret with a colon between them, or a token. Raises SettingsError, AccessDenied.
    """
    from pyiceberg.catalog.rest import RestCatalog

    uri, named = _place(text)
    known_by = {"credential" if ":" in credential else "token": credential} if credential else {}
    tokens = {"oauth2-server-uri": f"{uri}/v1/oauth/tokens"} if credential else {}
    try:
        return RestCatalog(name, **{"uri": uri} | tokens | named | known_by | dict(storage))
    except (UnauthorizedError, ForbiddenError, OAuthError, BadRequestError):
        said = "does not know us" if credential else "asks who we are"
        raise AccessDenied(f"catalog {uri}: {said}; see DOCBATCH_CATALOG_CREDENTIAL (and the warehouse)") from None
    except (ValidationError, RESTError) as error:
        if isinstance(error, RESTError) and "404" not in str(error):
            raise
        raise SettingsError(f"catalog {uri}: what answers there is no Iceberg REST catalog; {WRITTEN}") from None


def _place(text: str) -> tuple[str, dict[str, str]]:
    """The uri, and what is named behind it. Raises SettingsError, which repeats nothing of what was written."""
    parts = urlsplit(text.removeprefix(SCHEME))
    named = dict(parse_qsl(parts.query))
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username or named.keys() - NAMED:
        aside = "; its credential goes into DOCBATCH_CATALOG_CREDENTIAL" if parts.username else ""
        raise SettingsError(f"catalog: is no place of a REST catalog; {WRITTEN}{aside}")
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/"), "", "")), named

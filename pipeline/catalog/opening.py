"""Which catalog an output has, and the connection to it."""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, IntegrityError, NoSuchModuleError, OperationalError, ProgrammingError
from tenacity import Retrying, retry_if_exception_type, stop_after_attempt

from pipeline.catalog.commits import Catalog
from pipeline.catalog.glue import connect_glue
from pipeline.catalog.place import OWN_DATABASE, Place
from pipeline.catalog.rest import SCHEME, connect_rest
from pipeline.catalog.translation import translated
from pipeline.domain import short_hash
from pipeline.errors import ObjectMissing, SettingsError
from pipeline.settings import Settings
from pipeline.storage.objects import S3Access

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog as Vendor

FILE_IO = "pyiceberg.io.pyarrow.PyArrowFileIO"
NAME = "docbatch"  # of the catalog, within a database that holds several
LOCKED_SECONDS = 60  # how long a commit waits for another's in the same SQLite file


def open_catalog(
    settings: Settings, output_uri: str, access: S3Access, clock: Callable[[], dt.datetime], *, make: bool = False
) -> Catalog:
    """The catalog that the settings give an output; `make` creates a missing SQLite file.

    Raises SettingsError, StorageError, and ObjectMissing for a SQLite file that is not there.
    """
    place = Place(output_uri)
    with translated(f"catalog of {output_uri}"):
        vendor = _connected(settings, place, access, make=make)
    return Catalog(vendor, settings.catalog_namespace, place, clock)


def chosen_catalog(settings: Settings, place: Place, access: S3Access) -> str | URL:
    """`glue`, `rest:…`, or the URL of a database. `auto` is Glue for tables on AWS, and SQLite everywhere else."""
    wanted = settings.catalog
    if wanted == "auto":
        wanted = "glue" if place.uri.startswith("s3:") and not _is_here(access.url) else "sqlite"
    if wanted == "sqlite":
        return URL.create("sqlite", database=str(_database(settings, place)), query={"timeout": str(LOCKED_SECONDS)})
    return wanted if wanted == "glue" or wanted.startswith(SCHEME) else _parsed(wanted)


def storage_properties(access: S3Access) -> dict[str, str]:
    """How Iceberg's files are reached; without keys, Arrow finds credentials where AWS's own tools do.

    Of a session it gets the keys of the moment, which hold for ten minutes at least: a catalog is opened for one step.
    """
    keys = (access.access_key_id, access.secret_access_key, None)
    if access.session is not None and access.access_key_id is None:
        keys = access.session.get_credentials().get_frozen_credentials()
    given = {
        "s3.endpoint": access.url,
        "s3.region": access.region,
        "s3.access-key-id": keys[0],
        "s3.secret-access-key": keys[1],
        "s3.session-token": keys[2],
    }
    return {"py-io-impl": FILE_IO} | {name: value for name, value in given.items() if value}


def _connected(settings: Settings, place: Place, access: S3Access, *, make: bool) -> Vendor:
    chosen, properties = chosen_catalog(settings, place, access), storage_properties(access)
    if not isinstance(chosen, URL) and chosen.startswith(SCHEME):
        return connect_rest(NAME, chosen, settings.catalog_credential, properties)
    if not isinstance(chosen, URL):
        return connect_glue(NAME, access.region, access.session, properties)
    if chosen.drivername == "sqlite" and chosen.database:
        _see_to(Path(chosen.database), place, make=make)
    return _sql_catalog(chosen, properties)


def _sql_catalog(url: URL, properties: dict[str, str]) -> Vendor:
    """A second try, because two that open a new database at once both make its tables, and one is told so.

    SQLite says that the table exists, PostgreSQL that its name breaks a unique key of the system's.
    """
    from pyiceberg.catalog.sql import SqlCatalog

    quicker = retry_if_exception_type((OperationalError, ProgrammingError, IntegrityError))
    properties_with_url: dict[str, Any] = {**properties, "uri": url}  # as text, a `%` or `?` of a path would be read
    try:
        return Retrying(retry=quicker, stop=stop_after_attempt(2), reraise=True)(
            SqlCatalog, NAME, **properties_with_url
        )
    except (ModuleNotFoundError, NoSuchModuleError):
        raise SettingsError(f"catalog: no driver for {url.drivername} is installed; install one") from None


def _see_to(file: Path, place: Place, *, make: bool) -> None:
    if make:
        file.parent.mkdir(parents=True, exist_ok=True)
    elif not file.exists():
        raise ObjectMissing(f"{place.uri}: nothing is published there (there is no catalog at {file})")


def _database(settings: Settings, place: Place) -> Path:
    if place.uri.startswith("file:"):
        return Path(place.location(OWN_DATABASE))
    return settings.home.absolute() / "catalogs" / f"{short_hash(place.uri)}.db"


def _parsed(text: str) -> URL:
    try:
        return make_url(text)
    except ArgumentError:
        raise SettingsError(
            "catalog: is neither `auto`, `glue`, `sqlite`, the place of a REST catalog (rest:https://host/path) nor "
            "the URL of a database, such as postgresql+psycopg2://user:password@host/name"
        ) from None


def _is_here(url: str | None) -> bool:
    """Whether an endpoint is on this machine, as the embedded stack is and AWS never."""
    host = urlsplit(url or "").hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

"""What catalogs, their databases and file systems raise, as errors of ours; no secret of a database's URL in any."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from pyiceberg.exceptions import (
    CommitFailedException,
    CommitStateUnknownException,
    ForbiddenError,
    NamespaceAlreadyExistsError,
    NoSuchIcebergTableError,
    NoSuchPropertyException,
    RESTError,
    TableAlreadyExistsError,
    UnauthorizedError,
    ValidationException,
)
from sqlalchemy import exc as sql

from pipeline.bedrock.retries import translate
from pipeline.catalog.place import OWN_DATABASE, Place
from pipeline.errors import AccessDenied, ObjectMissing, SettingsError, StorageError
from pipeline.storage.refusals import refusal

if TYPE_CHECKING:
    from pyiceberg.catalog import Catalog as Vendor

# What says that somebody else was quicker, so that looking again is right. A database says it by its unique keys.
LOST_RACE = (
    CommitFailedException,
    CommitStateUnknownException,
    TableAlreadyExistsError,
    ValidationException,
    sql.IntegrityError,
)
# The namespace is there: a SQL catalog looks first, and whoever is overtaken after that hears it from the database.
MADE_MEANWHILE = (NamespaceAlreadyExistsError, sql.IntegrityError)
LOST = (
    "if the folder was moved, move it back: Iceberg names files by their full path. If its tables were deleted, delete "
    "their catalog as well (the folder `catalog` beside them; of tables on S3, those in Glue or in the database of "
    "DOCBATCH_CATALOG) and run again: answers are kept in the work folder, so nothing is paid again"
)


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Vendor errors as ours, with what they were about."""
    try:
        yield
    except LOST_RACE as error:
        raise StorageError(f"{where}: other publishers kept changing it; publish again") from error
    except sql.SQLAlchemyError as error:
        raise StorageError(f"{where}: {_reason(error)}; see that its database is reachable and writable") from error
    except FileNotFoundError as error:
        raise ObjectMissing(f"{where}: a file that the catalog names is gone ({error}); {LOST}") from error
    except PermissionError as error:
        raise AccessDenied(f"{where}: access denied; check the credentials and permissions") from error
    except (UnauthorizedError, ForbiddenError) as error:
        raise AccessDenied(f"{where}: the catalog refuses it; see DOCBATCH_CATALOG_CREDENTIAL") from error
    except (RESTError, OSError) as error:
        raise refusal(where, str(error)) or StorageError(f"{where}: {error}") from error
    except (NoSuchIcebergTableError, NoSuchPropertyException):
        raise SettingsError(
            f"{where}: a table of that name is there, and is no Iceberg table; give the output a namespace of its own "
            "(DOCBATCH_CATALOG_NAMESPACE)"
        ) from None
    except (ClientError, BotoCoreError) as error:
        raise translate(error, f"{where}: AWS Glue") from error


def misplaced(vendor: Vendor, namespace: str, table: str, found: str, place: Place) -> SettingsError:
    """A table of that name lies at `found`, outside the output: it is another output's, or this one is a copy."""
    key = f"tables/{table}"
    if place.location(OWN_DATABASE) == getattr(vendor.properties.get("uri"), "database", None):
        return SettingsError(
            f"{place.uri}: was copied or moved here: its catalog says that table {table} lies at {found}. An Iceberg "
            "table knows its files by their whole place, so an output cannot be copied or moved; read it where it was "
            f"({found.removesuffix(f'/{key}')}), or read the plain Parquet files in {place.location('tables')}, or run "
            "again with another --output (answers in the same work store are not paid twice)"
        )
    return SettingsError(
        f"catalog_namespace = {namespace}: its table {table} lies at {found}, not {place.location(key)}. "
        "Give each output a namespace of its own (DOCBATCH_CATALOG_NAMESPACE)"
    )


def _reason(error: sql.SQLAlchemyError) -> str:
    """What the database's driver said; SQLAlchemy's own text would add statements and their values."""
    return str(getattr(error, "orig", None) or type(error).__name__).splitlines()[0]

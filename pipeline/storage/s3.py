"""How S3 is reached: through obstore for what has paths, through botocore for any key."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from obstore.store import S3Store

from pipeline.errors import SettingsError

if TYPE_CHECKING:
    from obstore.auth.boto3 import Boto3CredentialProvider
    from obstore.store import ObjectStore as VendorStore

KEYS_HOLD = timedelta(minutes=10)
ATTEMPTS = 8


@dataclass(frozen=True, slots=True)
class S3Access:
    """How to reach S3. Without keys, those of the boto3 session are used; without it, boto3's own credential chain."""

    region: str
    url: str | None = None
    access_key_id: str | None = None
    secret_access_key: str | None = field(default=None, repr=False)
    session: Any = field(default=None, repr=False)


def open_s3(bucket: str, prefix: str, access: S3Access) -> VendorStore:
    """obstore's store for one prefix of a bucket. Raises SettingsError when there are no credentials."""
    options: dict[str, Any] = {"region": access.region}
    if access.url:
        options |= {"endpoint": access.url, "virtual_hosted_style_request": False}
    if access.access_key_id:
        options |= {"access_key_id": access.access_key_id, "secret_access_key": access.secret_access_key}
    else:
        options["credential_provider"] = _found_credentials(access)
    plain_http = {"allow_http": bool(access.url and access.url.startswith("http://"))}
    return S3Store(bucket, prefix=prefix or None, client_options=plain_http, **options)  # type: ignore[arg-type] # TypedDict


@cache
def _found_credentials(access: S3Access) -> Boto3CredentialProvider:
    """What the session or boto3's credential chain finds; looked for once, since a run opens thousands of stores.

    The provider asks botocore for the keys of the moment, and botocore renews those that expire. It does so at the
    latest 10 minutes before: no store may keep them for longer. Raises SettingsError when there are no credentials.
    """
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        return Boto3CredentialProvider(access.session, ttl=KEYS_HOLD)
    except (ValueError, BotoCoreError) as error:  # obstore says ValueError when nothing was found
        reason = f" ({error})" if isinstance(error, BotoCoreError) else ""
        raise SettingsError(
            f"{access.url or 'S3'}: no AWS credentials were found{reason}; sign in or set AWS_PROFILE, or "
            "DOCBATCH_BACKEND=local to use the embedded stack"
        ) from error


@cache
def connect_s3(access: S3Access) -> Any:
    """A botocore client for S3, for several threads. It finds credentials as `open_s3` does."""
    from botocore.config import Config
    from botocore.session import Session

    session = access.session or Session()
    create = session.client if hasattr(session, "client") else session.create_client  # boto3's, or botocore's own
    retries: Any = {"mode": "standard", "total_max_attempts": ATTEMPTS}
    return create(
        "s3",
        region_name=access.region,
        endpoint_url=access.url,
        aws_access_key_id=access.access_key_id,
        aws_secret_access_key=access.secret_access_key,
        config=Config(s3={"addressing_style": "path" if access.url else "auto"}, retries=retries),
    )

"""What S3's refusals of a whole bucket mean, and what to check, whichever client they came through."""

from __future__ import annotations

import re

from pipeline.errors import AccessDenied, BucketMissing, BucketRefused, StorageError

_REGION = "it is in another region than docbatch asks; set DOCBATCH_REGION to the bucket's"
_REDIRECT = "permanentredirect"
# What S3's error codes mean (Amazon S3 API Reference, error responses). Arrow spells them NO_SUCH_BUCKET.
_REFUSALS = {
    "nosuchbucket": "there is no such bucket; check its name and the account, or make it",
    "invalidbucketname": "no bucket can have that name; check it",
    "invalidaccesskeyid": "S3 does not know the access key; check the credentials",
    "signaturedoesnotmatch": "the secret key does not fit the access key; check the credentials",
    "expiredtoken": "the credentials have expired; sign in again",
    "invalidtoken": "the session token is not valid; sign in again",
    "requesttimetooskewed": "the clock of this machine is more than 15 minutes off; set it right",
    _REDIRECT: _REGION,
    "authorizationheadermalformed": _REGION,
    "illegallocationconstraintexception": _REGION,
}
_MISSING = ("nosuchbucket", "invalidbucketname", _REDIRECT, "authorizationheadermalformed")
# Of these the next try may be better: with other keys, or at the right time.
_RENEWED = ("expiredtoken", "invalidtoken", "requesttimetooskewed")
DENIED = (
    "access denied; check the credentials, and that their policy and the bucket's allow it (deploy/README.md; without "
    "s3:ListBucket, S3 also denies what is not there)"
)
_CODE = re.compile(r"<Code>(\w+)</Code>|AWS Error ([A-Z_]+)")
_STATUS = re.compile(r"(?:non-2xx status code: |HTTP status )(\d+)([ \w-]*)")
_UNREACHED = ("error sending request", "dns error", "AWS Error NETWORK_CONNECTION")


def is_of_the_bucket(code: str) -> bool:
    """Whether an error code of S3 speaks of the bucket, the keys or the clock, and not of one object."""
    return code.lower() in _REFUSALS


def refusal(where: str, said: str) -> StorageError | None:
    """What S3 said about a bucket as a whole, with what to check; None where it is something else.

    `where` names the s3:// uri, `said` is the text of obstore's or Arrow's error.
    """
    named = re.search(r"s3://([^/\s,]+)", where)
    if named is None:
        return None
    elsewhere = "redirect without LOCATION" in said or "HTTP status 301" in said
    bucket, codes, status = named[1], _CODE.search(said), _STATUS.search(said)
    code = (codes[1] or codes[2]).replace("_", "").lower() if codes else ""
    code = _REDIRECT if elsewhere else code
    if meaning := _REFUSALS.get(code):
        kind = StorageError if code in _RENEWED else BucketMissing if code in _MISSING else BucketRefused
        return kind(f"{where}: bucket {bucket}: {meaning}")
    if code == "accessdenied" or (status and status[1] in ("401", "403")):
        return AccessDenied(f"{where}: bucket {bucket}: {DENIED}")
    if any(words in said for words in _UNREACHED):
        return StorageError(
            f"{where}: bucket {bucket}: S3 could not be reached; check the network, DOCBATCH_REGION and, where it is "
            "set, AWS_ENDPOINT_URL_S3"
        )
    if status:
        about = "check the credentials and DOCBATCH_REGION" if status[1] == "400" else "try again later"
        return StorageError(f"{where}: bucket {bucket}: S3 answered {status[1]}{status[2]}; {about}")
    return None

"""What boto3's errors mean, and how long those are repeated that may pass."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import tenacity
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    IncompleteReadError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    SSLError,
)
from botocore.exceptions import ConnectionError as NoConnection

from pipeline.errors import NoFreeSlot, PromptRefused, ServiceBusy, ServiceError, ServiceRejected

T = TypeVar("T")
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 60.0

# Every error that botocore's service models declare for the calls below, and the generic ones that any call may meet.
REJECTED = {
    "ValidationException": "a value in the request is not allowed",
    "AccessDeniedException": "the caller lacks a permission; README lists those that docbatch needs",
    "ResourceNotFoundException": "the job or model does not exist in this region",
    "ConflictException": "the same token or name was used with other contents",
    "InvalidParameterException": "a value in the request is not allowed",
    "InvalidNextTokenException": "a page was asked for that there is not",
    "ExpiredNextTokenException": "the pages took too long to read; repeat the command",
    "NotFoundException": "the service or attribute does not exist",
    "TooManyTagsException": "the job has more tags than AWS allows",
    "ModelErrorException": "the model failed on this prompt",
    "UnrecognizedClientException": "the access key is not known there",
    "InvalidSignatureException": "the secret key does not fit the access key",
    "ExpiredTokenException": "the credentials have expired; sign in again",
    "InvalidInputException": "a value in the request is not allowed",
    "EntityNotFoundException": "the database or table does not exist; perhaps it was deleted a moment ago",
    "AlreadyExistsException": "it was made meanwhile",
    "ConcurrentModificationException": "somebody else changed it meanwhile",
    "ResourceNumberLimitExceededException": "the account has as many of these as its quota allows",
    "GlueEncryptionException": "the catalog is encrypted with a key that the caller may not use",
    "FederatedResourceAlreadyExistsException": "the database is another catalog's; choose another",
    "FederationSourceException": "the database is another catalog's, which failed; choose another",
}
# What InvokeModel says of a single prompt; everything else that it rejects would be said of every prompt.
OF_ONE_PROMPT = {("InvokeModel", "ValidationException"), ("InvokeModel", "ModelErrorException")}
BUSY = {
    "ThrottlingException",
    "ServiceQuotaExceededException",
    "InternalServerException",
    "InternalErrorException",
    "ServiceUnavailableException",
    "ModelNotReadyException",
    "ModelTimeoutException",
    "ModelStreamErrorException",
    "TooManyRequestsException",
    "InternalServiceException",
    "OperationTimeoutException",
    "ResourceNotReadyException",
    "FederationSourceRetryableException",
}
# Answers that mean: fewer calls a minute.
TOO_MANY = {"ThrottlingException", "TooManyRequestsException", "ServiceQuotaExceededException"}
OTHER_SERVICES = {"GetProducts": "AWS Price List", "AssumeRole": "AWS STS"}
NO_FREE_SLOT = ("CreateModelInvocationJob", "ServiceQuotaExceededException")


def repeat(
    call: Callable[[], T],
    retry_seconds: float,
    *,
    since: Callable[[], float] | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> T:
    """The call's answer; busy errors are repeated, each pause random and on average twice the last, at most 60 s.

    `since` gives the time by `clock` from which `retry_seconds` count; without it, that of the first call.
    Raises ServiceRejected and NoFreeSlot at once, ServiceBusy when the next pause would pass the deadline.
    """
    began = clock()
    start = since or (lambda: began)
    retrying = tenacity.Retrying(
        retry=tenacity.retry_if_exception(
            lambda error: isinstance(error, ServiceBusy) and type(error) is not NoFreeSlot
        ),
        wait=tenacity.wait_random_exponential(multiplier=FIRST_PAUSE_SECONDS, max=LONGEST_PAUSE_SECONDS),
        stop=lambda state: clock() + state.upcoming_sleep - start() >= retry_seconds,
        sleep=sleep,
        reraise=True,
    )
    answer: T = retrying(_with_mapped_errors, call)
    return answer


def translate(error: ClientError | BotoCoreError, asked: str = "Bedrock") -> ServiceError:
    """boto3's error as one of ours, with who was `asked`, and what to do next."""
    if isinstance(error, ClientError):
        return _of_service(error, asked)
    if isinstance(error, NoCredentialsError | PartialCredentialsError | NoRegionError):
        return ServiceRejected(f"{asked}: {error}; set AWS credentials and a region, or DOCBATCH_BACKEND=local")
    if isinstance(error, HTTPClientError | NoConnection | IncompleteReadError) and not isinstance(error, SSLError):
        return ServiceBusy(f"{asked} could not be reached: {error}")
    return ServiceRejected(f"{asked} could not be asked: {error}")


def _of_service(error: ClientError, asked: str) -> ServiceError:
    said = error.response.get("Error", {})
    code, message = said.get("Code", ""), said.get("Message", "")
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    service = OTHER_SERVICES.get(error.operation_name, asked)
    where = f"{service} {error.operation_name}: {code}: {message}"
    if (error.operation_name, code) == NO_FREE_SLOT:
        return NoFreeSlot(f"{where} (wait until a job has ended; DOCBATCH_MAX_JOBS_IN_FLIGHT should be your quota)")
    if code in BUSY or (code not in REJECTED and (status == 429 or status >= 500)):
        ours = asked == "Bedrock"  # boto3 itself repeats the others
        hint = "repeated until the deadline; DOCBATCH_RETRY_SECONDS sets it" if ours else "try again later"
        return ServiceBusy(f"{where} ({hint})")
    kind = PromptRefused if (error.operation_name, code) in OF_ONE_PROMPT else ServiceRejected
    return kind(f"{where} ({REJECTED.get(code, 'asking again cannot help')})")


def says(error: ServiceError, code: str) -> bool:
    """Whether that was Bedrock's own code for the error."""
    cause = error.__cause__
    return isinstance(cause, ClientError) and cause.response.get("Error", {}).get("Code") == code


@contextmanager
def mapped_errors() -> Iterator[None]:
    """boto3's errors inside come out as ServiceError."""
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise translate(error) from error


def _with_mapped_errors(call: Callable[[], T]) -> T:
    with mapped_errors():
        return call()

"""What the endpoint refuses, in the words and with the codes that Amazon Bedrock uses."""

from __future__ import annotations

from pipeline.errors import ServiceError

_STATUS = {
    "ValidationException": 400,
    "ConflictException": 400,
    "ServiceQuotaExceededException": 400,
    "AccessDeniedException": 403,
    "UnrecognizedClientException": 403,
    "ResourceNotFoundException": 404,
    "UnknownOperationException": 404,
    "ModelErrorException": 424,
    "ThrottlingException": 429,
    "InternalServerException": 500,
    "ServiceUnavailableException": 503,
}


class Fault(ServiceError):
    """A refusal as it travels: `code` is the exception's name in the service model, `status` its HTTP status."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = _STATUS[code]


class ConnectionCut(Exception):
    """The connection is to end here, and the caller to learn nothing of what was done."""


# What a fault plan's refusals say, of a call or of a record.
_PLANNED = {
    "throttled": ("ThrottlingException", "Too many requests, please wait before trying again."),
    "quota": ("ServiceQuotaExceededException", "Your account has reached its quota of batch inference jobs."),
    "unavailable": ("ServiceUnavailableException", "Bedrock is unable to process your request."),
    "error-400": ("ValidationException", "Malformed input request, please reformat your input and try again."),
    "error-429": ("ThrottlingException", "Too many requests, please wait before trying again."),
    "error-500": (
        "InternalServerException",
        "The system encountered an unexpected error during processing. Try your request again.",
    ),
}


def planned_refusal(kind: str | None) -> Fault | None:
    """The refusal that a kind of fault is, None where it is none."""
    return Fault(*_PLANNED[kind]) if kind in _PLANNED else None


def invalid(message: str) -> Fault:
    return Fault("ValidationException", message)

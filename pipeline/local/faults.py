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


def invalid(message: str) -> Fault:
    return Fault("ValidationException", message)

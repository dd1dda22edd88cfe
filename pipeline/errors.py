"""Every exception that a caller of docbatch may meet.

    DocbatchError
    ├── SettingsError            a setting or an argument is wrong
    ├── DeclarationError         a file under prompts/ or the model catalogue is wrong
    ├── VocabularyError          the token vocabulary is missing or not Meta's
    ├── StorageError             an object store did not do what was asked
    │   ├── ObjectMissing        there is no object at that key
    │   ├── AccessDenied         the object is there, and not for us
    │   ├── BucketRefused        S3 does not know us; asking again cannot help
    │   │   └── BucketMissing    the bucket is not there, or in another region
    │   ├── ObjectExists         a conditional write found an object already there
    │   └── ObjectChanged        a conditional replacement found another object than the one that was read
    ├── ServiceError             Amazon Bedrock did not do what was asked
    │   ├── ServiceRejected      asking again cannot help: validation, access, not found
    │   │   └── PromptRefused    the model refused this one prompt; others may pass
    │   └── ServiceBusy          asking later may help: throttling, quotas, 5xx, lost connections
    │       └── NoFreeSlot       as many jobs are in flight as may be; asking again when one has ended will help
    ├── StackError               the embedded S3 and Bedrock could not be started or reached
    └── RunError                 a run cannot go on
        ├── RunStopped           somebody stopped it; it may be taken up again
        ├── BudgetExceeded       the forecast is above the budget; nothing was submitted
        ├── ApprovalRefused      a person did not let the run go on, or none could be asked; nothing was submitted
        ├── JobFailed            a batch inference job ended without anything to collect
        └── AccountingError      the counts or the tokens of a run do not add up; nothing was published

Records fail as values (`domain.Failure`), runs as one of these. A message says what happened, where, and what to do.
"""


class DocbatchError(Exception):
    """The root. `exit_code` is what the command line ends with."""

    exit_code = 1


class SettingsError(DocbatchError):
    exit_code = 2


class DeclarationError(DocbatchError):
    exit_code = 2


class VocabularyError(DocbatchError):
    exit_code = 2


class StorageError(DocbatchError):
    pass


class ObjectMissing(StorageError):
    pass


class AccessDenied(StorageError):
    pass


class BucketRefused(StorageError):
    pass


class BucketMissing(BucketRefused):
    pass


class ObjectExists(StorageError):
    pass


class ObjectChanged(StorageError):
    pass


class ServiceError(DocbatchError):
    pass


class ServiceRejected(ServiceError):
    pass


class PromptRefused(ServiceRejected):
    pass


class ServiceBusy(ServiceError):
    pass


class NoFreeSlot(ServiceBusy):
    pass


class StackError(DocbatchError):
    pass


class RunError(DocbatchError):
    pass


class RunStopped(RunError):
    pass


class BudgetExceeded(RunError):
    exit_code = 3


class ApprovalRefused(RunError):
    exit_code = 3


class JobFailed(RunError):
    pass


class AccountingError(RunError):
    pass

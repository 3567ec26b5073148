"""What the two AWS stores share: the client, and what its errors mean.

Credentials come from the SDK's own chain (environment, shared files, role of the pod or machine).
Of an error only its code is shown: messages of AWS can repeat what was sent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, Final, NamedTuple

from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    PartialCredentialsError,
)

from workers import aws
from workers.outbound import Limits, Outbound, OutboundError, callable_url
from workers.outbound import Reason as Outcome
from workers.rotation.errors import PermanentError, PortError, Reason, TransientError
from workers.section import Section

LIMITS: Final = Limits(connect=3.0, read=8.0, write=8.0, answer_bytes=512 * 1024)
"""A secret has up to 64 KiB, and as JSON writes it may be several times as long."""

_THROTTLED: Final = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "TooManyUpdates",
    }
)
_DENIED: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "ExpiredTokenException",
        "MissingAuthenticationToken",
        "NotAuthorized",
        "DecryptionFailure",
        "EncryptionFailure",
        "InvalidKeyId",
    }
)
_MISSING: Final = frozenset(
    {"ResourceNotFoundException", "ParameterNotFound", "ParameterVersionNotFound"}
)
_FORBIDDEN: Final = frozenset({401, 403})
_SERVER: Final = 500


class Account(NamedTuple):
    """Where the API is; empty texts leave it to the SDK."""

    region: str = ""
    endpoint_url: str = ""

    def client(self, service: str) -> Any:
        """Return a client that tries once: the one who calls decides on repeats."""
        return session().client(
            service, region_name=self.region or None, endpoint_url=self.endpoint_url or None
        )


@cache
def session() -> Any:
    """Return the SDK's session of this process: it is slow to load."""
    return aws.open_session(Outbound(), limits=LIMITS)


def read_account(section: Section) -> Account:
    """Read the fields that both stores have."""
    endpoint = section.text("endpoint_url")
    if endpoint and not callable_url(endpoint):
        section.problem("endpoint_url must be an http or https URL", "endpoint_url")
    return Account(section.text("region"), endpoint)


def code_of(error: ClientError) -> str:
    """Return AWS's code of an error, without the service's prefix."""
    return str(error.response.get("Error", {}).get("Code", "")).rpartition("#")[2]


def missing(error: ClientError) -> bool:
    """Say whether the secret, the parameter or the version does not exist."""
    return code_of(error) in _MISSING


@contextmanager
def reading(name: str) -> Iterator[None]:
    """Turn the SDK's errors into ours.

    Raises:
        PortError: what the SDK raised, by its code alone.
    """
    try:
        yield
    except ClientError as error:
        raise _of_answer(name, error) from None
    except OutboundError as error:
        late = error.reason == Outcome.DEADLINE
        raise TransientError(
            Reason.TIMEOUT if late else Reason.UNREACHABLE, f"{name}: {error}"
        ) from None
    except BotoCoreError as error:
        raise _of_no_request(name, error) from None


def _of_answer(name: str, error: ClientError) -> PortError:
    code = code_of(error)
    said = f"{name}: {error.operation_name}: {code}"
    if code in _THROTTLED:
        return TransientError(Reason.RATE_LIMITED, said)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if status >= _SERVER:
        return TransientError(Reason.SERVER_ERROR, said)
    if status in _FORBIDDEN or code in _DENIED or code.startswith("KMS"):
        return PermanentError(Reason.DENIED, said)
    if code in _MISSING:
        return PermanentError(Reason.NOT_FOUND, said)
    return PermanentError(Reason.INVALID, said)


def _of_no_request(name: str, error: BotoCoreError) -> PortError:
    said = f"{name}: {type(error).__name__}"
    if isinstance(error, (NoCredentialsError, PartialCredentialsError)):
        return PermanentError(Reason.DENIED, said)
    return PermanentError(Reason.INVALID, said)

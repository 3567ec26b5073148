"""What the AWS targets share: whose account, its clients, and what errors mean.

Credentials come from the configuration or, where it names none, from where every AWS program looks
for them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from typing import Any, Final

from workers import aws
from workers.alerting.notifiers.extras import require
from workers.outbound import (
    Outbound,
    OutboundError,
    Permanent,
    Reason,
    Retry,
    Verdict,
    callable_url,
    classify,
    retry_after,
)
from workers.section import Secret, SecretUnreadableError, Section

EXTRA: Final = "aws"

_AUTH_CODES: Final = frozenset(
    {
        "AccessDenied",
        "AccessDeniedException",
        "AuthorizationError",
        "AuthorizationErrorException",
        "IncompleteSignature",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "NotAuthorizedForSourceException",
        "OptInRequired",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_UNAUTHORIZED: Final = frozenset({401, 403})
_EXPIRED_CODES: Final = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_SERVER_CODES: Final = frozenset(
    {
        "InternalError",
        "InternalErrorException",
        "InternalException",
        "InternalFailure",
        "InternalServiceFault",
        "InternalServiceError",
        "ServiceUnavailable",
    }
)
_RATE_CODES: Final = frozenset(
    {
        "KMSThrottling",
        "KMSThrottlingException",
        "LimitExceededException",
        "RequestLimitExceeded",
        "TooManyEntriesInBatchRequest",
    }
)
_CODE: Final = re.compile(r"[A-Za-z.]{1,80}")
_REFUSED: Final = ("ParamValidationError", "ProfileNotFound", "InvalidEndpointConfigurationError")


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Whose AWS account and where; without keys the surroundings name them."""

    region: str
    endpoint_url: str = ""
    profile: str = ""
    access_key: Secret | None = None
    secret_key: Secret | None = None

    def client(self, service: str, outbound: Outbound) -> Any:
        """Return a client of one service, made once for each set of credentials.

        Raises:
            SecretUnreadableError: the file of a key cannot be read.
        """
        identity = aws.Identity(
            self.access_key.reveal() if self.access_key else "",
            self.secret_key.reveal() if self.secret_key else "",
            self.profile,
        )
        return _client(service, outbound, self.region, self.endpoint_url, identity)


def read_account(section: Section, *, region: str = "") -> Account:
    """Read the fields that all AWS targets have; `region` holds where none is named."""
    require(section, "boto3", EXTRA)
    endpoint = section.text("endpoint_url")
    if endpoint and not callable_url(endpoint):
        section.problem("endpoint_url must be an http or https URL", "endpoint_url")
    account = Account(
        region=section.text("region", region),
        endpoint_url=endpoint,
        profile=section.text("profile"),
        access_key=section.secret("access_key"),
        secret_key=section.secret("secret_key"),
    )
    if not account.region:
        section.problem("missing region", "region")
    if (account.access_key is None) != (account.secret_key is None):
        section.problem("access_key and secret_key must be configured together")
    return account


def ask(request: Callable[[], Any], now: float) -> Any:
    """Return what AWS answers to a request, or the verdict on why it does not.

    Args:
        request: makes the call.
        now: Unix seconds, for a Retry-After that is a date.
    """
    try:
        return request()
    except SecretUnreadableError as error:
        return Retry(Reason.OTHER, str(error))
    except Exception as error:  # noqa: BLE001 - boto3's parser may trip over a foreign answer
        return _verdict(error, now)


def judge(code: str, status: int = 0) -> Retry | Permanent:
    """Say what an AWS error code (and the HTTP status, if there is one) means."""
    if code in _AUTH_CODES or (status in _UNAUTHORIZED and code not in _EXPIRED_CODES):
        return Permanent(Reason.AUTH_ERROR, code)
    if code in _EXPIRED_CODES:
        return Retry(Reason.AUTH_ERROR, code)
    if code in _RATE_CODES or "Throttl" in code or status == 429:  # noqa: PLR2004 - HTTP's
        return Retry(Reason.RATE_LIMITED, code)
    if code in _SERVER_CODES or status >= 500:  # noqa: PLR2004 - what "5xx" means
        return Retry(Reason.SERVER_ERROR, code)
    return Permanent(Reason.CLIENT_ERROR, code)


def _verdict(error: Exception, now: float) -> Verdict:
    """Return what an error means; boto3's messages may hold names and stay out."""
    if isinstance(error, OutboundError):
        return classify(error, now)
    exceptions = import_module("botocore.exceptions")
    kind = type(error).__name__
    if isinstance(error, exceptions.ClientError):
        answer: dict[str, Any] = getattr(error, "response", {})
        about = answer.get("ResponseMetadata", {})
        code = str(answer.get("Error", {}).get("Code", ""))
        said = judge(code if _CODE.fullmatch(code) else "Unknown", about.get("HTTPStatusCode", 0))
        after = retry_after(about.get("HTTPHeaders", {}), now)
        return said._replace(after=after) if isinstance(said, Retry) else said
    if not isinstance(error, exceptions.BotoCoreError):
        return Retry(Reason.OTHER, "unreadable answer", ambiguous=True)
    if kind in _REFUSED:
        return Permanent(Reason.CLIENT_ERROR, kind)
    if "Credential" in kind or "Token" in kind:
        return Retry(Reason.AUTH_ERROR, kind)
    return Retry(Reason.OTHER, kind)


@lru_cache(maxsize=64)
def _client(
    service: str, outbound: Outbound, region: str, endpoint_url: str, identity: aws.Identity
) -> Any:
    session = aws.open_session(outbound, identity)
    return session.client(service, region_name=region, endpoint_url=endpoint_url or None)

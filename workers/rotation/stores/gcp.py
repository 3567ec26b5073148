"""Store `gcp`: one secret of Google Cloud Secret Manager.

Applications that read `latest` get a new version at once, so the pending slot is a secret of its
own, `NAME-pending`, which must have been created. There is no compare-and-set: a version that does
not follow the one which was judged shows that somebody else wrote between. Every payload is
checked against its crc32c. Pending versions are destroyed when they are not needed any more; the
secret's own are never touched, since `latest` fails on a disabled one.

Least privilege: secretAccessor, secretVersionAdder and viewer on the secret; secretAccessor and
secretVersionManager on the pending one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from itertools import islice
from typing import Any, Final

import google_crc32c
from google.api_core import exceptions
from google.auth.exceptions import GoogleAuthError, TransportError
from google.cloud.secretmanager_v1 import (
    SecretManagerServiceClient,
    SecretPayload,
    SecretVersion,
)

from workers.rotation.errors import (
    PermanentError,
    PortError,
    Reason,
    ThirdWriterError,
    TransientError,
)
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Pair, Side, Slot
from workers.rotation.stores import judging
from workers.section import Section

SUFFIX: Final = "-pending"
LATEST: Final = "latest"
LOOKED_BACK: Final = 10
"""Versions in which the old value is looked for."""

_ONCE: Final[dict[str, Any]] = {"retry": None, "timeout": 8.0}
_TRANSIENT: Final = (
    (exceptions.ResourceExhausted, Reason.RATE_LIMITED),
    (exceptions.TooManyRequests, Reason.RATE_LIMITED),
    (exceptions.ServiceUnavailable, Reason.UNREACHABLE),
    (exceptions.GatewayTimeout, Reason.TIMEOUT),
    (exceptions.Aborted, Reason.CONFLICT),
    (exceptions.ServerError, Reason.SERVER_ERROR),
)
_PERMANENT: Final = (
    (exceptions.Forbidden, Reason.DENIED),
    (exceptions.Unauthorized, Reason.DENIED),
    (exceptions.NotFound, Reason.NOT_FOUND),
)


class GcpSecretManager:
    """Keeps a credential as the payload of a secret's latest version.

    `connect` makes the client at the first call, with the credentials of the environment.
    """

    def __init__(
        self,
        project: str,
        secret: str,
        connect: Callable[[], SecretManagerServiceClient] = SecretManagerServiceClient,
    ) -> None:
        self._secret = f"projects/{project}/secrets/{secret}"
        self._pending = self._secret + SUFFIX
        self._connect = connect

    @property
    def name(self) -> str:
        """Return the kind and the secret."""
        return f"gcp:{self._secret}"

    def check(self) -> None:
        """Do nothing: whoever may add a version owns the secret."""

    def read_current(self) -> Slot | None:
        """Return the latest version."""
        with self._reading():
            return self._access(self._secret)

    def read_pending(self) -> Slot | None:
        """Return the latest version of the pending secret."""
        with self._reading():
            return self._access(self._pending)

    def read_previous(self, pair: Pair) -> Slot | None:
        """Return the newest version that is the old one."""
        with self._reading():
            return self._old(pair)

    def put_pending(self, value: Secret, pair: Pair, token: str) -> None:
        """Add a version to the pending secret."""
        del token
        with self._reading():
            current, pending = self._access(self._secret), self._access(self._pending)
            if judging.must_put(self.name, current, pending, pair):
                self._add(self._pending, value)

    def promote(self, pair: Pair, token: str) -> None:
        """Add the pending value as the next version, then destroy the pending one."""
        del token
        with self._reading():
            current = self._access(self._secret)
            if judging.must_promote(self.name, current, pair):
                new = judging.waiting(self.name, self._access(self._pending), pair)
                self._set(current, new.value, pair, Side.NEW)
            self._forget_pending(pair)

    def roll_back(self, pair: Pair, token: str) -> None:
        """Add the old value, as its version keeps it, as the next version."""
        del token
        with self._reading():
            current = self._access(self._secret)
            if judging.must_roll_back(self.name, current, pair):
                old = judging.kept(self.name, self._old(pair))
                self._set(current, old.value, pair, Side.OLD)

    def drop_pending(self, pair: Pair, token: str) -> None:
        """Destroy the pending version, if it holds the new value."""
        del token
        with self._reading():
            self._forget_pending(pair)

    def clean_up(self, pair: Pair, token: str) -> None:
        """Destroy the pending version; the old value stays among the secret's versions."""
        self.drop_pending(pair, token)

    @cached_property
    def _client(self) -> SecretManagerServiceClient:
        logging.getLogger("google").setLevel(logging.WARNING)  # at DEBUG it writes payloads
        return self._connect()

    def _access(self, secret: str, version: str = LATEST) -> Slot | None:
        """Return a version; None if there is none, or it is disabled or destroyed."""
        try:
            found = self._client.access_secret_version(name=f"{secret}/versions/{version}", **_ONCE)
        except (exceptions.NotFound, exceptions.FailedPrecondition):
            return None
        data = found.payload.data
        if found.payload.data_crc32c != google_crc32c.value(data):
            raise TransientError(Reason.UNFAITHFUL, f"{self.name}: the payload came damaged")
        return Slot(Secret(data.decode()), _number(found.name))

    def _old(self, pair: Pair) -> Slot | None:
        listed = self._client.list_secret_versions(
            request={"parent": self._secret, "page_size": LOOKED_BACK}, **_ONCE
        )
        enabled = (one for one in listed if one.state == SecretVersion.State.ENABLED)
        numbers = (_number(one.name) for one in islice(enabled, LOOKED_BACK))
        return judging.old_of((self._access(self._secret, number) for number in numbers), pair)

    def _set(self, judged: Slot | None, value: Secret, pair: Pair, wanted: Side) -> None:
        assert judged is not None
        written = self._add(self._secret, value)
        if int(written) != int(judged.version) + 1:
            raise ThirdWriterError(
                f"{self.name}: version {written} was written on top of another writer's"
            )
        judging.confirm(self.name, self._access(self._secret), pair, wanted)

    def _add(self, secret: str, value: Secret) -> str:
        data = value.reveal().encode()
        payload = SecretPayload(data=data, data_crc32c=google_crc32c.value(data))
        added = self._client.add_secret_version(parent=secret, payload=payload, **_ONCE)
        return _number(added.name)

    def _forget_pending(self, pair: Pair) -> None:
        pending = self._access(self._pending)
        if pending is not None and judging.waits(pending, pair):
            version = f"{self._pending}/versions/{pending.version}"
            self._client.destroy_secret_version(name=version, **_ONCE)

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """Turn the SDK's errors into ours; their texts are not shown."""
        try:
            yield
        except exceptions.GoogleAPICallError as error:
            raise self._trouble(error) from None
        except TransportError:
            raise TransientError(Reason.UNREACHABLE, f"{self.name}: no sign-in") from None
        except GoogleAuthError as error:
            said = f"{self.name}: {type(error).__name__}"
            raise PermanentError(Reason.DENIED, said) from None
        except UnicodeDecodeError:
            raise PermanentError(Reason.INVALID, f"{self.name}: it holds no text") from None

    def _trouble(self, error: exceptions.GoogleAPICallError) -> PortError:
        said = f"{self.name}: {type(error).__name__}"
        for kind, reason in _TRANSIENT:
            if isinstance(error, kind):
                return TransientError(reason, said)
        found = (reason for kind, reason in _PERMANENT if isinstance(error, kind))
        return PermanentError(next(found, Reason.INVALID), said)


def _number(name: str) -> str:
    return name.rpartition("/")[2]


def read(section: Section) -> GcpSecretManager:
    """Read the entry of type `gcp`."""
    project, secret = section.text("project"), section.text("secret")
    for field, value in (("project", project), ("secret", secret)):
        if not value:
            section.problem(f'field "{field}" is missing')
    return GcpSecretManager(project, secret)

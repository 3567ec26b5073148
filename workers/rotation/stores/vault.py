"""Store `vault`: one field of a secret in a KV version 2 engine of HashiCorp Vault or OpenBao.

The pending slot is a secret of its own, `PATH-pending`. Promotion writes the secret with `cas`, the
version that was judged, so that nothing of anybody is overwritten; its other fields stay. The old
value is found in the secret's versions.

Least privilege: read and update on `MOUNT/data/PATH`; create, read and update on
`MOUNT/data/PATH-pending`, and delete on `MOUNT/metadata/PATH-pending`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import hvac
from hvac import exceptions
from requests import exceptions as http

from workers.outbound import callable_url
from workers.rotation.errors import PermanentError, PortError, Reason, TransientError
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Pair, Side, Slot
from workers.rotation.stores import judging
from workers.section import Secret as Given
from workers.section import SecretUnreadableError, Section

SUFFIX: Final = "-pending"
MOUNT: Final = "secret"
FIELD: Final = "api_key"
TIMEOUT: Final = (3.0, 8.0)
LOOKED_BACK: Final = 10
"""Versions in which the old value is looked for: what an engine keeps unless told otherwise."""

SERVICE_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")

_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "token": ("token",),
    "approle": ("role", "secret_id"),
    "kubernetes": ("role",),
}
_CAS: Final = "check-and-set"


class Login(NamedTuple):
    """How to sign in: with a token, an AppRole, or the service account of a pod."""

    method: str
    mount: str = ""
    token: Given | None = None
    role: str = ""
    secret_id: Given | None = None
    jwt: Given | None = None

    def sign_in(self, client: hvac.Client) -> None:
        """Give the client a token; secrets in files are read anew, so that they may change."""
        if self.method == "token":
            client.token = _reveal(self.token)
        elif self.method == "approle":
            client.auth.approle.login(
                self.role, _reveal(self.secret_id), mount_point=self.mount or "approle"
            )
        else:
            client.auth.kubernetes.login(
                self.role,
                _reveal(self.jwt or Given(file=SERVICE_ACCOUNT)),
                mount_point=self.mount or "kubernetes",
            )


class Server(NamedTuple):
    """Where the server is; `ca_file` is empty for the system's own authorities."""

    address: str
    namespace: str
    ca_file: str
    login: Login

    def client(self) -> hvac.Client:
        """Return a client that is not signed in."""
        return hvac.Client(
            url=self.address,
            token="",  # or it would look for one in the environment
            namespace=self.namespace or None,
            verify=self.ca_file or True,
            timeout=TIMEOUT,
        )


class Read(NamedTuple):
    """A version of a secret: its number and all its fields."""

    version: int
    fields: Mapping[str, Any]


class Vault:
    """Keeps a credential as one field of a secret."""

    def __init__(self, server: Server, mount: str, path: str, field: str) -> None:
        self._server = server
        self._mount = mount
        self._path = path
        self._field = field

    @property
    def name(self) -> str:
        """Return the kind, the path and the field."""
        return f"vault:{self._mount}/{self._path}#{self._field}"

    def check(self) -> None:
        """Do nothing: whoever may write a path owns it."""

    def read_current(self) -> Slot | None:
        """Return the field as it is in the secret's newest version."""
        with self._signed_in() as client:
            return self._slot(self._read(client, self._path))

    def read_pending(self) -> Slot | None:
        """Return the field as it is in the pending secret."""
        with self._signed_in() as client:
            return self._slot(self._read(client, self._path + SUFFIX))

    def read_previous(self, pair: Pair) -> Slot | None:
        """Return the newest version of the secret that has the old value."""
        with self._signed_in() as client:
            return self._old(client, pair)

    def put_pending(self, value: Secret, pair: Pair, token: str) -> None:
        """Write the pending secret, if it is still as it was read."""
        del token
        with self._signed_in() as client:
            path = self._path + SUFFIX
            current, read = self._slot(self._read(client, self._path)), self._read(client, path)
            pending = self._slot(read)
            if judging.must_put(self.name, current, pending, pair):
                version = read.version if read else 0
                if not self._write(client, path, {self._field: value.reveal()}, version):
                    raise TransientError(Reason.CONFLICT, f"{self.name}: the pending key changed")

    def promote(self, pair: Pair, token: str) -> None:
        """Write the new value into the secret, then remove the pending one with its versions."""
        del token
        with self._signed_in() as client:
            read = self._read(client, self._path)
            if judging.must_promote(self.name, self._slot(read), pair):
                pending = self._slot(self._read(client, self._path + SUFFIX))
                new = judging.waiting(self.name, pending, pair)
                self._set(client, read, new.value, pair, Side.NEW)
            self._forget_pending(client, pair)

    def roll_back(self, pair: Pair, token: str) -> None:
        """Write the old value into the secret, as its versions keep it."""
        del token
        with self._signed_in() as client:
            read = self._read(client, self._path)
            if judging.must_roll_back(self.name, self._slot(read), pair):
                old = judging.kept(self.name, self._old(client, pair))
                self._set(client, read, old.value, pair, Side.OLD)

    def drop_pending(self, pair: Pair, token: str) -> None:
        """Remove the pending secret with its versions, if it holds the new value."""
        del token
        with self._signed_in() as client:
            self._forget_pending(client, pair)

    def clean_up(self, pair: Pair, token: str) -> None:
        """Remove the pending secret; the old value stays among the secret's versions."""
        self.drop_pending(pair, token)

    def _old(self, client: hvac.Client, pair: Pair) -> Slot | None:
        newest = self._read(client, self._path)
        if newest is None:
            return None
        oldest = max(0, newest.version - LOOKED_BACK)
        reads = (self._read(client, self._path, at) for at in range(newest.version, oldest, -1))
        return judging.old_of((self._slot(read) for read in reads), pair)

    def _read(self, client: hvac.Client, path: str, version: int | None = None) -> Read | None:
        """Return a version, the newest if none is named; None if it is deleted or never was."""
        try:
            answer = client.secrets.kv.v2.read_secret_version(
                path, version=version, mount_point=self._mount, raise_on_deleted_version=False
            )
        except exceptions.InvalidPath:
            return None
        try:
            found = answer["data"]
            return Read(int(found["metadata"]["version"]), found["data"] or {})
        except (KeyError, TypeError, ValueError):  # something else answers in its place
            said = f"{self.name}: the answer is none of a KV version 2 engine"
            raise TransientError(Reason.SERVER_ERROR, said) from None

    def _slot(self, read: Read | None) -> Slot | None:
        value = read and read.fields.get(self._field)
        if not read or not value:
            return None
        if not isinstance(value, str):
            raise PermanentError(Reason.INVALID, f"{self.name}: the field holds no text")
        return Slot(Secret(value), str(read.version))

    def _set(
        self, client: hvac.Client, read: Read | None, value: Secret, pair: Pair, wanted: Side
    ) -> None:
        """Write the field over the version that was judged, all others as they were there."""
        assert read is not None
        fields = {**read.fields, self._field: value.reveal()}
        if not self._write(client, self._path, fields, read.version):
            now = self._slot(self._read(client, self._path))
            judging.lost(self.name, now, pair, wanted)

    def _write(
        self, client: hvac.Client, path: str, fields: Mapping[str, Any], version: int
    ) -> bool:
        """Write a secret if `version` is its newest; say whether it was."""
        try:
            client.secrets.kv.v2.create_or_update_secret(
                path, dict(fields), cas=version, mount_point=self._mount
            )
        except exceptions.InvalidRequest as error:
            if not any(_CAS in text for text in error.errors or ()):
                raise
            return False
        return True

    def _forget_pending(self, client: hvac.Client, pair: Pair) -> None:
        path = self._path + SUFFIX
        if judging.waits(self._slot(self._read(client, path)), pair):
            client.secrets.kv.v2.delete_metadata_and_all_versions(path, mount_point=self._mount)

    @contextmanager
    def _signed_in(self) -> Iterator[hvac.Client]:
        """Yield a client of its own for each call: no token grows old in our hands."""
        try:
            client = self._server.client()
            try:
                self._server.login.sign_in(client)
                yield client
            finally:
                client.adapter.close()
        except SecretUnreadableError as error:
            raise TransientError(Reason.DENIED, f"{self.name}: {error}") from None
        except exceptions.VaultError as error:
            raise self._trouble(error) from None
        except http.Timeout:
            raise TransientError(Reason.TIMEOUT, f"{self.name}: no answer in time") from None
        except http.ConnectionError:
            raise TransientError(Reason.UNREACHABLE, f"{self.name}: no connection") from None
        except (http.RequestException, OSError) as error:
            raise PermanentError(Reason.INVALID, f"{self.name}: {type(error).__name__}") from None

    def _trouble(self, error: exceptions.VaultError) -> PortError:
        """Return what an answer means; its text is not shown, it may repeat what was sent."""
        said = f"{self.name}: {type(error).__name__}"
        if isinstance(error, (exceptions.Forbidden, exceptions.Unauthorized)):
            return PermanentError(Reason.DENIED, said)
        if isinstance(error, exceptions.RateLimitExceeded):
            return TransientError(Reason.RATE_LIMITED, said)
        if isinstance(error, exceptions.InvalidPath):
            return PermanentError(Reason.NOT_FOUND, said)
        if isinstance(error, (exceptions.InvalidRequest, exceptions.UnsupportedOperation)):
            return PermanentError(Reason.INVALID, said)
        return TransientError(Reason.SERVER_ERROR, said)


def _reveal(given: Given | None) -> str:
    return given.reveal() if given else ""


def read(section: Section) -> Vault:
    """Read the entry of type `vault`."""
    address, path = section.text("address"), section.text("path").strip("/")
    if not callable_url(address):
        section.problem('field "address" must be an http or https URL', "address")
    if not path:
        section.problem('field "path" is missing: the secret, without mount and "data/"')
    server = Server(
        address=address,
        namespace=section.text("namespace"),
        ca_file=section.text("ca_file"),
        login=_login(section),
    )
    mount = section.text("mount", MOUNT).strip("/")
    return Vault(server, mount, path, section.text("field", FIELD))


def _login(section: Section) -> Login:
    inner = section.section("auth") or Section(None, "auth", section.findings)
    given = {name: inner.secret(name) for name in ("token", "secret_id", "jwt")}
    login = Login(inner.text("method"), inner.text("mount"), role=inner.text("role"), **given)
    needed = _NEEDED.get(login.method)
    if needed is None:
        section.problem('"auth.method" must be token, approle or kubernetes', "auth")
    for name in needed or ():
        if not getattr(login, name):
            inner.problem(f'auth by {login.method} needs "{name}"')
    inner.close()
    return login

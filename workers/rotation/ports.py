"""What the machine needs of the world: stores, an issuer, a rollout, a verifier.

Rules for every adapter. A call ends within 30 s. It may be made twice with the same arguments and
then changes nothing the second time. It asks before it writes: a place that is already as wanted is
success. It raises nothing but the errors of `workers.rotation.errors.PortError`, whose messages
hold no secret. It opens its connection at the first call, never when it is built: every role
reads the configuration, only the rotation worker has the credentials.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from workers.rotation.fingerprint import Fingerprint, Secret

CALL_SECONDS = 30.0
"""The longest that one call of a port may take."""


class Side(StrEnum):
    """Whose value a place holds."""

    OLD = "old"
    NEW = "new"
    THIRD = "third"


class Pair(NamedTuple):
    """The two values between which a rotation moves, by their fingerprints."""

    old: str
    new: str
    of: Fingerprint

    def judge(self, value: Secret) -> Side:
        """Say which of the two a value is, or that it is neither."""
        return {self.new: Side.NEW, self.old: Side.OLD}.get(self.of(value), Side.THIRD)


class Slot(NamedTuple):
    """A value as it lies in a store; `version` is the store's own word for it, no secret."""

    value: Secret
    version: str


class Store(Protocol):
    """A place from which applications take the credential.

    It has a current slot, which they read, and a pending one, which they do not. `token` is a UUID,
    the same for the same step of the same rotation. `name` shows in alerts, logs and the history.
    """

    @property
    def name(self) -> str:
        """Kind and place, unique within one credential, such as `vault:secret/synap`."""
        ...

    def check(self) -> None:
        """See that the place is ours to write to, before a key is made for it; changes nothing.

        Raises:
            TransientError, PermanentError, RefusedError.
        """
        ...

    def read_current(self) -> Slot | None:
        """Return what applications get now; None when there is nothing.

        Raises:
            TransientError, PermanentError, RefusedError.
        """
        ...

    def read_pending(self) -> Slot | None:
        """Return what waits to be promoted; None when there is nothing.

        Raises:
            TransientError, PermanentError, RefusedError.
        """
        ...

    def read_previous(self, pair: Pair) -> Slot | None:
        """Return the old value after the promotion, as `roll_back` would bring it back.

        Before the promotion, and when current is the old value again, that is current itself.
        None when it is not kept any more.

        Raises:
            TransientError, PermanentError, RefusedError.
        """
        ...

    def put_pending(self, value: Secret, pair: Pair, token: str) -> None:
        """Put the new value where nobody reads it yet.

        Current must be the old value or already the new one. Pending may be empty, the old value,
        or already the new one.

        Raises:
            ThirdWriterError: current or pending holds something else; nothing was written.
            RefusedError: something else owns the place; nothing was written.
            TransientError, PermanentError.
        """
        ...

    def promote(self, pair: Pair, token: str) -> None:
        """Make the pending value current, if current is still the old one (compare-and-set).

        Current already the new one is success. The old value stays readable for `roll_back`.

        Raises:
            ThirdWriterError: current is neither old nor new; nothing was written.
            PermanentError: reason `key_lost`, pending does not hold the new value.
            TransientError, RefusedError.
        """
        ...

    def roll_back(self, pair: Pair, token: str) -> None:
        """Make the old value current again, if current is the new one (compare-and-set).

        Current already the old one is success.

        Raises:
            ThirdWriterError: current is neither old nor new; nothing was written.
            PermanentError: reason `key_lost`, the old value is not kept any more.
            TransientError, RefusedError.
        """
        ...

    def drop_pending(self, pair: Pair, token: str) -> None:
        """Remove the new value from the pending slot, if it lies there; current stays.

        Raises:
            TransientError, PermanentError, RefusedError.
        """
        ...

    def clean_up(self, pair: Pair, token: str) -> None:
        """Remove what the rotation left: pending marks, and the old value where it lies apart.

        Called when the old key is revoked and confirmed dead.

        Raises:
            TransientError, PermanentError, RefusedError.
        """
        ...


class Issued(NamedTuple):
    """A key that was made; `key_id` names it at the issuer, it is no secret."""

    key_id: str
    value: Secret


class Found(NamedTuple):
    """A key that exists at the issuer; its value cannot be had any more."""

    key_id: str
    name: str


class Issuer(Protocol):
    """Makes and revokes keys. A credential without one is served by a person."""

    def issue(self, name: str, token: str) -> Issued:
        """Make a key with this name; `token` is its idempotency key.

        Raises:
            TransientError: it may or may not have been made: `find` tells.
            PermanentError.
        """
        ...

    def find(self, name: str) -> Sequence[Found]:
        """Return the live keys whose name is exactly this.

        Raises:
            TransientError, PermanentError.
        """
        ...

    def revoke(self, key_id: str, token: str) -> None:
        """Revoke a key; one that is gone or revoked already is success.

        Raises:
            TransientError, PermanentError.
        """
        ...


class Stamp(NamedTuple):
    """What marks the restarts of one rotation; the same restart always has the same stamp.

    `rotation` is the rotation's id, with `-rb` behind it when it goes back; `at` (Unix seconds)
    was fixed when the rollout began.
    """

    rotation: str
    at: float
    token: str


class Phase(StrEnum):
    """How far a wave is."""

    ABSENT = "absent"
    """It was not started with this stamp."""
    UNKNOWN = "unknown"
    """Whether it was started cannot be told: it must not be started a second time."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    HELD = "held"
    """Somebody paused a workload."""


class Progress(NamedTuple):
    """How far a wave is, in one word and one line for people.

    `later` names workloads that take the new key at their next start (none runs now).
    """

    phase: Phase
    detail: str = ""
    later: tuple[str, ...] = ()


class Rollout(Protocol):
    """Brings the applications to read the credential anew.

    A wave is a tuple of workload names; the first wave is the canary.
    """

    def waves(self) -> Sequence[tuple[str, ...]]:
        """Return the waves; asked once per rotation and kept in its record.

        Raises:
            TransientError, PermanentError.
        """
        ...

    def status(self, wave: tuple[str, ...], stamp: Stamp) -> Progress:
        """Return how far this wave is under this stamp; changes nothing.

        Raises:
            TransientError, PermanentError.
        """
        ...

    def start(self, wave: tuple[str, ...], stamp: Stamp) -> None:
        """Restart the wave's workloads; one that has this stamp already is left alone.

        Raises:
            TransientError, PermanentError, RefusedError.
        """
        ...


class Live(NamedTuple):
    """The key works; what the answer does not say is empty. `credits` False: the account has none.

    Identity is `(client_id, instance_id)`.
    """

    client_id: str = ""
    instance_id: str = ""
    credits: bool = True


class Dead(NamedTuple):
    """The key is refused as a credential (401)."""

    code: str = ""


class Unclear(NamedTuple):
    """The answer says nothing about the key; `after` is the wait in seconds that was asked for.

    `final` is True when asking again will not help (403).
    """

    reason: str
    after: float | None = None
    final: bool = False


Verdict = Live | Dead | Unclear


class Verifier(Protocol):
    """Asks Synap who a key is."""

    def whoami(self, key: Secret) -> Verdict:
        """Return what the API says of the key; never raises."""
        ...

"""A secret that never shows itself, and the fingerprint that may be shown in its place.

The fingerprint is keyed with a pepper that is made once and kept in Redis beside the records. It
is no setting on purpose: every process and the operator's shell must agree on it, it must not
change while a rotation is under way (a changed pepper would look like a third writer in every
store), and it is worth exactly as much as the records, with which it is kept and lost. What it
protects against is that fingerprints of different installations can be compared. It need not
protect the keys: they are random, some 350 bits, and 48 bits of a digest give none of them away.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable
from typing import Any, Final, NoReturn, TypeAlias

from redis import Redis

SHOWN_WITH: Final = b"synap-hooks"
SHOWN_CHARS: Final = 16

PEPPER_BYTES: Final = 32
FINGERPRINT_CHARS: Final = 12


class Secret:
    """A credential in memory: it shows `***`, and neither pickle nor JSON takes it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the secret itself, for the one call that needs it."""
        return self._text

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)

    def __bool__(self) -> bool:
        return bool(self._text)

    def __repr__(self) -> str:
        return "Secret(***)"

    def __str__(self) -> str:
        return "***"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


Fingerprint: TypeAlias = Callable[[Secret], str]
"""Returns the 12 hex digits that stand for a secret."""


class Peppered:
    """Makes the fingerprints of one installation; the pepper is read at the first one."""

    def __init__(self, pepper: Callable[[], bytes]) -> None:
        self._read = pepper
        self._pepper = b""

    def __call__(self, secret: Secret) -> str:
        """Return the 12 hex digits that stand for a secret."""
        self._pepper = self._pepper or self._read()
        digest = hmac.new(self._pepper, secret.reveal().encode(), hashlib.sha256)
        return digest.hexdigest()[:FINGERPRINT_CHARS]


def shown(secret: Secret) -> str:
    """Return the digits by which an application shows which key it uses.

    Applications know no pepper, so this digest has a key that everybody knows; of a text of some
    350 random bits it gives nothing away either.
    """
    digest = hmac.new(SHOWN_WITH, secret.reveal().encode(), hashlib.sha256)
    return digest.hexdigest()[:SHOWN_CHARS]


def pepper_key(prefix: str) -> str:
    """Name the pepper (string, made once, never changed)."""
    return f"{prefix}:rotation:pepper"


def peppered(redis: Redis, prefix: str) -> Peppered:
    """Return what makes this installation's fingerprints; the first one ever makes the pepper."""

    def read() -> bytes:
        redis.set(pepper_key(prefix), secrets.token_bytes(PEPPER_BYTES), nx=True)
        pepper: Any = redis.get(pepper_key(prefix))
        return bytes(pepper)

    return Peppered(read)

"""Signatures of deliveries: `X-Synap-Signature: sha256=<64 lower-case hex digits>`.

HMAC-SHA256 over the raw body with the endpoint's signing secret, as the sender's production
checklist documents it. Pure: bytes in, a key or an error out.
"""

from __future__ import annotations

import hmac
import re
from binascii import hexlify
from collections.abc import Sequence
from typing import Final

from receiver.errors import Refusal, SignatureError

HEADER: Final = b"x-synap-signature"

_SCHEME: Final = b"sha256="
_FORM: Final = re.compile(rb"sha256=[0-9a-f]{64}")


class SigningKey:
    """A signing secret under a label that may be shown; of the secret only its use is kept.

    Args:
        label: how the key is called in logs and metrics.
        secret: what Synap signs with.
    """

    __slots__ = ("_keyed", "label")

    def __init__(self, label: str, secret: bytes) -> None:
        self.label = label
        self._keyed = hmac.new(secret, digestmod="sha256")

    def digest(self, body: bytes) -> bytes:
        """Return HMAC-SHA256 of `body`: 32 bytes."""
        # A copy of a keyed state costs half of keying it for every body.
        state = self._keyed.copy()
        state.update(body)
        return state.digest()

    def __repr__(self) -> str:
        return f"SigningKey(label={self.label!r}, secret=***)"


def sign(body: bytes, key: SigningKey) -> str:
    """Return the header value that Synap would send for `body`."""
    return "sha256=" + key.digest(body).hex()


def verify(body: bytes, header: bytes | None, keys: Sequence[SigningKey]) -> SigningKey:
    """Return the key that signed `body`.

    Every key is tried and compared in constant time, whichever matches first.

    Raises:
        SignatureError: the header is missing, malformed, or matches no key.
    """
    if header is None:
        raise SignatureError(Refusal.MISSING)
    matching = None
    for key in keys:
        expected = _SCHEME + hexlify(key.digest(body))
        if hmac.compare_digest(expected, header):
            matching = matching or key
    if matching is not None:
        return matching
    # Only an exact match was let through above; the form decides what a refusal is called.
    form = _FORM.fullmatch(header)
    raise SignatureError(Refusal.MISMATCH if form else Refusal.MALFORMED)

"""Signatures of deliveries: `X-Synap-Signature: sha256=<64 lower-case hex digits>`.

HMAC-SHA256 over the raw body with the endpoint's signing secret, as the sender's production
checklist documents it. Pure: bytes in, a key or an error out.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from receiver.errors import Refusal, SignatureError

HEADER: Final = b"x-synap-signature"

_FORM: Final = re.compile(rb"sha256=([0-9a-f]{64})")


class SigningKey(NamedTuple):
    """A signing secret under a label that may be shown; the secret itself never is."""

    label: str
    secret: bytes

    def __repr__(self) -> str:
        return f"SigningKey(label={self.label!r}, secret=***)"


def sign(body: bytes, key: SigningKey) -> str:
    """Return the header value that Synap would send for `body`."""
    return "sha256=" + hmac.digest(key.secret, body, "sha256").hex()


def verify(body: bytes, header: bytes | None, keys: Sequence[SigningKey]) -> SigningKey:
    """Return the key that signed `body`.

    Every key is tried and compared in constant time, whichever matches first.

    Raises:
        SignatureError: the header is missing, malformed, or matches no key.
    """
    if header is None:
        raise SignatureError(Refusal.MISSING)
    form = _FORM.fullmatch(header)
    if form is None:
        raise SignatureError(Refusal.MALFORMED)
    claimed = form[1]
    matching = None
    for key in keys:
        expected = hmac.digest(key.secret, body, "sha256").hex().encode()
        if hmac.compare_digest(expected, claimed) and matching is None:
            matching = key
    if matching is None:
        raise SignatureError(Refusal.MISMATCH)
    return matching

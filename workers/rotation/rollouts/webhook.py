"""Rollout `webhook`: a signed call that begins a wave, and one that asks how far it is.

Both are POSTs of the same body, `{"rotation", "wave", "at", "token"}`, signed like notifications:
`X-Synap-Hooks-Signature: t=<timestamp>,v1=<hex>` over `<timestamp>.<body>`, and with an
`Idempotency-Key` that is the same for the same wave of the same rotation. The status answers
`{"phase": "absent|running|done|failed|held", "detail": "..."}`; 404 means absent.
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID, uuid5

import orjson

from workers.outbound import Answer, callable_url, redact
from workers.rotation.calling import Request, call, json_of
from workers.rotation.errors import PermanentError, Reason, TransientError
from workers.rotation.ports import Phase, Progress, Stamp
from workers.rotation.rollouts.waves import read_waves
from workers.section import Secret, SecretUnreadableError, Section

SIGNATURE: Final = "x-synap-hooks-signature"
IDEMPOTENCY: Final = "idempotency-key"
DETAIL_CHARS: Final = 200

_ABSENT: Final = 404
_PHASES: Final = tuple(Phase)


class Webhook:
    """Asks a server of the operator's own to restart, and how far it is."""

    def __init__(
        self,
        url: Secret,
        status_url: Secret,
        signing_key: Secret,
        waves: Sequence[tuple[str, ...]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._url = url
        self._status_url = status_url
        self._signing_key = signing_key
        self._waves = waves
        self._clock = clock

    def waves(self) -> Sequence[tuple[str, ...]]:
        """Return the waves of the configuration."""
        return self._waves

    def status(self, wave: tuple[str, ...], stamp: Stamp) -> Progress:
        """Ask how far the wave is."""
        answer = self._call(self._status_url, wave, stamp, frozenset({_ABSENT}))
        if answer.status == _ABSENT:
            return Progress(Phase.ABSENT, "it knows of no such wave")
        return _progress(json_of(answer, "webhook"))

    def start(self, wave: tuple[str, ...], stamp: Stamp) -> None:
        """Ask to begin the wave; the same call again is told by its key."""
        self._call(self._url, wave, stamp)

    def _call(
        self,
        target: Secret,
        wave: tuple[str, ...],
        stamp: Stamp,
        also: frozenset[int] = frozenset(),
    ) -> Answer:
        now = self._clock()
        token = str(uuid5(UUID(stamp.token), "/".join(wave)))
        body = orjson.dumps(
            {"rotation": stamp.rotation, "wave": wave, "at": stamp.at, "token": token}
        )
        try:
            url, key = target.reveal(), self._signing_key.reveal()
        except SecretUnreadableError as error:
            raise TransientError(Reason.NOT_FOUND, f"webhook: {error}") from None
        headers = {SIGNATURE: signature(body, key, int(now)), IDEMPOTENCY: token}
        return call(Request(f"webhook {redact(url)}", "POST", url, body, headers, also), now)


def signature(body: bytes, key: str, timestamp: int) -> str:
    """Return the header by which the other side knows that the call is ours and fresh."""
    signed = b"%d.%b" % (timestamp, body)
    return f"t={timestamp},v1={hmac.digest(key.encode(), signed, 'sha256').hex()}"


def _progress(said: Any) -> Progress:
    phase = said.get("phase") if isinstance(said, dict) else None
    if phase not in _PHASES:
        raise PermanentError(Reason.INVALID, "webhook: the status names no phase that is known")
    return Progress(Phase(phase), str(said.get("detail", ""))[:DETAIL_CHARS])


def read(section: Section) -> Webhook:
    """Read the entry of type `webhook`; URLs may be in files, since many carry a secret."""
    key = section.secret("signing_key")
    if key is None:
        section.problem('"signing_key" or "signing_key_file" is missing')
    return Webhook(
        url=_url(section, "url"),
        status_url=_url(section, "status_url"),
        signing_key=key or Secret(),
        waves=read_waves(section),
    )


def _url(section: Section, name: str) -> Secret:
    found = section.secret(name)
    if found is None:
        section.problem(f'"{name}" or "{name}_file" is missing')
    elif found.value and not callable_url(found.reveal()):
        section.problem(f"{name} must be an http or https URL", name)
    return found or Secret()

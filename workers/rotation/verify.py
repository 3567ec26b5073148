"""Asking Synap who a key is, and what the answer means.

200      the key lives; the identity is compared
401      it is dead
402      it lives, the account has no credits
403      it is known and may not: asking again does not help
others   say nothing about the key
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import orjson

from workers.outbound import Answer, Outbound, OutboundError, retry_after
from workers.rotation.errors import Reason
from workers.rotation.fingerprint import Secret
from workers.rotation.ports import Dead, Live, Unclear, Verdict

WHOAMI: Final = "/api/v1/auth/whoami"
API_URL: Final = "https://api.synap.maximem.ai"

_SHAPE: Final = re.compile(r"synap_[A-Za-z0-9]{40,100}")
_DENIED, _NO_CREDITS, _FORBIDDEN, _TOO_MANY = 401, 402, 403, 429
_SERVER: Final = 500


class Whoami:
    """Asks the API; `clock` (Unix seconds) reads a Retry-After that is a date."""

    def __init__(self, outbound: Outbound, api_url: str, clock: Callable[[], float]) -> None:
        self._outbound = outbound
        self._url = api_url.rstrip("/") + WHOAMI
        self._clock = clock

    def whoami(self, key: Secret) -> Verdict:
        """Return what the API says of the key; never raises."""
        if not well_formed(key):
            return Unclear(Reason.WRONG_SHAPE, final=True)
        headers = {"authorization": f"Bearer {key.reveal()}", "accept": "application/json"}
        try:
            answer = self._outbound.call("GET", self._url, None, headers)
        except OutboundError:
            return Unclear(Reason.UNREACHABLE)
        return self._judge(answer)

    def _judge(self, answer: Answer) -> Verdict:
        said = _object(answer.body)
        if answer.ok or answer.status == _NO_CREDITS:
            client_id, instance_id = _text(said, "client_id"), _text(said, "instance_id")
            return Live(client_id, instance_id, credits=answer.ok)
        if answer.status == _DENIED:
            return Dead(_text(said, "code"))
        if answer.status == _FORBIDDEN:
            return Unclear(Reason.FORBIDDEN, final=True)
        if answer.status == _TOO_MANY:
            wait = retry_after(answer.headers, self._clock())
            return Unclear(Reason.RATE_LIMITED, after=wait)
        if answer.status >= _SERVER:
            return Unclear(Reason.SERVER_ERROR, after=retry_after(answer.headers, self._clock()))
        return Unclear(Reason.INVALID)


def well_formed(key: Secret) -> bool:
    """Say whether a text has the shape of an API key."""
    return _SHAPE.fullmatch(key.reveal()) is not None


def _object(body: bytes) -> Mapping[str, Any]:
    """Return the answer's object; what is none is an empty one."""
    try:
        said = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if not isinstance(said, dict):
        return {}
    inner = said.get("data")
    return {**inner, **said} if isinstance(inner, dict) else said


def _text(said: Mapping[str, Any], name: str) -> str:
    found = said.get(name)
    return found[:128] if isinstance(found, str) else ""

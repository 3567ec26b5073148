"""boto3, made to call out through the one guarded client.

botocore asks those who listen to `before-send` for an answer before it opens a connection of its
own; here one always gives it. So what it signs goes out as every other call does: short time-outs,
no redirects, TLS verified, bounded answers, one attempt. That holds for the calls by which it
assumes a role, too; not for the machine's or the pod's own metadata service, which it asks itself.
boto3 is an optional part of the installation and loaded when it is first used.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from importlib import import_module
from io import BytesIO
from typing import Any, Final, NamedTuple

from workers.outbound import Limits, Outbound

_LIBRARY_LOGGERS: Final = ("boto3", "botocore", "urllib3")


class Identity(NamedTuple):
    """Whose calls they are; what is empty the surroundings name, as for every AWS program."""

    access_key: str = ""
    secret_key: str = ""
    profile: str = ""


def open_session(
    outbound: Outbound, identity: Identity | None = None, *, limits: Limits | None = None
) -> Any:
    """Return boto3's session whose clients try once: trying again is the caller's.

    Args:
        outbound: the way out of all calls.
        identity: whose calls they are.
        limits: of each call; those of `outbound` where there are none.

    Raises:
        BotoCoreError: the profile is none.
    """
    for name in _LIBRARY_LOGGERS:
        # At DEBUG these write bodies, hence secrets, and as warnings what a server said.
        logging.getLogger(name).setLevel(logging.ERROR)
    who = identity or Identity()
    core = import_module("botocore.session").Session(profile=who.profile or None)
    settings = import_module("botocore.config").Config(
        retries={"total_max_attempts": 1, "mode": "standard"}, user_agent_appid="synap-hooks"
    )
    core.set_default_client_config(settings)
    core.register("before-send", _Gate(outbound, limits))
    return import_module("boto3").Session(
        aws_access_key_id=who.access_key or None,
        aws_secret_access_key=who.secret_key or None,
        botocore_session=core,
    )


class _Gate(NamedTuple):
    """Answers a signed request in place of botocore's own connection."""

    outbound: Outbound
    limits: Limits | None

    def __call__(self, request: Any, **_: Any) -> Any:
        """Make the call; raise `OutboundError`, which botocore hands to the caller as it is."""
        answer = self.outbound.call(
            request.method,
            request.url,
            _encoded(request.body),
            _texts(request.headers),
            limits=self.limits,
        )
        made = import_module("botocore.awsrequest").AWSResponse
        return made(request.url, answer.status, answer.headers, _Whole(answer.body))


class _Whole(BytesIO):
    """A body that was read already, as botocore reads one."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """Yield all of it."""
        yield self.read()


def _encoded(body: str | bytes | bytearray | None) -> bytes | None:
    if isinstance(body, str):
        return body.encode()
    return None if body is None else bytes(body)


def _texts(headers: Mapping[str, str | bytes]) -> dict[str, str]:
    return {
        name: value.decode() if isinstance(value, bytes) else value
        for name, value in headers.items()
    }

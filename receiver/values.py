"""Values of settings as people write them; each refusal says how to write it instead."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, SecretStr

from receiver import sentinel

LINK: Final = re.compile(r"(tcp|udp|sctp)://")
"""What Kubernetes puts into `<SERVICE>_PORT` for each Service of a namespace."""

_MAX_PORT: Final = 65535
_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION: Final = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)\s*([smhd]?)")
_SIZES: Final = {"": 1, "KiB": 1 << 10, "MiB": 1 << 20}
_SIZE: Final = re.compile(r"([0-9]{1,12})\s*(KiB|MiB)?")
_SHARE: Final = re.compile(r"(0\.[0-9]{1,9}|1(?:\.0)?)|([0-9]{1,3})%")
_PREFIX: Final = re.compile(r"[A-Za-z0-9_.:{}-]{1,64}")


def duration(value: Any) -> float:
    """Return seconds from `10`, `0.5`, `10s`, `5m`, `2h` or `31d`.

    Raises:
        ValueError: the text is no duration; the message says how to write one.
    """
    match = _DURATION.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("must be a duration: seconds (10, 0.5) or 10s, 5m, 2h, 31d")
    return float(match[1]) * _UNITS[match[2]]


def duration_text(seconds: float) -> str:
    """Return a duration as people write it, in its largest whole unit: `31d`, `90s`, `0.5s`."""
    whole = (unit for unit in "dhm" if seconds and seconds % _UNITS[unit] == 0)
    unit = next(whole, "s")
    return f"{seconds / _UNITS[unit]:.12g}{unit}"


def size(value: Any) -> int:
    """Return bytes from `1048576`, `512KiB` or `1MiB`.

    Raises:
        ValueError: the text is no size; the message says how to write one.
    """
    match = _SIZE.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("must be a size: bytes (1048576) or 512KiB, 1MiB")
    return int(match[1]) * _SIZES[match[2] or ""]


def share(value: Any) -> float:
    """Return a share of one from `0.8` or `80%`.

    Raises:
        ValueError: the text is no share; the message says how to write one.
    """
    match = _SHARE.fullmatch(str(value).strip())
    if match is None:
        raise ValueError("must be a share: 0.8 or 80%")
    return float(match[1]) if match[1] else int(match[2]) / 100


def port_number(value: Any) -> int:
    """Return a TCP port.

    Raises:
        ValueError: no number up to 65535, or a link that Kubernetes injected.
    """
    text = str(value).strip()
    if LINK.match(text):
        raise ValueError(
            "looks like a link that Kubernetes injects for a Service of this name; "
            "set enableServiceLinks: false on the pod, or set the variable yourself"
        )
    if not text.isascii() or not text.isdigit() or int(text) > _MAX_PORT:
        raise ValueError("must be a port: a number from 0 (any free one) to 65535")
    return int(text)


def key_prefix(value: Any) -> str:
    """Return a prefix of Redis keys.

    Raises:
        ValueError: a character outside letters, digits and `_ . : - { }`, or over 64.
    """
    text = str(value)
    if not _PREFIX.fullmatch(text):
        raise ValueError("must be a key prefix: up to 64 letters, digits and _ . : - { }")
    return text


def redis_url(value: Any) -> Any:
    """Return a Redis URL unchanged.

    Raises:
        ValueError: another scheme than redis, rediss or unix, or Sentinels that are not complete.
    """
    text = value.get_secret_value() if isinstance(value, SecretStr) else str(value)
    if text.startswith(sentinel.SCHEMES):
        sentinel.parse(text)
    elif not text.startswith(("redis://", "rediss://", "unix://")):
        raise ValueError(
            "must be a Redis URL: redis://host:6379/0, rediss://…, unix://…, or redis+sentinel://…"
        )
    return value


Seconds = Annotated[float, BeforeValidator(duration)]
Share = Annotated[float, BeforeValidator(share)]
Bytes = Annotated[int, BeforeValidator(size)]
Port = Annotated[int, BeforeValidator(port_number)]
KeyPrefix = Annotated[str, BeforeValidator(key_prefix)]
RedisUrl = Annotated[SecretStr, BeforeValidator(redis_url)]

"""The environment, read once into frozen settings; every problem is reported at once.

Names with the `SYNAP_` prefix are this service's; a variable that is set but empty counts as not
set. `<NAME>_FILE` names a file that holds a secret, for each variable that holds one.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from receiver import keyfiles
from receiver.errors import SettingsError
from receiver.keyfiles import KeySource
from receiver.values import (
    LINK,
    Bytes,
    KeyPrefix,
    Port,
    RedisUrl,
    Seconds,
    Share,
    duration,
    duration_text,
)

HORIZON: Final = 14 * 3600 + 36 * 60.0
"""Seconds after which the sender gives up: its last attempt's age (production checklist)."""

CLOCK_SKEW: Final = 300.0
"""Seconds by which the sender's clock may be ahead of ours."""

_LINK_NAME: Final = re.compile(
    r".*(_SERVICE_HOST|_SERVICE_PORT(_\w+)?|_PORT_\d+_(TCP|UDP|SCTP)\w*)"
)

_ELSEWHERE: Final = (
    "SYNAP_WORKERS",
    "SYNAP_WORKERS_ADMIN_PORT",
    "SYNAP_CONFIG",
    "SYNAP_API_URL",
    "SYNAP_API_KEY",
    "SYNAP_API_KEY_FILE",
    "SYNAP_HANDLER_TIMEOUT",
    "SYNAP_LEASE",
    "SYNAP_MAX_ATTEMPTS",
    "SYNAP_RETRY_BASE",
    "SYNAP_RETRY_CAP",
    "SYNAP_SWEEP_INTERVAL",
    "SYNAP_SWEEP_GRACE",
    "SYNAP_TICK_LEASE",
    "SYNAP_TICK_REDIS_URL",
    "SYNAP_TICK_REDIS_URL_FILE",
    "SYNAP_DEAD_MEMORY_SHARE",
    "SYNAP_GRACE_PERIOD",
)
"""Names that another process of this service reads: never a misspelling here."""


class Problem(NamedTuple):
    """One thing that is wrong, and the variables that it speaks of."""

    variables: tuple[str, ...]
    text: str


class CommonSettings(BaseSettings):
    """What the receiver and the workers both need; durations are seconds."""

    model_config = SettingsConfigDict(
        frozen=True, extra="ignore", populate_by_name=True, hide_input_in_errors=True
    )

    redis_url: RedisUrl = Field(
        SecretStr("redis://127.0.0.1:6379/0"), validation_alias="SYNAP_REDIS_URL"
    )
    key_prefix: KeyPrefix = Field("synap", validation_alias="SYNAP_KEY_PREFIX")
    ack: Literal["memory", "fsync", "replica"] = Field("fsync", validation_alias="SYNAP_ACK")
    commit_timeout: Seconds = Field(5.0, gt=0, le=25, validation_alias="SYNAP_COMMIT_TIMEOUT")
    freshness_window: Seconds = Field(31 * 86400.0, validation_alias="SYNAP_FRESHNESS_WINDOW")
    dedup_window: Seconds = Field(32 * 86400.0, validation_alias="SYNAP_DEDUP_WINDOW")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias="SYNAP_LOG_LEVEL"
    )
    log_format: Literal["json", "console"] = Field("json", validation_alias="SYNAP_LOG_FORMAT")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take values from `load` alone, so that the environment is a parameter."""
        del settings_cls, env_settings, dotenv_settings, file_secret_settings
        return (init_settings,)

    def laws(self) -> Iterator[Problem]:
        """Yield what is wrong between values that are each right."""
        if self.freshness_window < HORIZON:
            yield Problem(
                ("SYNAP_FRESHNESS_WINDOW",),
                "SYNAP_FRESHNESS_WINDOW is shorter than the sender's last attempt at 14 h 36 m: "
                "its retries would be quarantined; set at least 52560s",
            )
        if self.dedup_window < self.freshness_window + CLOCK_SKEW:
            yield Problem(
                ("SYNAP_DEDUP_WINDOW", "SYNAP_FRESHNESS_WINDOW"),
                "SYNAP_DEDUP_WINDOW is shorter than SYNAP_FRESHNESS_WINDOW + 5m: an event could be "
                f"accepted twice; set at least {self.freshness_window + CLOCK_SKEW:.0f}s",
            )


class ReceiverSettings(CommonSettings):
    """What `python -m receiver` needs; durations are seconds, `shed_memory` is a share."""

    host: str = Field("0.0.0.0", validation_alias="SYNAP_HOST")  # noqa: S104  # runs in a pod
    port: Port = Field(8080, validation_alias="SYNAP_PORT")
    admin_port: Port = Field(9090, validation_alias="SYNAP_ADMIN_PORT")
    webhook_secret: SecretStr | None = Field(None, validation_alias="SYNAP_WEBHOOK_SECRET")
    webhook_secret_dir: str | None = Field(None, validation_alias="SYNAP_WEBHOOK_SECRET_DIR")
    max_body_bytes: Bytes = Field(
        1 << 20, ge=1024, le=64 << 20, validation_alias="SYNAP_MAX_BODY_BYTES"
    )
    body_timeout: Seconds = Field(10.0, gt=0, le=30, validation_alias="SYNAP_BODY_TIMEOUT")
    shutdown_delay: Seconds = Field(5.0, ge=0, le=300, validation_alias="SYNAP_SHUTDOWN_DELAY")
    shed_age: Seconds = Field(6 * 3600.0, gt=0, validation_alias="SYNAP_SHED_AGE")
    shed_memory: Share = Field(0.8, gt=0, le=1, validation_alias="SYNAP_SHED_MEMORY")

    @property
    def key_source(self) -> KeySource:
        """Where the signing secrets are read from."""
        secret = self.webhook_secret
        inline = None if secret is None else secret.get_secret_value()
        return KeySource(inline, self.webhook_secret_dir)

    def signing_secrets(self) -> keyfiles.Secrets:
        """Return the signing secrets by endpoint and label, read now.

        Raises:
            SettingsError: as `keyfiles.read`.
        """
        return keyfiles.read(self.key_source)

    def laws(self) -> Iterator[Problem]:
        """Yield what is wrong between values, and with the signing keys."""
        yield from super().laws()
        if self.port and self.port == self.admin_port:
            yield Problem(
                ("SYNAP_PORT", "SYNAP_ADMIN_PORT"),
                f"SYNAP_PORT and SYNAP_ADMIN_PORT are both {self.port}; set one of them otherwise",
            )
        names = ("SYNAP_WEBHOOK_SECRET", "SYNAP_WEBHOOK_SECRET_DIR")
        source = self.key_source
        if source.inline is None and source.directory is None:
            yield Problem(names, f"no signing key: set {names[0]}, or {names[1]} to a directory")
        elif source.inline is not None and source.directory is not None:
            yield Problem(names, f"{names[0]} and {names[1]} are both set; keep one of them")
        else:
            try:
                keyfiles.read(source)
            except SettingsError as error:
                yield from (Problem(names, text) for text in error.problems)


S = TypeVar("S", bound=CommonSettings)


def load(
    cls: type[S],
    environ: Mapping[str, str],
    *,
    further: Callable[[S], Sequence[str]] = lambda _: (),
) -> S:
    """Return the settings that `environ` describes.

    Args:
        cls: whose settings.
        environ: the environment.
        further: says what else is wrong, to be told with what is wrong here; it is asked only
            then, and given defaults in place of the values that are wrong.

    Raises:
        SettingsError: with every problem at once, each naming its variable and how to mend it.
    """
    values, problems = _gather(cls, environ)
    try:
        settings = cls.model_validate(values)
    except ValidationError as error:
        wrong = _translate(error)
        problems += wrong
        failed = {name for problem in wrong for name in problem.variables}
        # The laws between the values that are right still speak; the rest take their defaults.
        right = {name: value for name, value in values.items() if name not in failed}
        settings = cls.model_validate(right)
    named = {name for problem in problems for name in problem.variables}
    problems += [law for law in settings.laws() if named.isdisjoint(law.variables)]
    problems += _strays(cls, environ)
    if problems:
        raise SettingsError([*(problem.text for problem in problems), *further(settings)])
    return settings


def masked(settings: CommonSettings) -> dict[str, str]:
    """Return the resolved value of each variable as text, secrets as `***`."""
    shown: dict[str, str] = {}
    for name, field in type(settings).model_fields.items():
        value = getattr(settings, name)
        if name.endswith("redis_url") and value is not None:
            value = mask_url(value.get_secret_value())
        elif isinstance(value, SecretStr):
            value = "***"
        elif any(getattr(one, "func", None) is duration for one in field.metadata):
            value = duration_text(value)
        shown[str(field.validation_alias)] = "" if value is None else str(value)
    return shown


def mask_url(url: str) -> str:
    """Return `url` without what may be secret in it: user, password and query."""
    scheme, _, rest = url.partition("://")
    credentials, _, place = rest.rpartition("@")
    where, asked, _ = place.partition("?")
    return f"{scheme}://{'***@' if credentials else ''}{where}{'?***' if asked else ''}"


def variables(cls: type[CommonSettings]) -> dict[str, bool]:
    """Return the variables that `cls` reads and whether each holds a secret."""
    return {
        str(field.validation_alias): "SecretStr" in str(field.annotation)
        for field in cls.model_fields.values()
    }


def _gather(
    cls: type[CommonSettings], environ: Mapping[str, str]
) -> tuple[dict[str, str], list[Problem]]:
    values: dict[str, str] = {}
    problems: list[Problem] = []
    for name, secret in variables(cls).items():
        if environ.get(name):
            values[name] = environ[name]
        path = environ.get(f"{name}_FILE") if secret else None
        if not path:
            continue
        if name in values:
            text = f"{name} and {name}_FILE are both set; keep one of them"
            problems.append(Problem((name,), text))
            continue
        try:
            values[name] = keyfiles.strip_newline(Path(path).read_bytes()).decode()
        except (OSError, UnicodeDecodeError) as error:
            what = getattr(error, "strerror", None) or "not UTF-8 text"
            problems.append(Problem((name,), f"{name}_FILE: cannot read {path}: {what}"))
    if bool(environ.get("RQ_KEY_PREFIX")) != bool(environ.get("SYNAP_KEY_PREFIX")):
        text = (
            "SYNAP_KEY_PREFIX and RQ_KEY_PREFIX go together, since RQ reads its own: "
            "set both or neither"
        )
        problems.append(Problem(("SYNAP_KEY_PREFIX",), text))
    return values, problems


def _translate(error: ValidationError) -> list[Problem]:
    """Say pydantic's findings in our words, never with the value of a variable."""
    problems = []
    for found in error.errors(include_url=False, include_input=False):
        name = str(found["loc"][0])
        cause = found.get("ctx", {}).get("error")
        text = str(cause) if cause else found["msg"][0].lower() + found["msg"][1:]
        problems.append(Problem((name,), f"{name}: {text}"))
    return problems


def _strays(cls: type[CommonSettings], environ: Mapping[str, str]) -> list[Problem]:
    """Find misspelled names; what Kubernetes injects for Services is none."""
    own = variables(cls)
    known = {*own, *(f"{name}_FILE" for name, secret in own.items() if secret), *_ELSEWHERE}
    known |= set(variables(ReceiverSettings)) | {"SYNAP_WEBHOOK_SECRET_FILE"}
    problems = []
    for name in sorted(environ):
        if not name.startswith("SYNAP_") or name in known or _LINK_NAME.fullmatch(name):
            continue
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.85)
        if close and not LINK.match(environ[name]):
            text = f"{name} is not known; did you mean {close[0]}?"
            problems.append(Problem((name,), text))
    return problems

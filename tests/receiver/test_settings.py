"""The environment: what is read, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from receiver.errors import SettingsError
from receiver.settings import CommonSettings, ReceiverSettings, load, mask_url, masked, variables
from receiver.values import duration, duration_text
from tests.build import SECRET

GOOD = {"SYNAP_WEBHOOK_SECRET": SECRET}
CANARY = "canary-canary-canary"


def problems(environ: dict[str, str]) -> list[str]:
    """Return what is wrong with an environment."""
    with pytest.raises(SettingsError) as caught:
        load(ReceiverSettings, environ)
    return caught.value.problems


def test_defaults() -> None:
    """With a secret alone, everything has the documented value."""
    settings = load(ReceiverSettings, GOOD)

    assert masked(settings) == {
        "SYNAP_REDIS_URL": "redis://127.0.0.1:6379/0",
        "SYNAP_KEY_PREFIX": "synap",
        "SYNAP_ACK": "fsync",
        "SYNAP_COMMIT_TIMEOUT": "5s",
        "SYNAP_FRESHNESS_WINDOW": "31d",
        "SYNAP_DEDUP_WINDOW": "32d",
        "SYNAP_LOG_LEVEL": "info",
        "SYNAP_LOG_FORMAT": "json",
        "SYNAP_HOST": "0.0.0.0",
        "SYNAP_PORT": "8080",
        "SYNAP_ADMIN_PORT": "9090",
        "SYNAP_WEBHOOK_SECRET": "***",
        "SYNAP_WEBHOOK_SECRET_DIR": "",
        "SYNAP_MAX_BODY_BYTES": "1048576",
        "SYNAP_BODY_TIMEOUT": "10s",
        "SYNAP_SHUTDOWN_DELAY": "5s",
        "SYNAP_SHED_AGE": "6h",
        "SYNAP_SHED_MEMORY": "0.8",
    }


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.5, "0.5s"), (90, "90s"), (120, "2m"), (7200, "2h"), (52_560, "876m"),
     (2_678_400, "31d")],
)  # fmt: skip
def test_durations_are_shown_as_they_are_written(seconds: float, text: str) -> None:
    """What is shown of a duration is what a person would write, and reads as the same."""
    assert duration_text(seconds) == text
    assert duration(text) == seconds


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        pytest.param("SYNAP_BODY_TIMEOUT", "0.5", "body_timeout", 0.5, id="seconds"),
        pytest.param("SYNAP_BODY_TIMEOUT", "7s", "body_timeout", 7.0, id="s"),
        pytest.param("SYNAP_SHUTDOWN_DELAY", "2m", "shutdown_delay", 120.0, id="m"),
        pytest.param("SYNAP_FRESHNESS_WINDOW", "20h", "freshness_window", 72000.0, id="h"),
        pytest.param("SYNAP_DEDUP_WINDOW", "40d", "dedup_window", 3456000.0, id="d"),
        pytest.param("SYNAP_MAX_BODY_BYTES", "2048", "max_body_bytes", 2048, id="bytes"),
        pytest.param("SYNAP_MAX_BODY_BYTES", "2 MiB", "max_body_bytes", 2 << 20, id="MiB"),
        pytest.param("SYNAP_SHED_MEMORY", "75%", "shed_memory", 0.75, id="percent"),
        pytest.param("SYNAP_PORT", "0", "port", 0, id="any port"),
        pytest.param("SYNAP_PORT", "", "port", 8080, id="empty is not set"),
        pytest.param("SYNAP_REDIS_PORT", "tcp://10.0.0.1:6379", "port", 8080, id="service link"),
        pytest.param("SYNAP_SERVICE_HOST", "10.0.0.1", "port", 8080, id="service host"),
        pytest.param("SYNAP_PORT_8080_TCP_ADDR", "10.0.0.1", "port", 8080, id="service address"),
        pytest.param("SYNAP_WORKERS_ADMIN_PORT", "1", "admin_port", 9090, id="the workers' own"),
        pytest.param("SYNAP_INSTANCE_ID", "inst_1", "port", 8080, id="somebody else's"),
    ],
)
def test_values(name: str, text: str, field: str, value: object) -> None:
    """Values are read as people write them; what others set here does no harm."""
    settings = load(ReceiverSettings, GOOD | {name: text})

    assert getattr(settings, field) == value


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({"SYNAP_PORT": "tcp://10.0.0.1:80"}, "enableServiceLinks: false", id="link"),
        pytest.param({"SYNAP_PORT": "65536"}, "SYNAP_PORT: must be a port", id="port"),
        pytest.param({"SYNAP_PORT": "9090"}, "SYNAP_PORT and SYNAP_ADMIN_PORT", id="same port"),
        pytest.param({"SYNAP_BODY_TIMEOUT": "soon"}, "SYNAP_BODY_TIMEOUT: must be", id="duration"),
        pytest.param({"SYNAP_BODY_TIMEOUT": "0"}, "SYNAP_BODY_TIMEOUT: ", id="zero"),
        pytest.param({"SYNAP_COMMIT_TIMEOUT": "1e9"}, "SYNAP_COMMIT_TIMEOUT: ", id="exponent"),
        pytest.param({"SYNAP_MAX_BODY_BYTES": "1GB"}, "SYNAP_MAX_BODY_BYTES: must", id="size"),
        pytest.param({"SYNAP_SHED_MEMORY": "2"}, "SYNAP_SHED_MEMORY: must be a share", id="share"),
        pytest.param({"SYNAP_SHED_MEMORY": "101%"}, "SYNAP_SHED_MEMORY: ", id="over all"),
        pytest.param({"SYNAP_ACK": "disk"}, "SYNAP_ACK: ", id="ack"),
        pytest.param({"SYNAP_REDIS_URL": "http://x"}, "SYNAP_REDIS_URL: must be", id="url"),
        pytest.param(
            {"SYNAP_KEY_PREFIX": "a b", "RQ_KEY_PREFIX": "a"}, "must be a key prefix", id="prefix"
        ),
        pytest.param({"SYNAP_KEY_PREFIX": "a"}, "set both or neither", id="prefix without RQ's"),
        pytest.param({"RQ_KEY_PREFIX": "a"}, "set both or neither", id="RQ's prefix alone"),
        pytest.param({"SYNAP_FRESHNESS_WINDOW": "14h"}, "14 h 36 m", id="horizon"),
        pytest.param({"SYNAP_DEDUP_WINDOW": "31d"}, "at least 2678700s", id="replay"),
        pytest.param({"SYNAP_REDIS_ULR": "x"}, "did you mean SYNAP_REDIS_URL?", id="misspelled"),
        pytest.param({"SYNAP_WEBHOOK_SECRET": ""}, "no signing key: set", id="no key"),
        pytest.param({"SYNAP_WEBHOOK_SECRET": f"{SECRET},short"}, "'key-2' is shorter", id="short"),
        pytest.param({"SYNAP_WEBHOOK_SECRET": "x" * 5000}, "'key-1' is longer", id="long"),
        pytest.param({"SYNAP_WEBHOOK_SECRET_DIR": "/x"}, "both set; keep one", id="two sources"),
        pytest.param({"SYNAP_WEBHOOK_SECRET_FILE": "/x"}, "both set; keep one", id="and a file"),
        pytest.param({"SYNAP_REDIS_URL_FILE": "/no"}, "SYNAP_REDIS_URL_FILE: cannot read", id="no"),
    ],
)
def test_refusals(environ: dict[str, str], expected: str) -> None:
    """Each mistake is one problem that names its variable and says how to mend it."""
    found = problems(GOOD | environ)

    assert len(found) == 1
    assert expected in found[0]


def test_every_problem_is_reported_at_once() -> None:
    """A person mends all of it in one go; a law about a broken value stays silent."""
    found = problems({"SYNAP_PORT": "x", "SYNAP_ACK": "x", "SYNAP_FRESHNESS_WINDOW": "x"})

    names = [text.split(":")[0] for text in found]
    assert sorted(names) == ["SYNAP_ACK", "SYNAP_FRESHNESS_WINDOW", "SYNAP_PORT", "no signing key"]


@pytest.mark.parametrize(
    "name", ["SYNAP_WEBHOOK_SECRET", "SYNAP_REDIS_URL", "SYNAP_PORT", "SYNAP_ACK"]
)
def test_no_problem_shows_a_value(name: str) -> None:
    """What was set stays out of the message: it may be a secret in the wrong variable."""
    text = "\n".join(problems({name: f"{CANARY},x"}))

    assert CANARY not in text


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    """`_FILE` is read with its one trailing newline stripped."""
    file = tmp_path / "secret"
    file.write_text(f"{SECRET}\n")

    settings = load(ReceiverSettings, {"SYNAP_WEBHOOK_SECRET_FILE": str(file)})

    assert settings.key_source.inline == SECRET


def test_a_secret_file_must_be_text(tmp_path: Path) -> None:
    """Bytes that are not UTF-8 are a problem, not a crash."""
    file = tmp_path / "secret"
    file.write_bytes(b"\xff" * 20)

    assert "not UTF-8 text" in problems({"SYNAP_WEBHOOK_SECRET_FILE": str(file)})[0]


def test_key_prefixes_go_together() -> None:
    """With RQ's prefix beside it, the key prefix can be chosen."""
    environ = GOOD | {"SYNAP_KEY_PREFIX": "eu", "RQ_KEY_PREFIX": "eu-rq"}

    assert load(ReceiverSettings, environ).key_prefix == "eu"


def test_settings_show_no_secret() -> None:
    """Neither their text nor the masked form holds a secret or a password."""
    environ = {"SYNAP_WEBHOOK_SECRET": CANARY, "SYNAP_REDIS_URL": f"redis://u:{CANARY}@h:1/0"}
    settings = load(ReceiverSettings, environ)

    assert CANARY not in repr(settings) + str(settings) + str(masked(settings))
    assert masked(settings)["SYNAP_REDIS_URL"] == "redis://***@h:1/0"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        pytest.param("redis://h:1/0", "redis://h:1/0", id="nothing to mask"),
        pytest.param("rediss://u:p@h/0", "rediss://***@h/0", id="user and password"),
        pytest.param("redis://:p?q@h/0", "redis://***@h/0", id="a password with marks"),
        pytest.param("unix:///run/r.sock?password=p", "unix:///run/r.sock?***", id="query"),
    ],
)
def test_masked_urls(url: str, shown: str) -> None:
    """A URL is shown without what may be secret in it."""
    assert mask_url(url) == shown


def test_settings_are_frozen() -> None:
    """Settings do not change after they were read."""
    settings: Any = load(ReceiverSettings, GOOD)

    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1


def test_secrets_are_known() -> None:
    """Each variable that holds a secret is marked, so that `_FILE` works for it."""
    found = {name for name, secret in variables(ReceiverSettings).items() if secret}

    assert found == {"SYNAP_REDIS_URL", "SYNAP_WEBHOOK_SECRET"}


def test_the_process_environment_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is given counts: the environment is a parameter."""
    monkeypatch.setenv("SYNAP_KEY_PREFIX", "elsewhere")

    assert load(CommonSettings, {}).key_prefix == "synap"

"""The workers' part of the environment."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from receiver.errors import SettingsError
from receiver.settings import ReceiverSettings, load, masked, variables
from workers.settings import WorkerSettings


def problems(environ: Mapping[str, str]) -> list[str]:
    """Return everything that is wrong with an environment."""
    with pytest.raises(SettingsError) as caught:
        load(WorkerSettings, environ)
    return caught.value.problems


def test_defaults_need_nothing() -> None:
    """An empty environment is enough: one process per queue, and recovery within a minute."""
    settings = load(WorkerSettings, {})

    assert str(settings.workers) == "events=1,events-bulk=1,notifications=1,rotation=1"
    assert (settings.workers_admin_port, settings.config, settings.api_key) == (9091, None, None)
    assert (settings.handler_timeout, settings.lease, settings.max_attempts) == (20, 30, 5)
    assert settings.sweep_interval + settings.sweep_grace <= 60


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("events=2", (2, 0, 0, 0), id="others-none"),
        pytest.param("events=0,rotation=1", (0, 0, 0, 1), id="zero"),
        pytest.param(" events-bulk = 3 , notifications=64,", (0, 3, 64, 0), id="spaces"),
        pytest.param("rotation=0", (0, 0, 0, 0), id="tick-alone"),
    ],
)
def test_processes_are_read(text: str, expected: tuple[int, ...]) -> None:
    """SYNAP_WORKERS says how many processes serve each queue; unnamed queues get none."""
    settings = load(WorkerSettings, {"SYNAP_WORKERS": text})

    assert tuple(settings.workers.values()) == expected


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        pytest.param("event=1", "is no queue; there are events, events-bulk", id="unknown"),
        pytest.param("events", "write events=1", id="no-number"),
        pytest.param("events=-1", "a number from 0 to 64", id="negative"),
        pytest.param("events=65", "a number from 0 to 64", id="too-many"),
        pytest.param("events=1.5", "a number from 0 to 64", id="fraction"),
        pytest.param("events=\u0661", "a number from 0 to 64", id="not-ascii"),
        pytest.param("events=", "a number from 0 to 64", id="empty"),
        pytest.param("events=1,events=2", "named twice", id="twice"),
    ],
)
def test_wrong_processes_are_explained(text: str, hint: str) -> None:
    """What is no list of processes is refused with how to write one."""
    (problem,) = problems({"SYNAP_WORKERS": text})

    assert problem.startswith("SYNAP_WORKERS: ")
    assert hint in problem


@pytest.mark.parametrize(
    ("environ", "names"),
    [
        pytest.param(
            {"SYNAP_LEASE": "20", "SYNAP_HANDLER_TIMEOUT": "20s"},
            ("SYNAP_LEASE", "SYNAP_HANDLER_TIMEOUT"),
            id="lease",
        ),
        pytest.param(
            {"SYNAP_GRACE_PERIOD": "10s"},
            ("SYNAP_GRACE_PERIOD", "SYNAP_HANDLER_TIMEOUT"),
            id="grace",
        ),
        pytest.param(
            {"SYNAP_RETRY_BASE": "2m", "SYNAP_RETRY_CAP": "1m"},
            ("SYNAP_RETRY_CAP", "SYNAP_RETRY_BASE"),
            id="retries",
        ),
    ],
)
def test_laws_between_values(environ: Mapping[str, str], names: tuple[str, ...]) -> None:
    """Values that contradict each other are refused, naming both variables."""
    (problem,) = problems(environ)

    assert all(name in problem for name in names)


def test_every_problem_at_once() -> None:
    """All that is wrong is said in one go."""
    found = problems({"SYNAP_WORKERS": "x=1", "SYNAP_MAX_ATTEMPTS": "0", "SYNAP_LEASE": "soon"})

    assert {problem.partition(":")[0] for problem in found} == {
        "SYNAP_WORKERS",
        "SYNAP_MAX_ATTEMPTS",
        "SYNAP_LEASE",
    }


def test_secrets_are_masked() -> None:
    """Nothing that prints settings shows a secret."""
    secrets = ("PAGERDUTY_ROUTING_KEY", "SLACK_WEBHOOK_URL", "SYNAP_API_KEY")
    settings = load(WorkerSettings, dict.fromkeys(secrets, "https://canary"))

    assert "canary" not in f"{settings!r} {masked(settings)}"
    assert [masked(settings)[name] for name in secrets] == ["***"] * 3


def test_each_tolerates_the_others_variables() -> None:
    """The receiver's variables are none of the workers' business, and the reverse."""
    key = {"SYNAP_WEBHOOK_SECRET": "0123456789abcdef"}

    assert load(WorkerSettings, {**key, "SYNAP_PORT": "1", "SYNAP_SHED_AGE": "1h"})
    assert load(ReceiverSettings, {**key, **dict.fromkeys(_durations(), "400s")})


def _durations() -> list[str]:
    mine = set(variables(WorkerSettings)) - set(variables(ReceiverSettings))
    return sorted(mine - {"SYNAP_WORKERS"})

"""The YAML file, wholly: who is told of what, what events mean, what must not be active."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from workers.alerting.config import AlertingConfig, read
from workers.alerting.default_routes import default_config
from workers.document import load
from workers.handlers import Policy
from workers.handlers.policy import read as read_policy
from workers.rotation.config import RotationConfig
from workers.rotation.config import read as read_rotation
from workers.section import DocumentError
from workers.settings import WorkerSettings
from workers.synap.api_section import ApiConfig
from workers.synap.api_section import read as read_api
from workers.synap.guard_section import GuardConfig
from workers.synap.guard_section import read as read_guard


class Configuration(NamedTuple):
    """What the YAML file says, section by section."""

    alerting: AlertingConfig
    policy: Policy
    guard: GuardConfig = GuardConfig()
    api: ApiConfig = ApiConfig()
    rotation: RotationConfig = RotationConfig()


def configuration(settings: WorkerSettings) -> Configuration:
    """Read the YAML file; what it leaves out, or all if there is none, is as documented.

    Raises:
        DocumentError: the file has problems; each is named with its line.
    """
    routing_key, slack_url = settings.pagerduty_routing_key, settings.slack_webhook_url
    if settings.config is None:
        targets = default_config(routing_key, slack_url)
        return Configuration(targets, Policy())
    document = load(Path(settings.config))
    events, alerting = document.section("events"), document.section("alerting")
    guarded, synap = document.section("guard"), document.section("synap")
    rotated = document.section("rotation")
    document.close()
    policy = read_policy(events) if events else Policy()
    guard = read_guard(guarded) if guarded else GuardConfig()
    api = read_api(synap) if synap else ApiConfig()
    rotation = read_rotation(rotated) if rotated else RotationConfig()
    if alerting is None:
        document.findings.raise_if_any()
        return Configuration(default_config(routing_key, slack_url), policy, guard, api, rotation)
    routes = read(alerting, routing_key=routing_key, slack_url=slack_url)
    return Configuration(routes, policy, guard, api, rotation)


def problems(settings: WorkerSettings) -> list[str]:
    """Return what is wrong in the YAML file, each with its line."""
    try:
        configuration(settings)
    except DocumentError as error:
        return error.problems
    return []


def rotation_section(settings: WorkerSettings) -> RotationConfig:
    """Read the `rotation` section alone: a person's shell has not the secrets of targets.

    Raises:
        DocumentError: the file is unreadable or the section has problems.
    """
    if settings.config is None:
        return RotationConfig()
    section = load(Path(settings.config)).section("rotation")
    return read_rotation(section) if section else RotationConfig()

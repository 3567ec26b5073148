"""The configuration that a command works with: the workers' own, or a file that is tried out."""

from __future__ import annotations

from pathlib import Path

from workers.alerting.config import read
from workers.cli.exits import Misuse
from workers.cli.session import World, settings_of
from workers.configuration import Configuration, configuration, problems
from workers.document import load
from workers.handlers import Policy
from workers.section import DocumentError
from workers.settings import WorkerSettings


def loaded(world: World, file: str | None) -> Configuration:
    """Return what a file says; without one, what the environment's workers go by.

    Raises:
        DocumentError: with every problem and its line.
        Trouble: the environment's settings are wrong; what is wrong in the file is told as well.
    """
    update = {} if file is None else {"config": file}
    settings = settings_of(
        WorkerSettings,
        world.environ,
        further=lambda found: problems(found.model_copy(update=update)),
    )
    return configuration(settings.model_copy(update=update))


def routed(world: World, file: str | None) -> Configuration:
    """Return what a file says; it may also be one that is written for Alertmanager.

    Raises:
        Trouble: with every problem and its line, or the environment's settings are wrong.
    """
    try:
        document = load(Path(file)) if file is not None else None
        if document is not None and document.has("route") and not document.has("alerting"):
            settings = settings_of(WorkerSettings, world.environ)
            alerting = read(
                document,
                routing_key=settings.pagerduty_routing_key,
                slack_url=settings.slack_webhook_url,
            )
            return Configuration(alerting, Policy())
        return loaded(world, file)
    except DocumentError as error:
        lines = "\n".join(f"  {problem}" for problem in error.problems)
        raise Misuse(f"the configuration is not valid:\n{lines}") from error

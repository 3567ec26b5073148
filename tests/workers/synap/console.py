"""`synap-hooks` as a person runs it beside a service."""

from __future__ import annotations

from typing import Any

import orjson
from click.testing import CliRunner

from tests.workers.synap.service import Service
from workers.cli import cli
from workers.cli.session import World


class Console:
    """The command in the service's environment; remembers what it printed."""

    def __init__(self, service: Service, **environ: str) -> None:
        self.service = service
        self.environ = {**service.environ, "USER": "dana", **environ}
        self.out = ""
        self.err = ""

    def __call__(self, *arguments: str, stdin: str = "") -> int:
        """Run it and return its exit code."""
        world = World(environ=self.environ, clock=self.service.now)
        result = CliRunner().invoke(cli, arguments, obj=world, input=stdin)
        self.out, self.err = result.stdout, result.stderr
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code

    @property
    def document(self) -> Any:
        """The JSON document that was printed."""
        return orjson.loads(self.out)

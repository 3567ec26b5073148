"""The operator's command, `synap-hooks`.

    events      what came in and what became of it
    dead        what could not be processed: replay it or give it up
    quarantine  what was authentic but unusable: release it or delete it
    maca        memory configurations: judged, compared, pinned, rolled back
    history     what operators did
    sign, verify, send   signatures and signed samples
    settings    what the environment resolves to
    acl         a Redis user for each role
    rotation    credentials: what is planned, what is under way, and orders

Every command has `--json`: one JSON document on standard output, times as ISO 8601 in UTC.
Exit codes are those of `workers.cli.exits.ExitCode`.
"""

from __future__ import annotations

from workers.cli.root import cli, main

__all__ = ["cli", "main"]

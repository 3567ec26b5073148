"""A client of the sandbox, whose waiting takes no time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from tests.sandbox import Sandbox
from tests.sandbox.state import Instance
from workers.outbound import Outbound
from workers.synap.client import Client
from workers.synap.pace import Allowance, Pace
from workers.synap.transport import Policy, Transport


@dataclass
class Rig:
    """A client and what it was seen to do; `waits` are the seconds it would have slept."""

    sandbox: Sandbox
    redis: Redis
    key: str | None = None
    policy: Policy = field(default_factory=Policy)
    per_minute: int = 600_000
    url: str = ""
    waits: list[float] = field(default_factory=list)
    noted: list[tuple[str, str]] = field(default_factory=list)
    now: Callable[[], float] = time.time
    outbound: Outbound = field(default_factory=Outbound)

    def client(self) -> Client:
        """Return a client with a key of the sandbox' own instance."""
        if self.key is None:
            self.key = self.sandbox.issue_key()
        key = self.key
        transport = Transport(
            self.outbound,
            url=self.url or self.sandbox.url,
            key_of=lambda _: key or None,
            pace=Pace(self.redis, "synap", lambda: Allowance(self.per_minute)),
            policy=lambda: self.policy,
            note=lambda operation, error: self.noted.append(
                (operation, error.reason if error else "ok")
            ),
            clock=self.now,
            sleep=self.waits.append,
        )
        return Client(transport)

    @property
    def made(self) -> list[str]:
        """The last part of each call's path that arrived, in order."""
        return [f"{call.method} {call.path.partition('architecture/')[2]}" for call in self.calls]

    @property
    def calls(self) -> list[Any]:
        """Every call that arrived."""
        return self.sandbox.calls


def reach(instance: Instance, status: str) -> str:
    """Bring a fresh configuration of an instance to a status; return its id."""
    owner = {"client_id": instance.client_id, "triggered_by_user_id": "user_author"}
    if not instance.versions:
        version, _, _ = instance.init(owner)
    else:
        change = {"reason": "more", "config": {"retrieval": {"context_budget": 4097}}}
        version, _, _ = instance.update(owner | change)
    ident = version.config_id
    decisions = {"rejected": "reject", "changes_requested": "request_changes"}
    if status != "pending_review":
        decision = decisions.get(status, "approve")
        instance.review(ident, {"decision": decision, "reviewed_by": "user_reviewer"})
    if status in ("active", "superseded"):
        instance.apply(ident, {"applied_by": "user_author"})
    if status == "superseded":
        reach(instance, "active")
    return ident

"""A whole Synap under a real server: instances, keys, faults, and what it sends."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any
from uuid import uuid4

from tests.sandbox.app import Api, Call
from tests.sandbox.faults import Faults
from tests.sandbox.keys import PRO, Keys, Plan
from tests.sandbox.state import Instance, Version, iso
from tests.servers import Served

CLIENT = "cli_a1b2c3d4e5f67890"
INSTANCE = "inst_f1e2d3c4b5a69078"


class Sandbox:
    """One Synap on a free port of 127.0.0.1.

    It begins with one instance. `send` gets the body of each event that it would deliver, such as
    `Sender.send`, in a thread of its own: an API call never waits for a webhook. Without it events
    are only listed in `events`. `ahead` seconds are added to its clock.
    """

    def __init__(
        self,
        *,
        clock: Callable[[], float] = time.time,
        plan: Plan = PRO,
        send: Callable[[dict[str, Any]], object] | None = None,
    ) -> None:
        self.ahead = 0.0
        self._clock = lambda: clock() + self.ahead
        self._plan = plan
        self._instances: dict[str, Instance] = {}
        self._keys = Keys(self._clock)
        self.send = send
        self.events: list[dict[str, Any]] = []
        self._sending = ThreadPoolExecutor(1, "sandbox")
        self._sent: list[Future[object]] = []
        self.faults = Faults()
        self._api = Api(self._instances, self._keys, self.faults)
        self.instance = self.add_instance(INSTANCE, CLIENT)
        self._served = Served(self._api.app)
        self.url = self._served.url

    @property
    def calls(self) -> list[Call]:
        """Every request so far, in order."""
        return list(self._api.calls)

    def add_instance(self, instance_id: str, client_id: str = CLIENT) -> Instance:
        """Add one more instance, without a configuration."""
        added = Instance(instance_id, client_id, self._clock, self._applied)
        self._instances[instance_id] = added
        return added

    def issue_key(
        self, label: str = "production", *, instance_id: str = INSTANCE, plan: Plan | None = None
    ) -> str:
        """Issue an API key, as the Dashboard does; the only time that it is shown."""
        client_id = self._instances[instance_id].client_id
        return self._keys.issue(instance_id, client_id, label, plan or self._plan).secret

    def revoke_key(self, secret: str) -> None:
        """Revoke an API key, as the Dashboard does."""
        self._keys.revoke(secret)

    def uses(self, secret: str) -> int:
        """Return how many calls a key has made that were let in."""
        return self._keys.find(secret).used

    def event(self, event_type: str, data: dict[str, Any], **envelope: Any) -> dict[str, Any]:
        """Return the body of an event of now, and send it if there is a way."""
        body = {
            "event_id": f"evt_{uuid4().hex}",
            "event_type": event_type,
            "timestamp": iso(self._clock()),
            "instance_id": self.instance.id,
            "client_id": self.instance.client_id,
            "correlation_id": f"corr_{uuid4().hex[:16]}",
            "data": data,
            **envelope,
        }
        self.events.append(body)
        if self.send is not None:
            self._sent.append(self._sending.submit(self.send, body))
        return body

    def settle(self) -> None:
        """Wait until every event was sent; raises what its sending raised."""
        while self._sent:
            self._sent.pop(0).result()

    def close(self) -> None:
        """Stop serving; requests that hang are let go."""
        self._sending.shutdown()
        self.faults.release()
        self._served.close()

    def _applied(
        self, instance: Instance, version: Version, before: Version | None, mode: str, reason: str
    ) -> None:
        self.event(
            "config.applied",
            {
                "config_id": version.config_id,
                "version": version.version,
                "previous_config_id": before.config_id if before else None,
                "applied_by": version.applied_by,
                "applied_at": iso(version.applied_at or 0),
                "mode": mode,
                "reason": reason,
            },
            instance_id=instance.id,
            client_id=instance.client_id,
        )

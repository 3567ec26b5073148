"""Running the command as a person would, against the suite's Redis, at `NOW`."""

from __future__ import annotations

from typing import Any, cast

import orjson
from click.testing import CliRunner
from redis import Redis

from receiver.errors import Flaw
from tests.accept import KEYS, commit, record, submission
from tests.build import NOW, SECRET, make_event
from workers.cli import cli
from workers.cli.session import World
from workers.ledger.transitions import Ledger, Settlement, Verdict


class Command:
    """`synap-hooks` with its environment; remembers what it printed."""

    def __init__(self, redis_url: str = "unix:///nowhere", **environ: str) -> None:
        self.environ = {"SYNAP_REDIS_URL": redis_url, "USER": "dana", **environ}
        self.out = ""
        self.err = ""

    def __call__(self, *arguments: str, stdin: bytes | str = b"") -> int:
        """Run it at `NOW` and return its exit code."""
        return self.at(NOW, *arguments, stdin=stdin)

    def at(self, now: float, *arguments: str, stdin: bytes | str = b"") -> int:
        """Run it at a moment (Unix seconds) and return its exit code."""
        world = World(environ=self.environ, clock=lambda: now)
        result = CliRunner().invoke(cli, arguments, obj=world, input=stdin)
        self.out, self.err = result.stdout, result.stderr
        return result.exit_code

    @property
    def document(self) -> Any:
        """The JSON document that was printed."""
        return orjson.loads(self.out)


class Desk:
    """Puts events into any state by the service's own transitions."""

    def __init__(self, redis: Redis, url: str) -> None:
        self.redis, self.url = redis, url
        self.ledger = Ledger(redis, KEYS, dedup_window=32 * 86_400.0)

    def accept(
        self, event_id: str, event_type: str = "ingestion.failed", *, at: float = NOW
    ) -> str:
        """Accept one event and return its key."""
        item = submission(make_event(event_type, event_id=event_id), now=at)
        assert item.event
        commit(self.url, [item], now=at)
        return item.event.key

    def settle(self, key: str, verdict: Verdict, reason: str, *, at: float = NOW) -> None:
        """Claim an event under its job and settle it."""
        job = record(self.redis, key)["job"]
        [claim] = self.ledger.claim(job, [key], now=at, lease=30)
        end = Settlement(key, claim.fence, verdict, reason, at + 600)
        self.ledger.settle([end], now=at, job_id=job, lease=30).written()

    def settled(
        self,
        event_id: str,
        verdict: Verdict,
        reason: str = "handler_error",
        *,
        event_type: str = "ingestion.failed",
        at: float = NOW,
    ) -> str:
        """Accept one event, settle it, and return its key."""
        key = self.accept(event_id, event_type, at=at)
        self.settle(key, verdict, reason, at=at)
        return key

    def quarantine(self, body: bytes, flaw: Flaw = Flaw.STALE, *, at: float = NOW) -> None:
        """Put one body into quarantine."""
        commit(self.url, [submission(body, now=at, flaw=flaw)], now=at)

    def queued(self) -> int:
        """Return how many jobs stand in the queues of events."""
        return self.redis.llen("rq:queue:events") + self.redis.llen("rq:queue:events-bulk")

    def balance(self) -> int:
        """Return accepted + released - done - discarded - dead - in flight: zero, always."""
        counters: dict[bytes, int] = {}
        held = cast("dict[bytes, bytes]", self.redis.hgetall(KEYS.counters))
        for name, value in held.items():
            what = name.partition(b":")[0]
            counters[what] = counters.get(what, 0) + int(value)
        sizes = sum(
            self.redis.zcard(key)
            for state in ("inflight", "dead")
            for key in self.redis.scan_iter(f"synap:{state}:*")
        )
        entered = counters.get(b"accepted", 0) + counters.get(b"released", 0)
        return entered - counters.get(b"done", 0) - counters.get(b"discarded", 0) - sizes


def body_of(event_id: str, **overrides: Any) -> bytes:
    """Return the bytes of one body."""
    return orjson.dumps(make_event(event_id=event_id, **overrides))


__all__ = ["SECRET", "Command", "Desk", "body_of"]
